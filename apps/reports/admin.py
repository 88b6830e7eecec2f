"""The campaign page with its figures, and the way from each figure to its messages.

`apps.campaigns` registers lists and deeds; figures stand above it, so the pages that show them are put over them here.
"""

from __future__ import annotations

import time
from typing import Any

from django import forms
from django.contrib import admin, messages
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
from apps.campaigns.models import Campaign, Message, Policy
from apps.campaigns.states import CampaignState
from apps.reports.campaign_page import campaign_context
from apps.reports.drill import MONEY_FIGURES, RECALL_FIGURES, SYMBOLS, behind
from apps.reports.services import choose_baseline

admin.site.unregister([Campaign, Message])
BUSY_SHARE = 10  # figures are counted for at most a tenth of the time

NOT_BEGUN = (CampaignState.DRAFT, CampaignState.AWAITING_APPROVAL, CampaignState.REJECTED)


class FigureFilter(admin.SimpleListFilter):
    """The messages that one figure of a campaign counts."""

    title = _("figure")
    parameter_name = "figure"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        offered: dict[str, Any] = {name: f"{symbol} {words}".strip() for name, (symbol, words) in SYMBOLS.items()}
        offered |= dict(RECALL_FIGURES) | dict(MONEY_FIGURES)
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


class BaselineForm(forms.Form):
    """A policy, or all by short message."""

    policy = forms.ChoiceField(label=_("Plan to compare with"), required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        policies = list(Policy.objects.order_by("name").values_list("code", "name"))
        self.fields["policy"].choices = [("", _("everything by short message")), *policies]  # type: ignore[attr-defined]
        self.fields["policy"].widget.attrs["class"] = "ums-input"


@admin.register(Campaign)
class CampaignFigureAdmin(CampaignAdmin):
    """Campaigns with the page that shows what became of everybody."""

    def get_urls(self) -> list[URLPattern]:
        live = self.admin_site.admin_view(self.live)
        baseline = self.admin_site.admin_view(self.baseline)
        own = [
            path("<int:campaign_id>/live/", live, name="campaign_live"),
            path("<int:campaign_id>/baseline/", baseline, name="campaign_baseline"),
        ]
        return [*own, *super().get_urls()]

    def baseline(self, request: HttpRequest, campaign_id: int) -> HttpResponse:
        """Which plan the cost is compared with."""
        campaign = self._sendable(request, campaign_id)
        form = BaselineForm(
            request.POST if request.method == "POST" else None, initial={"policy": campaign.baseline_code}
        )
        if form.is_valid():
            choose_baseline(actor=request.user, campaign=campaign, policy_code=form.cleaned_data["policy"])
            messages.success(request, _("It is measured in the background; the page shows it in a moment."))
            return redirect(reverse("admin:campaigns_campaign_change", args=[campaign.pk]))
        context = {"title": _("Compare the cost with another plan"), "campaign": campaign, "form": form}
        return render(request, "reports/baseline.html", {**self.admin_site.each_context(request), **context})

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """The page of a campaign; a draft opens at its forecast."""
        campaign = self._seen(request, int(object_id) if object_id.isdecimal() else 0)
        if campaign.state in NOT_BEGUN and not campaign.expand_cursor and campaign.audience["kind"] != "given":
            return redirect(reverse("admin:campaign_forecast", args=[campaign.pk]))
        context = {
            **self.admin_site.each_context(request),
            "title": campaign.name,
            "opts": self.opts,
            **campaign_context(campaign),
            **_deeds(request, campaign),
            "policy": _policy(request, campaign),
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
            context = campaign_context(campaign) | _deeds(request, campaign)
            html = render_to_string("reports/campaign_live.html", context, request)
            held = {"html": html, "over": context["settled"]}
            cache.set(key, held, max(0.5, (time.monotonic() - begun) * BUSY_SHARE))
        return JsonResponse(held)


def _policy(request: HttpRequest, campaign: Campaign) -> dict[str, Any]:
    """Where the policy's versions stand, for whoever may see them, and whether another one may be tried on paper."""
    pk = Policy.objects.filter(code=campaign.policy_code).values_list("pk", flat=True).first()
    return {
        "pk": pk if request.user.has_perm("campaigns.view_policy") else None,
        "code": campaign.policy_code,
        "may_replay": campaign.state == "FINISHED" and request.user.has_perm("campaigns.add_replay"),
    }


def _deeds(request: HttpRequest, campaign: Campaign) -> dict[str, Any]:
    """What this person may do from the page."""
    return {
        "deeds": deeds_of(request, campaign),
        "may_compare": request.user.has_perm("campaigns.send_campaign"),
    }
