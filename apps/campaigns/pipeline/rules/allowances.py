"""Budgets and quotas at the gate: each delivery takes its pieces and its money in the transaction of its intent.

What fits goes, in the order of the deliveries; what does not waits for the next period or is called off, as the
allowance says. A repeat of a call whose end nobody knows takes nothing again, unless it may be billed twice. What a call
surely did not cost is given back with its result (`Item.took`); what nobody knows stays taken. A message of the console
counts once, at its first call, and stays counted; one of the API was counted when it was accepted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from apps.campaigns.pipeline.columns import numbers
from apps.campaigns.pipeline.order import Item, Order
from apps.campaigns.pipeline.plan import loaded_plan
from apps.campaigns.pipeline.rules.rule import Asked, hold, stop
from apps.partners.counting import Counted, Room, concerning, lock, take
from apps.partners.periods import next_begins

LOOK_AGAIN = timedelta(hours=1)  # where no next period comes by itself; more room wakes them before
AFTER_MIDNIGHT = timedelta(seconds=1)
NOTHING = Decimal(0)
# Messages of these that had a call already: they are counted.
COUNTED = """
SELECT DISTINCT message_id FROM campaigns_delivery WHERE message_id = ANY(%s::bigint[]) AND id > %s AND attempts > 0
"""
SETTINGS = "allowances"


class Allowances:
    """The last rule: the counters are locked for as short as can be."""

    code = "quota"

    def concerns(self, order: Order) -> bool:
        campaign, account = order.campaign, order.account_row
        found = concerning(
            line=campaign.business_line_id,
            campaign=campaign.pk,
            message_class=campaign.message_class,
            kind=account.kind,
            currency=account.currency,
            messages=campaign.source != "api",
        )
        order.settings[SETTINGS] = found
        return bool(found)

    def look(self, asked: Asked, items: Sequence[Item]) -> None:
        """Nothing is known before the counters are locked."""

    def take(self, cursor: Any, asked: Asked, items: Sequence[Item]) -> None:
        """Takes for those that fit and marks the others."""
        rooms = lock(cursor, asked.order.settings[SETTINGS], asked.now)
        counted: list[Counted] = [one for one in asked.order.settings[SETTINGS] if one.id in rooms]
        had_a_call = (
            _had_a_call(cursor, asked.order, items) if any(one.unit == "messages" for one in counted) else set()
        )
        left = {one.id: rooms[one.id].left for one in counted}
        amounts: Counter[int] = Counter()
        walled: set[int] = set()
        for item in sorted(items, key=lambda one: one.delivery_id):
            wanted = [(one, _amount(one, item, asked.price, had_a_call)) for one in counted]
            full = next((one for one, amount in wanted if amount and amount > left[one.id]), None)
            if full is not None:
                walled.add(rooms[full.id].use)
                _turn_away(item, full, rooms[full.id], asked.now)
                continue
            for one, amount in wanted:
                left[one.id] -= amount
                amounts[rooms[one.id].use] += amount  # type: ignore[assignment]
            item.took = tuple(
                (rooms[one.id].use, amount) for one, amount in wanted if amount and one.unit != "messages"
            )
        take(cursor, amounts, walled)  # type: ignore[arg-type]


def _amount(counted: Counted, item: Item, price: Decimal, had_a_call: set[int]) -> Decimal:
    if counted.unit == "messages":
        return Decimal(item.number == 1 and item.message_id not in had_a_call)
    if item.doubted:
        return NOTHING  # its call before holds it still
    return Decimal(item.pieces) if counted.unit == "pieces" else item.pieces * price


def _had_a_call(cursor: Any, order: Order, items: Sequence[Item]) -> set[int]:
    """Asked only where a message may have more than one delivery."""
    if len(loaded_plan(order.campaign).channels()) == 1:
        return set()
    ids = [item.message_id for item in items]
    cursor.execute(COUNTED, [numbers(ids), min(ids)])
    return {row[0] for row in cursor.fetchall()}


def _turn_away(item: Item, full: Counted, room: Room, now: datetime) -> None:
    code = "campaign_ceiling" if full.is_ceiling else Allowances.code
    if room.refuses and not full.is_ceiling:
        stop(item, code, f"allowance {full.id}")
        return
    renewed = next_begins(full.period, full.zone, now)
    hold(item, code, now + LOOK_AGAIN if renewed is None else renewed + AFTER_MIDNIGHT)
