"""RQ as a doorbell: `ring` tells a lane's worker that Postgres has work. Losing a ring costs one beat interval.

A job carries the lane only. Rings of one lane coalesce: while one waits unheard, further ones add nothing. No retry, no
`unique`, no scheduler; the serializer is JSON, so that a writer in Redis cannot run code (see docs/decisions.md).
"""

from __future__ import annotations

import time
from functools import lru_cache

import structlog
from django.conf import settings
from django.db import transaction
from django_rq import get_connection, get_queue
from redis import Redis
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

LANES = ("otp", "notice", "bulk", "receipts", "work")
LISTENED = frozenset(
    {"otp"}
)  # their workers never sleep: a ring wakes them in milliseconds, where a job would fork first
BELL_SECONDS = 2
JOB = "apps.campaigns.tasks.answer_bell"


def ring(*lanes: str) -> None:
    """Rings these lanes once the open transaction commits (at once where none is open). Never raises for Redis."""
    for lane in lanes:
        transaction.on_commit(lambda lane=lane: ring_now(lane))  # type: ignore[misc]


def ring_now(lane: str) -> bool:
    """Rings at once; False where a ring already waits or Redis is away (beat will ring again)."""
    if lane not in LANES:
        raise ValueError(f"{lane!r} is not a lane; lanes are {', '.join(LANES)}")
    try:
        redis = _redis(lane)
        if not redis.set(_bell(lane), 1, nx=True, ex=BELL_SECONDS):
            return False
        if lane in LISTENED:
            redis.pipeline().lpush(_wake(lane), 1).expire(_wake(lane), BELL_SECONDS).execute()
        else:
            get_queue(lane, connection=redis).enqueue(JOB, lane, ttl=15, result_ttl=0, failure_ttl=86400)
    except RedisError as away:
        log.warning("ring_failed", lane=lane, error=type(away).__name__)
        return False
    return True


def heard(lane: str) -> None:
    """Called by the worker before it looks for work: rings from now on count again."""
    try:
        _redis(lane).delete(_bell(lane), _wake(lane))
    except RedisError as away:
        log.warning("bell_not_cleared", lane=lane, error=type(away).__name__)


def listen(lane: str, seconds: float) -> None:
    """Waits for a ring of a lane that is LISTENED to, `seconds` at most. Never raises for Redis: then it only waits."""
    try:
        if _redis(lane).blpop([_wake(lane)], timeout=seconds):
            heard(lane)
    except RedisError:
        time.sleep(seconds)


def _redis(lane: str) -> Redis:
    return _kept(lane, str(settings.RQ_QUEUES[lane]))


@lru_cache(maxsize=32)
def _kept(lane: str, _configuration: str) -> Redis:
    """One client, and so one pool of connections, a lane: a new one for every ring costs more than the ring."""
    return get_connection(lane)


def _bell(lane: str) -> str:
    return f"ums:bell:{lane}"


def _wake(lane: str) -> str:
    return f"ums:wake:{lane}"
