"""Never twice on a retry: the answer to one Idempotency-Key of a business line is given again, not worked out again.

Key, SHA-256 of the body, answer and all that the work wrote are one transaction, so a retry finds either everything or
nothing. While the first call is still running a second one is told to come back; an advisory lock that ends with the
transaction says so without waiting. The unique constraint is what makes it safe, the lock only makes it polite.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, connection, transaction

from apps.partners.authentication import LIVE, refusal
from apps.partners.counting import walls
from apps.partners.models import ApiKey, BusinessLine, IdempotencyKey
from ums_site import prepared
from ums_site.lost_connection import again_if_lost

HEADER = "Idempotency-Key"
LONGEST_KEY = 128
KEPT = timedelta(days=7)
RETRY_AFTER_SECONDS = 1


Statement = tuple[str, Sequence[Any]]
NOTHING: Statement = ("", ())


class StillRunning(Exception):
    """Another call with this key has not ended yet."""


class OtherBody(Exception):
    """The key was used for another body."""


@dataclass(frozen=True, slots=True)
class Given:
    """An answer, `body` being JSON text. `replayed`: it is the stored one, to the byte; nothing was done again."""

    status: int
    body: str
    replayed: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What the work answers. `writes`: INSERTs still to be done; they are sent together with storing the answer."""

    status: int
    body: str
    writes: Sequence[Statement] = ()


Work = Callable[[Sequence[Any]], Answer]


def body_hash(place: str, body: object) -> str:
    """SHA-256 (hex) of the canonical JSON of a body sent to `place`. Raises UnicodeEncodeError for half a character."""
    text = json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(f"{place} {text}".encode()).hexdigest()


def once(
    business_line: BusinessLine,
    key: str,
    hashed: str,
    work: Work,
    ahead: Statement = NOTHING,
    api_key: ApiKey | None = None,
) -> Given:
    """The stored answer for the key, or that of `work`, run in one transaction with storing it.

    `ahead`: columns, with their values, that the work wants to read; they are asked for in the same round trip as the key,
    and `work` is given what they hold. An `api_key` is looked at there too: one that is no longer live is refused.
    Raises StillRunning, OtherBody, AuthenticationFailed, QuotaReached, and whatever `work` raises: then nothing is
    stored or written.

    Where the connection is lost on the way it is all done once more: what had been committed is found by its key.
    """
    try:
        with walls():
            return again_if_lost(lambda: _once(business_line, key, hashed, work, ahead, api_key))
    except IntegrityError:  # somebody was first between our look and our write: their answer stands by now
        stored = _stored(business_line, key, hashed)
        if stored is None:
            raise
        return stored


LOOK = """
SELECT {live}, pg_try_advisory_xact_lock(%s), k.body_hash, k.status, k.answer{ahead}
FROM (SELECT 1) AS one LEFT JOIN partners_idempotencykey k ON k.business_line_id = %s AND k.key = %s
"""
STORE = """
INSERT INTO partners_idempotencykey (business_line_id, key, body_hash, status, answer, created_at)
VALUES (%s, %s, %s, %s, to_jsonb(%s::text), now())
"""


@transaction.atomic
def _once(
    business_line: BusinessLine, key: str, hashed: str, work: Work, ahead: Statement, api_key: ApiKey | None
) -> Given:
    columns, values = ahead
    look = LOOK.format(live=LIVE if api_key else "%s::boolean", ahead=f", {columns}" if columns else "")
    caller = api_key.pk if api_key else True
    with connection.cursor() as cursor:
        prepared.run(cursor, look, [caller, _lock_number(business_line, key), *values, business_line.pk, key])
        live, mine, stored_hash, status, stored, *read = cursor.fetchone()
        if not live:
            raise refusal()
        if stored_hash is not None:
            return _replay(hashed, stored_hash, status, json.loads(stored))
        if not mine:
            raise StillRunning
        answer = work(read)
        _store(cursor, answer, [business_line.pk, key, hashed, answer.status, answer.body])
    return Given(answer.status, answer.body, replayed=False)


def _store(cursor: Any, answer: Answer, row: list[Any]) -> None:
    parts = ", ".join(f"w{number} AS ({sql})" for number, (sql, _values) in enumerate(answer.writes))
    values = [value for _sql, held in answer.writes for value in held]
    prepared.run(cursor, f"WITH {parts} {STORE}" if parts else STORE, [*values, *row])


def _stored(business_line: BusinessLine, key: str, hashed: str) -> Given | None:
    held = IdempotencyKey.objects.filter(business_line=business_line, key=key)
    row = held.values_list("body_hash", "status", "answer").first()
    return None if row is None else _replay(hashed, *row)


def _replay(hashed: str, stored_hash: str, status: int, body: str) -> Given:
    if stored_hash != hashed:
        raise OtherBody
    return Given(status, body, replayed=True)


def _lock_number(business_line: BusinessLine, key: str) -> int:
    said = f"idempotency:{business_line.pk}:{key}".encode()
    return int.from_bytes(hashlib.blake2b(said, digest_size=8).digest(), "big", signed=True)


def forget_old() -> int:
    """Drops answers older than KEPT, some thousands at a time; returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM partners_idempotencykey WHERE id IN "
            "(SELECT id FROM partners_idempotencykey WHERE created_at < now() - %s ORDER BY created_at LIMIT 5000)",
            [KEPT],
        )
        return cursor.rowcount
