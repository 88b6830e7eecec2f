"""Imported lists: upload, live progress, result, refused rows."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminTextInputWidget, UnfoldBooleanSwitchWidget

from apps.campaigns.errors import CampaignError
from apps.campaigns.models import TargetList
from apps.campaigns.target_lists import repeat_for_real, start_list
from apps.operators import audit
from apps.users.importing.rejects import first_reasons

COUNTS = ("rows_read", "targets", "people", "unknown", "addresses", "rows_repeated", "rows_rejected")
OVER = (TargetList.State.DONE, TargetList.State.FAILED)


class ListForm(forms.ModelForm):
    """The upload."""

    file = forms.FileField(
        label=_("File"), widget=UnfoldAdminFileFieldWidget(),
        help_text=_("XLSX (its first sheet) or CSV as spreadsheets write it: user_id or an address such as phone; every "
                    "other column is a variable of the text."),
    )  # fmt: skip
    name = forms.CharField(label=_("Name"), required=False, max_length=200, widget=UnfoldAdminTextInputWidget())
    dry_run = forms.BooleanField(
        label=_("Dry run"), required=False, widget=UnfoldBooleanSwitchWidget(), help_text=_("Count and check only.")
    )

    class Meta:
        model = TargetList
        fields = ["name", "dry_run"]


def percent(held: TargetList) -> int:
    """How much of the file has been read."""
    if held.state == TargetList.State.DONE:
        return 100
    return min(99, held.bytes_read * 100 // held.bytes_total) if held.bytes_total else 0


@admin.register(TargetList)
class TargetListAdmin(ModelAdmin):
    """Lists are ordered and watched here; lane `work` reads them. What was read never changes."""

    when_empty = (
        _("No list yet"),
        _(
            "A CSV file with user ids or addresses and, where the text needs them, values of its own for each "
            "person. A campaign can go to exactly these."
        ),
    )

    list_display = [
        "name",
        "state",
        "dry_run",
        "progress",
        "targets",
        "unknown",
        "rows_rejected",
        "created_by",
        "created_at",
    ]
    list_filter = ["state", "dry_run"]
    search_fields = ["name", "file_name"]
    ordering = ["-id"]
    actions = None
    change_form_outer_before_template = "campaigns/list_progress.html"

    class Media:
        js = ["users/import_progress.js"]

    @admin.display(description=_("progress"))
    def progress(self, held: TargetList) -> str:
        return f"{percent(held)} %"

    def get_form(self, request: HttpRequest, obj: TargetList | None = None, **kwargs: Any) -> Any:
        if obj is None:
            kwargs["form"] = ListForm
        return super().get_form(request, obj, **kwargs)

    def get_fields(self, request: HttpRequest, obj: TargetList | None = None) -> list[str]:
        if obj is None:
            return ["file", "name", "dry_run"]
        return ["name", "file_name", "dry_run", "created_by", "created_at", "finished_at"]

    def has_change_permission(self, request: HttpRequest, obj: TargetList | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: TargetList | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: TargetList, form: ListForm, change: bool) -> None:
        said = form.cleaned_data
        held = start_list(
            actor=request.user,
            file=said["file"],
            file_name=said["file"].name,
            name=said["name"],
            dry_run=said["dry_run"],
        )
        obj.pk = held.pk
        obj.refresh_from_db()

    def response_add(self, request: HttpRequest, obj: TargetList, post_url_continue: str | None = None) -> Any:
        if obj.state == TargetList.State.DONE:
            messages.info(request, _("This file is a list already: nothing was imported again."))
        return redirect(_page(obj.pk))

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        held = self.get_object(request, object_id)
        extra: dict[str, Any] = {}
        if held:
            extra = {
                "held": held,
                "over": held.state in OVER,
                "percent": percent(held),
                "figures": [(name, _label(name), getattr(held, name)) for name in COUNTS],
                "may_add": self.has_add_permission(request),
                "may_download": request.user.has_perm("users.download_rejects"),
                "refusals": first_reasons(held.rejects_path) if held.state in OVER else [],
            }
        return super().change_view(request, object_id, *args, **kwargs | {"extra_context": extra})

    def get_urls(self) -> list[URLPattern]:
        views = {"progress": self.progress_json, "rejects": self.rejects, "repeat": self.repeat}
        own = [
            path(f"<int:list_id>/{name}/", self.admin_site.admin_view(view), name=f"campaigns_targetlist_{name}")
            for name, view in views.items()
        ]
        return [*own, *super().get_urls()]

    def progress_json(self, request: HttpRequest, list_id: int) -> JsonResponse:
        """What the page shows, asked for every second."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        held = get_object_or_404(TargetList, pk=list_id)
        facts = {name: getattr(held, name) for name in COUNTS}
        more = {"percent": percent(held), "state": held.get_state_display(), "over": held.state in OVER}
        return JsonResponse(facts | more | {"error": held.error})

    def rejects(self, request: HttpRequest, list_id: int) -> FileResponse:
        """The file of refused rows. It holds addresses in clear: a permission of its own, and on record."""
        if not request.user.has_perm("users.download_rejects"):
            raise PermissionDenied
        held = get_object_or_404(TargetList, pk=list_id)
        try:
            file = open(held.rejects_path, "rb")  # noqa: SIM115  (the response closes it)
        except OSError:
            raise Http404 from None
        audit.record(actor=request.user, verb="download_rejects", what=held)
        return FileResponse(file, as_attachment=True, filename=f"rejected-list-{held.pk}.csv", content_type="text/csv")

    def repeat(self, request: HttpRequest, list_id: int) -> HttpResponse:
        """Reads for real what a dry run has checked."""
        if request.method != "POST" or not self.has_add_permission(request):
            raise PermissionDenied
        try:
            made = repeat_for_real(actor=request.user, held=get_object_or_404(TargetList, pk=list_id))
        except CampaignError as refused:
            messages.error(request, refused.message)
            return redirect(_page(list_id))
        return redirect(_page(made.pk))


def _page(list_id: int) -> str:
    return reverse("admin:campaigns_targetlist_change", args=[list_id])


def _label(name: str) -> str:
    return str(TargetList._meta.get_field(name).verbose_name)
