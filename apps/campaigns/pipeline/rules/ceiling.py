"""Ceiling: no person may cost more than the policy allows, over all steps and channels of one message.

What this send costs is the price of its rendered pieces; what the message has cost are its other deliveries that were
accepted (also those reported as failed: they are billed), and those on the wire or of unknown outcome, which may be.
A refusal is of this one way: a cheaper next step may follow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from apps.campaigns.pipeline.columns import numbers
from apps.campaigns.pipeline.doubt import in_doubt
from apps.campaigns.pipeline.order import Item, Order
from apps.campaigns.pipeline.plan import loaded_plan
from apps.campaigns.pipeline.rules.rule import Asked, stop
from apps.channels.prices import PRICE_AT
from apps.channels.registry import adapter
from ums_site.ids import first_row_id

# Until the intent commits: of two channels that send to one person at the same moment, the second sees the first. One
# lock for the campaign and not its messages' rows, which merges lock after deliveries and intents before.
LOCK = "SELECT pg_advisory_xact_lock(%s)"
PRICE = PRICE_AT.format(account="a.id", message_class="%s", at="now()")
OTHERS = f"""
SELECT d.message_id, d.cost, d.pieces, coalesce({PRICE}, a.price), a.kind
FROM campaigns_delivery d JOIN ums_channels_channelaccount a ON a.id = d.account_id
WHERE d.message_id = ANY(%s::bigint[]) AND d.id >= %s AND d.id <> ALL(%s::bigint[])
  AND (d.cost IS NOT NULL OR d.state IN ('SENDING', 'UNKNOWN', 'UNKNOWN_FINAL') OR (d.state = 'HELD' AND {in_doubt("d")}))
"""


class Other(NamedTuple):
    """Another delivery of a message; `cost` is None where nobody knows yet whether it costs anything."""

    cost: Decimal | None
    pieces: int
    price: Decimal
    kind: str


class Ceiling:
    """Refuses what would take a person's cost above `ceiling_per_person`."""

    code = "over_ceiling"

    def concerns(self, order: Order) -> bool:
        return loaded_plan(order.campaign).ceiling is not None

    def look(self, asked: Asked, items: Sequence[Item]) -> None:
        """The price is that of the intent's moment."""

    def take(self, cursor: Any, asked: Asked, items: Sequence[Item]) -> None:
        others: Mapping[int, list[Other]] = {}
        if len(loaded_plan(asked.order.campaign).channels()) > 1:
            cursor.execute(LOCK, [asked.order.campaign.pk])
            others = _others(cursor, asked.order, items)
        for item in items:
            _judge(asked, item, others.get(item.message_id, ()))


def _judge(asked: Asked, item: Item, others: Sequence[Other]) -> None:
    ceiling = loaded_plan(asked.order.campaign).ceiling
    cost = item.pieces * asked.price
    before = sum((_cost(asked.order, item, other) for other in others), Decimal(0))
    if ceiling is not None and before + cost > ceiling:
        said = f"cost={_plain(cost)} before={_plain(before)} ceiling={_plain(ceiling)}"
        stop(item, Ceiling.code, said)


def _cost(order: Order, item: Item, other: Other) -> Decimal:
    """What another delivery cost, or would; an unbilled one has about as many pieces as this where both bill pieces."""
    if other.cost is not None:
        return other.cost
    both = {order.adapter.capabilities.price_unit, adapter(other.kind).capabilities.price_unit} == {"piece"}
    return max(other.pieces, item.pieces if both else 1) * other.price


def _others(cursor: Any, order: Order, items: Sequence[Item]) -> Mapping[int, list[Other]]:
    ids = sorted({item.message_id for item in items})
    mine = numbers(item.delivery_id for item in items)
    cursor.execute(OTHERS, [order.campaign.message_class, numbers(ids), first_row_id(ids[0]), mine])
    found: dict[int, list[Other]] = {}
    for message_id, *other in cursor.fetchall():
        found.setdefault(message_id, []).append(Other(*other))
    return found


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize():f}"
