"""A database connection that died between two requests, found out by the request's own first statement."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection

Done = TypeVar("Done")


def again_if_lost(work: Callable[[], Done]) -> Done:
    """What `work` returns; where its connection is lost on the way, `work` is done once more on a new one.

    Only for work that may be done twice: a read, or a transaction that finds what it wrote before. It saves the question
    that Django puts before the first statement of a request (CONN_HEALTH_CHECKS). Inside a transaction it is `work` alone.
    """
    held = connection.connection
    if held is None or connection.in_atomic_block:
        return work()
    connection.health_check_done = True
    try:
        return work()
    except (OperationalError, InterfaceError):
        if not held.closed:
            raise
        if connection.connection is held:  # the end of a transaction has taken a new one already
            connection.close()
        return work()
