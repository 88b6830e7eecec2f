"""The blacklist: entries are added and lifted, not edited."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin

from apps.users import services
from apps.users.admin.forms import BlacklistForm
from apps.users.admin.search import search_by_address
from apps.users.models import BlacklistEntry

SOURCE = "console"


@admin.register(BlacklistEntry)
class BlacklistAdmin(ModelAdmin):
    """People and addresses that must not be written to; an address can be looked up, never read."""

    list_display = ["subject", "scope", "scope_id", "reason", "source", "expires_at", "created_at"]
    list_filter = ["scope", "source"]
    list_select_related = ["recipient"]
    search_fields = ["recipient__user_id"]
    search_help_text = _("A user id, or a whole phone number or e-mail address")
    ordering = ["-id"]

    @admin.display(description=_("recipient or address"))
    def subject(self, entry: BlacklistEntry) -> str:
        return str(entry)

    def get_form(self, request: HttpRequest, obj: BlacklistEntry | None = None, **kwargs: Any) -> Any:
        if obj is None:
            kwargs["form"] = BlacklistForm
        return super().get_form(request, obj, **kwargs)

    def get_fields(self, request: HttpRequest, obj: BlacklistEntry | None = None) -> list[str]:
        if obj is None:
            return ["user_id", "kind", "raw_address", "scope", "business_line", "account", "reason", "expires_at"]
        return ["subject", "address_kind", "scope", "scope_id", "reason", "source", "expires_at", "created_at"]

    def has_change_permission(self, request: HttpRequest, obj: BlacklistEntry | None = None) -> bool:
        return False

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[BlacklistEntry], search_term: str
    ) -> tuple[QuerySet[BlacklistEntry], bool]:
        return search_by_address(queryset, search_term, "recipient__user_id", "address_hash"), False

    def save_model(self, request: HttpRequest, obj: BlacklistEntry, form: BlacklistForm, change: bool) -> None:
        said = form.cleaned_data
        entry = services.add_blacklist(
            actor=request.user,
            recipient=said["user_id"],
            kind=said["kind"],
            address=said["raw_address"],
            scope=said["scope"],
            scope_id=form.scope_id(),
            reason=said["reason"],
            source=SOURCE,
            expires_at=said["expires_at"],
        )
        obj.pk = entry.pk
        obj.refresh_from_db()

    def delete_model(self, request: HttpRequest, obj: BlacklistEntry) -> None:
        services.remove_blacklist(actor=request.user, entry=obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[BlacklistEntry]) -> None:
        for entry in queryset:
            services.remove_blacklist(actor=request.user, entry=entry)
