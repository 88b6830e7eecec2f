"""Imports of people, lists and consents: upload, live progress, result, refused rows."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin

from apps.operators import audit
from apps.users import services
from apps.users.admin.forms import UploadForm
from apps.users.importing.rejects import first_reasons
from apps.users.models import PeopleImport

ROWS = ("rows_read", "rows_rejected")
COUNTS = (
    *ROWS, "recipients_added", "recipients_changed", "recipients_unchanged", "bindings_added", "tags_added",
)  # fmt: skip
OVER = (PeopleImport.State.DONE, PeopleImport.State.FAILED)
LIST_COUNTS = (*ROWS, "entries_added", "entries_changed", "entries_unchanged")


def counts_of(order: PeopleImport) -> tuple[str, ...]:
    """The counts that say something of this sort of import."""
    if order.sort == PeopleImport.Sort.PEOPLE:
        return COUNTS
    return tuple(name for name in LIST_COUNTS if order.sort != PeopleImport.Sort.CONSENT or name != "entries_changed")


def percent(order: PeopleImport) -> int:
    """How much of the file has been taken in."""
    if order.state == PeopleImport.State.DONE:
        return 100
    return min(99, order.bytes_read * 100 // order.bytes_total) if order.bytes_total else 0


@admin.register(PeopleImport)
class PeopleImportAdmin(ModelAdmin):
    """Imports are ordered and watched here; the work lane runs them."""

    list_display = ["file_name", "sort", "state", "dry_run", "progress", *ROWS, "added", "created_by", "created_at"]
    list_filter = ["sort", "state", "dry_run"]
    ordering = ["-id"]
    add_form_fields = ["sort", "file", "reason", "dry_run"]
    change_form_outer_before_template = "users/import_progress.html"

    class Media:
        js = ["users/import_progress.js"]

    @admin.display(description=_("progress"))
    def progress(self, order: PeopleImport) -> str:
        return f"{percent(order)} %"

    @admin.display(description=_("added"))
    def added(self, order: PeopleImport) -> int:
        return order.recipients_added + order.entries_added  # one of them is always nothing

    def get_form(self, request: HttpRequest, obj: PeopleImport | None = None, **kwargs: Any) -> Any:
        if obj is None:
            kwargs["form"] = type("UploadForm", (UploadForm,), {"may_consents": _may_consents(request)})
        return super().get_form(request, obj, **kwargs)

    def get_fields(self, request: HttpRequest, obj: PeopleImport | None = None) -> list[str]:
        if obj is None:
            return self.add_form_fields
        return ["sort", "file_name", "dry_run", "created_by", "created_at", "started_at", "finished_at"]

    def has_change_permission(self, request: HttpRequest, obj: PeopleImport | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: PeopleImport | None = None) -> bool:
        return False  # the row is the record of what came in; its files can be deleted

    def save_model(self, request: HttpRequest, obj: PeopleImport, form: UploadForm, change: bool) -> None:
        file = form.cleaned_data["file"]
        order = services.start_import(
            actor=request.user, file=file, file_name=file.name, dry_run=form.cleaned_data["dry_run"],
            sort=form.cleaned_data["sort"], reason=form.cleaned_data["reason"],
        )  # fmt: skip
        obj.pk = order.pk
        obj.refresh_from_db()

    def response_add(self, request: HttpRequest, obj: PeopleImport, post_url_continue: str | None = None) -> Any:
        return redirect(_page(obj.pk))

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        order = self.get_object(request, object_id)
        shown = counts_of(order) if order else ()
        extra = {"order": order, "figures": [(name, _label(name), getattr(order, name)) for name in shown]}
        if order:
            extra |= {"percent": percent(order), "may_add": self.has_add_permission(request)}
            extra["may_download"] = request.user.has_perm("users.download_rejects")
            extra["refusals"] = first_reasons(order.rejects_path) if order.state in OVER else []
        return super().change_view(request, object_id, *args, **kwargs | {"extra_context": extra if order else {}})

    def get_urls(self) -> list[URLPattern]:
        views = {"progress": self.progress_json, "rejects": self.rejects, "forget": self.forget, "repeat": self.repeat}
        own = [
            path(f"<int:order_id>/{name}/", self.admin_site.admin_view(view), name=f"users_peopleimport_{name}")
            for name, view in views.items()
        ]
        return [*own, *super().get_urls()]

    def progress_json(self, request: HttpRequest, order_id: int) -> JsonResponse:
        """What the page shows, asked for every second."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        order = get_object_or_404(PeopleImport, pk=order_id)
        facts = {name: getattr(order, name) for name in counts_of(order)}
        more = {"percent": percent(order), "state": order.get_state_display(), "over": order.state in OVER}
        return JsonResponse(facts | more | {"error": order.error})

    def rejects(self, request: HttpRequest, order_id: int) -> FileResponse:
        """The file of refused rows. It holds addresses in clear: a permission of its own, and on record."""
        if not request.user.has_perm("users.download_rejects"):
            raise PermissionDenied
        order = get_object_or_404(PeopleImport, pk=order_id)
        try:
            file = open(order.rejects_path, "rb")  # noqa: SIM115  (the response closes it)
        except OSError:
            raise Http404 from None
        audit.record(actor=request.user, verb="download_rejects", what=order)
        return FileResponse(file, as_attachment=True, filename=f"rejected-{order.pk}.csv", content_type="text/csv")

    def forget(self, request: HttpRequest, order_id: int) -> HttpResponse:
        """Deletes the files of an import that is over."""
        return self._ordered(request, order_id, services.forget_import, _("The files are deleted."))

    def repeat(self, request: HttpRequest, order_id: int) -> HttpResponse:
        """Imports for real what a dry run has checked."""
        return self._ordered(request, order_id, services.repeat_for_real, _("The import has been ordered."))

    def _ordered(self, request: HttpRequest, order_id: int, service: Any, done: Any) -> HttpResponse:
        if request.method != "POST" or not self.has_add_permission(request):
            raise PermissionDenied
        order = get_object_or_404(PeopleImport, pk=order_id)
        if order.sort == PeopleImport.Sort.CONSENT and not _may_consents(request):
            raise PermissionDenied
        try:
            made = service(actor=request.user, order=order)
        except services.PeopleError as refused:
            messages.error(request, str(refused))
            return redirect(_page(order_id))
        messages.success(request, done)
        return redirect(_page(made.pk if made else order_id))


def _may_consents(request: HttpRequest) -> bool:
    """What a file of consents records needs the permission of recording one."""
    return request.user.has_perm("users.add_consentrecord")


def _page(order_id: int) -> str:
    return reverse("admin:users_peopleimport_change", args=[order_id])


def _label(name: str) -> str:
    return str(PeopleImport._meta.get_field(name).verbose_name)
