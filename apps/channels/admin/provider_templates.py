"""The mirror of the templates that providers approved: read and refreshed here, changed at the provider."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display

from apps.channels.admin.pages import asked
from apps.channels.errors import AccountError
from apps.channels.models import ChannelAccount, ProviderTemplate
from apps.channels.provider_templates import listing_kinds, order_refresh

VIEW = "ums_channels.view_providertemplate"
REFRESH = "ums_channels.change_channelaccount"
LIST = "admin:ums_channels_providertemplate_changelist"


@admin.register(ProviderTemplate)
class ProviderTemplateAdmin(ModelAdmin):
    """By account, as listed when the provider was last asked."""

    list_display = ["code", "name", "account", "shown_state", "refreshed_at"]
    list_filter = ["state", "account"]
    list_select_related = ["account"]
    search_fields = ["code", "name", "text"]
    ordering = ["account__code", "code"]
    actions = None
    fields = ["account", "code", "name", "state", "text", "refreshed_at"]
    list_before_template = "channels/refreshes.html"

    class Media:
        js = ["channels/refreshing.js"]

    @display(
        description=_("state"),
        ordering="state",
        label={"approved": "success", "pending": "warning", "refused": "danger"},
    )
    def shown_state(self, template: ProviderTemplate) -> tuple[str, str]:
        return template.state, template.get_state_display()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: ProviderTemplate | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ProviderTemplate | None = None) -> bool:
        return False

    def get_urls(self) -> list[URLPattern]:
        refresh = self.admin_site.admin_view(self.refresh)
        return [path("refresh/<int:account_id>/", refresh, name="account_refresh"), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        accounts = ChannelAccount.objects.filter(kind__in=listing_kinds()).select_related("template_refresh")
        context = {"listing": accounts.order_by("code"), "may_refresh": request.user.has_perm(REFRESH)}
        return super().changelist_view(request, {**(extra_context or {}), **context})

    def refresh(self, request: HttpRequest, account_id: int) -> HttpResponse:
        """Orders the account's templates to be fetched anew."""
        account = asked(request, account_id, REFRESH)
        if request.method != "POST":
            raise PermissionDenied
        try:
            order_refresh(actor=request.user, account=account)
        except AccountError as refused:
            messages.error(request, str(refused))
        else:
            messages.success(request, _("The provider is being asked; the list fills up by itself."))
        return redirect(reverse(LIST))
