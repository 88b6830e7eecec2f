"""What rules of other areas know ahead of a campaign: they register here, and every forecast asks them.

STOPS    reason code -> SQL over alias r (users_recipient) of who would be stopped at the gate if it were sent now
DELAYS   how much longer it takes: (campaign, seconds that sending takes) -> (reason code, more seconds), or None
EFFECTS  what it would take from budgets and quotas: (campaign, figures) -> [Effect]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypedDict

from apps.campaigns.models import Campaign

Stop = Callable[[Campaign], "tuple[str, list[Any]] | None"]
Delay = Callable[[Campaign, float], "tuple[str, float] | None"]


class Effect(TypedDict):
    """One budget or quota before and after, in decimal text; `over` where it would not suffice."""

    name: str
    unit: str
    before: str
    after: str
    over: bool


STOPS: dict[str, Stop] = {}
DELAYS: list[Delay] = []
EFFECTS: list[Callable[[Campaign, Mapping[str, Any]], list[Effect]]] = []
