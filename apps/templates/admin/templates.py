"""Templates in the console: the draft and its form, what it would look like, and its publication."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Max, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin

from apps.channels.registry import KINDS, adapter, adapters
from apps.operators import audit
from apps.templates import people, selectors, services
from apps.templates.admin.forms import PREFIX, PreviewForm, TemplateForm, field_name, with_bodies
from apps.templates.admin.looks import label_of, looks, sources
from apps.templates.bodies import in_order, kind_of, variant_of, well_named
from apps.templates.models import MessageTemplate

PUBLISH = "templates.publish_template"
SEE_PEOPLE = "users.view_recipient"


@admin.register(MessageTemplate)
class MessageTemplateAdmin(ModelAdmin):
    """Drafts; what is published never changes."""

    list_display = ["name", "code", "language", "channels", "last_version", "updated_at"]
    list_filter = ["language"]
    search_fields = ["name", "code"]
    ordering = ["-updated_at"]
    actions = None
    change_form_outer_before_template = "templates/draft.html"
    warn_unsaved_form = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[MessageTemplate]:
        return super().get_queryset(request).annotate(last_number=Max("versions__number"))

    @admin.display(description=_("channels"))
    def channels(self, template: MessageTemplate) -> str:
        return " · ".join(label_of(key) for key in template.bodies)

    @admin.display(description=_("last version"), ordering="last_number", empty_value="–")
    def last_version(self, template: Any) -> int | None:
        return template.last_number

    def get_form(self, request: HttpRequest, obj: MessageTemplate | None = None, **kwargs: Any) -> Any:
        fields = TemplateForm.Meta.fields
        return super().get_form(request, obj, **kwargs | {"form": with_bodies(_keys(request, obj)), "fields": fields})

    def get_fieldsets(self, request: HttpRequest, obj: MessageTemplate | None = None) -> Any:
        if obj and not self.has_change_permission(request, obj):
            return [(None, {"fields": ["name", "code", "language"]})]  # draft.html shows the content
        written = set(obj.bodies) if obj else set()
        written |= {name.split("__")[1] for name, text in request.POST.items() if name.startswith(PREFIX) and text}
        parts = [
            (
                label_of(key),
                {
                    "fields": [field_name(key, field) for field in adapter(kind_of(key)).content_fields],
                    "classes": [] if key in written else ["collapse"],
                },
            )
            for key in _keys(request, obj)
        ]
        variants = (_("Variants"), {"fields": ["variant_rows"], "classes": ["collapse"]})
        return [(None, {"fields": ["name", "code", "language", "variable_rows"]}), *parts, variants]

    def has_delete_permission(self, request: HttpRequest, obj: MessageTemplate | None = None) -> bool:
        published = obj is not None and obj.versions.exists()
        return not published and super().has_delete_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: MessageTemplate, form: TemplateForm, change: bool) -> None:
        said = form.cleaned_data
        saved = services.save_draft(
            actor=request.user,
            template=obj if change else None,
            code=said["code"],
            name=said["name"],
            variables=said["variable_rows"],
            bodies=form.bodies(),
            language=said["language"],
        )
        obj.pk = saved.pk
        obj.refresh_from_db()

    def delete_model(self, request: HttpRequest, obj: MessageTemplate) -> None:
        services.delete_draft(actor=request.user, template=obj)

    def response_add(self, request: HttpRequest, obj: MessageTemplate, post_url_continue: str | None = None) -> Any:
        return redirect(reverse("admin:templates_messagetemplate_change", args=[obj.pk]))

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        template = self.get_object(request, object_id)
        extra: dict[str, Any] = {}
        if template:
            extra = {"template": template, "findings": selectors.lint(template), "may_publish": _may_publish(request)}
            if not self.has_change_permission(request, template):
                extra["sources"] = sources(template)
                extra["looks"] = looks(template, selectors.example_values(template))
            extra["may_change"] = self.has_change_permission(request, template)
            extra["versions"] = template.versions.order_by("-number").select_related("published_by")[:20]
        return super().change_view(request, object_id, *args, **kwargs | {"extra_context": extra})

    def get_urls(self) -> list[URLPattern]:
        own = [
            path(
                f"<int:template_id>/{name}/", self.admin_site.admin_view(view), name=f"templates_messagetemplate_{name}"
            )
            for name, view in {"preview": self.preview, "publish": self.publish}.items()
        ]
        return [*own, *super().get_urls()]

    def preview(self, request: HttpRequest, template_id: int) -> HttpResponse:
        """What a person would get of the draft."""
        template = get_object_or_404(MessageTemplate, pk=template_id)
        if not self.has_view_permission(request, template):
            raise PermissionDenied
        context = self.admin_site.each_context(request) | preview_context(request, template)
        return render(request, "templates/preview.html", context | {"title": str(template), "template": template})

    def publish(self, request: HttpRequest, template_id: int) -> HttpResponse:
        """Asks once more with all findings; then the draft, if it is still the one that was shown, is a version."""
        template = get_object_or_404(MessageTemplate, pk=template_id)
        if not _may_publish(request) or not self.has_view_permission(request, template):
            raise PermissionDenied
        back = reverse("admin:templates_messagetemplate_change", args=[template.pk])
        if request.method == "POST":
            try:
                shown = request.POST.get("shown", "")
                version = services.publish_version(actor=request.user, template=template, shown=shown)
            except services.TemplateError as refused:
                messages.error(request, str(refused))
            else:
                messages.success(request, _("Version %(number)s is published.") % {"number": version.number})
            return redirect(back)
        findings = selectors.lint(template)
        context = {
            "title": _("Publish %(template)s") % {"template": template},
            "template": template,
            "findings": findings,
            "refused": any(finding.level == "error" for finding in findings),
            "shown": services.draft_hash(template),
            "looks": looks(template, selectors.example_values(template)),
        }
        return render(request, "templates/publish.html", self.admin_site.each_context(request) | context)


def _keys(request: HttpRequest, template: MessageTemplate | None) -> list[str]:
    """The bodies that the form has a part for: one for every kind, and the variants that the draft or the request has."""
    named = set(template.bodies) if template else set()
    named |= {name.split("__")[1] for name in request.POST if name.startswith(f"{PREFIX}__")}
    variants = {key for key in named if variant_of(key) and well_named(key) and kind_of(key) in KINDS}
    return in_order({one.kind for one in adapters()} | variants, list(KINDS))


def _may_publish(request: HttpRequest) -> bool:
    return request.user.has_perm(PUBLISH)


def preview_context(request: HttpRequest, source: selectors.Source) -> dict[str, Any]:
    """The form and the looks. A chosen person's own values count; only what a request would bring is taken from the
    examples then. Looking at a person's values is on record."""
    examples = selectors.example_values(source)
    brought = [{"name": name, "value": examples.get(name, "")} for name in _names_brought(source)]
    form = PreviewForm(request.POST if request.method == "POST" else None, initial={"typed": brought})
    values: dict[str, object] = dict(examples)
    sees_people = request.user.has_perm(SEE_PEOPLE)
    if form.is_bound and form.is_valid():
        user_id = form.cleaned_data["user_id"].strip()
        if user_id:
            if not sees_people:
                raise PermissionDenied
            values = _values_of_person(request, form, source, user_id, examples)
        values |= {row["name"]: row["value"] for row in form.cleaned_data["typed"]}
    return {"form": form, "looks": looks(source, values), "sees_people": sees_people}


def _values_of_person(
    request: HttpRequest, form: PreviewForm, source: selectors.Source, user_id: str, examples: dict[str, object]
) -> dict[str, object]:
    held = people.values_of(request.user, user_id)
    if held is None:
        form.add_error("user_id", _("There is no recipient with this user id."))
        return dict(examples)
    audit.record(actor=request.user, verb="preview_with_person", what=source, detail={"user_id": user_id})
    return {name: examples[name] for name in _names_brought(source) if name in examples} | dict(held)


def _names_brought(source: selectors.Source) -> list[str]:
    """The variables whose values come with a request, not from the person."""
    return [one["name"] for one in source.variables if one.get("source", "payload") == "payload"]
