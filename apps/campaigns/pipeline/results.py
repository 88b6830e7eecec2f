"""Result: what the calls of a window came to is written in two statements, guarded by epoch and state.

Results are kept in memory and written again across database restarts until they are down: a call that was made must
not be forgotten. A result for an older epoch matches nothing; one that comes after the reaper called the row unknown
still counts, and one that a receipt overtook only completes it. An answer that is its own receipt is kept as one, and an
address that the provider calls gone is closed, in the same transaction.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

import structlog
from django.db import DatabaseError, InterfaceError, connection, transaction

from apps.campaigns.ambiguity import After
from apps.campaigns.pipeline import provider_ids
from apps.campaigns.pipeline.columns import numbers, texts
from apps.campaigns.pipeline.doubt import in_doubt
from apps.partners.counting import Taken, give_back
from ums_site.database import connection_lost
from ums_site.failpoints import failpoint

log = structlog.get_logger(__name__)
T = TypeVar("T")
KEEP_TRYING_SECONDS = 600.0


@dataclass(slots=True)
class Result:
    """One delivery's share of one call: where it goes (`after`), and what is written into its attempt."""

    delivery_id: int
    number: int
    after: After
    outcome: str
    code: str = ""
    words: str = ""
    provider_id: str = ""
    pieces: int = 1
    delivered: bool = False
    give_back: Sequence[Taken] = ()  # what its call surely did not cost
    bad_address: bool = False


ACCEPTED = """
WITH v AS (SELECT * FROM unnest(%s::bigint[], %s::smallint[], %s::text[], %s::smallint[]) AS v(id, number, provider_id, pieces)),
marked AS (
    UPDATE campaigns_delivery d
    SET state = CASE WHEN state IN ('SENDING', 'UNKNOWN', 'UNKNOWN_FINAL', 'HELD') THEN 'ACCEPTED' ELSE state END, reason = '',
        provider_id = v.provider_id, accepted_at = coalesce(accepted_at, now()), held_until = NULL, pieces = v.pieces,
        cost = CASE WHEN d.state = 'UNDELIVERED' AND NOT %s THEN 0 ELSE v.pieces * %s END
    FROM v WHERE d.id = v.id AND d.epoch = %s AND d.id BETWEEN %s AND %s
      AND state IN ('SENDING', 'UNKNOWN', 'UNKNOWN_FINAL', 'HELD', 'DELIVERED', 'READ', 'CLICKED', 'UNDELIVERED')
)
UPDATE campaigns_attempt a SET outcome = 'accepted', provider_id = v.provider_id, finished_at = now()
FROM v WHERE a.delivery_id = v.id AND a.number = v.number AND a.epoch = %s AND a.delivery_id BETWEEN %s AND %s
"""
DELIVERED = """
WITH moved AS (
    UPDATE campaigns_delivery SET state = 'DELIVERED', receipt_at = now()
    WHERE id = ANY(%s::bigint[]) AND id BETWEEN %s AND %s AND epoch = %s AND state = 'ACCEPTED' RETURNING id
)
INSERT INTO campaigns_receipt (delivery_id, event_hash, state, code, words, occurred_at, received_at)
SELECT id, %s, 'DELIVERED', 'answer', '', now(), now() FROM moved ON CONFLICT DO NOTHING
"""
ANSWERED = 0  # the event hash of an answer that is its own receipt: there is one for a delivery at most
GONE = """
UPDATE users_binding b SET state = 'INVALID' FROM campaigns_delivery d
WHERE d.id = ANY(%s::bigint[]) AND d.id BETWEEN %s AND %s AND d.epoch = %s AND b.id = d.binding_id AND b.state = 'ACTIVE'
"""
OTHERS = f"""
WITH v AS (
    SELECT * FROM unnest(%s::bigint[], %s::smallint[], %s::text[], %s::text[], %s::timestamptz[], %s::boolean[], %s::boolean[],
                         %s::boolean[], %s::text[], %s::text[], %s::text[])
    AS v(id, number, state, reason, held_until, solo, burn, stamp, outcome, code, words)
), marked AS (
    UPDATE campaigns_delivery d
    SET state = CASE WHEN v.state = 'REJECTED' AND v.outcome IN ('throttled', 'unavailable') AND {in_doubt("d", "v.number")}
                     THEN 'UNKNOWN_FINAL' ELSE v.state END,
        reason = v.reason, held_until = v.held_until, solo = d.solo OR v.solo,
        provider_key = CASE WHEN v.solo THEN '' ELSE d.provider_key END,
        call_ref = CASE WHEN v.solo THEN NULL ELSE d.call_ref END,
        burnt = d.burnt - (NOT v.burn)::int, may_duplicate = d.may_duplicate OR v.stamp
    FROM v WHERE d.id = v.id AND d.epoch = %s AND d.state IN ('SENDING', 'UNKNOWN') AND d.id BETWEEN %s AND %s
    RETURNING d.id
), told AS (
    UPDATE campaigns_attempt a SET outcome = v.outcome, code = v.code, words = v.words, finished_at = now()
    FROM v WHERE a.delivery_id = v.id AND a.number = v.number AND a.epoch = %s AND a.delivery_id BETWEEN %s AND %s
)
SELECT id FROM marked
"""


@dataclass(frozen=True, slots=True)
class Billing:
    """What a unit of a window costs, and whether one that is reported as failed costs it all the same."""

    price: Decimal
    failed: bool


def write_results(epoch: int, billing: Billing, results: Sequence[Result], filed_under: int | None = None) -> None:
    """Writes the results of one window in one transaction; for an account `filed_under`, with the provider's ids."""
    if results:
        _write(epoch, billing, results, filed_under)


def _write(epoch: int, billing: Billing, results: Sequence[Result], filed_under: int | None) -> None:
    accepted = [one for one in results if one.after.state == "ACCEPTED"]
    others = [one for one in results if one.after.state != "ACCEPTED"]
    with transaction.atomic(), connection.cursor() as cursor:
        if accepted:
            cursor.execute(ACCEPTED, _accepted_values(epoch, billing, accepted))
            if filed_under is not None:
                provider_ids.file(cursor, filed_under, [(r.delivery_id, r.number, r.provider_id) for r in accepted])
        if delivered := [one.delivery_id for one in accepted if one.delivered]:
            cursor.execute(DELIVERED, [delivered, min(delivered), max(delivered), epoch, ANSWERED])
        failpoint("mid_result")
        if others:
            cursor.execute(OTHERS, _other_values(epoch, others))
            marked = {row[0] for row in cursor.fetchall()}
        if gone := sorted(one.delivery_id for one in others if one.bad_address):
            cursor.execute(GONE, [gone, gone[0], gone[-1], epoch])
        if others:  # a row that somebody else has judged meanwhile keeps what it took: its repeat relies on it
            give_back(cursor, [taken for one in others if one.delivery_id in marked for taken in one.give_back])


def _accepted_values(epoch: int, billing: Billing, results: Sequence[Result]) -> list[Any]:
    ids = [one.delivery_id for one in results]
    low, high = min(ids), max(ids)
    columns = [
        numbers(ids),
        numbers([one.number for one in results]),
        texts([one.provider_id for one in results]),
        numbers([one.pieces for one in results]),
    ]
    return [*columns, billing.failed, billing.price, epoch, low, high, epoch, low, high]


def _other_values(epoch: int, results: Sequence[Result]) -> list[Any]:
    ids = [one.delivery_id for one in results]
    low, high = min(ids), max(ids)
    held: list[datetime | None] = [one.after.held_until for one in results]
    return [
        ids,
        [one.number for one in results],
        [one.after.state for one in results],
        [one.after.reason[:120] for one in results],
        held,
        [one.after.solo for one in results],
        [one.after.burn for one in results],
        [one.after.stamp for one in results],
        [one.outcome for one in results],
        [one.code[:100] for one in results],
        [one.words[:200] for one in results],
        *[epoch, low, high, epoch, low, high],
    ]


def until_written(write: Callable[[], T], rest: Callable[[float], None]) -> T:
    """Calls `write` until it went through, for up to ten minutes of lost database connections, then raises.

    `rest` is called with the seconds between two tries: there is always something to listen to meanwhile.
    """
    end = time.monotonic() + KEEP_TRYING_SECONDS
    pause = 0.2
    while True:
        try:
            return write()
        except (DatabaseError, InterfaceError) as error:
            if not connection_lost(error) or time.monotonic() > end or connection.in_atomic_block:
                raise
            log.warning("results_wait_for_database", error=type(error).__name__)
            connection.close()
            rest(pause)
            pause = min(2.0, pause * 1.5)
