"""Provider's ids: which delivery a receipt is about where the provider echoes nothing of ours.

Filed in the same transaction as the result, one row per part of a message that went in several; only kinds with the
capability `finds_by_provider_id` pay for it. A receipt for a part is kept on its row, and the delivery hears of it once:
failed with the first part that failed, delivered when all parts are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from apps.channels.contract import ReceiptEvent
from ums_site.ids import first_id_at

LONGEST_WAY = timedelta(
    days=31
)  # an id is looked for among deliveries this young, whatever the account's receipt window
FINAL = {"delivered", "failed"}

FILE = """
INSERT INTO campaigns_providerid (delivery_id, provider_id, account_id, number, part, parts)
SELECT * FROM unnest(%s::bigint[], %s::text[], %s::bigint[], %s::smallint[], %s::smallint[], %s::smallint[])
ON CONFLICT DO NOTHING
"""


def file(cursor: Any, account_id: int, accepted: Iterable[tuple[int, int, str]]) -> None:
    """Files (delivery id, attempt number, provider id); ids of several parts are divided by commas, in order."""
    rows = []
    for delivery_id, number, provider_id in accepted:
        parts = [one for one in provider_id.split(",") if one]
        for part, one in enumerate(parts, 1):
            rows.append((delivery_id, one, account_id, number, part, len(parts)))
    if rows:
        cursor.execute(FILE, [list(column) for column in zip(*rows, strict=True)])


@dataclass(frozen=True, slots=True)
class Filed:
    """One row that a receipt may be about."""

    delivery_id: int
    campaign_id: int
    number: int
    part: int
    parts: int
    address_hash: bytes


FIND = """
SELECT p.provider_id, p.delivery_id, d.campaign_id, p.number, p.part, p.parts, b.address_hash
FROM campaigns_providerid p
JOIN campaigns_delivery d ON d.id = p.delivery_id AND d.id >= %(first)s
JOIN users_binding b ON b.id = d.binding_id
WHERE p.provider_id = ANY(%(ids)s) AND p.account_id = %(account)s AND p.delivery_id >= %(first)s
ORDER BY p.delivery_id
"""


def find(account_id: int, provider_ids: Iterable[str], now: datetime) -> dict[str, list[Filed]]:
    """What is filed under each of these ids, oldest first; several rows where one call had several recipients."""
    wanted = sorted({one for one in provider_ids if one})
    found: dict[str, list[Filed]] = {}
    if wanted:
        with connection.cursor() as cursor:
            cursor.execute(FIND, {"ids": wanted, "account": account_id, "first": first_id_at(now - LONGEST_WAY)})
            for provider_id, *place, hashed in cursor.fetchall():
                found.setdefault(provider_id, []).append(Filed(*place, bytes(hashed)))
    return found


LOCK = """
SELECT delivery_id, number, part, state FROM campaigns_providerid
WHERE delivery_id = ANY(%s::bigint[]) AND delivery_id BETWEEN %s AND %s ORDER BY delivery_id, number, part FOR UPDATE
"""
MARK = """
UPDATE campaigns_providerid p SET state = v.state
FROM unnest(%s::bigint[], %s::smallint[], %s::smallint[], %s::text[]) AS v(delivery_id, number, part, state)
WHERE p.delivery_id = v.delivery_id AND p.number = v.number AND p.part = v.part
  AND p.delivery_id BETWEEN %s AND %s
"""


def joined(hits: Sequence[tuple[ReceiptEvent, Filed]]) -> list[tuple[ReceiptEvent, int]]:
    """(event, delivery id) as the deliveries hear them: those of parts are kept and joined, others pass unchanged."""
    whole = [(event, filed.delivery_id) for event, filed in hits if filed.parts == 1]
    parts = [(event, filed) for event, filed in hits if filed.parts > 1 and event.state in FINAL]
    if not parts:
        return whole
    ids = sorted({filed.delivery_id for _event, filed in parts})
    with connection.cursor() as cursor:
        cursor.execute(LOCK, [ids, ids[0], ids[-1]])
        states = {(row[0], row[1], row[2]): row[3] for row in cursor.fetchall()}
        news: dict[tuple[int, int, int], str] = {}
        for event, filed in parts:
            place = (filed.delivery_id, filed.number, filed.part)
            if states.get(place) != "delivered":  # what arrived stays arrived
                states[place] = news[place] = event.state
        if news:
            columns = [list(column) for column in zip(*((*place, state) for place, state in news.items()), strict=True)]
            cursor.execute(MARK, [*columns, ids[0], ids[-1]])
    heard = ((_whole(event, filed, states), filed.delivery_id) for event, filed in parts)
    return whole + [(event, delivery_id) for event, delivery_id in heard if event is not None]


def _whole(event: ReceiptEvent, filed: Filed, states: dict[tuple[int, int, int], str]) -> ReceiptEvent | None:
    said = [states.get((filed.delivery_id, filed.number, part), "") for part in range(1, filed.parts + 1)]
    if event.state == "failed":
        return replace(event, pieces=filed.parts) if "failed" in said else None
    return replace(event, pieces=filed.parts) if all(state == "delivered" for state in said) else None
