"""What other rules know ahead of a campaign: every forecast asks them. To add one, add its line.

STOPS    reason code -> SQL over alias r (users_recipient) of who would be stopped at the gate if it were sent now
DELAYS   how much longer it takes: (campaign, seconds that sending takes) -> (reason code, more seconds), or None
EFFECTS  what it would take from budgets and quotas: (campaign, figures) -> [Effect]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, TypedDict

from apps.campaigns.caps import capped_now
from apps.campaigns.models import Campaign
from apps.channels.models import ChannelAccount
from apps.partners.allowances import Remaining, remaining
from apps.partners.models import Allowance

Stop = Callable[[Campaign], "tuple[str, list[Any]] | None"]
Delay = Callable[[Campaign, float], "tuple[str, float] | None"]


class Effect(TypedDict):
    """One budget or quota, in decimal text: its limit, what is left before and after; `over` where it does not suffice."""

    name: str
    unit: str
    currency: str
    most: str
    before: str
    after: str
    over: bool


def allowances(campaign: Campaign, figures: Mapping[str, Any]) -> list[Effect]:
    """What the campaign is expected to take from every allowance of its line that counts it."""
    accounts = {one.code: one for one in ChannelAccount.objects.filter(code__in=list(figures["reachable"]))}
    found = remaining(campaign.business_line, campaign.pk)
    counted = [one for one in found if one.allowance.message_class in ("", campaign.message_class)]
    return [_effect(one, _taken(one.allowance, figures, accounts)) for one in counted]


def _taken(allowance: Allowance, figures: Mapping[str, Any], accounts: Mapping[str, ChannelAccount]) -> Decimal:
    """Expected messages, pieces or money over the accounts that it counts."""
    total = Decimal(0)
    for code, people in figures["expected"].items():
        account = accounts.get(code)
        if account is None or allowance.channel_kind not in ("", account.kind):
            continue
        pieces = Decimal(figures["pieces"].get(code, 0)) / max(1, figures["reachable"].get(code, 0)) * people
        if allowance.unit == Allowance.Unit.MESSAGES:
            total += people
        elif allowance.unit == Allowance.Unit.PIECES:
            total += pieces
        elif account.currency == allowance.currency:
            total += pieces * account.price
    return total.quantize(Decimal("0.01") if allowance.unit == Allowance.Unit.MONEY else Decimal(1))


def _effect(left: Remaining, taken: Decimal) -> Effect:
    held = left.allowance
    money = held.unit == Allowance.Unit.MONEY
    return {
        "name": held.name,
        "unit": held.unit,
        "currency": held.currency if money else "",
        "most": f"{held.most.normalize():f}",
        "before": f"{left.left.normalize():f}",
        "after": f"{max(Decimal(0), left.left - taken).normalize():f}",
        "over": taken > left.left,
    }


STOPS: dict[str, Stop] = {"frequency_cap": capped_now}
DELAYS: list[Delay] = []
EFFECTS: list[Callable[[Campaign, Mapping[str, Any]], list[Effect]]] = [allowances]
