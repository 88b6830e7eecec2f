"""Experience: what became of tries is added up per person and account, and per class and account, in the background.

A batch is counted once: as soon as nothing of it can change any more, or a day after its last acceptance, when what has no
receipt by then counts as not delivered. New batches are noted in `campaigns_experiencedue` behind a watermark; counting a
batch and taking it off that list is one transaction, under the lock of the watermark's row. So any number of runners may run
and die anywhere, and nothing counts twice or never.

Counted are deliveries that a provider accepted over an account whose receipts come: delivered, read, failed, silent. A
refused call says something of the text or the account, an unknown outcome says nothing: neither is counted. What was counted
before fades at each addition by its age (scoring.HALF_LIFE), so a row never grows and no old row has to be visited.

The hot path is not touched: nothing is written where messages are sent.
"""

from __future__ import annotations

from datetime import timedelta
from math import log
from typing import Any

from django.db import connection, transaction

from apps.campaigns.policy import MEASURABLE
from apps.campaigns.scoring import HALF_LIFE
from apps.channels.models import ChannelAccount
from apps.channels.registry import adapter
from ums_site.clock import boottime
from ums_site.failpoints import failpoint

PATIENCE = timedelta(days=1)  # what has no receipt by then counts as not delivered
FIRST_LOOK = timedelta(seconds=60)
NOTED_AT_ONCE = 20_000
COUNTED_AT_ONCE = 100  # batches of up to 1000 deliveries, one transaction
SECONDS = 10.0  # a run counts no longer than this, so that imports and reports have their turn

TAKE_MARK = "SELECT batch_id FROM campaigns_experiencemark FOR UPDATE SKIP LOCKED"
NOTE_NEW = """
WITH fresh AS (
    SELECT id, not_before FROM campaigns_batch WHERE id > %s ORDER BY id LIMIT %s
), noted AS (
    INSERT INTO campaigns_experiencedue (batch_id, noted_at, due_at)
    SELECT id, now(), greatest(not_before, now()) + %s FROM fresh ON CONFLICT DO NOTHING
)
UPDATE campaigns_experiencemark SET batch_id = greatest(batch_id, (SELECT coalesce(max(id), 0) FROM fresh)), looked_at = now()
"""
# Of the batches whose turn it is: those that can be counted. The others are looked at again after as long as they waited.
READY = """
WITH due AS (
    SELECT batch_id, noted_at FROM campaigns_experiencedue WHERE due_at <= now() ORDER BY due_at LIMIT %(most)s
), looked AS MATERIALIZED (
    SELECT due.batch_id, due.noted_at, b.id IS NULL OR (b.state = 'DONE' AND b.suspect_at IS NULL AND (
        SELECT NOT bool_or(d.state IN ('PENDING', 'HELD', 'SENDING', 'UNKNOWN', 'ACCEPTED'))
               OR max(d.accepted_at) < now() - %(patience)s OR count(*) = 0
        FROM campaigns_delivery d
        WHERE d.batch_id = b.id AND d.id BETWEEN b.first_delivery_id AND b.last_delivery_id
    )) AS ready
    FROM due LEFT JOIN campaigns_batch b ON b.id = due.batch_id
), later AS (
    UPDATE campaigns_experiencedue x SET due_at = now() + least(interval '6 h', greatest(%(first)s, now() - l.noted_at))
    FROM looked l WHERE x.batch_id = l.batch_id AND NOT coalesce(l.ready, false)
)
SELECT batch_id, ready FROM looked
"""
FACTS = """
SELECT d.recipient_id, d.account_id, c.message_class, d.state IN ('DELIVERED', 'READ', 'CLICKED') AS arrived,
       CASE WHEN d.state IN ('DELIVERED', 'READ', 'CLICKED') THEN (
           SELECT ln(1 + greatest(0, extract(epoch FROM min(least(t.occurred_at, t.received_at)) - d.accepted_at)))
           FROM campaigns_receipt t WHERE t.delivery_id = d.id AND t.state IN ('DELIVERED', 'READ', 'CLICKED')
       ) END AS log_seconds
FROM campaigns_batch b JOIN campaigns_campaign c ON c.id = b.campaign_id
JOIN campaigns_delivery d ON d.batch_id = b.id AND d.id BETWEEN b.first_delivery_id AND b.last_delivery_id
WHERE b.id = ANY(%(batches)s) AND d.account_id = ANY(%(measurable)s)
  AND d.state IN ('DELIVERED', 'READ', 'CLICKED', 'UNDELIVERED', 'CLOSED', 'ACCEPTED')
"""
ADD_UP = """
SELECT {keys}, count(*), count(*) FILTER (WHERE arrived), count(log_seconds), coalesce(sum(log_seconds), 0), now()
FROM facts WHERE {keys} IS NOT NULL GROUP BY {keys} ORDER BY {keys}
"""
INSERT = """
INSERT INTO {table} AS held ({columns}, tried, delivered, timed, log_seconds, at) {rows}
ON CONFLICT ({columns}) DO UPDATE SET
    tried = held.tried * {fade} + excluded.tried, delivered = held.delivered * {fade} + excluded.delivered,
    timed = held.timed * {fade} + excluded.timed, log_seconds = held.log_seconds * {fade} + excluded.log_seconds,
    at = excluded.at
"""


def faded(alias: str) -> str:
    """SQL: how much of the row under this alias still counts now, 0 to 1."""
    age = f"greatest(0, extract(epoch FROM now() - {alias}.at)::float8)"
    return f"exp({-log(2) / HALF_LIFE.total_seconds()!r}::float8 * {age})"


def _insert(table: str, first: str) -> str:
    rows = ADD_UP.format(keys=f"{first}, account_id").replace(f"WHERE {first}, account_id IS", f"WHERE {first} IS")
    return INSERT.format(table=table, columns=f"{first}, account_id", rows=rows, fade=faded("held"))


COUNT = f"""
WITH facts AS MATERIALIZED ({FACTS}),
people AS ({_insert("campaigns_personexperience", "recipient_id")}),
classes AS ({_insert("campaigns_classexperience", "message_class")}),
done AS (DELETE FROM campaigns_experiencedue WHERE batch_id = ANY(%(batches)s))
SELECT count(*) FROM facts
"""


def count_due(seconds: float = SECONDS) -> int:
    """Counts batches whose turn has come, for so long; how many. 0 at once where another runner is at it."""
    end = boottime() + seconds
    counted = 0
    while True:
        looked, done = _count_some()
        counted += done
        if looked < COUNTED_AT_ONCE or boottime() >= end:
            return counted


def _count_some() -> tuple[int, int]:
    """(batches looked at, batches counted) in one transaction."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(TAKE_MARK)
        mark = cursor.fetchone()
        if mark is None:
            return 0, 0
        cursor.execute(NOTE_NEW, [mark[0], NOTED_AT_ONCE, FIRST_LOOK])
        cursor.execute(READY, {"most": COUNTED_AT_ONCE, "patience": PATIENCE, "first": FIRST_LOOK})
        looked = cursor.fetchall()
        ready = [batch_id for batch_id, is_ready in looked if is_ready]
        if ready:
            _count(cursor, ready)
        failpoint("experience_before_commit")
    return len(looked), len(ready)


def _count(cursor: Any, batch_ids: list[int]) -> None:
    cursor.execute(COUNT, {"batches": batch_ids, "measurable": sorted(measurable_accounts())})


def measurable_accounts() -> set[int]:
    """Accounts whose receipts tell of deliveries. Where only bad news comes back (bounces), silence is no failure."""
    kinds = ChannelAccount.objects.values_list("pk", "kind")
    return {pk for pk, kind in kinds if str(adapter(kind).capabilities.receipts) in MEASURABLE}
