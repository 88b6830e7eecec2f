"""`manage.py beat`: the idempotent statements of every second. Any number of copies may run."""

from __future__ import annotations

import signal
import threading
from datetime import timedelta
from typing import Any

import structlog
from django.core.management.base import BaseCommand, CommandParser
from django.db import DatabaseError, InterfaceError, close_old_connections, connection

from apps.campaigns.pipeline import address_space, contacts, pulse
from apps.campaigns.pipeline.reap import tick
from apps.channels.prices import bring_into_force
from apps.partners.models import IdempotencyKey
from ums_site import partitions
from ums_site.clock import boottime, database_now
from ums_site.database import connection_lost

log = structlog.get_logger(__name__)
PARTITIONS_EVERY = 600.0
PRICES_EVERY = 60.0
KEYS_KEPT = timedelta(days=7)


class Command(BaseCommand):
    help = "Launches what is due, takes back lost leases, finishes campaigns, makes partitions, rings the lanes."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--every", type=float, default=1.0, help="seconds between two rounds")
        parser.add_argument("--once", action="store_true", help="one round, then exit")

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_given: stop.set())
        housekeeping_at = prices_at = 0.0
        while not stop.is_set():
            if boottime() >= housekeeping_at and self._round(_housekeeping):
                housekeeping_at = boottime() + PARTITIONS_EVERY
            if boottime() >= prices_at and self._round(bring_into_force):
                prices_at = boottime() + PRICES_EVERY
            self._round(tick)
            if options["once"]:
                return
            stop.wait(options["every"])

    def _round(self, work: Any) -> bool:
        """One round; a database that is away is waited for."""
        try:
            close_old_connections()
            work()
        except (DatabaseError, InterfaceError) as away:
            if not connection_lost(away):
                raise
            log.warning("beat_waits_for_database", error=type(away).__name__)
            connection.close()
            return False
        return True


def _housekeeping() -> None:
    now = database_now()
    partitions.ensure(now.date())
    address_space.forget()
    contacts.forget()
    pulse.forget()
    IdempotencyKey.objects.filter(created_at__lt=now - KEYS_KEPT).delete()
