"""Tags with how many people wear them, and the declared attributes."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import BigIntegerField, F, QuerySet
from django.db.models.expressions import RawSQL
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin

from apps.operators import audit
from apps.users import services
from apps.users.models import Attribute, Tag

WEARERS = "SELECT count(*) FROM users_recipient r WHERE r.tags @> ARRAY[users_tag.name]::varchar[]"


@admin.register(Tag)
class TagAdmin(ModelAdmin):
    """Labels. The name is what stands with every person, so it does not change."""

    list_display = ["name", "wearers", "created_at"]
    search_fields = ["name"]
    ordering = ["name"]
    fields = ["name"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tag]:
        return super().get_queryset(request).annotate(people=RawSQL(WEARERS, [], BigIntegerField()))

    @admin.display(description=_("people"), ordering=F("people"))
    def wearers(self, tag: Tag) -> int:
        return tag.people

    def get_readonly_fields(self, request: HttpRequest, obj: Tag | None = None) -> list[str]:
        return ["name"] if obj else []

    def delete_model(self, request: HttpRequest, obj: Tag) -> None:
        services.delete_tag(actor=request.user, tag=obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Tag]) -> None:
        for tag in queryset:
            services.delete_tag(actor=request.user, tag=tag)


@admin.register(Attribute)
class AttributeAdmin(ModelAdmin):
    """Declared attributes. Type and secrecy are fixed once declared: values of people rest on them."""

    list_display = ["key", "label", "type", "sensitive"]
    search_fields = ["key", "label"]
    ordering = ["key"]

    def get_readonly_fields(self, request: HttpRequest, obj: Attribute | None = None) -> list[str]:
        return ["key", "type", "sensitive"] if obj else []

    def has_delete_permission(self, request: HttpRequest, obj: Attribute | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Attribute, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        audit.record(actor=request.user, verb="declare_attribute", what=obj, detail={"key": obj.key})
