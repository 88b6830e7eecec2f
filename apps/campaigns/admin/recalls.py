"""Pages that take back: they say what can be taken back over which channels, and what cannot and why, and ask for a reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _

from apps.campaigns.errors import CampaignError
from apps.campaigns.forms import ReasonForm
from apps.campaigns.models import Campaign, Message
from apps.campaigns.recalling import Foreseen, foreseen, recall_campaign, recall_message
from apps.campaigns.states import CampaignState, may
from apps.campaigns.words import RECALL_CODES
from apps.channels.registry import adapter

PERMISSION = "campaigns.recall"
NOT_SENT = frozenset({CampaignState.DRAFT, CampaignState.SCHEDULED})


def may_recall(request: HttpRequest, campaign: Campaign) -> bool:
    """Whether this person may take the campaign back, as far as anything of it may have been sent."""
    return request.user.has_perm(PERMISSION) and campaign.state not in NOT_SENT


def of_campaign(request: HttpRequest, campaign: Campaign) -> HttpResponse:
    """Asks, and does it; the caller has checked that the campaign may be seen."""
    if not may_recall(request, campaign):
        raise PermissionDenied
    back = reverse("admin:campaigns_campaign_change", args=[campaign.pk])
    return _asked(
        request,
        lambda reason: recall_campaign(actor=request.user, campaign=campaign, reason=reason),
        {
            "title": _("Take back the campaign"),
            "question": _("Take back “%(name)s”?") % {"name": campaign.name},
            "first": _("Whoever was not written to yet will not be. A cancelled campaign cannot go on.")
            if may("campaign", campaign.state, CampaignState.CANCELLED)
            else "",
            "back": back,
            **_sorted(foreseen(campaign)),
        },
    )


def of_message(request: HttpRequest, message_id: int) -> HttpResponse:
    """The same for one message."""
    if not request.user.has_perms([PERMISSION, "campaigns.view_message"]):
        raise PermissionDenied
    message = get_object_or_404(Message, pk=message_id)
    campaign = get_object_or_404(Campaign, pk=message.campaign_id)
    return _asked(
        request,
        lambda reason: recall_message(actor=request.user, message_id=message.pk, reason=reason),
        {
            "title": _("Take back the message"),
            "question": _("Take back message %(id)s?") % {"id": message.pk},
            "first": _("What was not sent yet is never sent, and no further step follows.")
            if message.state in ("PLANNED", "ACTIVE")
            else "",
            "back": reverse("admin:campaigns_message_change", args=[message.pk]),
            **_sorted(foreseen(campaign, message.pk)),
        },
    )


def _asked(request: HttpRequest, deed: Callable[[str], object], context: dict[str, Any]) -> HttpResponse:
    form = ReasonForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            deed(form.cleaned_data["reason"])
        except CampaignError as refused:
            form.add_error("reason" if refused.field == "reason" else None, refused.message)
        else:
            messages.success(request, _("It is being taken back: this page shows how far that is."))
            return redirect(context["back"])
    return render(request, "campaigns/recall.html", {**admin.site.each_context(request), **context, "form": form})


def _sorted(found: list[Foreseen]) -> dict[str, Any]:
    """Counts of deliveries: `possible` by account, and `impossible` by account with the reason."""
    lines = [(one.account, adapter(one.account.kind).label, one) for one in found]
    return {
        "possible": [(account, label, one.deliveries) for account, label, one in lines if not one.code],
        "impossible": [
            (account, label, one.deliveries, RECALL_CODES[one.code]) for account, label, one in lines if one.code
        ],
        "total": sum(one.deliveries for one in found if not one.code),
        "left": sum(one.deliveries for one in found if one.code),
    }
