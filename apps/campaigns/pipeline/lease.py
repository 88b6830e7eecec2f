"""Lease: one batch row is taken for a while and given back. The database's clock decides, never this machine's."""

from __future__ import annotations

import os
import socket
import uuid
from datetime import timedelta
from functools import cache

from django.conf import settings
from django.db import connection, transaction

from apps.campaigns.models import Batch
from apps.campaigns.pipeline.settle import settle_batch
from apps.campaigns.pipeline.stops import HELD_BACK
from apps.channels.models import ChannelAccount
from apps.channels.registry import session_kinds
from ums_site.failpoints import failpoint

LEASE = """
UPDATE campaigns_batch SET state = 'LEASED', owner = %s, epoch = epoch + 1, lease_until = now() + make_interval(secs => %s)
WHERE id = (
    SELECT b.id FROM campaigns_batch b
    JOIN campaigns_campaign c ON c.id = b.campaign_id AND c.state IN ('EXPANDING', 'RUNNING', 'CANCELLED')
    JOIN ums_channels_channelaccount a ON a.id = b.account_id AND a.state = 'ACTIVE'
     AND (a.open_until IS NULL OR a.open_until <= now() OR (b.lane = 'otp' AND a.faults = 0))
    WHERE {whose} AND b.state = 'READY' AND b.not_before <= now() AND (c.state = 'CANCELLED' OR NOT {held_back})
    ORDER BY {first}b.priority DESC, b.not_before, b.id FOR UPDATE OF b SKIP LOCKED LIMIT 1
) RETURNING id
"""
OF_LANE = LEASE.format(whose="b.lane = %s AND a.kind <> ALL(%s)", first="", held_back=HELD_BACK)
OF_ACCOUNT = LEASE.format(
    whose="b.account_id = %s",
    first="array_position(ARRAY['otp', 'notice', 'bulk']::text[], b.lane::text), ",
    held_back=HELD_BACK,
)

URGENT_OF_ACCOUNT = LEASE.format(whose="b.account_id = %s AND b.lane = 'otp'", first="", held_back=HELD_BACK)


@cache
def owner(pid: int) -> str:
    """The name this process leases under; never the same for two processes."""
    return f"{socket.gethostname()[:40]}:{pid}:{uuid.uuid4().hex[:8]}"


def lease(lane: str) -> Batch | None:
    """Takes the lane's next due batch, or None. Batches of a stopped campaign, account or open breaker stay.

    Those of accounts that keep a session are their gateway's. An account that is slowed down is none to one-time passwords:
    what throttled it was the others, which stand still meanwhile.
    """
    return _lease(OF_LANE, lane, list(session_kinds()))


def lease_of(account_id: int) -> Batch | None:
    """The same for one account, whatever the lane: one-time passwords first, bulk last."""
    return _lease(OF_ACCOUNT, account_id)


def lease_urgent(account_id: int) -> Batch | None:
    """The next due batch of one-time passwords of an account that keeps a session."""
    return _lease(URGENT_OF_ACCOUNT, account_id)


def _lease(sql: str, *whose: object) -> Batch | None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, [owner(os.getpid()), settings.UMS_TIMERS.lease, *whose])
        row = cursor.fetchone()
        if row:
            failpoint("before_lease_commit")
    if row is None:
        return None
    failpoint("after_lease")
    return Batch.objects.select_related("campaign__template_version", "campaign__business_line").get(pk=row[0])


LOOK_AGAIN = """
UPDATE campaigns_batch b SET follow_up_at = now(), state = CASE WHEN b.state = 'DONE' AND EXISTS (
    SELECT 1 FROM campaigns_delivery d WHERE d.batch_id = b.id AND d.id BETWEEN %(first)s AND %(last)s
    AND d.state IN ('PENDING', 'HELD')) THEN 'READY' ELSE b.state END
WHERE b.id = %(batch)s
"""


def look_again(batch: Batch) -> None:
    """Called by who wrote results without holding the lease any more: the batch may be done, and counted on them not."""
    place = {"batch": batch.pk, "first": batch.first_delivery_id, "last": batch.last_delivery_id}
    with connection.cursor() as cursor:
        cursor.execute(LOOK_AGAIN, place)


GIVE_BACK = """
WITH left_over AS (
    SELECT count(*) FILTER (WHERE state IN ('PENDING', 'HELD')) AS waiting,
           min(CASE WHEN state = 'PENDING' THEN now() WHEN state = 'HELD' THEN held_until END) AS due
    FROM campaigns_delivery WHERE batch_id = %(batch)s AND id BETWEEN %(first)s AND %(last)s
)
UPDATE campaigns_batch b SET owner = '', lease_until = NULL,
    state = CASE WHEN l.waiting = 0 THEN 'DONE' ELSE %(state)s END,
    not_before = greatest(l.due, now() + make_interval(secs => %(pause)s), b.not_before)
FROM left_over l WHERE b.id = %(batch)s AND b.epoch = %(epoch)s AND b.state = 'LEASED'
RETURNING b.state
"""


def give_back(batch: Batch, state: str = "READY", pause: float = 0.0) -> None:
    """Ends the lease: DONE where nothing waits, else `state`, due with its first row and at least `pause` seconds on.

    In the same transaction the messages whose deliveries moved are decided. A lease that was lost stays lost.
    """
    place = {"batch": batch.pk, "epoch": batch.epoch, "first": batch.first_delivery_id, "last": batch.last_delivery_id}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(GIVE_BACK, {**place, "state": state, "pause": pause})
        if cursor.fetchone() is not None:
            settle_batch(batch)
        else:
            look_again(batch)


def open_breaker(account: ChannelAccount, reason: str, longest: float = 600.0) -> None:
    """Stops leases of this account for 5 s, doubling with every fault in a row; said once in the account's own row.

    What else comes to a bad end while it is open was in flight already, and is no further fault.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE ums_channels_channelaccount SET faults = faults + 1, open_reason = %s, "
            "open_until = now() + make_interval(secs => least(%s, 5 * power(2, least(faults, 12)))) WHERE id = %s "
            "AND (open_until IS NULL OR open_until <= now())",
            [reason[:200], longest, account.pk],
        )


def slow_down(account: ChannelAccount, reason: str, wait: timedelta | None) -> None:
    """The provider finds the account too fast: no leases for as long as it asks, from 1 to 5 s; no fault is counted.

    One-time passwords are leased all the same. Each row that was refused waits its own full time.
    """
    seconds = min(5.0, max(1.0, wait.total_seconds() if wait else 0.0))
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE ums_channels_channelaccount SET open_until = now() + make_interval(secs => %s), open_reason = %s "
            "WHERE id = %s AND (open_until IS NULL OR open_until <= now())",
            [seconds, reason[:200], account.pk],
        )


def close_breaker(account: ChannelAccount) -> None:
    """The account answered well again."""
    if account.faults:
        ChannelAccount.objects.filter(pk=account.pk).update(faults=0, open_until=None, open_reason="")
        account.faults = 0
