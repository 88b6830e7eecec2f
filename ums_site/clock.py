"""Two clocks. Rows carry the database's time; deadlines of a process count on the boot clock.

`CLOCK_BOOTTIME` goes on while a machine is suspended, which `time.monotonic()` does not: a dispatcher that was frozen
between intent and send must see that its time is over.
"""

from __future__ import annotations

import time
from datetime import datetime

from django.db import connection


def boottime() -> float:
    """Seconds since boot, suspension included. Only differences mean anything."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def database_now() -> datetime:
    """The database's clock, aware; the time of this moment, not of the transaction's start."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]


def transaction_now() -> datetime:
    """The database's clock, aware, as now() reads in every statement of the open transaction: its start."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        return cursor.fetchone()[0]
