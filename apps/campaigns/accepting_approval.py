"""Four eyes also for the API: whether what a call named must be approved, decided with what was read for the call anyway.

The rules ride along in the statement that every call asks; where none looks at the class and line, nothing more is done.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.db import connection

from apps.campaigns.approval_rules import Size, concerning, needs_of, read_rules
from apps.campaigns.approvals import expiry, given_seal
from apps.campaigns.models import Campaign
from apps.campaigns.states import CampaignState
from apps.campaigns.worst_price import worst_price
from apps.channels.selectors import AccountFacts
from apps.operators import audit
from apps.partners.models import ApiKey
from apps.templates.models import TemplateVersion

Statement = tuple[str, Sequence[Any]]
INSERT_APPROVAL = """
INSERT INTO campaigns_approval (campaign_id, state, bound_hash, bound, needs, requested_key_id, requested_at, expires_at, reason)
VALUES (%s, 'PENDING', '', '{}', %s, %s, %s, %s, '')
"""
# What was asked for before this call; the statement does not see what it adds itself.
COUNT_ASKED = """
WITH added AS (
    INSERT INTO campaigns_askedfor AS held (business_line_id, template_id, hour, targets, money)
    VALUES (%s, %s, date_trunc('hour', %s::timestamptz), %s, %s)
    ON CONFLICT (business_line_id, template_id, hour)
    DO UPDATE SET targets = held.targets + excluded.targets, money = held.money + excluded.money
)
SELECT coalesce(sum(targets), 0)::bigint, coalesce(sum(money), 0) FROM campaigns_askedfor
WHERE business_line_id = %s AND template_id = %s AND hour >= date_trunc('hour', %s::timestamptz - interval '1 day')
"""
FORGET_ASKED = """
DELETE FROM campaigns_askedfor WHERE business_line_id = %s AND template_id = %s AND hour < %s::timestamptz - interval '2 days'
"""


def ask_for_approval(
    *,
    actor: object,
    campaign: Campaign,
    version: TemplateVersion,
    items: Sequence[Any],
    accounts: Sequence[AccountFacts],
    rules: str | None,
) -> list[Statement]:
    """Makes the order wait where a rule says so; what must be written for that. `rules` is what RULES_COLUMN read.

    Where a rule looks at size or money, both are kept sealed with the order, so that they are compared with the same
    figures when it starts.
    """
    about = concerning(read_rules(rules or "[]"), campaign.message_class, campaign.business_line_id, "api")
    if not about:
        return []
    money, day = Decimal(0), None
    if any(rule.has_threshold for rule in about):
        money, currency = worst_price(campaign, version, [item.variables for item in items], accounts)
        if any(rule.over_day for rule in about):
            day = asked_within_a_day(campaign, version, Size(len(items), money))
        campaign.forecast = _figures(campaign, len(items), money, currency, day)
    needs = needs_of(about, len(items), money, day)
    if not needs:
        return []
    campaign.state, campaign.started_at = CampaignState.AWAITING_APPROVAL, None
    key = getattr(actor, "key", actor)
    key_id = key.pk if isinstance(key, ApiKey) else None
    detail = {"needs": [need["rule"] for need in needs], "targets": len(items), "key": key_id}
    audit.record(actor=f"API {campaign.business_line.code}", verb="request_approval", what=campaign, detail=detail)
    lapses = expiry(campaign.created_at, about)
    return [(INSERT_APPROVAL, [campaign.pk, json.dumps(needs), key_id, campaign.created_at, lapses])]


def asked_within_a_day(campaign: Campaign, version: TemplateVersion, asked: Size) -> Size:
    """Counts a call, and says what calls of its line and template asked for within 24 hours (by the hour, so at most 25).

    In the transaction that accepts the call: it is counted if and only if it is accepted. One call after the other, until
    that transaction ends: of two at once each must see the other or be seen by it.
    """
    place = [campaign.business_line_id, version.template_id]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", ["asked-for:{}:{}".format(*place)])
        cursor.execute(COUNT_ASKED, [*place, campaign.created_at, *asked, *place, campaign.created_at])
        targets, money = cursor.fetchone()
        cursor.execute(FORGET_ASKED, [*place, campaign.created_at])
    return Size(asked.targets + targets, asked.money + money)


def _figures(campaign: Campaign, targets: int, money: Decimal, currency: str, day: Size | None) -> dict[str, Any]:
    worst, added = str(money), [day.targets, str(day.money)] if day else None
    return {
        "targets": targets, "worst_price": worst, "currency": currency, "as_of": campaign.created_at.isoformat(),
        "given": True, "day": added, "seal": given_seal(campaign.pk, targets, worst, added),
    }  # fmt: skip
