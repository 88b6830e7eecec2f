"""Inbox: bodies as they came to a hook, sealed, until they are merged – or kept where they could not be read or matched."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db import connection

from apps.channels import hooks, inbound
from apps.channels.contract import BadReceipt, HookEvent, HookRequest
from apps.channels.models import ChannelAccount
from apps.channels.registry import adapter
from apps.channels.services import opened
from ums_site.crypto import keyring

log = structlog.get_logger(__name__)

INBOX_PLACE = b"campaigns_receiptinbox.sealed:"
KEEP_TRYING = timedelta(hours=72)


@dataclass(slots=True)
class Body:
    """One row of the inbox on its way through a merge; `unmatched` counts its events without a delivery."""

    id: int
    account_id: int
    sealed: memoryview
    received_at: datetime
    tries: int
    state: str = "NEW"
    note: str = ""
    events: int = 0
    unmatched: int = 0


def store(*, account_id: int, headers: Mapping[str, str], query: Mapping[str, str], body: bytes, path: str = "") -> int:
    """Puts a body into the inbox, sealed, and returns its id. Nothing of it is looked at: the answer must be quick."""
    head = json.dumps({"headers": dict(headers), "query": dict(query), "path": path}).encode()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO campaigns_receiptinbox (account_id, sealed, state, note, received_at, next_try_at, tries, events) "
            "VALUES (%s, %s, 'NEW', '', now(), now(), 0, 0) RETURNING id",
            [account_id, keyring().seal(head + b"\n" + body, INBOX_PLACE)],
        )
        return int(cursor.fetchone()[0])


def unwrapped(body: Body) -> HookRequest:
    """What arrived at the hook. Raises SealBroken."""
    head, _end, raw = keyring().open_bytes(body.sealed, INBOX_PLACE).partition(b"\n")
    held = json.loads(head)
    return HookRequest(held["headers"], held["query"], raw, body.received_at, "POST", held["path"])


DUE = """
SELECT id, account_id, sealed, received_at, tries FROM campaigns_receiptinbox
WHERE state IN ('NEW', 'UNMATCHED') AND next_try_at <= now() ORDER BY next_try_at, id LIMIT %s FOR UPDATE SKIP LOCKED
"""


def due(most: int) -> list[Body]:
    """The next bodies whose time has come, locked until the open transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(DUE, [most])
        return [Body(*row) for row in cursor.fetchall()]


def read(body: Body, account: ChannelAccount | None) -> Sequence[HookEvent]:
    """The events in a body; none where it cannot be read, which is noted on it."""
    if account is None:
        body.state, body.note = "BAD", "the account is gone"
        return []
    try:
        kind, request = adapter(account.kind), unwrapped(body)
        if kind.transport == "session":
            events: Sequence[HookEvent] = inbound.heard(kind, opened(account), request.body, request.received_at)
        else:
            events = hooks.heard(kind, opened(account), request)
    except BadReceipt as bad:
        body.state, body.note = "BAD", str(bad)[:200]
        return []
    except Exception as error:  # one body that nobody foresaw must not hold up all that come after it
        log.exception("receipt_not_readable", inbox=body.id, account=account.code)
        body.state, body.note = "BAD", f"not readable: {type(error).__name__}"
        return []
    body.events = len(events)
    return events


FILE = """
UPDATE campaigns_receiptinbox i
SET state = v.state, note = v.note, next_try_at = v.next_try_at, tries = i.tries + 1, events = v.events
FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::timestamptz[], %s::integer[]) AS v(id, state, note, next_try_at, events)
WHERE i.id = v.id
"""


def file(bodies: Sequence[Body], now: datetime) -> None:
    """Writes what became of each body: merged, not readable, or to be tried again for up to three days."""
    if bodies:
        with connection.cursor() as cursor:
            cursor.execute(FILE, [list(column) for column in zip(*(_filed(one, now) for one in bodies), strict=True)])


def _filed(body: Body, now: datetime) -> tuple[int, str, str, datetime | None, int]:
    if body.state == "BAD":
        return body.id, "BAD", body.note, None, body.events
    if not body.unmatched:
        return body.id, "MERGED", "", None, body.events
    again = now + min(timedelta(hours=1), timedelta(seconds=2 ** min(body.tries + 1, 12)))
    note = f"{body.unmatched} of {body.events} without a delivery"
    return body.id, "UNMATCHED", note, again if again < body.received_at + KEEP_TRYING else None, body.events
