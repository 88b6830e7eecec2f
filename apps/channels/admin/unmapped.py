"""Answers of providers that no table knows."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from apps.channels.models import UnmappedCode


@admin.register(UnmappedCode)
class UnmappedCodeAdmin(ModelAdmin):
    """Each counts as unknown until a release maps it."""

    list_display = ["kind", "code", "seen", "last_at"]
    list_filter = ["kind"]
    search_fields = ["code"]
    ordering = ["-seen"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: UnmappedCode | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: UnmappedCode | None = None) -> bool:
        return False
