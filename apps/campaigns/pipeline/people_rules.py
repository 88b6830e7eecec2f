"""The rules about people that expand asks of a whole chunk at once: the first that fires names why somebody is not written to.

Each is SQL over alias r (users_recipient), so that a chunk costs one statement whatever the number of rules. The gate asks those
that may change meanwhile once more before each send.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from apps.campaigns.holdouts import held_out
from apps.campaigns.models import Campaign
from apps.campaigns.states import MessageClass
from apps.users.protection import (
    allowed_recipient,
    allowed_some_way,
    allowed_way,
    blocked_recipient,
    blocked_way,
    consenting_recipient,
    has_whitelist,
)

PeopleRule = Callable[[Campaign], tuple[str, list[Any]] | None]


def _blacklisted(campaign: Campaign) -> tuple[str, list[Any]]:
    return blocked_recipient(message_class=campaign.message_class, business_line_id=campaign.business_line_id)


def _not_whitelisted(campaign: Campaign) -> tuple[str, list[Any]] | None:
    if not campaign.business_line.whitelist_only:
        return None
    allowed, values = allowed_some_way(message_class=campaign.message_class, business_line_id=campaign.business_line_id)
    return f"NOT {allowed}", values


def _no_consent(campaign: Campaign) -> tuple[str, list[Any]] | None:
    if not needs_consent(campaign):
        return None
    consenting, values = consenting_recipient(
        message_class=campaign.message_class, business_line_id=campaign.business_line_id
    )
    return f"NOT {consenting}", values


def _held_out(campaign: Campaign) -> tuple[str, list[Any]] | None:
    found = held_out(campaign)
    if found is None or not has_whitelist():
        return found
    allowed, values = allowed_recipient(
        message_class=campaign.message_class, business_line_id=campaign.business_line_id
    )
    return f"({found[0]} AND NOT {allowed})", [*found[1], *values]


def needs_consent(campaign: Campaign) -> bool:
    """Whether this campaign's line holds marketing back from whoever has not agreed to it."""
    return campaign.message_class == MessageClass.MARKETING and campaign.business_line.consent_required


# reason code -> the condition that forbids, or None where the rule has nothing to say of this campaign. In order.
PEOPLE_RULES: dict[str, PeopleRule] = {
    "blacklisted": _blacklisted,
    "not_whitelisted": _not_whitelisted,
    "no_consent": _no_consent,
    "holdout": _held_out,  # the last one: a group is compared with people who might have been written to
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


def forbidden_way(campaign: Campaign, *, account_id: int, kind: str) -> tuple[str, list[Any]]:
    """SQL over alias r: the code of what forbids the person this way and leaves them others, null where nothing does."""
    where: dict[str, Any] = {
        "message_class": campaign.message_class, "business_line_id": campaign.business_line_id,
        "account_id": account_id, "kind": kind,
    }  # fmt: skip
    blocked, values = blocked_way(**where)
    cases = [f"WHEN {blocked} THEN 'way_blacklisted'"]
    if campaign.business_line.whitelist_only:
        allowed, more = allowed_way(**where)
        cases.append(f"WHEN NOT {allowed} THEN 'way_not_whitelisted'")
        values = values + more
    return f"CASE {' '.join(cases)} END", values
