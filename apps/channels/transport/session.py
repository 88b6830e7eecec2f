"""Sessions out: connections that stay logged in to one gateway, on one thread.

`start`, `poll`, `in_flight` and `close` are those of the HTTP client. Beyond them a session is kept open without any
message (`open`), and what the gateway asks of us – receipts – is taken with `inbound` and answered with `acknowledge`
once it is stored. What one connection does stands in session_connection.py.
"""

from __future__ import annotations

import random
import selectors
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from apps.channels.contract import InboundPdu, SessionLink, SessionRequest, TransportFault
from apps.channels.transport.cmpp_session import CmppTalk
from apps.channels.transport.pace import Pace
from apps.channels.transport.session_connection import Connection, Message, Outcome
from apps.channels.transport.session_talk import MakeTalk
from apps.channels.transport.smpp_session import SmppTalk

SWEEP_S = 0.1
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 60.0
NOT_STARTED = TransportFault(False, "not_started", "The message was not begun in time.")
TALKS: dict[str, MakeTalk] = {"smpp": SmppTalk, "cmpp": CmppTalk}


class SessionClient:
    """Keeps `SessionLink.binds` connections to one gateway and sends over them.

    timeout_s   wall clock of logging in, and of one message from its first octet to its last answer, in seconds
    tls         how to check a gateway of security "tls"; None for the system's trusted roots
    chance      0 to 1, spreads the times of reconnecting
    """

    def __init__(
        self,
        timeout_s: float = 10.0,
        tls: ssl.SSLContext | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.timeout_s = timeout_s
        self.pace = Pace()
        self.refused: Outcome | None = None
        self._tls = tls
        self._chance = chance
        self._link: SessionLink | None = None
        self._connections: list[Connection] = []
        self._waiting: deque[Message] = deque()
        self._done: list[tuple[object, Outcome]] = []
        self._came: list[InboundPdu] = []
        self._count = 0
        self._failures = 0
        self._open_at = 0.0
        self._swept_at = 0.0
        self._selector = selectors.DefaultSelector()
        self._names = ThreadPoolExecutor(1, "session-names")

    @property
    def in_flight(self) -> int:
        """Messages started and not yet given back by `poll`."""
        return self._count

    @property
    def up(self) -> bool:
        """Whether a message could go out now. While it is False, `refused` says why the last try came to nothing."""
        return any(one.sends for one in self._connections)

    @property
    def sessions(self) -> int:
        """Connections that are logged in now."""
        return sum(one.talk.up and not one.ended for one in self._connections)

    def open(self, link: SessionLink) -> None:
        """Keeps sessions of this link from now on; those of another one finish what they have begun and leave.

        What waited for the other link and was not begun is given back as not begun.
        """
        if link == self._link:
            return
        waiting, self._waiting = self._waiting, deque()
        for message in waiting:
            self.finish(message, NOT_STARTED)
        self._link, self.pace = link, Pace(link.per_second)
        self._failures, self._open_at, self.refused = 0, 0.0, None
        for one in list(self._connections):
            one.retire()

    def start(self, tag: object, request: SessionRequest, start_by: float | None = None) -> None:
        """Takes a message; `poll` returns it with `tag`. Not begun by `start_by` (CLOCK_BOOTTIME, s), it never is."""
        self.open(request.link)
        self._count += 1
        message = Message(tag, request, start_by)
        if request.parts:
            self._waiting.append(message)
        else:
            self.finish(message, TransportFault(False, "empty", "The message has no part."))

    def call_off(self) -> None:
        """What still waits for a session is not begun any more: `poll` gives it back so."""
        waiting, self._waiting = self._waiting, deque()
        for message in waiting:
            self.finish(message, NOT_STARTED)

    def poll(self, timeout_s: float) -> list[tuple[object, Outcome]]:
        """Drives all sessions; returns what is finished, at once if something is or came in, else within `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while True:
            now = time.monotonic()
            self._tend(now)
            left = deadline - now
            wait = 0.0 if self._done or self._came else max(0.0, min(left, self._pause(now)))
            for key, _events in self._selector.select(wait):
                key.data.on_event()
            if self._done or self._came or left <= 0:
                done, self._done = self._done, []
                self._count -= len(done)
                return done

    def inbound(self) -> list[InboundPdu]:
        """What the gateway asked since the last call. It waits for `acknowledge` of each, and repeats it otherwise."""
        came, self._came = self._came, []
        return came

    def acknowledge(self, inbound: InboundPdu) -> None:
        """Tells the gateway that this is stored, over the connection that it came by, if that still stands."""
        if isinstance(inbound.origin, Connection):
            inbound.origin.acknowledge(inbound.pdu)

    def close(self) -> None:
        """Says goodbye on all connections and drops what is under way."""
        self._link = None
        for one in list(self._connections):
            one.leave()
        self._names.shutdown(wait=False, cancel_futures=True)
        self._selector.close()

    # --- staffing

    def _tend(self, now: float) -> None:
        sweep = now - self._swept_at >= SWEEP_S
        if sweep:
            self._swept_at = now
        self._staff(now)
        for one in list(self._connections):
            if one.names is not None:
                one.resolved()
            if sweep and not one.ended:
                one.check_time(now)
            if one.sends and (self._waiting or one.rest):
                one.fill()
        if sweep and self._waiting:
            self._drop_late()

    def _pause(self, now: float) -> float:
        """How long nothing but the sockets needs attention."""
        if any(one.names is not None for one in self._connections):
            return 0.005
        paced = self.pace.next_in(now)
        return min(SWEEP_S, paced) if paced and self._waiting else SWEEP_S

    def _staff(self, now: float) -> None:
        """Opens the connections that the link should have and has not, unless a failed one was just tried."""
        link = self._link
        if link is None or now < self._open_at:
            return
        have = [one.talk.role for one in self._connections if one.link is link and not one.retired]
        for role in _roles(link):
            if role in have:
                have.remove(role)
            else:
                self._connections.append(self._connection(link, role))

    def _connection(self, link: SessionLink, role: str) -> Connection:
        tls = (self._tls or ssl.create_default_context()) if link.security == "tls" else None
        return Connection(self, link, TALKS[link.protocol](link, role), self._look_up(link), tls)

    def _look_up(self, link: SessionLink) -> Future[list[Any]]:
        """Socket addresses of the gateway; a name is resolved beside this thread, an address at once."""
        try:
            found: Future[list[Any]] = Future()
            found.set_result(
                socket.getaddrinfo(link.host, link.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
            )
            return found
        except OSError:
            return self._names.submit(socket.getaddrinfo, link.host, link.port, 0, socket.SOCK_STREAM)

    def _drop_late(self) -> None:
        """Gives back what waited too long for a session."""
        boot = time.clock_gettime(time.CLOCK_BOOTTIME)
        waiting = self._waiting
        self._waiting = deque()
        for message in waiting:
            if message.start_by is not None and boot >= message.start_by:
                self.finish(message, NOT_STARTED)
            else:
                self._waiting.append(message)

    # --- what connections ask

    def pull(self, link: SessionLink) -> Message | None:
        """The next message for this link that is in time."""
        while self._waiting and self._waiting[0].request.link == link:
            message = self._waiting.popleft()
            if message.start_by is not None and time.clock_gettime(time.CLOCK_BOOTTIME) >= message.start_by:
                self.finish(message, NOT_STARTED)
                continue
            return message
        return None

    def finish(self, message: Message, outcome: Outcome) -> None:
        """Keeps an outcome for the next `poll`."""
        self._done.append((message.tag, outcome))

    def give_back(self, message: Message) -> None:
        """A message of which the gateway has nothing goes out over another connection, once."""
        message.moved = True
        self._waiting.appendleft(message)

    def came(self, inbound: InboundPdu) -> None:
        self._came.append(inbound)

    def listen(self, connection: Connection, events: int) -> None:
        assert connection.sock is not None
        if not events:
            if connection.events:
                self._selector.unregister(connection.sock)
        elif connection.events:
            self._selector.modify(connection.sock, events, connection)
        else:
            self._selector.register(connection.sock, events, connection)

    def gone(self, connection: Connection, reason: Outcome | None) -> None:
        """A connection has ended; with `reason` it never came up. The next try waits longer each time one does not."""
        self._connections.remove(connection)
        if connection.link is not self._link:
            return
        self._failures = self._failures + 1 if reason is not None else 0
        pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(self._failures, 10))
        self._open_at = time.monotonic() + pause * (0.5 + self._chance() / 2)
        others = [one for one in self._connections if one.link is self._link and one.talk.role != "receiver"]
        if reason is None or others:
            return
        self.refused = reason
        waiting, self._waiting = self._waiting, deque()
        for message in waiting:
            self.finish(message, reason)


def _roles(link: SessionLink) -> list[str]:
    if link.protocol == "smpp" and link.mode == "separate":
        return ["receiver", *["transmitter"] * link.binds]
    return ["transceiver"] * link.binds
