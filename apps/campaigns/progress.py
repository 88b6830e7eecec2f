"""How far a campaign is, from the states of its messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db.models import Count

from apps.campaigns.models import Campaign, Message
from apps.campaigns.states import FINAL_MESSAGE
from ums_site.ids import first_row_id

OVER = ("FINISHED", "CANCELLED")


@dataclass(frozen=True, slots=True)
class Progress:
    """`states`: messages by state. `total`: messages written so far, `final` of them will not change by themselves."""

    states: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        return sum(self.states.values())

    @property
    def final(self) -> int:
        return sum(count for state, count in self.states.items() if state in FINAL_MESSAGE)

    @property
    def percent(self) -> int:
        return self.final * 100 // self.total if self.total else 0


def progress(campaign_ids: Sequence[int]) -> dict[int, Progress]:
    """The progress of these campaigns, in one statement."""
    if not campaign_ids:
        return {}
    rows = Message.objects.filter(campaign_id__in=campaign_ids, id__gte=first_row_id(min(campaign_ids)))
    found = {one: Progress() for one in campaign_ids}
    for campaign_id, state, count in rows.values_list("campaign_id", "state").annotate(Count("id")):
        found[campaign_id].states[state] = count
    return found


def is_over(campaign: Campaign) -> bool:
    """Whether nothing more is sent for it; receipts may still come."""
    return campaign.state in OVER
