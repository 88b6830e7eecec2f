"""One connection of a session link: its socket, its window of unanswered requests, and what is certain when it breaks.

A message's first part goes out alone, and the others only once it was taken: a refusal then refuses the whole message,
and half-accepted ones are rare. Where a later part meets a gateway that is too busy, it is sent again while time is left.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from apps.channels.contract import InboundPdu, PartAnswer, SessionAnswer, SessionLink, SessionRequest, TransportFault
from apps.channels.transport.pace import PAUSE_S, Pace
from apps.channels.transport.session_talk import Broken, Talk

READ, BOTH = 1, 3  # selectors.EVENT_READ, and both
CONNECT_S = 10.0
GOODBYE_S = 1.0
Outcome = SessionAnswer | TransportFault


@dataclass(slots=True, eq=False)
class Message:
    """One request on its way: what was said to each part so far; `deadline` counts from its first octet."""

    tag: object
    request: SessionRequest = field(repr=False)
    start_by: float | None
    deadline: float = 0.0
    answers: dict[int, PartAnswer] = field(default_factory=dict)
    moved: bool = False
    done: bool = False

    @property
    def taken(self) -> bool:
        """Whether the gateway has taken any part."""
        return any(answer.status == 0 for answer in self.answers.values())


class Owner(Protocol):
    """What a connection asks of the client it belongs to."""

    pace: Pace
    timeout_s: float

    def pull(self, link: SessionLink) -> Message | None: ...
    def finish(self, message: Message, outcome: Outcome) -> None: ...
    def give_back(self, message: Message) -> None: ...
    def came(self, inbound: InboundPdu) -> None: ...
    def listen(self, connection: Connection, events: int) -> None: ...
    def gone(self, connection: Connection, reason: Outcome | None) -> None: ...


class Connection:
    """From the name look-up to the goodbye. `names` gives the socket addresses."""

    def __init__(
        self, owner: Owner, link: SessionLink, talk: Talk, names: Future[list[Any]], tls: ssl.SSLContext | None
    ) -> None:
        self.owner, self.link, self.talk, self.tls = owner, link, talk, tls
        self.sock: socket.socket | None = None
        self.events = 0
        self.retired = False  # takes nothing new, and leaves when the rest is finished
        self.leaving = self.ended = False
        self.names: Future[list[Any]] | None = names
        self.targets: list[Any] = []
        self.stage = "resolve"
        self.written = 0
        self.unanswered: dict[int, tuple[Message, int, int]] = {}  # sequence -> message, part, end in the stream
        self.rest: deque[tuple[Message, int]] = deque()  # parts of begun messages, to be written next
        self.open: dict[Message, None] = {}  # begun and not finished, in order
        self.ready_by = time.monotonic() + min(CONNECT_S, owner.timeout_s)
        self.heard_at = time.monotonic()
        self.probed_at: float | None = None

    @property
    def sends(self) -> bool:
        return self.talk.up and not self.talk.over and not self.retired and self.talk.role != "receiver"

    # --- the way in

    def resolved(self) -> None:
        """Goes on once the name look-up has ended."""
        if self.names is None or not self.names.done():
            return
        names, self.names = self.names, None
        try:
            self.targets = list(names.result())
        except OSError:
            self.fail("resolve", "The host name of the gateway cannot be resolved.")
            return
        self.connect_next()

    def connect_next(self) -> None:
        self._drop_socket()
        if not self.targets:
            self.fail("connect", "The gateway cannot be reached.")
            return
        family, kind, proto, _name, where = self.targets.pop(0)
        try:
            self.sock = socket.socket(family, kind, proto)
            self.sock.setblocking(False)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sock.connect_ex(where)
        except OSError:
            self.connect_next()
            return
        self.stage = "connect"
        self._listen(BOTH)

    def on_event(self) -> None:
        try:
            if self.stage == "connect":
                self._connected()
            elif self.stage == "handshake":
                self._handshake()
            else:
                self._receive()
        except Broken as broken:
            self.fail(*broken.args)
        except ssl.SSLCertVerificationError:
            self.fail("certificate", "The gateway's certificate is not trusted.")
        except ssl.SSLError:
            self.fail("tls", "The TLS connection broke.")
        except OSError:
            self.fail("reset", "The connection to the gateway broke.")

    def _connected(self) -> None:
        assert self.sock is not None
        if self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.connect_next()
        elif self.tls is not None:
            self.sock = self.tls.wrap_socket(self.sock, server_hostname=self.link.host, do_handshake_on_connect=False)
            self.stage = "handshake"
            self._handshake()
        else:
            self._greet()

    def _handshake(self) -> None:
        assert isinstance(self.sock, ssl.SSLSocket)
        try:
            self.sock.do_handshake()
        except ssl.SSLWantReadError:
            self._listen(READ)
        except ssl.SSLWantWriteError:
            self._listen(BOTH)
        else:
            self._greet()

    def _greet(self) -> None:
        self.stage = "talk"
        self.talk.greet(datetime.now(UTC))
        self.flush()

    # --- octets

    def _receive(self) -> None:
        assert self.sock is not None
        while True:
            try:
                received = self.sock.recv(65536)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                break
            if not received:
                self.fail("reset", "The gateway closed the connection.")
                return
            self.heard_at, self.probed_at = time.monotonic(), None
            try:
                self.talk.feed(received)
            finally:
                self._note()
            if len(received) < 65536 and not isinstance(self.sock, ssl.SSLSocket):
                break
        self.fill()

    def _note(self) -> None:
        """Passes on what the talk has heard."""
        answers, self.talk.answers = self.talk.answers, []
        for sequence, answer in answers:
            self._answered(sequence, answer)
        if self.talk.came:
            came, self.talk.came = self.talk.came, []
            now = datetime.now(UTC)
            for request in came:
                self.owner.came(InboundPdu(request, now, self))

    def flush(self) -> None:
        """Writes what there is to say, and ends a session that is over."""
        out = self.talk.out
        if out and self.sock is not None and self.stage == "talk":
            try:
                count = self.sock.send(out)
                self.written += count
                del out[:count]
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                pass
            except OSError:
                self.fail("reset", "The connection to the gateway broke.")
                return
            self._listen(BOTH if out else READ)
        if self.talk.over:
            refused = self.talk.refused
            self._end("reset", "The gateway ended the session.", SessionAnswer("bind", (refused,)) if refused else None)

    def _listen(self, events: int) -> None:
        if events != self.events and self.sock is not None:
            self.owner.listen(self, events)
            self.events = events

    # --- messages

    def fill(self) -> None:
        """Writes as many requests as the window and the pace allow."""
        now = time.monotonic()
        while self.sends and len(self.unanswered) < self.link.window:
            while self.rest and self.rest[0][0].done:
                self.rest.popleft()
            if self.owner.pace.next_in(now) or (not self.rest and not self._begin(now)):
                break
            if not self.owner.pace.take(now):
                break
            message, part = self.rest.popleft()
            sequence = self.talk.submit(message.request.parts[part])
            self.unanswered[sequence] = (message, part, self.talk.queued)
        if self.retired and not self.open and not self.leaving:
            self.leaving = True
            self.ready_by = now + GOODBYE_S
            self.talk.leave()
        self.flush()

    def _begin(self, now: float) -> bool:
        message = self.owner.pull(self.link)
        if message is None:
            return False
        message.deadline = now + self.owner.timeout_s
        self.open[message] = None
        self.rest.append((message, 0))
        return True

    def _answered(self, sequence: int, answer: PartAnswer) -> None:
        message, part, _end = self.unanswered.pop(sequence, (None, 0, 0))
        now = time.monotonic()
        if self.talk.throttles(answer):
            self.owner.pace.too_fast(now)
        else:
            self.owner.pace.went_well(now)
        if message is None or message.done:
            return
        message.answers[part] = answer
        parts = len(message.request.parts)
        if part == 0 and answer.status:
            self._finish(message, SessionAnswer("submit", (answer,)))
        elif part == 0 and parts > 1:
            self.rest.extendleft((message, number) for number in range(parts - 1, 0, -1))
        elif self.talk.throttles(answer) and now + 2 * PAUSE_S < message.deadline:
            del message.answers[part]
            self.rest.appendleft((message, part))
        elif len(message.answers) == parts:
            self._finish(message, SessionAnswer("submit", tuple(message.answers[number] for number in range(parts))))

    def _finish(self, message: Message, outcome: Outcome) -> None:
        del self.open[message]
        message.done = True
        self.owner.finish(message, outcome)

    def check_time(self, now: float) -> None:
        """Ends what has taken too long: the way in, a message, a silence."""
        if not self.talk.up or self.leaving:
            if now >= self.ready_by:
                self.fail("timeout", "The gateway was not ready within the time allowed.")
            return
        while self.open and now >= (late := next(iter(self.open))).deadline:
            self._late(late)
        for sequence, (message, _part, _end) in list(self.unanswered.items()):
            if now >= message.deadline + self.owner.timeout_s:  # its place in the window is free again
                del self.unanswered[sequence]
        if self.probed_at is not None:
            if now - self.probed_at >= self.owner.timeout_s:
                self.fail("silent", "The gateway does not answer any more.")
        elif now - self.heard_at >= self.link.idle_s:
            self._probe(now)

    def _late(self, message: Message) -> None:
        """No answer in time: the outcome is open if any part was handed over, or still stands in `out`."""
        waiting = any(one[0] is message for one in self.unanswered.values())
        sent = message.taken or waiting
        self._finish(message, TransportFault(sent, "timeout", "No answer within the time allowed."))
        if waiting and self.probed_at is None:
            self._probe(time.monotonic())

    def _probe(self, now: float) -> None:
        self.probed_at = now
        self.talk.probe()
        self.flush()

    # --- the end

    def fail(self, code: str, words: str) -> None:
        self._end(code, words, None if self.talk.up else TransportFault(False, code, words))

    def _end(self, code: str, words: str, reason: Outcome | None) -> None:
        """The connection is gone: says for each open message what is certain. `reason`: why it never came up."""
        if self.ended:
            return
        self.ended = self.talk.over = True
        handed = {message for message, _part, end in self.unanswered.values() if end <= self.written}
        for message in list(self.open)[::-1]:
            if message.taken or message in handed:
                self._finish(message, TransportFault(True, code, words))
            elif message.moved:
                self._finish(message, TransportFault(False, code, words))
            else:
                del self.open[message]
                self.owner.give_back(message)
        self.unanswered.clear()
        self.rest.clear()
        self._drop_socket()
        self.owner.gone(self, reason)

    def retire(self) -> None:
        """No new message from now on; leaves when the begun ones are finished."""
        if not self.talk.up:
            self._end("closed", "The session was closed.", None)
            return
        self.retired = True
        self.fill()

    def leave(self) -> None:
        """Says goodbye at once and closes, whatever is under way."""
        if self.talk.up and not self.talk.over:
            self.talk.leave()
            self.flush()
        self._end("closed", "The session was closed.", None)

    def acknowledge(self, request: bytes) -> None:
        """Answers a request of the gateway; where the session is gone it will come again over another."""
        if not self.ended:
            self.talk.acknowledge(request)
            self.flush()

    def _drop_socket(self) -> None:
        if self.sock is not None:
            self.owner.listen(self, 0)
            self.sock.close()
            self.sock, self.events = None, 0
