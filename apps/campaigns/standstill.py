"""Why a campaign does not move now, in words for its page: a pause and its evidence, a switch, a canary that is out."""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.db import connection
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.campaigns.models import Campaign
from apps.campaigns.stopping import switches_set
from ums_site.ids import first_row_id

BY_ITSELF = ("system", "UMS")  # who the pipeline is in the audit log


@dataclass(frozen=True, slots=True)
class Standstill:
    """One reason, and how to go on."""

    title: str
    words: str
    next: str = ""


def standstill(campaign: Campaign) -> list[Standstill]:
    """Everything that holds it back now; empty where nothing does."""
    if campaign.state == "PAUSED":
        return [_paused(campaign)]
    if campaign.state not in ("EXPANDING", "RUNNING"):
        return []
    found = [
        Standstill(
            _("Sending is stopped"), f"{one}: {one.reason} ({one.set_by})", _("It goes on when the switch is released.")
        )
        for one in switches_set()
        if _concerns(one.scope, one.key, campaign)
    ]
    if campaign.canary_left is not None:
        found.append(_canary(campaign))
    return found


def _paused(campaign: Campaign) -> Standstill:
    by = _("Paused by %(who)s.") % {
        "who": _("the system") if campaign.paused_by in BY_ITSELF else campaign.paused_by or "—"
    }
    flying = in_flight(campaign)
    more = (
        ngettext("%(count)s is in flight still.", "%(count)s are in flight still.", flying) % {"count": flying}
        if flying
        else ""
    )
    words = " ".join(part for part in (by, reason_in_words(campaign.pause_reason), more) if part)
    return Standstill(_("The campaign is paused"), words, _("Look at what failed, then resume or cancel it."))


def reason_in_words(reason: str) -> str:
    """`auto: failed=12 tried=100 (last 5 min)` as a sentence; what people wrote stays as it is."""
    cause, _colon, facts = reason.partition(": ")
    said = dict(re.findall(r"(\w+)=(\d+)", facts))
    if cause == "canary" and "tried" in said:
        words = _(
            "Its canary went badly: of %(tried)s tries %(failed)s failed for certain and %(unknown)s have an unknown "
            "outcome; %(unwritable)s texts could not be written."
        )
        return words % {"unwritable": 0, "failed": 0, "unknown": 0, **said}
    if reason == "campaign_ceiling":
        return _("Its next messages would take it above its cost ceiling.")
    if cause != "auto" or not said:
        return reason
    if "complaints" in said:
        return _("It paused itself: %(complaints)s people complained by reply.") % said
    words = (
        _("It paused itself: %(failed)s of %(tried)s tries failed for certain %(when)s.")
        if "failed" in said
        else _("It paused itself: %(unknown)s of %(tried)s tries have an unknown outcome %(when)s.")
    )
    return words % {**said, "when": _when(facts)}


def _when(facts: str) -> str:
    minutes = re.search(r"last (\d+) min", facts)
    if minutes is None:
        return _("since it began or was last resumed")
    return _("in the last %(minutes)s minutes") % {"minutes": minutes[1]}


def _canary(campaign: Campaign) -> Standstill:
    if campaign.canary_left:
        words = _("%(left)s of the %(size)s sends of the canary are still to go.")
    else:
        words = _("The canary of %(size)s sends is out; the others follow when it was judged.")
    said = words % {"left": campaign.canary_left, "size": campaign.canary_size}
    return Standstill(
        _("Canary first"), said, _("Everything else waits until it is judged, or until somebody lets it go.")
    )


def in_flight(campaign: Campaign) -> int:
    """Deliveries between intent and result."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM campaigns_delivery WHERE campaign_id = %s AND id >= %s AND state = 'SENDING'",
            [campaign.pk, first_row_id(campaign.pk)],
        )
        return int(cursor.fetchone()[0])


def _concerns(scope: str, key: str, campaign: Campaign) -> bool:
    channels = [one for step in campaign.plan["steps"] for one in step["channels"]]
    own = {
        "everything": {""},
        "business_line": {str(campaign.business_line_id)},
        "class": {campaign.message_class},
        "template": {str(campaign.template_version.template_id)},
        "account": {str(one["account_id"]) for one in channels},
        "channel": {one["kind"] for one in channels},
    }
    return key in own.get(scope, set())
