"""Recipients and their addresses."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _
from import_export.admin import ImportExportModelAdmin
from import_export.tmp_storages import MediaStorage
from unfold.admin import ModelAdmin, TabularInline
from unfold.contrib.import_export.forms import ExportForm, ImportForm

from apps.operators import audit
from apps.users import services
from apps.users.admin.exchange import RecipientResource
from apps.users.admin.forms import BindingForm, with_attributes
from apps.users.admin.person import protection_of
from apps.users.admin.search import search_by_address
from apps.users.models import Binding, Recipient, Tag

SEARCH_HELP = _("The beginning of a user id, or a whole phone number, e-mail address or openid")


class TagFilter(admin.SimpleListFilter):
    """People who wear a tag."""

    title = _("tag")
    parameter_name = "tag"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in Tag.objects.order_by("name").values_list("name", flat=True)[:50]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Recipient]) -> QuerySet[Recipient]:
        return queryset.filter(tags__contains=[self.value()]) if self.value() else queryset


class BindingInline(TabularInline):
    """A person's addresses, masked."""

    model = Binding
    fields = readonly_fields = ["address_kind", "address_masked", "scope", "scope_id", "state", "created_at"]
    extra = 0
    can_delete = False
    show_change_link = True

    def has_add_permission(self, request: HttpRequest, obj: Recipient | None = None) -> bool:
        return False


@admin.register(Recipient)
class RecipientAdmin(ModelAdmin, ImportExportModelAdmin):
    """People. Sensitive attributes and clear addresses do not stand on any page."""

    resource_classes = [RecipientResource]
    import_form_class = ImportForm
    export_form_class = ExportForm
    tmp_storage_class = MediaStorage
    list_display = ["user_id", "labels", "attribute_list", "updated_at"]
    list_filter = [TagFilter]
    search_fields = ["user_id"]
    search_help_text = SEARCH_HELP
    ordering = ["-id"]
    show_full_result_count = False
    inlines = [BindingInline]
    change_form_outer_after_template = "users/consent_of_person.html"

    @admin.display(description=_("tags"))
    def labels(self, recipient: Recipient) -> str:
        return " · ".join(recipient.tags)

    @admin.display(description=_("attributes"))
    def attribute_list(self, recipient: Recipient) -> str:
        return " · ".join(str(value) for _key, value in sorted(recipient.attributes.items()))

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        recipient = self.get_object(request, object_id)
        extra = protection_of(request, recipient) if recipient else {}
        return super().change_view(request, object_id, *args, **kwargs | {"extra_context": extra})

    def get_form(self, request: HttpRequest, obj: Recipient | None = None, **kwargs: Any) -> Any:
        return super().get_form(request, obj, **kwargs | {"form": with_attributes(), "fields": ["user_id"]})

    def get_fieldsets(self, request: HttpRequest, obj: Recipient | None = None) -> Any:
        attributes = [name for name in with_attributes().base_fields if name.startswith("attribute_")]
        return [(None, {"fields": ["user_id", "tags_text"]}), (_("Attributes"), {"fields": attributes})]

    def get_readonly_fields(self, request: HttpRequest, obj: Recipient | None = None) -> list[str]:
        return ["user_id"] if obj else []

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Recipient], search_term: str
    ) -> tuple[QuerySet[Recipient], bool]:
        return search_by_address(queryset, search_term, "user_id", "bindings__address_hash"), True

    def save_model(self, request: HttpRequest, obj: Recipient, form: Any, change: bool) -> None:
        who = request.user
        if not change:
            obj.pk = services.ensure_recipient(actor=who, user_id=obj.user_id).pk
        if "tags_text" in form.changed_data:
            wanted = form.cleaned_data["tags_text"]
            services.untag(actor=who, recipients=[obj], tags=[held for held in obj.tags if held not in wanted])
            services.tag(actor=who, recipients=[obj], tags=wanted)
        if form.changed_attributes():
            services.set_attributes(actor=who, recipient=obj, values=form.changed_attributes())
        obj.refresh_from_db()

    def delete_model(self, request: HttpRequest, obj: Recipient) -> None:
        services.delete_recipient(actor=request.user, recipient=obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Recipient]) -> None:
        for recipient in queryset:
            services.delete_recipient(actor=request.user, recipient=recipient)

    def has_import_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("users.change_recipient") and request.user.has_perm("users.add_recipient")

    def has_export_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("users.export_recipient")

    def get_export_data(self, file_format: Any, request: HttpRequest, queryset: Any, **kwargs: Any) -> Any:
        audit.record(actor=request.user, verb="export", what="recipients", detail={"people": queryset.count()})
        return super().get_export_data(file_format, request, queryset, **kwargs)

    def process_result(self, result: Any, request: HttpRequest) -> HttpResponse:
        audit.record(actor=request.user, verb="import", what="recipients", detail=dict(result.totals))
        return super().process_result(result, request)


@admin.register(Binding)
class BindingAdmin(ModelAdmin):
    """Single addresses: looked up by the whole address, added, taken away, revealed for a reason."""

    list_display = ["address_kind", "address_masked", "recipient", "scope", "state", "created_at"]
    list_filter = ["address_kind", "state", "scope"]
    list_select_related = ["recipient"]
    search_fields = ["recipient__user_id"]
    search_help_text = SEARCH_HELP
    ordering = ["-id"]
    show_full_result_count = False
    change_form_outer_before_template = "users/reveal_address.html"

    def get_form(self, request: HttpRequest, obj: Binding | None = None, **kwargs: Any) -> Any:
        if obj is None:
            kwargs["form"] = BindingForm
        return super().get_form(request, obj, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Binding | None = None) -> list[str]:
        if obj is None:
            return ["user_id", "kind", "raw_address"]
        return ["recipient", "address_kind", "address_masked", "scope", "scope_id", "state", "created_at"]

    def has_change_permission(self, request: HttpRequest, obj: Binding | None = None) -> bool:
        return False

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Binding], search_term: str
    ) -> tuple[QuerySet[Binding], bool]:
        return search_by_address(queryset, search_term, "recipient__user_id", "address_hash"), False

    def get_urls(self) -> list[URLPattern]:
        reveal = self.admin_site.admin_view(self.reveal)
        return [path("<int:binding_id>/reveal/", reveal, name="users_binding_reveal"), *super().get_urls()]

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        extra = {"may_reveal": request.user.has_perm("users.reveal_address"), "binding_id": object_id}
        return super().change_view(request, object_id, *args, **kwargs | {"extra_context": extra})

    def reveal(self, request: HttpRequest, binding_id: int) -> HttpResponse:
        """Shows one address in clear to somebody who may and who says why. (No console page is cached.)"""
        if request.method != "POST" or not request.user.has_perm("users.reveal_address"):
            raise PermissionDenied
        binding = get_object_or_404(Binding, pk=binding_id)
        try:
            address = services.reveal_address(
                actor=request.user, binding=binding, reason=request.POST.get("reason", "")
            )
        except services.PeopleError as refused:
            messages.error(request, str(refused))
            return redirect(reverse("admin:users_binding_change", args=[binding_id]))
        context = {**self.admin_site.each_context(request), "title": _("Address"), "address": address}
        return render(request, "users/address_revealed.html", context | {"binding": binding})

    def save_model(self, request: HttpRequest, obj: Binding, form: BindingForm, change: bool) -> None:
        said = form.cleaned_data
        binding = services.add_binding(
            actor=request.user, recipient=said["user_id"], kind=said["kind"], address=said["raw_address"]
        )
        obj.pk = binding.pk
        obj.refresh_from_db()

    def delete_model(self, request: HttpRequest, obj: Binding) -> None:
        services.delete_binding(actor=request.user, binding=obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Binding]) -> None:
        for binding in queryset:
            services.delete_binding(actor=request.user, binding=binding)
