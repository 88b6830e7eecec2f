"""`manage.py gateways`: a gateway process for each account that keeps a session, started and stopped as accounts come and go.

Where gateways run as services of their own (one unit an account), this command is not needed.
"""

from __future__ import annotations

import signal
import sys
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import DatabaseError, InterfaceError, close_old_connections, connection

from apps.channels.registry import session_kinds
from ums_site import processes
from ums_site.database import connection_lost
from ums_site.ids import first_id_at
from ums_site.launcher import Launcher, prefixed

log = structlog.get_logger(__name__)
EVERY_SECONDS = 2.0
LISTENS_ON = timedelta(days=3)
WANTED = """
SELECT code FROM ums_channels_channelaccount a WHERE kind = ANY(%s) AND (
    state = 'ACTIVE' OR EXISTS (SELECT 1 FROM campaigns_batch WHERE account_id = a.id AND first_delivery_id >= %s))
"""


class Command(BaseCommand):
    help = "Runs a gateway for every account that keeps a session (SMPP, CMPP); notices new ones by itself."

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_given: stop.set())
        running: set[str] = set()
        with Launcher([], emit=prefixed(sys.stdout, colours=False), cwd=settings.BASE_DIR) as launcher:
            while not stop.is_set():
                running = staffed(launcher, running, wanted(running))
                stop.wait(EVERY_SECONDS)


def wanted(running: set[str]) -> set[str]:
    """Codes of the accounts that are to have a gateway; as before while the database is away.

    A paused account keeps its session for three days after its last batch: receipts for what it sent still come.
    """
    try:
        close_old_connections()
        since = first_id_at(datetime.now(UTC) - LISTENS_ON)
        with connection.cursor() as cursor:
            cursor.execute(WANTED, [list(session_kinds()), since])
            return {code for (code,) in cursor.fetchall()}
    except (DatabaseError, InterfaceError) as away:
        if not connection_lost(away):
            raise
        log.warning("gateways_wait_for_database", error=type(away).__name__)
        connection.close()
        return running


def staffed(launcher: Launcher, running: set[str], codes: set[str]) -> set[str]:
    """Starts what is missing and stops what is too many; returns what runs then."""
    for code in sorted(codes - running):
        launcher.add(processes.gateway(code))
    for code in sorted(running - codes):
        launcher.drop(processes.gateway(code).name)
    return codes
