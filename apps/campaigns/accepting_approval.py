"""Four eyes also for the API: whether what a call named must be approved, decided with what was read for the call anyway.

The rules ride along in the statement that every call asks; where none looks at the class and line, nothing more is done.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from apps.campaigns.approval_rules import concerning, needs_of, read_rules
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
    money = Decimal(0)
    if any(rule.has_threshold for rule in about):
        money, currency = worst_price(campaign, version, [item.variables for item in items], accounts)
        campaign.forecast = _figures(campaign, len(items), money, currency)
    needs = needs_of(about, len(items), money)
    if not needs:
        return []
    campaign.state, campaign.started_at = CampaignState.AWAITING_APPROVAL, None
    key = getattr(actor, "key", actor)
    key_id = key.pk if isinstance(key, ApiKey) else None
    detail = {"needs": [need["rule"] for need in needs], "targets": len(items), "key": key_id}
    audit.record(actor=f"API {campaign.business_line.code}", verb="request_approval", what=campaign, detail=detail)
    lapses = expiry(campaign.created_at, about)
    return [(INSERT_APPROVAL, [campaign.pk, json.dumps(needs), key_id, campaign.created_at, lapses])]


def _figures(campaign: Campaign, targets: int, money: Decimal, currency: str) -> dict[str, Any]:
    worst = str(money)
    return {
        "targets": targets, "worst_price": worst, "currency": currency, "as_of": campaign.created_at.isoformat(),
        "given": True, "seal": given_seal(campaign.pk, targets, worst),
    }  # fmt: skip
