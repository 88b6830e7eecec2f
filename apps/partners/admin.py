"""The console's pages of business lines and their API keys. A key's text is shown once, when it is made."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from apps.partners import services
from apps.partners.models import ApiKey, BusinessLine


@admin.register(BusinessLine)
class BusinessLineAdmin(ModelAdmin):
    """Upstream systems. A line is closed, not deleted: what it sent still belongs to it."""

    list_display = ["code", "name", "active", "whitelist_only", "consent_required", "created_at"]
    list_filter = ["active", "whitelist_only", "consent_required"]
    search_fields = ["code", "name"]
    ordering = ["code"]
    fields = ["code", "name", "active", "whitelist_only", "consent_required"]

    def get_readonly_fields(self, request: HttpRequest, obj: BusinessLine | None = None) -> list[str]:
        return ["code"] if obj else []

    def has_delete_permission(self, request: HttpRequest, obj: BusinessLine | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: BusinessLine, form: Any, change: bool) -> None:
        services.save_business_line(actor=request.user, business_line=obj)


class ApiKeyForm(forms.ModelForm):
    """A key that would have ended before it was made helps nobody; what it may besides sending is off by default."""

    scopes = forms.MultipleChoiceField(
        label=_("may also"),
        required=False,
        choices=ApiKey.Scope.choices,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=_(
            "Careful: with an access token its holder can do everything at the provider that the account can, without "
            "UMS, its limits and its records. Give it only to systems of your own that need it."
        ),
    )

    class Meta:
        model = ApiKey
        fields = ["business_line", "label", "expires_at", "scopes"]

    def clean_expires_at(self) -> datetime | None:
        until: datetime | None = self.cleaned_data["expires_at"]
        if until is not None and until <= timezone.now():
            raise forms.ValidationError(_("Choose a later time, or none."))
        return until


@admin.register(ApiKey)
class ApiKeyAdmin(ModelAdmin):
    """Keys by their prefix: issued and revoked, never edited."""

    list_display = [
        "label",
        "shown_prefix",
        "business_line",
        "shown_scopes",
        "created_at",
        "last_used_at",
        "expires_at",
        "revoked_at",
    ]
    list_filter = ["business_line"]
    list_select_related = ["business_line"]
    search_fields = ["label", "prefix"]
    ordering = ["-id"]
    actions = ["revoke"]
    form = ApiKeyForm

    @admin.display(description=_("begins with"))
    def shown_prefix(self, key: ApiKey) -> str:
        return f"ums_{key.prefix}_…"

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> list[str]:
        if obj is None:
            return ["business_line", "label", "expires_at", "scopes"]
        seen = ["created_at", "last_used_at", "expires_at", "revoked_at"]
        return ["business_line", "label", "shown_prefix", "shown_scopes", *seen]

    @display(description=_("may also"))
    def shown_scopes(self, key: ApiKey) -> str:
        names = dict(ApiKey.Scope.choices)
        return ", ".join(str(names.get(one, one)) for one in key.scopes) or "—"

    def has_change_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Whoever may change keys may revoke them; there is nothing else to change."""
        return super().has_change_permission(request)

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        key, text = services.issue_api_key(
            actor=request.user,
            business_line=obj.business_line,
            label=obj.label,
            expires_at=obj.expires_at,
            scopes=obj.scopes,
        )
        obj.pk, obj.prefix, obj.created_at = key.pk, key.prefix, key.created_at
        words = format_html("{} <code>{}</code>", _("Copy this key now, it is not shown again:"), text)
        messages.warning(request, words)

    @admin.action(description=_("Revoke the chosen keys at once"), permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        for key in queryset:
            services.revoke_api_key(actor=request.user, key=key)
        messages.success(request, _("The keys were revoked."))
