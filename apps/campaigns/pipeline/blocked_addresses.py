"""Whoever would have been reached but for a blacklisted address is blocked, not without an address: it is another figure."""

from __future__ import annotations

from typing import Any

from django.db import connection

from apps.campaigns.models import Campaign
from apps.campaigns.pipeline.plan import loaded_plan
from apps.users.protection import blocked_binding

NAME_BLOCKED = """
UPDATE planning p SET state = 'BLOCKED', reason = 'address_blacklisted' WHERE p.state = 'INVALID' AND ({found})
"""
BLOCKED_ADDRESS = "EXISTS (SELECT 1 FROM users_binding b WHERE {whose} AND b.state = 'ACTIVE' AND ({blocked}))"
OF_PERSON = "b.recipient_id = p.recipient_id"
OF_MESSAGE = "b.id = (SELECT m.binding_id FROM campaigns_message m WHERE m.id = p.message_id)"


def name_blocked_addresses(campaign: Campaign) -> None:
    """Gives the INVALID rows of `planning` their true reason, where one of their addresses for the plan is blacklisted."""
    given = campaign.audience["kind"] in ("given", "list")
    conditions: list[str] = []
    values: list[Any] = []
    for channel in loaded_plan(campaign).channels():
        blocked, its_values = blocked_binding(
            message_class=campaign.message_class,
            business_line_id=campaign.business_line_id,
            account_id=channel.account_id,
        )
        conditions.append(f"(b.address_kind = %s AND {blocked})")
        values += [channel.address_kind, *its_values]
    whose = [OF_PERSON, OF_MESSAGE] if given else [OF_PERSON]  # apart, so that each finds its index
    blocked = " OR ".join(conditions)
    found = " OR ".join(BLOCKED_ADDRESS.format(whose=one, blocked=blocked) for one in whose)
    with connection.cursor() as cursor:
        cursor.execute(NAME_BLOCKED.format(found=found), values * len(whose))
