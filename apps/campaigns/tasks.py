"""What a worker does when the bell of its lane rings: it drains the lane for a slice of time and stops."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from functools import partial

from django.conf import settings
from django.db import connection

from apps.campaigns import forecast, target_lists
from apps.campaigns.pipeline.dispatch import send_next
from apps.campaigns.pipeline.expand import expand_next
from apps.campaigns.pipeline.experience import count_due
from apps.campaigns.pipeline.offline import release_next
from apps.campaigns.pipeline.poll import poll_next
from apps.campaigns.pipeline.recall import recall_next
from apps.campaigns.pipeline.receipts import merge_next
from apps.campaigns.pipeline.replies import handle_next
from apps.campaigns.pipeline.settle import follow_up_next
from apps.campaigns.pipeline.stops import HELD_BACK
from apps.campaigns.pipeline.transports import Transports
from apps.campaigns.replays import replay_due
from apps.channels.provider_templates import refresh_due
from apps.channels.registry import session_kinds
from apps.users.importing import job as imports
from ums_site.clock import boottime
from ums_site.queues import LISTENED, heard, listen

# What lane `work` does; apps above this one add theirs when they start.
BACKGROUND: list[Callable[[], int]] = [
    imports.run_due, refresh_due, count_due, forecast.run_due, target_lists.run_due, replay_due,
]  # fmt: skip

EXPAND_SECONDS = 0.1
NEXT_DUE = f"""
SELECT extract(epoch FROM min(not_before) - now()) FROM campaigns_batch b
JOIN campaigns_campaign c ON c.id = b.campaign_id AND c.state IN ('EXPANDING', 'RUNNING', 'CANCELLED')
JOIN ums_channels_channelaccount a ON a.id = b.account_id AND a.state = 'ACTIVE'
 AND (a.open_until IS NULL OR (b.lane = 'otp' AND a.faults = 0)) AND a.kind <> ALL(%s)
WHERE b.lane = %s AND b.state = 'READY' AND b.not_before <= now() + interval '1 s'
  AND (c.state = 'CANCELLED' OR NOT {HELD_BACK})
"""


def answer_bell(lane: str) -> None:
    """The one RQ job. Harmless when lost, doubled or late."""
    spare_the_collector()
    drain(lane, settings.UMS_TIMERS.slice)


def spare_the_collector() -> None:
    """Called once by a process that is to drain lanes: collecting again and again what was imported costs 12 % of it."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def drain(lane: str, seconds: float, stay: Callable[[], bool] | None = None) -> int:
    """Does what is due in a lane until nothing is, or `seconds` are over; returns how many pieces of work it did.

    Where nothing is due, `stay` waits for more with all connections open; False from it ends the drain.
    """
    heard(lane)
    stop_at = boottime() + seconds
    if lane == "work":
        return sum(job() for job in BACKGROUND)
    done = 0
    with Transports() as transports:
        while boottime() < stop_at:
            if _one(lane, stop_at, transports):
                done += 1
            elif not _wait_for_due(lane) and not (stay and stay()):
                break
    return done


def _one(lane: str, stop_at: float, transports: Transports) -> bool:
    """One piece of each sort of work in the lane, so that none starves another."""
    if lane == "receipts":
        merged = merge_next()
        answered = handle_next()
        recalled = recall_next(transports, stop_at)
        return poll_next(transports, stop_at) or recalled or answered or bool(merged)
    expanded = _expand(lane) or release_next(lane)
    sent = send_next(lane, stop_at, transports, partial(expand_next, lane) if lane in LISTENED else None)
    return follow_up_next(lane) or sent or expanded


def _expand(lane: str) -> bool:
    """A chunk of a large campaign, or as many of a few messages as fit into a moment: those that come over the API."""
    end = boottime() + EXPAND_SECONDS
    expanded = False
    while expand_next(lane):
        expanded = True
        if boottime() >= end:
            break
    return expanded


def _wait_for_due(lane: str) -> bool:
    """Rests where a batch will be due within a second (a paced campaign, a retry); False where nothing will."""
    with connection.cursor() as cursor:
        cursor.execute(NEXT_DUE, [list(session_kinds()), lane])
        wait = cursor.fetchone()[0]
    if wait is None:
        return False
    wait = min(1.0, max(0.01, float(wait)))
    if lane in LISTENED:
        listen(lane, wait)
    else:
        time.sleep(wait)
    return True
