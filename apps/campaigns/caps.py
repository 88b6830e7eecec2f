"""Frequency caps, duplicate guards and holdout groups: what may be done to them, and what others ask of them."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction
from django.utils.translation import gettext as _

from apps.campaigns.errors import CampaignError
from apps.campaigns.models import Campaign, DuplicateGuard, FrequencyCap, Holdout
from apps.campaigns.pipeline import contacts
from apps.campaigns.pipeline.plan import loaded_plan
from apps.campaigns.spans import longest
from apps.campaigns.states import MessageClass
from apps.channels.registry import KINDS
from apps.operators import audit
from apps.partners.models import BusinessLine
from ums_site.clock import database_now, transaction_now

LONGEST_DAYS = 92
LONGEST_GUARD_HOURS = 31 * 24


@transaction.atomic
def save_cap(*, actor: object, cap: FrequencyCap) -> FrequencyCap:
    """Makes or changes a cap. What was sent before it was there is known for as long as another cap or guard looks back.

    Raises CampaignError naming the field at fault.
    """
    check_cap(cap)
    new = cap.pk is None
    cap.save()
    detail = {
        name: getattr(cap, name)
        for name in ("code", "most", "span_count", "span_unit", "zone", "classes", "channel_kind", "active")
    }
    detail["line"] = cap.business_line_id
    audit.record(actor=actor, verb="add_cap" if new else "change_cap", what=cap, detail=detail)
    return cap


def check_cap(cap: FrequencyCap) -> None:
    """Raises CampaignError naming the field at fault."""
    if not cap.most or cap.most < 1:
        raise CampaignError(_("Allow at least one message; to stop all of them, use a stop switch."), "most")
    if not cap.span_count or cap.span_count < 1:
        raise CampaignError(_("Give a span of at least one."), "span_count")
    if longest(cap.span_count, cap.span_unit).days > LONGEST_DAYS:
        words = _("Nobody is remembered for longer than %(days)s days: choose a shorter span.")
        raise CampaignError(words % {"days": LONGEST_DAYS}, "span_count")
    if not cap.classes or set(cap.classes) - set(MessageClass):
        raise CampaignError(_("Choose at least one class of messages."), "classes")
    if cap.channel_kind and cap.channel_kind not in KINDS:
        raise CampaignError(_("There is no such kind of channel: choose one of the list."), "channel_kind")
    try:
        ZoneInfo(cap.zone)
    except (KeyError, ValueError, OSError):
        raise CampaignError(_("There is no such time zone: write one such as Asia/Shanghai."), "zone") from None


@transaction.atomic
def delete_cap(*, actor: object, cap: FrequencyCap) -> None:
    """Takes a cap away; what it withheld stays on record under its code."""
    audit.record(actor=actor, verb="delete_cap", what=cap, detail={"code": cap.code})
    cap.delete()


@transaction.atomic
def save_guard(*, actor: object, guard: DuplicateGuard) -> DuplicateGuard:
    """For how many hours the same text counts as a repetition; 0 for never. Raises CampaignError."""
    check_guard(guard)
    new = guard.pk is None
    guard.save()
    detail = {"line": guard.business_line_id, "class": guard.message_class, "hours": guard.window_hours}
    audit.record(actor=actor, verb="add_guard" if new else "change_guard", what=guard, detail=detail)
    return guard


def check_guard(guard: DuplicateGuard) -> None:
    """Raises CampaignError naming the field at fault."""
    if guard.message_class not in list(MessageClass):
        raise CampaignError(_("Choose at least one class of messages."), "message_class")
    if not 0 <= guard.window_hours <= LONGEST_GUARD_HOURS:
        words = _("Give 0 to %(most)s hours; 0 lets repetitions through.")
        raise CampaignError(words % {"most": LONGEST_GUARD_HOURS}, "window_hours")
    others = DuplicateGuard.objects.filter(business_line=guard.business_line, message_class=guard.message_class)
    if others.exclude(pk=guard.pk).exists():
        raise CampaignError(_("There is a guard for this line and class already: change that one."), "message_class")


@transaction.atomic
def delete_guard(*, actor: object, guard: DuplicateGuard) -> None:
    """Takes a setting away: what holds for all lines, or else the default, holds again."""
    detail = {"line": guard.business_line_id, "class": guard.message_class}
    audit.record(actor=actor, verb="delete_guard", what=guard, detail=detail)
    guard.delete()


@transaction.atomic
def save_holdout(*, actor: object, holdout: Holdout, business_lines: Sequence[BusinessLine] = ()) -> Holdout:
    """Makes a holdout group, or changes when it ends. Raises CampaignError naming the field at fault."""
    check_holdout(holdout)
    new = holdout.pk is None
    holdout.salt = holdout.salt or secrets.token_hex(8)
    holdout.save()
    holdout.business_lines.set(business_lines)
    detail = {
        "name": holdout.name,
        "percent": str(holdout.percent or ""),
        "tag": holdout.tag,
        "classes": holdout.classes,
        "lines": sorted(line.code for line in business_lines),
        "from": holdout.from_at.isoformat(),
        "until": holdout.until_at.isoformat() if holdout.until_at else "",
    }
    audit.record(actor=actor, verb="add_holdout" if new else "change_holdout", what=holdout, detail=detail)
    return holdout


def check_holdout(holdout: Holdout) -> None:
    """Raises CampaignError naming the field at fault."""
    holdout.tag = holdout.tag.strip()
    if (holdout.percent is None) == (not holdout.tag):
        raise CampaignError(_("Give either a percentage or a tag."), "percent")
    if holdout.percent is not None and not 0 < holdout.percent <= 50:
        raise CampaignError(_("Leave out more than 0 and at most 50 per cent."), "percent")
    if not holdout.classes or set(holdout.classes) - set(MessageClass):
        raise CampaignError(_("Choose at least one class of messages."), "classes")
    if holdout.until_at is not None and holdout.until_at <= holdout.from_at:
        raise CampaignError(_("It would end before it begins: choose a later time."), "until_at")


@transaction.atomic
def end_holdout(*, actor: object, holdout: Holdout) -> None:
    """Ends a group now: campaigns that begin from now on write to its people again."""
    holdout.until_at = database_now()
    holdout.save(update_fields=["until_at"])
    audit.record(actor=actor, verb="end_holdout", what=holdout, detail={"name": holdout.name})


def capped_now(campaign: Campaign) -> tuple[str, list[Any]] | None:
    """SQL over alias r (users_recipient): somebody whom a cap would stop if the campaign were sent now; None: no cap.

    For forecasts. What counts is decided at each send, where it is exact.
    """
    kinds = sorted({channel.kind for channel in loaded_plan(campaign).channels()})
    return contacts.full_now(campaign.message_class, campaign.business_line_id, kinds, transaction_now())
