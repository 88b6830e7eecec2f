"""What kind of trouble with the database an error is, and what helps against a deadlock."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import structlog
from django.db import DatabaseError, InterfaceError, OperationalError, connection

P = ParamSpec("P")
T = TypeVar("T")
DEADLOCK = "40P01"
DEADLOCK_TRIES = 5

log = structlog.get_logger(__name__)


def connection_lost(error: BaseException) -> bool:
    """Whether the database went away, rather than refused what we asked.

    psycopg2 says "server closed the connection unexpectedly" as a bare DatabaseError; faults of ours are subclasses.
    """
    return isinstance(error, OperationalError | InterfaceError) or type(error) is DatabaseError


def again_after_deadlock(work: Callable[P, T]) -> Callable[P, T]:
    """Does `work`, which is one whole transaction, anew where Postgres ended it to break a deadlock; five times at most.

    Those who write thousands of rows lock them in the order of their ids, but what comes of one row may concern another that
    is in somebody else's hands. Nothing of the transaction is left then, so doing it again is all there is to do.
    """

    @wraps(work)
    def done(*arguments: P.args, **named: P.kwargs) -> T:
        for left in reversed(range(DEADLOCK_TRIES)):
            try:
                return work(*arguments, **named)
            except OperationalError as error:
                if not left or connection.in_atomic_block or getattr(error.__cause__, "pgcode", "") != DEADLOCK:
                    raise
                log.info("again_after_deadlock", work=work.__name__)
        raise AssertionError("the last try returns or raises")

    return done
