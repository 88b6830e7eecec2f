"""What a campaign would take from budgets and quotas, for its forecast."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from apps.campaigns.foresight import Effect
from apps.campaigns.models import Campaign
from apps.partners.allowances import Remaining, remaining
from apps.partners.models import Allowance


def effects(campaign: Campaign, figures: Mapping[str, Any]) -> list[Effect]:
    """Allowances of all channels that count the campaign, with what its forecast expects of them; money of its currency.

    Pieces are not foreseen for those of one channel alone: which way people take is only known in sums.
    """
    at = campaign.scheduled_at
    return [
        one for left in remaining(campaign.business_line, campaign.pk, at) if (one := _effect(left, campaign, figures))
    ]


def _effect(left: Remaining, campaign: Campaign, figures: Mapping[str, Any]) -> Effect | None:
    held = left.allowance
    wanted = _wanted(held, figures)
    if wanted is None or held.channel_kind or held.message_class not in ("", campaign.message_class):
        return None
    unit = held.currency if held.unit == Allowance.Unit.MONEY else str(held.unit)
    after = left.used + wanted
    return Effect(name=held.name, unit=unit, before=_plain(left.used), after=_plain(after), over=after > held.most)


def _wanted(held: Allowance, figures: Mapping[str, Any]) -> Decimal | None:
    if held.unit == Allowance.Unit.MESSAGES:
        return Decimal(figures["targets"] - figures["invalid"] - figures["kept"] - sum(figures["blocked"].values()))
    if held.unit == Allowance.Unit.MONEY and held.currency == figures.get("currency"):
        return Decimal(figures["expected_price"])
    return None


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize():f}"
