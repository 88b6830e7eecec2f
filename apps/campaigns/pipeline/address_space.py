"""Address space: what a provider takes for one address in a while, kept here exactly, because it loses the rest unsaid.

The times of the last messages of each address stand in one row; a message takes its place in the statement that looks,
so two dispatchers never share one. A place is taken before the intent and not given back: where the intent fails, one
message fewer goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import connection

from apps.channels.contract import AddressLimit

TAKE = """
WITH asked AS (SELECT DISTINCT hash FROM unnest(%(hashes)s::bytea[]) AS a(hash) ORDER BY hash)
INSERT INTO campaigns_addressuse AS u (account_id, address_hash, times)
SELECT %(account)s, hash, ARRAY[now()] FROM asked
ON CONFLICT (account_id, address_hash) DO UPDATE
SET times = (u.times || now())[greatest(1, cardinality(u.times) + 2 - %(kept)s):]
WHERE next_space(u.times, %(counts)s, %(pers)s) <= now()
RETURNING address_hash
"""
NEXT = """
SELECT address_hash, next_space(times, %(counts)s, %(pers)s) FROM campaigns_addressuse
WHERE account_id = %(account)s AND address_hash = ANY(%(hashes)s::bytea[])
"""
FORGET = "DELETE FROM campaigns_addressuse WHERE times[cardinality(times)] < now() - %s"
LONGEST_LIMIT = timedelta(days=2)


def take(account_id: int, hashes: Sequence[bytes], limits: Sequence[AddressLimit]) -> dict[bytes, datetime]:
    """Takes a place for each of these addresses, once however often it is named.

    Returns those that have none now, with the moment when they have. Commits at once outside a transaction.
    """
    values = {
        "account": account_id,
        "hashes": sorted(set(hashes)),
        "counts": [limit.count for limit in limits],
        "pers": [limit.per for limit in limits],
        "kept": max(limit.count for limit in limits),
    }
    with connection.cursor() as cursor:
        cursor.execute(TAKE, values)
        granted = {bytes(row[0]) for row in cursor.fetchall()}
        full = [one for one in values["hashes"] if one not in granted]
        if not full:
            return {}
        cursor.execute(NEXT, {**values, "hashes": full})
        return {bytes(hashed): moment for hashed, moment in cursor.fetchall()}


def forget() -> None:
    """Removes addresses that nobody wrote to for longer than any limit looks back."""
    with connection.cursor() as cursor:
        cursor.execute(FORGET, [LONGEST_LIMIT])
