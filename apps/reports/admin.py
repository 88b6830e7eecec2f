"""The campaign page with its figures, and the way from each figure to its messages.

`apps.campaigns` registers lists and deeds; figures stand above it, so the pages that show them are put over them here.
"""

from __future__ import annotations

import time
from typing import Any

from django.contrib import admin
from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from apps.campaigns.admin import CampaignAdmin, MessageAdmin
from apps.campaigns.admin.campaigns import deeds_of
from apps.campaigns.models import Campaign, Message
from apps.campaigns.states import CampaignState
from apps.reports.campaign_page import campaign_context
from apps.reports.drill import RECALL_FIGURES, SYMBOLS, behind

admin.site.unregister([Campaign, Message])
BUSY_SHARE = 10  # figures are counted for at most a tenth of the time


class FigureFilter(admin.SimpleListFilter):
    """The messages that one figure of a campaign counts."""

    title = _("figure")
    parameter_name = "figure"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        offered: dict[str, Any] = {name: f"{symbol} {words}".strip() for name, (symbol, words) in SYMBOLS.items()}
        offered |= dict(RECALL_FIGURES)
        asked = request.GET.get(self.parameter_name)
        return list((offered | ({asked: offered.get(asked, asked)} if asked else {})).items())

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if not self.value():
            return queryset
        try:
            return behind(str(self.value()), queryset)
        except KeyError:
            return queryset.none()


@admin.register(Message)
class MessageFigureAdmin(MessageAdmin):
    """Messages, also by figure."""

    list_filter = [*MessageAdmin.list_filter, FigureFilter]


@admin.register(Campaign)
class CampaignFigureAdmin(CampaignAdmin):
    """Campaigns with the page that shows what became of everybody."""

    def get_urls(self) -> list[URLPattern]:
        live = self.admin_site.admin_view(self.live)
        return [path("<int:campaign_id>/live/", live, name="campaign_live"), *super().get_urls()]

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """The page of a campaign; a draft opens at its forecast."""
        campaign = self._seen(request, int(object_id) if object_id.isdecimal() else 0)
        if campaign.state == CampaignState.DRAFT:
            return redirect(reverse("admin:campaign_forecast", args=[campaign.pk]))
        context = {
            **self.admin_site.each_context(request),
            "title": campaign.name,
            "opts": self.opts,
            **campaign_context(campaign),
            "deeds": deeds_of(request, campaign),
        }
        return render(request, "reports/campaign.html", context)

    def live(self, request: HttpRequest, campaign_id: int) -> JsonResponse:
        """The moving part of the page as HTML, asked for every second while the campaign runs.

        What took long to count is shown again for ten times as long, so that watching never slows the sending.
        """
        if not self.has_view_permission(request):
            raise PermissionDenied
        language = get_language()
        key = f"campaign-live:{campaign_id}:{language}:{request.user.pk}"
        held = cache.get(key)
        if held is None:
            begun = time.monotonic()
            campaign = get_object_or_404(Campaign.objects.select_related("business_line"), pk=campaign_id)
            context = campaign_context(campaign) | {"deeds": deeds_of(request, campaign)}
            held = {"html": render_to_string("reports/campaign_live.html", context), "over": context["settled"]}
            cache.set(key, held, max(0.5, (time.monotonic() - begun) * BUSY_SHARE))
        return JsonResponse(held)
