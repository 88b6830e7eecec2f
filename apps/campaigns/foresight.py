"""What other rules know ahead of a campaign: every forecast asks them. To add one, add its line.

STOPS    reason code -> SQL over alias r (users_recipient) of who would be stopped at the gate if it were sent now
DELAYS   how much longer it takes: (campaign, seconds that sending takes) -> (reason code, more seconds), or None
EFFECTS  what it would take from budgets and quotas: (campaign, figures) -> [Effect]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypedDict

from apps.campaigns.caps import capped_now
from apps.campaigns.models import Campaign
from apps.campaigns.quiet import quiet_seconds
from apps.campaigns.quieting import quiet_rules
from ums_site.clock import database_now

Stop = Callable[[Campaign], "tuple[str, list[Any]] | None"]
Delay = Callable[[Campaign, float], "tuple[str, float] | None"]


class Effect(TypedDict):
    """What is used of one budget or quota before and after, in decimal text; `over` where it would not suffice."""

    name: str
    unit: str
    before: str
    after: str
    over: bool


def quiet_hours(campaign: Campaign, seconds: float) -> tuple[str, float] | None:
    """How long quiet hours hold up sending that takes so many seconds, to five minutes; people's regions are left out."""
    begin = campaign.scheduled_at or database_now()
    rules = quiet_rules(campaign.message_class, campaign.business_line_id)
    more = quiet_seconds(rules, campaign.message_class, campaign.business_line_id, begin, seconds) if rules else 0.0
    return ("quiet_hours", more) if more else None


STOPS: dict[str, Stop] = {"frequency_cap": capped_now}
DELAYS: list[Delay] = [quiet_hours]
EFFECTS: list[Callable[[Campaign, Mapping[str, Any]], list[Effect]]] = []  # apps.py adds those of budgets
