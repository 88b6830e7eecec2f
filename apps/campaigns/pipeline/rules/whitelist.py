"""The whitelist: who is on it is marked for the rules behind this one; a line in trial operation writes to nobody else.

It stands first among the rules. Being allowed lifts frequency caps, quiet hours, the duplicate guard and the holdout, never
a block and never an unsubscribe: those were asked when the window was read. Who is allowed over another way only loses this
way, not the message.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connection

from apps.campaigns.pipeline.columns import numbers
from apps.campaigns.pipeline.order import Item, Order
from apps.campaigns.pipeline.rules.rule import Asked, stop
from apps.users.protection import Condition, allowed_binding, allowed_some_way, allowed_way, has_whitelist

ALLOWED = """
SELECT d.id FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS d(id, recipient_id, binding_id)
LEFT JOIN users_recipient r ON r.id = d.recipient_id
JOIN users_binding b ON b.id = d.binding_id
WHERE (r.id IS NOT NULL AND {by_person}) OR {by_address}
"""


class Whitelist:
    """Marks `item.allowed`, and stops everybody else where the line is set to whitelist only."""

    code = "not_whitelisted"

    def concerns(self, order: Order) -> bool:
        return has_whitelist() or order.campaign.business_line.whitelist_only

    def look(self, asked: Asked, items: Sequence[Item]) -> None:
        allowed = _allowed(asked.order, items)
        for item in items:
            item.allowed = item.delivery_id in allowed
        if asked.order.campaign.business_line.whitelist_only:
            self._stop_others(asked.order, [item for item in items if not item.allowed])

    def _stop_others(self, order: Order, items: Sequence[Item]) -> None:
        elsewhere = _allowed_some_way(order, items) if items else set()
        for item in items:
            stop(item, "way_not_whitelisted" if item.delivery_id in elsewhere else self.code)

    def take(self, cursor: Any, asked: Asked, items: Sequence[Item]) -> None:
        """Nothing is counted."""


def _allowed(order: Order, items: Sequence[Item]) -> set[int]:
    where = _where(order) | {"account_id": order.batch.account_id, "kind": order.account_row.kind}
    return _found(items, allowed_way(**where), allowed_binding(**where))


def _allowed_some_way(order: Order, items: Sequence[Item]) -> set[int]:
    """Of people: an address without a person has no way but its own."""
    return _found(items, allowed_some_way(**_where(order)), ("false", []))


def _where(order: Order) -> dict[str, Any]:
    return {"message_class": order.campaign.message_class, "business_line_id": order.campaign.business_line_id}


def _found(items: Sequence[Item], by_person: Condition, by_address: Condition) -> set[int]:
    columns = [
        numbers(item.delivery_id for item in items),
        numbers(item.recipient_id for item in items),
        numbers(item.binding_id for item in items),
    ]
    sql = ALLOWED.format(by_person=by_person[0], by_address=by_address[0])
    with connection.cursor() as cursor:
        cursor.execute(sql, [*columns, *by_person[1], *by_address[1]])
        return {row[0] for row in cursor.fetchall()}
