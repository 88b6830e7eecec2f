"""Published versions in the console: to be read and previewed, never changed."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import URLPattern, path
from unfold.admin import ModelAdmin

from apps.templates import selectors
from apps.templates.admin.looks import looks, sources
from apps.templates.admin.templates import preview_context
from apps.templates.models import TemplateVersion


@admin.register(TemplateVersion)
class TemplateVersionAdmin(ModelAdmin):
    """What was published, with its content and looks."""

    list_display = ["template", "number", "language", "published_by", "published_at"]
    list_filter = ["language"]
    list_select_related = ["template", "published_by"]
    search_fields = ["template__name", "template__code"]
    ordering = ["-id"]
    fields = ["template", "number", "language", "published_by", "published_at", "content_hash"]
    change_form_outer_after_template = "templates/version.html"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: TemplateVersion | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: TemplateVersion | None = None) -> bool:
        return False

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        version = self.get_object(request, object_id)
        extra: dict[str, Any] = {}
        if version:
            examples = selectors.example_values(version)
            extra = {"version": version, "sources": sources(version), "looks": looks(version, examples)}
        return super().change_view(request, object_id, *args, **kwargs | {"extra_context": extra})

    def get_urls(self) -> list[URLPattern]:
        preview = self.admin_site.admin_view(self.preview)
        return [
            path("<int:version_id>/preview/", preview, name="templates_templateversion_preview"),
            *super().get_urls(),
        ]

    def preview(self, request: HttpRequest, version_id: int) -> HttpResponse:
        """What a person would get of this version."""
        version = get_object_or_404(TemplateVersion.objects.select_related("template"), pk=version_id)
        if not self.has_view_permission(request, version):
            raise PermissionDenied
        context = self.admin_site.each_context(request) | preview_context(request, version)
        return render(request, "templates/preview.html", context | {"title": str(version), "version": version})
