"""Frequency caps and the duplicate guard at the gate: one row a person, asked and written in the intent's transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

from apps.campaigns.pipeline import contacts
from apps.campaigns.pipeline.columns import numbers, texts
from apps.campaigns.pipeline.contacts import Limits, Place, Refused, subject_of
from apps.campaigns.pipeline.order import Item, Order
from apps.campaigns.pipeline.rules.rule import Asked, stop

LIMITS = "contact_limits"
_canonical = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode

WITHHOLD = """
INSERT INTO campaigns_withheld (delivery_id, message_id, campaign_id, recipient_id, account_id, rule, cap, pieces, price)
SELECT delivery_id, message_id, %s, recipient_id, %s, rule, cap, pieces, pieces * %s
FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::smallint[])
  AS v(delivery_id, message_id, recipient_id, rule, cap, pieces)
ON CONFLICT DO NOTHING
"""


class ContactRule:
    """Nobody gets more than the caps allow, nor the same text twice, whatever campaigns, channels and workers there are.

    Who is on the whitelist is neither counted nor stopped.
    """

    code = contacts.CAP

    def concerns(self, order: Order) -> bool:
        campaign = order.campaign
        limits = contacts.limits_of(campaign.message_class, campaign.business_line_id, order.account_row.kind)
        order.settings[LIMITS] = limits
        return bool(limits.caps or limits.repeats)

    def look(self, asked: Asked, items: Sequence[Item]) -> None:
        """Nothing: who looked without taking would have to look again."""

    def take(self, cursor: Any, asked: Asked, items: Sequence[Item]) -> None:
        limits: Limits = asked.order.settings[LIMITS]
        digest = _Digest(limits)
        places = [
            Place(subject_of(item.recipient_id, item.address_hash), item.message_id, digest.of(item.envelope.content))
            for item in items
            if item.envelope is not None and not item.allowed
        ]
        refused = contacts.take(cursor, limits, places, asked.now)
        if not refused:
            return
        stopped = [item for item in items if item.message_id in refused]
        for item in stopped:
            stop(item, *refused[item.message_id])
        _withhold(cursor, asked, stopped, refused)

    def give_back(self, cursor: Any, asked: Asked, items: Sequence[Item]) -> None:
        """A message that a budget holds until tomorrow counts tomorrow."""
        contacts.give_back(
            cursor, [(subject_of(item.recipient_id, item.address_hash), item.message_id) for item in items], asked.now
        )


class _Digest:
    """64 bits of a text with its class and line: the same for the same text, whatever template or campaign it comes from.

    The content that everybody gets is one object, and is hashed once.
    """

    def __init__(self, limits: Limits) -> None:
        self._place = f"{limits.message_class}:{limits.line}:".encode()
        self._last: tuple[Mapping[str, Any] | None, int] = (None, 0)

    def of(self, content: Mapping[str, Any]) -> int:
        if content is not self._last[0]:
            hashed = blake2b(self._place + _canonical(content).encode(), digest_size=8).digest()
            self._last = content, int.from_bytes(hashed, "big", signed=True)
        return self._last[1]


def _withhold(cursor: Any, asked: Asked, items: Sequence[Item], refused: Mapping[int, Refused]) -> None:
    """The log of what would have been sent, with the price that it would have had."""
    why = [refused[item.message_id] for item in items]
    columns = [
        numbers(item.delivery_id for item in items),
        numbers(item.message_id for item in items),
        numbers(item.recipient_id for item in items),
        texts([one.rule for one in why]),
        texts([one.cap for one in why]),
        numbers(item.pieces for item in items),
    ]
    order = asked.order
    cursor.execute(WITHHOLD, [order.campaign.pk, order.batch.account_id, asked.price, *columns])
