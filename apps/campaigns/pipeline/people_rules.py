"""The rules about people that expand asks of a whole chunk at once: the first that fires names why somebody is not written to.

Each is SQL over alias r (users_recipient), so that a chunk costs one statement whatever the number of rules. The gate asks those
that may change meanwhile once more before each send.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from apps.campaigns.models import Campaign
from apps.users.audience import blocked_recipient

PeopleRule = Callable[[Campaign], tuple[str, list[Any]] | None]


def _blacklisted(campaign: Campaign) -> tuple[str, list[Any]]:
    return blocked_recipient(business_line_id=campaign.business_line_id)


# reason code -> the condition that forbids, or None where the rule has nothing to say of this campaign. In order.
PEOPLE_RULES: dict[str, PeopleRule] = {
    "blacklisted": _blacklisted,
}


def forbidden(campaign: Campaign) -> tuple[str, list[Any]]:
    """SQL over alias r: the code of the first rule that forbids writing to this person, null where none does."""
    cases, values = [], []
    for code, rule in PEOPLE_RULES.items():
        found = rule(campaign)
        if found is not None:
            cases.append(f"WHEN {found[0]} THEN '{code}'")
            values += found[1]
    return f"CASE {' '.join(cases)} END" if cases else "NULL::text", values
