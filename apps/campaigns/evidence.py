"""The evidence sheet of one message: its whole story as facts, with a digest over them, to be printed and checked later.

The digest is SHA-256 over the canonical JSON of `facts`; whoever holds the sheet can have it made again and compare. No
address stands in it in clear, and no text: the content is named by its template version.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from django.db.models import Model

from apps.campaigns.models import Attempt, Campaign, Decision, Delivery, Message, Recall, Receipt
from apps.operators import audit
from ums_site.ids import first_row_id, moment_of

DECISION = ("at", "step", "rule", "verdict", "detail")
DELIVERY = (
    "id", "step", "account_id", "binding_id", "state", "reason", "first_intent_at", "accepted_at", "receipt_at", "pieces",
    "cost", "provider_id", "may_duplicate",
)  # fmt: skip
ATTEMPT = ("delivery_id", "number", "intent_at", "outcome", "code", "provider_id", "finished_at")
RECEIPT = ("delivery_id", "state", "code", "occurred_at", "received_at")
RECALL = ("delivery_id", "state", "code", "ordered_at", "done_at")


@dataclass(frozen=True, slots=True)
class Evidence:
    """`facts` as they stand in the database, and their digest in hex."""

    facts: dict[str, Any]
    digest: str


def evidence_of(*, actor: object, message: Message) -> Evidence:
    """Gathers the sheet and writes into the audit log who took it, with its digest."""
    facts = gather(message)
    digest = digest_of(facts)
    audit.record(actor=actor, verb="take_evidence", what=message, detail={"sha256": digest})
    return Evidence(facts, digest)


def digest_of(facts: dict[str, Any]) -> str:
    """SHA-256 of the facts' one spelling."""
    text = json.dumps(facts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def gather(message: Message) -> dict[str, Any]:
    """Everything that is kept about one message, in time order; moments in UTC."""
    deliveries = list(Delivery.objects.filter(message_id=message.pk, id__gte=first_row_id(message.pk)).order_by("id"))
    ids = [one.pk for one in deliveries]
    of_them = {"delivery_id__in": ids}
    return {
        "message": {
            **_row(message, ("id", "state", "reason", "finished_at")),
            "made_at": _plain(moment_of(message.pk)),
        },
        "campaign": _campaign(message.campaign_id),
        "decisions": [
            _row(one, DECISION) for one in Decision.objects.filter(message_id=message.pk).order_by("at", "rule")
        ],
        "deliveries": [_row(one, DELIVERY) for one in deliveries],
        "attempts": [_row(one, ATTEMPT) for one in Attempt.objects.filter(**of_them).order_by("delivery_id", "number")],
        "receipts": [_row(one, RECEIPT) for one in Receipt.objects.filter(**of_them).order_by("received_at", "state")],
        "recalls": [_row(one, RECALL) for one in Recall.objects.filter(**of_them).order_by("delivery_id")],
    }


def _campaign(campaign_id: int) -> dict[str, Any]:
    campaign = (
        Campaign.objects.select_related("business_line", "template_version__template").filter(pk=campaign_id).first()
    )
    if campaign is None:
        return {"id": str(campaign_id)}
    version = campaign.template_version
    return {
        "id": str(campaign.pk),
        "name": campaign.name,
        "business_line": campaign.business_line.code,
        "class": campaign.message_class,
        "template": f"{version.template.code} v{version.number}",
        "policy": campaign.policy_code,
        "plan": hashlib.sha256(json.dumps(campaign.plan, sort_keys=True).encode()).hexdigest(),
    }


def _row(row: Model, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: _plain(getattr(row, name)) for name in names}


def _plain(value: Any) -> Any:
    """JSON's own types; moments in UTC, numbers beyond a browser's integers and money as text."""
    if value is None or isinstance(value, bool | str):
        return value
    if hasattr(value, "astimezone"):
        return value.astimezone(UTC).isoformat(timespec="milliseconds")
    return value if isinstance(value, int) and abs(value) < 1 << 53 else str(value)
