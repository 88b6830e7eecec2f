"""Budgets and quotas as pages of the console show them: in words, with a bar."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.campaigns.models import Campaign
from apps.channels.registry import KINDS, adapter
from apps.partners.allowances import Remaining
from apps.partners.classes import CLASSES
from apps.partners.models import Allowance


def rows(found: Iterable[Remaining]) -> list[dict[str, Any]]:
    """One row for each, those that are most used up first; `width` of the bar in percent, `tone` good, warn or bad."""
    return [row(one) for one in sorted(found, key=lambda one: (-one.full, -one.percent, one.allowance.name))]


def row(left: Remaining) -> dict[str, Any]:
    """What one allowance is, and how it stands."""
    held = left.allowance
    return {
        "allowance": held,
        "link": reverse("admin:partners_allowance_change", args=[held.pk]),
        "counts": counts(held),
        "limit": limit(held),
        "used": amount(held, left.used),
        "percent": left.percent,
        "width": min(100, left.percent),
        "tone": "bad" if left.full else "warn" if left.warns else "good",
        "resets": renewal(left),
    }


def limit(held: Allowance) -> str:
    """`10,000 pieces a day`."""
    said = {"amount": amount(held, held.most)}
    if held.period == Allowance.Period.DAY:
        return _("%(amount)s a day") % said
    return _("%(amount)s a month") % said if held.period == Allowance.Period.MONTH else _("%(amount)s in all") % said


def amount(held: Allowance, value: Decimal) -> str:
    """With its unit."""
    if held.unit == Allowance.Unit.MONEY:
        return f"{value:,.{max(2, -int(value.normalize().as_tuple().exponent))}f} {held.currency}"
    said, count = {"shown": f"{value:,.0f}"}, round(value)
    if held.unit == Allowance.Unit.PIECES:
        return ngettext("%(shown)s piece", "%(shown)s pieces", count) % said
    return ngettext("%(shown)s message", "%(shown)s messages", count) % said


def counts(held: Allowance) -> str:
    """What is counted: the class and the channel, or everything."""
    said = [str(CLASSES.get(held.message_class, held.message_class))] if held.message_class else []
    if held.channel_kind:
        known = held.channel_kind in KINDS
        said.append(_(adapter(held.channel_kind).label) if known else held.channel_kind)
    return " · ".join(said) or _("everything")


def whose(held: Allowance) -> str:
    """The business line or the campaign."""
    if held.business_line is not None:
        return held.business_line.name
    campaign = Campaign.objects.filter(pk=held.campaign_id).only("id", "name").first()
    return _("campaign “%(name)s”") % {"name": campaign.name if campaign else held.campaign_id}


def renewal(left: Remaining) -> str:
    """When there is room again."""
    if left.resets_at is None:
        return _("not by itself")
    return date_format(timezone.localtime(left.resets_at), "Y-m-d H:i")
