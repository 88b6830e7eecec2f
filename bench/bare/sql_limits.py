"""`python -m bench.bare.sql_limits WHAT ...`: the least that Postgres must do for the same rows in the same tables."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from bench.child import when_told
from bench.databases import connect
from bench.reports import with_repeats

Work = Callable[[], dict[str, Any] | None]
AT_ONCE = 2000

MESSAGES = """
INSERT INTO campaigns_message (id, campaign_id, recipient_id, state, reason, step)
SELECT %(base)s + row_number() OVER (), %(campaign)s, r.id, 'ACTIVE', '', 0
FROM users_recipient r WHERE r.id BETWEEN %(first)s AND %(last)s
"""
DELIVERIES = """
INSERT INTO campaigns_delivery (id, message_id, campaign_id, batch_id, account_id, recipient_id, binding_id, step)
SELECT m.id, m.id, m.campaign_id, m.id / 500, 1, m.recipient_id, b.id, 0
FROM campaigns_message m JOIN users_binding b
  ON b.recipient_id = m.recipient_id AND b.address_kind = 'phone' AND b.recipient_id BETWEEN %(first)s AND %(last)s
WHERE m.id > %(base)s AND m.campaign_id = %(campaign)s
"""
CHUNK = 10_000


def expand(cursor: Any) -> Work:
    """Targets to messages and deliveries, in chunks, both sides of the join bounded; ids from a row number."""
    cursor.execute("SELECT id, expand_end, ums_id() FROM campaigns_campaign")
    campaign, end, base = cursor.fetchone()
    cursor.execute("SELECT min(id) FROM users_recipient")
    start = cursor.fetchone()[0]

    def work() -> None:
        for number, first in enumerate(range(start, end + 1, CHUNK)):
            values = {"base": base + number * CHUNK, "campaign": campaign, "first": first, "last": first + CHUNK - 1}
            cursor.execute(MESSAGES, values)
            cursor.execute(DELIVERIES, values)

    return work


RECEIPTS = """
INSERT INTO campaigns_receipt (delivery_id, event_hash, state, occurred_at, received_at)
SELECT id, 1, 'DELIVERED', now(), now() FROM unnest(%s::bigint[]) AS v(id) ON CONFLICT DO NOTHING
"""
DELIVERED = """
UPDATE campaigns_delivery d SET state = 'DELIVERED', receipt_at = now() FROM unnest(%s::bigint[]) AS v(id)
WHERE d.id = v.id AND d.state = 'ACCEPTED' AND d.id BETWEEN %s AND %s
"""


def merge(cursor: Any, doubled: str) -> Work:
    """The same receipts, read already: rows and states, two statements for 2000."""
    cursor.execute("SELECT id FROM campaigns_delivery ORDER BY id")
    order = with_repeats([row[0] for row in cursor.fetchall()], int(doubled))

    def work() -> None:
        for start in range(0, len(order), AT_ONCE):
            some = order[start : start + AT_ONCE]
            ids = (
                "{" + ",".join(map(str, some)) + "}"
            )  # one literal, as our merge sends it: read faster than ARRAY[...]
            cursor.execute("BEGIN")
            cursor.execute(RECEIPTS, [ids])
            cursor.execute(DELIVERED, [ids, min(some), max(some)])
            cursor.execute("COMMIT")

    return work


STAGING = (
    "CREATE TEMP TABLE staging (user_id text, phone text, email text, jpush text, name text, city text, balance text)"
)
RECIPIENTS = """
INSERT INTO users_recipient (user_id, tags, attributes, sealed_attributes, sealed_digest, created_at, updated_at)
SELECT user_id, '{}', jsonb_build_object('city', city, 'balance', balance::numeric), convert_to(name, 'UTF8'), '', now(), now()
FROM staging ON CONFLICT (user_id) DO UPDATE SET attributes = users_recipient.attributes || excluded.attributes
"""
BINDINGS = """
INSERT INTO users_binding (recipient_id, address_kind, address, address_hash, address_masked, scope, scope_id, state, created_at)
SELECT r.id, b.kind, convert_to(b.text, 'UTF8'), substr(sha256(convert_to(b.text, 'UTF8')), 1, 16), b.text, 'everywhere', 0,
       'ACTIVE', now()
FROM staging s JOIN users_recipient r USING (user_id)
CROSS JOIN LATERAL (VALUES ('phone', phone), ('email', email), ('jpush', jpush)) AS b(kind, text)
ON CONFLICT DO NOTHING
"""


def imported(cursor: Any, path: str) -> Work:
    """The file by COPY, then one upsert of people and one of addresses: nothing checked, nothing sealed."""

    def work() -> None:
        cursor.execute(STAGING)
        with Path(path).open(encoding="utf-8") as file:
            cursor.copy_expert("COPY staging FROM STDIN (FORMAT csv, HEADER)", file)
        cursor.execute("ANALYZE staging")
        cursor.execute(RECIPIENTS)
        cursor.execute(BINDINGS)

    return work


KINDS: dict[str, Callable[..., Work]] = {work.__name__: work for work in (expand, merge, imported)}

if __name__ == "__main__":
    with closing(connect(os.environ["DATABASE_URL"])) as connection, connection.cursor() as held:
        when_told(KINDS[sys.argv[1]](held, *sys.argv[2:]))
