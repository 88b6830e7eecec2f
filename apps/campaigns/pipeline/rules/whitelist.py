"""The whitelist: who is on it is marked for the rules behind this one; a line in trial operation writes to nobody else.

It stands first among the rules. Being allowed lifts frequency caps, quiet hours, the duplicate guard and the holdout, never
a block and never an unsubscribe: those were asked when the window was read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connection

from apps.campaigns.pipeline.columns import numbers
from apps.campaigns.pipeline.order import Item, Order
from apps.campaigns.pipeline.rules.rule import Asked, stop
from apps.users.protection import allowed_binding, allowed_recipient, has_whitelist

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
        only = asked.order.campaign.business_line.whitelist_only
        for item in items:
            item.allowed = item.delivery_id in allowed
            if only and not item.allowed:
                stop(item, self.code)

    def take(self, cursor: Any, asked: Asked, items: Sequence[Item]) -> None:
        """Nothing is counted."""


def _allowed(order: Order, items: Sequence[Item]) -> set[int]:
    where = {
        "message_class": order.campaign.message_class,
        "business_line_id": order.campaign.business_line_id,
        "account_id": order.batch.account_id,
    }
    person, of_person = allowed_recipient(**where)
    address, of_address = allowed_binding(**where)
    columns = [
        numbers(item.delivery_id for item in items),
        numbers(item.recipient_id for item in items),
        numbers(item.binding_id for item in items),
    ]
    with connection.cursor() as cursor:
        cursor.execute(ALLOWED.format(by_person=person, by_address=address), [*columns, *of_person, *of_address])
        return {row[0] for row in cursor.fetchall()}
