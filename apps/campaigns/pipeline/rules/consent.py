"""Consent: where a line needs it for marketing, nobody is written to whose newest record does not give it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connection

from apps.campaigns.pipeline.columns import numbers
from apps.campaigns.pipeline.order import Item, Order
from apps.campaigns.pipeline.people_rules import needs_consent
from apps.campaigns.pipeline.rules.rule import Asked, stop
from apps.users.protection import consenting_binding, consenting_recipient

CONSENTING = """
SELECT d.id FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS d(id, recipient_id, binding_id)
LEFT JOIN users_recipient r ON r.id = d.recipient_id
JOIN users_binding b ON b.id = d.binding_id
WHERE CASE WHEN r.id IS NOT NULL THEN {by_person} ELSE {by_address} END
"""


class Consent:
    """Stops people without consent; an address without a person is asked by its own records."""

    code = "no_consent"

    def concerns(self, order: Order) -> bool:
        return needs_consent(order.campaign)

    def look(self, asked: Asked, items: Sequence[Item]) -> None:
        consenting = _consenting(asked.order, items)
        for item in items:
            if item.delivery_id not in consenting:
                stop(item, self.code)

    def take(self, cursor: Any, asked: Asked, items: Sequence[Item]) -> None:
        """Nothing is counted."""


def _consenting(order: Order, items: Sequence[Item]) -> set[int]:
    campaign = order.campaign
    where = {"message_class": campaign.message_class, "business_line_id": campaign.business_line_id}
    person, of_person = consenting_recipient(**where)
    address, of_address = consenting_binding(**where)
    columns = [
        numbers(item.delivery_id for item in items),
        numbers(item.recipient_id for item in items),
        numbers(item.binding_id for item in items),
    ]
    with connection.cursor() as cursor:
        cursor.execute(CONSENTING.format(by_person=person, by_address=address), [*columns, *of_person, *of_address])
        return {row[0] for row in cursor.fetchall()}
