"""Whoever would have been reached but for a blacklisted address or way is blocked, not without an address: another figure."""

from __future__ import annotations

from typing import Any

from django.db import connection

from apps.campaigns.models import Campaign
from apps.campaigns.pipeline.people_rules import forbidden_way
from apps.campaigns.pipeline.plan import loaded_plan
from apps.users.protection import blocked_binding

NAME_BLOCKED = """
UPDATE planning held SET state = 'BLOCKED', reason = found.code FROM (
    SELECT p.message_id, CASE WHEN {addresses} THEN 'address_blacklisted' ELSE coalesce({ways}) END AS code
    FROM planning p LEFT JOIN users_recipient r ON r.id = p.recipient_id WHERE p.state = 'INVALID'
) found WHERE found.message_id = held.message_id AND found.code IS NOT NULL
"""
BLOCKED_ADDRESS = "EXISTS (SELECT 1 FROM users_binding b WHERE {whose} AND b.state = 'ACTIVE' AND ({blocked}))"
BLOCKED_WAY = """CASE WHEN EXISTS (SELECT 1 FROM users_binding b WHERE b.recipient_id = r.id AND b.state = 'ACTIVE'
                                   AND b.address_kind = %s) THEN {forbidden} END"""
OF_PERSON = "b.recipient_id = p.recipient_id"
OF_MESSAGE = "b.id = (SELECT m.binding_id FROM campaigns_message m WHERE m.id = p.message_id)"


def name_blocked_addresses(campaign: Campaign) -> None:
    """Gives the INVALID rows of `planning` their true reason, where an address for the plan, or a way of it, is blacklisted."""
    given = campaign.audience["kind"] in ("given", "list")
    addresses, address_values = _addresses(campaign)
    ways, way_values = _ways(campaign)
    whose = [OF_PERSON, OF_MESSAGE] if given else [OF_PERSON]  # apart, so that each finds its index
    found = " OR ".join(BLOCKED_ADDRESS.format(whose=one, blocked=addresses) for one in whose)
    with connection.cursor() as cursor:
        cursor.execute(NAME_BLOCKED.format(addresses=found, ways=ways), [*address_values * len(whose), *way_values])


def _addresses(campaign: Campaign) -> tuple[str, list[Any]]:
    """SQL over alias b: blacklisted for a slot of the plan that could have taken it."""
    conditions: list[str] = []
    values: list[Any] = []
    for channel in loaded_plan(campaign).channels():
        blocked, its_values = blocked_binding(
            message_class=campaign.message_class,
            business_line_id=campaign.business_line_id,
            account_id=channel.account_id,
            kind=channel.kind,
        )
        conditions.append(f"(b.address_kind = %s AND {blocked})")
        values += [channel.address_kind, *its_values]
    return " OR ".join(conditions), values


def _ways(campaign: Campaign) -> tuple[str, list[Any]]:
    """SQL over alias r: what forbids each slot for which the person has an address, one after another."""
    cases: list[str] = []
    values: list[Any] = []
    for channel in loaded_plan(campaign).channels():
        forbidden, its_values = forbidden_way(campaign, account_id=channel.account_id, kind=channel.kind)
        cases.append(BLOCKED_WAY.format(forbidden=forbidden))
        values += [channel.address_kind, *its_values]
    return ", ".join(cases), values
