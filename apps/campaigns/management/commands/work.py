"""`manage.py work LANE`: the worker of one lane. One queue per process: a worker on two can lose a job between them.

The worker of one-time passwords forks for no job: it listens, and has its connections open when the bell rings.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Any

import structlog
from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import DatabaseError, InterfaceError, close_old_connections, connection, connections
from django_rq import get_queue
from rq import Worker
from rq.serializers import JSONSerializer

from apps.campaigns.tasks import drain, spare_the_collector
from ums_site.database import connection_lost
from ums_site.queues import LANES, LISTENED, listen

log = structlog.get_logger(__name__)
IDLE_SECONDS = 0.5


class Command(BaseCommand):
    help = "Answers the bells of one lane (otp, notice, bulk, receipts, work)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("lane", choices=LANES)
        parser.add_argument("--direct", action="store_true", help="without Redis: look into Postgres every half second")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["direct"] or options["lane"] in LISTENED:
            self._direct(options["lane"], deaf=options["direct"])
            return
        queue = get_queue(options["lane"])
        connections.close_all()  # a work-horse is a fork: it must not share its parent's connection
        worker = Worker(
            [queue],
            connection=queue.connection,
            serializer=JSONSerializer,
            worker_ttl=60,
            log_job_description=False,
            maintenance_interval=600,
        )
        worker.work(logging_level="WARNING", with_scheduler=False)

    def _direct(self, lane: str, deaf: bool) -> None:
        stop = threading.Event()

        def stay() -> bool:
            if not stop.is_set():
                listen(lane, IDLE_SECONDS)
            return not stop.is_set()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_given: stop.set())
        spare_the_collector()
        while not stop.is_set():
            if not self._drained(lane, None if deaf else stay):
                stop.wait(IDLE_SECONDS)

    def _drained(self, lane: str, stay: Callable[[], bool] | None) -> int:
        """How many pieces of work were done; a database that is away is waited for."""
        try:
            close_old_connections()
            return drain(lane, settings.UMS_TIMERS.slice, stay)
        except (DatabaseError, InterfaceError) as away:
            if not connection_lost(away):
                raise
            log.warning("worker_waits_for_database", lane=lane, error=type(away).__name__)
            connection.close()
            return 0
