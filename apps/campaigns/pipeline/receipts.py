"""Receipts: what providers say later. The hook stores the raw body; merging applies thousands at a time, forward only.

A receipt may come twice, in any order, before our own result is written, or for nobody: the same fact is one row, a
state only ever rises in rank, and a body with an event whose delivery is not there (yet) is tried again for three days.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import connection, transaction

from apps.campaigns.models import Campaign, ReceiptInbox
from apps.campaigns.pipeline.settle import settle
from apps.channels.contract import BadReceipt, HookRequest, ReceiptEvent
from apps.channels.models import ChannelAccount
from apps.channels.registry import adapter
from apps.channels.services import opened
from apps.users.addressing import AddressRefused, hash_of
from ums_site.crypto import keyring
from ums_site.ids import from_base36

log = structlog.get_logger(__name__)

INBOX_PLACE = b"campaigns_receiptinbox.sealed:"
AT_ONCE = 100  # bodies a merge takes, each of up to some hundreds of events
KEEP_TRYING = timedelta(hours=72)
STATE_OF = {
    "accepted": "ACCEPTED",
    "delivered": "DELIVERED",
    "failed": "UNDELIVERED",
    "read": "READ",
    "clicked": "READ",
}


def store(*, account: ChannelAccount, headers: Mapping[str, str], query: Mapping[str, str], body: bytes) -> int:
    """Puts a body into the inbox, sealed, and returns its id. Nothing of it is looked at: the answer must be quick."""
    raw = json.dumps({"headers": dict(headers), "query": dict(query), "body": body.decode("latin-1")}).encode()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO campaigns_receiptinbox (account_id, sealed, state, note, received_at, next_try_at, tries, events) "
            "VALUES (%s, %s, 'NEW', '', now(), now(), 0, 0) RETURNING id",
            [account.pk, keyring().seal(raw, INBOX_PLACE)],
        )
        return int(cursor.fetchone()[0])


def merge_next() -> int:
    """Merges the next bodies that are due; returns how many bodies."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT now()")
            now = cursor.fetchone()[0]
        rows = list(
            ReceiptInbox.objects.select_for_update(skip_locked=True)
            .filter(state__in=["NEW", "UNMATCHED"], next_try_at__lte=now)
            .order_by("next_try_at", "id")[:AT_ONCE]
        )
        accounts = {one.pk: one for one in ChannelAccount.objects.filter(pk__in={row.account_id for row in rows})}
        events: dict[int, list[tuple[int, ReceiptEvent]]] = {}
        for row in rows:
            for event in _read(row, accounts.get(row.account_id)):
                events.setdefault(row.account_id, []).append((row.pk, event))
        unmatched: dict[int, int] = {}
        for account_id, found in sorted(events.items()):
            merged = merge_events(accounts[account_id], [event for _row, event in found], now)
            for (row_id, _event), matched in zip(found, merged, strict=True):
                unmatched[row_id] = unmatched.get(row_id, 0) + (not matched)
        for row in rows:
            _file(row, unmatched.get(row.pk, 0), now)
        _write_filed(rows)
    return len(rows)


FILED = """
UPDATE campaigns_receiptinbox i
SET state = v.state, note = v.note, next_try_at = v.next_try_at, tries = v.tries, events = v.events
FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::timestamptz[], %s::smallint[], %s::integer[])
     AS v(id, state, note, next_try_at, tries, events)
WHERE i.id = v.id
"""


def _write_filed(rows: Sequence[ReceiptInbox]) -> None:
    said = [(one.pk, str(one.state), one.note, one.next_try_at, one.tries, one.events) for one in rows]
    if said:
        with connection.cursor() as cursor:
            cursor.execute(FILED, [list(column) for column in zip(*said, strict=True)])


def _read(row: ReceiptInbox, account: ChannelAccount | None) -> Sequence[ReceiptEvent]:
    if account is None:
        row.state, row.note = ReceiptInbox.State.BAD, "the account is gone"
        return []
    try:
        held = json.loads(keyring().open(row.sealed, INBOX_PLACE))
        request = HookRequest(held["headers"], held["query"], held["body"].encode("latin-1"), row.received_at)
        events = adapter(account.kind).parse_hook(opened(account), request)
    except BadReceipt as bad:
        row.state, row.note = ReceiptInbox.State.BAD, str(bad)[:200]
        return []
    except Exception as error:  # one body that nobody foresaw must not hold up all that come after it
        log.exception("receipt_not_readable", inbox=row.pk, account=account.code)
        row.state, row.note = ReceiptInbox.State.BAD, f"not readable: {type(error).__name__}"
        return []
    row.events = len(events)
    return events


def _file(row: ReceiptInbox, unmatched: int, now: datetime) -> None:
    row.tries += 1
    if row.state == ReceiptInbox.State.BAD:
        row.next_try_at = None
    elif not unmatched:
        row.state, row.next_try_at, row.note = ReceiptInbox.State.MERGED, None, ""
    else:
        row.state, row.note = ReceiptInbox.State.UNMATCHED, f"{unmatched} of {row.events} without a delivery"
        wait = min(timedelta(hours=1), timedelta(seconds=2 ** min(row.tries, 12)))
        row.next_try_at = now + wait if now + wait < row.received_at + KEEP_TRYING else None


MERGE = """
WITH v AS (
    SELECT DISTINCT ON (delivery_id, event_hash) * FROM unnest(%(ids)s::bigint[], %(hashes)s::bigint[], %(states)s::text[],
        %(codes)s::text[], %(words)s::text[], %(times)s::timestamptz[]) AS v(delivery_id, event_hash, state, code, words, at)
), kept AS (
    INSERT INTO campaigns_receipt (delivery_id, event_hash, state, code, words, occurred_at, received_at)
    SELECT delivery_id, event_hash, state, code, words, at, %(now)s FROM v ON CONFLICT DO NOTHING
), best AS (
    SELECT delivery_id, (array_agg(state ORDER BY rank DESC))[1] AS state, max(rank) AS rank,
           (array_agg(code ORDER BY rank DESC))[1] AS code, max(at) AS at
    FROM (SELECT *, {rank_of_v} AS rank FROM v) ranked GROUP BY delivery_id
)
UPDATE campaigns_delivery d SET state = b.state, receipt_at = %(now)s, held_until = NULL,
    accepted_at = coalesce(d.accepted_at, %(now)s), reason = CASE WHEN b.state = 'UNDELIVERED' THEN left(b.code, 120) ELSE '' END,
    cost = coalesce(d.cost, greatest(d.pieces, 1) * %(price)s), pieces = greatest(d.pieces, 1)
FROM best b WHERE d.id = b.delivery_id AND d.id BETWEEN %(low)s AND %(high)s
  AND b.rank > {rank_of_d} AND d.attempts > 0 AND d.state NOT IN ('CANCELLED')
RETURNING d.message_id, d.campaign_id
"""


def _rank(column: str) -> str:
    """Rank of a state in SQL: news of a higher rank replaces what is known, never the other way round."""
    return (
        f"(CASE {column} WHEN 'READ' THEN 5 WHEN 'DELIVERED' THEN 4 WHEN 'UNDELIVERED' THEN 3 WHEN 'CLOSED' THEN 2 "
        f"WHEN 'ACCEPTED' THEN 1 WHEN 'REJECTED' THEN 2 ELSE 0 END)"
    )


MERGE = MERGE.format(rank_of_v=_rank("state"), rank_of_d=_rank("d.state"))


def merge_events(account: ChannelAccount, events: Sequence[ReceiptEvent], now: datetime) -> list[bool]:
    """Applies events of one account and decides the messages concerned; says of each event whether its delivery exists.

    Call inside a transaction. Repeating it changes nothing.
    """
    found = _find(account, events)
    matched = [
        (event, delivery_id) for event, delivery_id in zip(events, found, strict=True) if delivery_id is not None
    ]
    if matched:
        ids = [delivery_id for _event, delivery_id in matched]
        values = {
            "ids": ids,
            "hashes": [_event_hash(event) for event, _id in matched],
            "states": [STATE_OF[event.state] for event, _id in matched],
            "codes": [event.code[:100] for event, _id in matched],
            "words": [event.words[:200] for event, _id in matched],
            "times": [event.occurred_at for event, _id in matched],
            "now": now,
            "price": account.price,
            "low": min(ids),
            "high": max(ids),
        }
        with connection.cursor() as cursor:
            cursor.execute(MERGE, values)
            moved: dict[int, list[int]] = {}
            for message_id, campaign_id in cursor.fetchall():
                moved.setdefault(campaign_id, []).append(message_id)
        _mark_bad_addresses(matched)
        for campaign in Campaign.objects.filter(pk__in=moved).select_related("template_version").order_by("pk"):
            settle(campaign, moved[campaign.pk], now)
    return [delivery_id is not None for delivery_id in found]


def _event_hash(event: ReceiptEvent) -> int:
    said = f"{event.state}|{event.code}|{event.occurred_at.isoformat()}".encode()
    return int.from_bytes(hashlib.blake2b(said, digest_size=8).digest(), "big", signed=True)


def _find(account: ChannelAccount, events: Sequence[ReceiptEvent]) -> list[int | None]:
    """The delivery of each event. A reference names the delivery, or the first one of its call: then the address decides."""
    leads = [from_base36(event.reference) for event in events]
    known = sorted({lead for lead in leads if lead is not None})
    if not known:
        return [None] * len(events)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, batch_id, call_ref FROM campaigns_delivery "
            "WHERE id = ANY(%s::bigint[]) AND id BETWEEN %s AND %s AND account_id = %s",
            [known, known[0], known[-1], account.pk],
        )
        rows = {row[0]: (row[1], row[2]) for row in cursor.fetchall()}
        shared = {lead: batch for lead, (batch, call_ref) in rows.items() if call_ref is not None}
        members = _members(cursor, shared) if shared else {}
    kind = adapter(account.kind).capabilities.address_kind
    out: list[int | None] = []
    for lead, event in zip(leads, events, strict=True):
        if lead not in rows:
            out.append(None)
        elif lead in shared and event.address:
            out.append(members.get((lead, _hash(kind, event.address))))
        else:
            out.append(lead)
    return out


def _members(cursor: Any, shared: Mapping[int, int]) -> dict[tuple[int, bytes], int]:
    """(first delivery of a call, address hash) -> delivery, for calls with several recipients."""
    cursor.execute(
        "SELECT d.call_ref, b.address_hash, d.id FROM campaigns_batch k "
        "JOIN campaigns_delivery d ON d.batch_id = k.id AND d.id BETWEEN k.first_delivery_id AND k.last_delivery_id "
        "JOIN users_binding b ON b.id = d.binding_id WHERE k.id = ANY(%s) AND d.call_ref = ANY(%s::bigint[])",
        [sorted(set(shared.values())), sorted(shared)],
    )
    return {(row[0], bytes(row[1])): row[2] for row in cursor.fetchall()}


def _hash(kind: str, address: str) -> bytes:
    try:
        return hash_of(kind, address)
    except AddressRefused:
        return b""


def _mark_bad_addresses(matched: Sequence[tuple[ReceiptEvent, int]]) -> None:
    """Addresses that the provider says do not exist are not tried again, by anybody."""
    bad = sorted(delivery_id for event, delivery_id in matched if event.bad_address)
    if bad:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE users_binding b SET state = 'INVALID' FROM campaigns_delivery d "
                "WHERE d.id = ANY(%s::bigint[]) AND d.id BETWEEN %s AND %s AND b.id = d.binding_id AND b.state = 'ACTIVE'",
                [bad, bad[0], bad[-1]],
            )
