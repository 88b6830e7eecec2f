"""What became of one message, as its business line may see it: states, codes and masked addresses."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import connection

from ums_site.ids import SHIFT, moment_of

MESSAGE = """
SELECT m.campaign_id, m.state, m.reason, m.finished_at, c.message_class, c.state
FROM campaigns_message m JOIN campaigns_campaign c ON c.id = m.campaign_id
WHERE m.id = %s AND c.business_line_id = %s
"""
DELIVERIES = """
SELECT d.id, a.kind, a.code, coalesce(b.address_masked, ''), d.step, d.state, d.reason,
       CASE WHEN d.cost IS NULL THEN 0 ELSE d.pieces END, d.first_intent_at,
       d.accepted_at, d.receipt_at, r.state, r.code, r.done_at
FROM campaigns_delivery d
JOIN ums_channels_channelaccount a ON a.id = d.account_id
LEFT JOIN users_binding b ON b.id = d.binding_id
LEFT JOIN campaigns_recall r ON r.delivery_id = d.id AND r.delivery_id >= %(first)s
WHERE d.message_id = %(message)s AND d.id >= %(first)s ORDER BY d.id
"""


def message_status(message_id: int, business_line_id: int) -> dict[str, Any] | None:
    """The message with its deliveries; None where it does not exist or belongs to another line."""
    with connection.cursor() as cursor:
        cursor.execute(MESSAGE, [message_id, business_line_id])
        row = cursor.fetchone()
        if row is None:
            return None
        cursor.execute(DELIVERIES, {"message": message_id, "first": message_id >> SHIFT << SHIFT})
        deliveries = cursor.fetchall()
    campaign_id, state, reason, finished_at, message_class, campaign_state = row
    return {
        "id": str(message_id),
        "campaign_id": str(campaign_id),
        "campaign_state": campaign_state,
        "class": message_class,
        "state": state,
        "reason": reason,
        "accepted_at": moment_of(message_id).isoformat(),
        "finished_at": _told(finished_at),
        "deliveries": [_delivery(*one) for one in deliveries],
    }


def _delivery(
    delivery_id: int,
    kind: str,
    account: str,
    address: str,
    step: int,
    state: str,
    reason: str,
    pieces: int,
    sent_at: datetime | None,
    accepted_at: datetime | None,
    receipt_at: datetime | None,
    recall: str | None,
    recall_code: str | None,
    recall_at: datetime | None,
) -> dict[str, Any]:
    return {
        "id": str(delivery_id),
        "channel": kind,
        "account": account,
        "address": address,
        "step": step + 1,
        "state": state,
        "reason": reason,
        "pieces": pieces,
        "sent_at": _told(sent_at),
        "accepted_at": _told(accepted_at),
        "receipt_at": _told(receipt_at),
        "recall": recall and {"state": recall, "code": recall_code, "at": _told(recall_at)},
    }


def _told(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
