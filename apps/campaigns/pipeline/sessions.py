"""One account's sessions as dispatch sees them: whenever they are polled, what came in is stored and then acknowledged.

So receipts flow while a batch is being sent, and one that was not written stays the gateway's to tell again: after a
crash, or while the database is away.
"""

from __future__ import annotations

from typing import Any

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from apps.campaigns.pipeline import inbox
from apps.channels.contract import Answer, InboundPdu, Request, SessionLink, SessionRequest, TransportFault
from apps.channels.inbound import joined
from apps.channels.transport.session import SessionClient
from ums_site.clock import boottime
from ums_site.database import connection_lost
from ums_site.queues import ring

log = structlog.get_logger(__name__)
PER_BODY = 50  # requests in one body of the inbox: what finds no delivery yet is tried again with its neighbours
AGAIN_SECONDS = 1.0
FASTEST = 100_000  # more than any window holds


class Sessions:
    """A session client of one account, with the face of the other clients."""

    def __init__(self, account_id: int, client: SessionClient) -> None:
        self.account_id = account_id
        self.client = client
        self.stored = 0
        self._waiting: list[InboundPdu] = []
        self._store_at = 0.0

    @property
    def in_flight(self) -> int:
        return self.client.in_flight

    @property
    def up(self) -> bool:
        return self.client.up

    @property
    def most_at_once(self) -> int:
        """How many messages of one part a slow link begins before it is too late for them; two windows are open."""
        rate = self.client.pace.rate
        return max(1, int(rate * settings.UMS_TIMERS.start_by / 3)) if rate else FASTEST

    def open(self, link: SessionLink) -> None:
        self.client.open(link)

    def start(self, tag: Any, request: Request, start_by: float | None = None) -> None:
        assert isinstance(request, SessionRequest)
        self.client.start(tag, request, start_by)

    def call_off(self) -> None:
        self.client.call_off()

    def poll(self, timeout_s: float) -> list[tuple[Any, Answer | TransportFault]]:
        """As the clients do. What came in meanwhile is in the inbox and acknowledged, or kept for the next poll."""
        answers: list[tuple[Any, Answer | TransportFault]] = list(self.client.poll(timeout_s))
        self._waiting += self.client.inbound()
        if self._waiting and boottime() >= self._store_at and not connection.in_atomic_block:
            self._store()
        return answers

    def close(self) -> None:
        self.client.close()

    def _store(self) -> None:
        before = self.stored
        try:
            while self._waiting:
                some = self._waiting[:PER_BODY]
                inbox.store(account_id=self.account_id, headers={}, query={}, body=joined(some))
                del self._waiting[: len(some)]
                self.stored += len(some)
                for one in some:
                    self.client.acknowledge(one)
        except (DatabaseError, InterfaceError) as away:
            if not connection_lost(away):
                raise
            log.warning("inbound_waits_for_database", waiting=len(self._waiting), error=type(away).__name__)
            connection.close()
            self._store_at = boottime() + AGAIN_SECONDS
        if self.stored > before:
            ring("receipts")
