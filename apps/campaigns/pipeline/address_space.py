"""Address space: what a provider takes for one address in a while, kept here exactly, because it loses the rest unsaid.

The times of the last calls for each address stand in one row (one a class, where the limits say so). A call takes its
place in the transaction of its intent, in the statement that looks, so two dispatchers never share one and an intent that
fails takes none. Rows are locked in the order of their hashes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from apps.campaigns.pipeline.columns import texts
from apps.channels.contract import AddressLimit

TAKE = """
WITH asked AS (
    SELECT DISTINCT decode(hash, 'hex') AS hash FROM unnest(%(hashes)s::text[]) AS a(hash) ORDER BY 1
)
INSERT INTO campaigns_addressuse AS u (account_id, address_hash, message_class, times)
SELECT %(account)s, hash, %(class)s, ARRAY[now()] FROM asked
ON CONFLICT (account_id, address_hash, message_class) DO UPDATE
SET times = (u.times || now())[greatest(1, cardinality(u.times) + 2 - %(kept)s):]
WHERE next_space(u.times, %(counts)s, %(pers)s) <= now()
RETURNING encode(address_hash, 'hex')
"""
NEXT = """
SELECT encode(u.address_hash, 'hex'), next_space(u.times, %(counts)s, %(pers)s) FROM campaigns_addressuse u
WHERE u.account_id = %(account)s AND u.message_class = %(class)s
  AND u.address_hash = ANY(SELECT decode(hash, 'hex') FROM unnest(%(hashes)s::text[]) AS a(hash))
"""
GIVE_BACK = """
UPDATE campaigns_addressuse SET times = array_remove(times, %(now)s)
WHERE account_id = %(account)s AND message_class = %(class)s
  AND address_hash = ANY(SELECT decode(hash, 'hex') FROM unnest(%(hashes)s::text[]) AS a(hash))
"""
FORGET = "DELETE FROM campaigns_addressuse WHERE times[cardinality(times)] < now() - %s"
LONGEST_LIMIT = timedelta(days=2)


def limits_for(limits: Sequence[AddressLimit], message_class: str) -> tuple[str, list[AddressLimit]]:
    """What holds for a class, and under which word it is counted: its own, where there are limits of its own."""
    own = [limit for limit in limits if limit.message_class == message_class]
    return (message_class, own) if own else ("", [limit for limit in limits if not limit.message_class])


def take(
    cursor: Any, account_id: int, hashes: Sequence[bytes], limits: Sequence[AddressLimit], counted_as: str = ""
) -> dict[bytes, datetime]:
    """Takes a place for each of these addresses, once however often it is named, in the caller's transaction.

    Returns those that have none now, with the moment when they have.
    """
    wanted = sorted({one.hex() for one in hashes})
    values = {
        "account": account_id,
        "class": counted_as,
        "hashes": texts(wanted),
        "counts": [limit.count for limit in limits],
        "pers": [limit.per for limit in limits],
        "kept": max(limit.count for limit in limits),
    }
    cursor.execute(TAKE, values)
    granted = {row[0] for row in cursor.fetchall()}
    full = [one for one in wanted if one not in granted]
    if not full:
        return {}
    cursor.execute(NEXT, {**values, "hashes": texts(full)})
    return {bytes.fromhex(hashed): moment for hashed, moment in cursor.fetchall()}


def give_back(cursor: Any, account_id: int, hashes: Sequence[bytes], counted_as: str, now: datetime) -> None:
    """Takes out again what this transaction, of time `now`, put in."""
    wanted = texts(sorted({one.hex() for one in hashes}))
    cursor.execute(GIVE_BACK, {"account": account_id, "class": counted_as, "hashes": wanted, "now": now})


def forget() -> None:
    """Removes addresses that nobody wrote to for longer than any limit looks back."""
    with connection.cursor() as cursor:
        cursor.execute(FORGET, [LONGEST_LIMIT])
