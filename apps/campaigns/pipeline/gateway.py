"""Gateway: one long-lived process for an account that keeps a session. It sends the account's batches – leased like any
other – and takes in what comes over the session. Several for one account share its batches.

Nothing is leased while no session is up. What the gateway answers to a login is written into the account's breaker, where
operators see it, and taken back by whichever gateway has a session.
"""

from __future__ import annotations

import threading

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections, connection

from apps.campaigns.pipeline.dispatch import send_next_of
from apps.campaigns.pipeline.lease import close_breaker, open_breaker
from apps.campaigns.pipeline.sessions import Sessions
from apps.campaigns.pipeline.transports import Transports
from apps.channels.contract import SessionAnswer, TransportFault
from apps.channels.models import ChannelAccount
from apps.channels.registry import adapter
from apps.channels.services import opened
from apps.channels.transport.session import SessionClient
from ums_site.clock import boottime
from ums_site.database import connection_lost

log = structlog.get_logger(__name__)
LOOK_SECONDS = 0.2  # between two looks for a due batch while there is none
READ_SECONDS = 1.0  # between two looks at the account's own row
TURN_SECONDS = 5.0  # a batch that takes longer is given back and leased again, so that a stop is not long in coming
NO_SESSION = "no session: "


class _OneAccount(Transports):
    """The connections of a gateway: its own account's, which outlive a turn."""

    def __init__(self, sessions: Sessions) -> None:
        super().__init__()
        self.sessions = sessions

    def of(self, account: ChannelAccount) -> Sessions:
        """The account's windows are kept to what the link can begin in time: the rest would be intended in vain."""
        account.max_in_flight = min(account.max_in_flight, self.sessions.most_at_once)
        return self.sessions


class Gateway:
    """Runs for the account with this id until it is stopped or the account is gone."""

    def __init__(self, account_id: int) -> None:
        self.account_id = account_id
        self.sessions = Sessions(account_id, SessionClient(timeout_s=settings.UMS_TIMERS.t_http))
        self._transports = _OneAccount(self.sessions)
        self._account: ChannelAccount | None = None
        self._read_at = self._look_at = 0.0
        self._said: object = None

    def run(self, stop: threading.Event) -> None:
        try:
            while not stop.is_set() and self._round():
                pass
        finally:
            self.sessions.close()

    def _round(self) -> bool:
        """One round; False where the account is gone. A database that is away is waited for, the session stays up."""
        try:
            if boottime() >= self._read_at and not self._read():
                return False
            if self._account is not None and self.sessions.up and boottime() >= self._look_at:
                if send_next_of(self.account_id, boottime() + TURN_SECONDS, self._transports):
                    return True
                self._look_at = boottime() + LOOK_SECONDS
        except (DatabaseError, InterfaceError) as away:
            if not connection_lost(away):
                raise
            log.warning("gateway_waits_for_database", error=type(away).__name__)
            connection.close()
            self._read_at = self._look_at = boottime() + READ_SECONDS
        for _tag, _answer in self.sessions.poll(LOOK_SECONDS):
            log.error("answer_without_a_call")
        return True

    def _read(self) -> bool:
        """Reads the account anew: its settings may have changed, its breaker may be ours to open or close."""
        self._read_at = boottime() + READ_SECONDS
        close_old_connections()
        self._account = ChannelAccount.objects.filter(pk=self.account_id).first()
        if self._account is None:
            return False
        account = opened(self._account)
        self.sessions.open(adapter(account.kind).session(account))
        if self.sessions.up:
            self._up(self._account)
        else:
            self._down(self._account)
        return True

    def _up(self, row: ChannelAccount) -> None:
        if self._said is not True:
            log.info("session_up", account=row.code, sessions=self.sessions.client.sessions)
            self._said = True
        if row.faults and row.open_reason.startswith(NO_SESSION):
            close_breaker(row)

    def _down(self, row: ChannelAccount) -> None:
        """Says once for each try that came to nothing why there is no session."""
        refused = self.sessions.client.refused
        if refused is None or refused is self._said:
            return
        self._said = refused
        if isinstance(refused, TransportFault):
            code, words = refused.code, refused.words
        else:
            assert isinstance(refused, SessionAnswer)
            outcome = adapter(row.kind).read(opened(row), [], refused)
            assert not isinstance(outcome, list)
            code, words = getattr(outcome, "code", ""), getattr(outcome, "words", "")
        log.warning("no_session", account=row.code, code=code)
        if not self._somebody_sends(row):
            open_breaker(row, NO_SESSION + words)

    def _somebody_sends(self, row: ChannelAccount) -> bool:
        """Whether another gateway of this account is at work: then it is only this one that is not let in."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT EXISTS (SELECT 1 FROM campaigns_batch WHERE account_id = %s AND state = 'LEASED' "
                "AND lease_until > now())",
                [row.pk],
            )
            return bool(cursor.fetchone()[0])
