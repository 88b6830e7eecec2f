"""The first page of the console: today's counts, what is running, what needs somebody."""

from __future__ import annotations

from typing import Any

from django.db.models import Count
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.campaigns.allowances_in_words import rows
from apps.campaigns.approving import PERMISSION as APPROVE
from apps.campaigns.models import Approval, Campaign, Delivery, Message, ReceiptInbox
from apps.campaigns.progress import is_over, progress
from apps.campaigns.states import ApprovalState
from apps.campaigns.stopping import switches_set
from apps.campaigns.words import CAMPAIGN_STATES, STATE_TONES
from apps.channels.models import ChannelAccount, UnmappedCode
from apps.channels.selectors import open_breakers
from apps.partners.allowances import near_the_wall
from ums_site.ids import first_id_at
from ums_site.kept import kept

NEWEST = 8


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Adds to the context of the console's first page what this person may see. (Named in settings.)"""
    may = request.user.has_perm
    if may("campaigns.view_message"):
        context |= {"today": _today(), "today_states": _today_states()}
    if may("campaigns.view_campaign"):
        context["campaigns"] = _campaigns()
    if may("ums_channels.view_channelaccount"):
        context |= {"breakers": list(open_breakers()[:10]), "accounts": ChannelAccount.objects.count()}
    if may("partners.view_allowance"):
        context["walls"] = rows(near_the_wall())
    if may("campaigns.view_campaign"):
        context["stops"] = switches_set()
    context["concerns"] = _concerns(request)
    context["may_plan"] = may("campaigns.add_campaign")
    return context


def _today_start() -> int:
    """The first id of today in the console's time zone."""
    return first_id_at(timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0))


def _today_states() -> dict[str, int]:
    def count() -> dict[str, int]:
        rows = Message.objects.filter(id__gte=_today_start()).values_list("state").annotate(Count("id"))
        return dict(rows)

    return kept("dashboard-messages", count)


def _delivery_states() -> dict[str, int]:
    def count() -> dict[str, int]:
        rows = Delivery.objects.filter(id__gte=_today_start()).values_list("state").annotate(Count("id"))
        return dict(rows)

    return kept("dashboard-deliveries", count)


def _today() -> list[tuple[str, int, str, str]]:
    """(words, count, tone, URL) of today's tiles."""
    states, sent = _today_states(), _delivery_states()
    messages = reverse("admin:campaigns_message_changelist")
    taken = sum(sent.get(one, 0) for one in ("ACCEPTED", "DELIVERED", "READ", "CLICKED", "UNDELIVERED", "CLOSED"))
    unknown = sum(sent.get(one, 0) for one in ("UNKNOWN", "UNKNOWN_FINAL"))
    return [
        (_("messages today"), sum(states.values()), "", messages),
        (_("under way"), states.get("ACTIVE", 0) + states.get("PLANNED", 0), "", f"{messages}?state=ACTIVE"),
        (_("deliveries taken by providers"), taken, "", ""),
        (_("deliveries delivered"), sum(sent.get(one, 0) for one in ("DELIVERED", "READ", "CLICKED")), "good", ""),
        (
            _("messages failed"),
            states.get("FAILED", 0),
            "bad" if states.get("FAILED") else "",
            f"{messages}?state=FAILED",
        ),
        (_("deliveries of unknown outcome"), unknown, "warn" if unknown else "", f"{messages}?state=UNKNOWN"),
    ]


def _campaigns() -> list[dict[str, Any]]:
    """What is open, and behind it the newest of the rest."""
    shown = list(
        Campaign.objects.filter(state__in=["EXPANDING", "RUNNING", "PAUSED", "SCHEDULED"]).order_by("-id")[:NEWEST]
    )
    if len(shown) < NEWEST:
        rest = Campaign.objects.exclude(pk__in=[one.pk for one in shown]).order_by("-id")
        shown += rest[: NEWEST - len(shown)]
    moving = progress([one.pk for one in shown if one.started_at and not is_over(one)])
    return [
        {
            "campaign": one,
            "state": CAMPAIGN_STATES.get(one.state, one.state),
            "tone": STATE_TONES.get(one.state, "dim"),
            "percent": moving[one.pk].percent if one.pk in moving else (100 if is_over(one) else 0),
        }
        for one in shown
    ]


def _concerns(request: HttpRequest) -> list[tuple[str, str]]:
    """(sentence, URL) of what somebody should look at; empty is good."""
    may, found = request.user.has_perm, []
    if may(APPROVE) and (asked := Approval.objects.filter(state=ApprovalState.PENDING).count()):
        words = ngettext("%(count)s campaign waits for approval.", "%(count)s campaigns wait for approval.", asked)
        found.append((words % {"count": asked}, reverse("admin:campaigns_approval_changelist") + "?state=PENDING"))
    if may("ums_channels.view_unmappedcode") and (codes := UnmappedCode.objects.count()):
        words = _("%(count)s provider codes are in no table and count as unknown.") % {"count": codes}
        found.append((words, reverse("admin:ums_channels_unmappedcode_changelist")))
    if may("campaigns.view_receiptinbox") and (bad := ReceiptInbox.objects.filter(state="BAD")[:1000].count()):
        words = _("%(count)s bodies at the receipt hooks could not be read.") % {"count": bad}
        found.append((words, reverse("admin:campaigns_receiptinbox_changelist") + "?state__exact=BAD"))
    return found
