"""The console's pages of operators, roles and the audit log."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from apps.operators import audit
from apps.operators.models import AuditEvent, Operator

admin.site.unregister(Group)
MOST_SHOWN = 160


VERBS = {"add": _("may add"), "change": _("may change"), "delete": _("may delete"), "view": _("may see")}


def only_ours(field: Any) -> Any:
    """The permissions that mean something in this console, in the words of its pages."""
    if field is not None:
        pages = ContentType.objects.get_for_models(*admin.site._registry).values()
        field.queryset = field.queryset.filter(content_type__in=[one.pk for one in pages])
        field.label_from_instance = permission_in_words
    return field


def permission_in_words(permission: Permission) -> str:
    """`campaign: may see`, in the language of the page."""
    model = permission.content_type.model_class()
    name = model._meta.verbose_name if model else permission.content_type.model
    verb, _line, _rest = permission.codename.partition("_")
    words = VERBS[verb] if verb in VERBS and model else gettext(permission.name)
    return f"{name}: {words}"


@admin.register(Operator)
class OperatorAdmin(UserAdmin, ModelAdmin):
    """Console accounts. Who leaves is switched off, not deleted: the audit log names them."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ["username", "first_name", "last_name", "roles", "is_active", "is_superuser", "last_login"]
    list_filter = ["is_active", "is_superuser", "groups"]
    ordering = ["username"]
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        (_("Person"), {"fields": ("last_name", "first_name", "email")}),
        (_("May do"), {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
    )

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_manytomany(db_field, request, **kwargs)
        return only_ours(field) if db_field.name == "user_permissions" else field

    @admin.display(description=_("roles"))
    def roles(self, operator: Operator) -> str:
        return " · ".join(group.name for group in operator.groups.all())

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("groups")

    def get_readonly_fields(self, request: HttpRequest, obj: Operator | None = None) -> list[str]:
        """Only a superuser hands out what makes one all-powerful."""
        return [] if request.user.is_superuser else ["is_superuser", "user_permissions"]

    def has_delete_permission(self, request: HttpRequest, obj: Operator | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Operator | None = None) -> bool:
        """A superuser is changed by superusers only, or anybody with this page could become one."""
        if obj is not None and obj.is_superuser and not request.user.is_superuser:
            return False
        return super().has_change_permission(request, obj)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        detail = {"username": form.instance.username, "changed": sorted(form.changed_data)}
        detail["roles"] = sorted(form.instance.groups.values_list("name", flat=True))
        verb = "change_operator" if change else "add_operator"
        audit.record(actor=request.user, verb=verb, what=form.instance, detail=detail)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        operator = self.get_object(request, id)
        before = operator.password if operator else ""
        answer = super().user_change_password(request, id, form_url)
        if operator and Operator.objects.get(pk=operator.pk).password != before:
            audit.record(actor=request.user, verb="set_password", what=operator)
        return answer


@admin.register(Group)
class RoleAdmin(DjangoGroupAdmin, ModelAdmin):
    """Roles: named sets of permissions."""

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        return only_ours(super().formfield_for_manytomany(db_field, request, **kwargs))

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        held = sorted(form.instance.permissions.values_list("codename", flat=True))
        detail = {"name": form.instance.name, "permissions": held}
        verb = "change_role" if change else "add_role"
        audit.record(actor=request.user, verb=verb, what=form.instance, detail=detail)

    def delete_model(self, request: HttpRequest, obj: Group) -> None:
        audit.record(actor=request.user, verb="delete_role", what=obj, detail={"name": obj.name})
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        for role in queryset:
            self.delete_model(request, role)


@admin.register(AuditEvent)
class AuditEventAdmin(ModelAdmin):
    """The audit log, to read and to prove: nobody changes it, here or in the database."""

    list_display = ["shown_at", "actor", "verb", "object_type", "object_id", "shown_detail"]
    list_filter = ["verb", "object_type"]
    search_fields = ["actor", "object_id"]
    ordering = ["-id"]
    date_hierarchy = None
    show_full_result_count = False
    list_before_template = "operators/audit_proof.html"

    @admin.display(description=_("at"), ordering="at")
    def shown_at(self, event: AuditEvent) -> str:
        moment = timezone.localtime(event.at)
        return format_html('<span class="whitespace-nowrap">{}</span>', f"{moment:%Y-%m-%d %H:%M:%S}")

    @admin.display(description=_("detail"))
    def shown_detail(self, event: AuditEvent) -> str:
        said = " · ".join(f"{key}: {_plain(value)}" for key, value in event.detail.items())
        return said if len(said) <= MOST_SHOWN else f"{said[:MOST_SHOWN]}…"

    def get_urls(self) -> list[URLPattern]:
        prove = self.admin_site.admin_view(self.prove)
        return [path("prove/", prove, name="operators_auditevent_prove"), *super().get_urls()]

    def prove(self, request: HttpRequest) -> HttpResponse:
        """Reads the whole chain and says whether it is unbroken."""
        if request.method != "POST" or not self.has_view_permission(request):
            raise PermissionDenied
        broken = audit.first_break()
        if broken is None:
            messages.success(request, _("Every event is unaltered, and none is missing between them."))
        else:
            words = _("The chain is broken at event %(id)s of %(at)s: it, or the one before, was altered.")
            messages.error(request, words % {"id": broken.pk, "at": broken.at})
        return redirect(reverse("admin:operators_auditevent_changelist"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: AuditEvent | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: AuditEvent | None = None) -> bool:
        return False


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
