"""SMTP out: several kept connections per server on one thread, each message with a hard wall-clock cap.

`start`, `poll`, `in_flight` and `close` are those of the HTTP client. What one connection says and what is certain when
it breaks stands in smtp_dialogue.py; here are sockets, TLS, names, time and the choice of how many connections.
"""

from __future__ import annotations

import re
import selectors
import socket
import ssl
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from apps.channels.contract import MailAnswer, MailRequest, SmtpServer, TransportFault
from apps.channels.transport.smtp_dialogue import Broken, Dialogue, Mail, Outcome

SWEEP_S = 0.1  # how often deadlines are looked at
FEWER_S = 5.0  # how long a server that refused one more connection is spared another try
READ = selectors.EVENT_READ
BOTH = selectors.EVENT_READ | selectors.EVENT_WRITE
NOT_STARTED = TransportFault(False, "not_started", "The message was not begun in time.")
_UNSAFE = re.compile(r"[\x00-\x20<>\x7f]")


class _Connection:
    """One socket with its dialogue, from the name look-up to the goodbye."""

    def __init__(self, pool: _Pool, client: SmtpClient) -> None:
        self.pool = pool
        self.client = client
        self.dialogue = Dialogue(pool.server, pool.pull, client.finish, pool.give_back, client.messages_per_connection)
        self.sock: socket.socket | None = None
        self.fd = -1
        self.stage = "resolve"
        self.written = 0
        self.events = 0
        self.deadline = time.monotonic() + client.timeout_s
        self.idle_since: float | None = None
        self.targets: list[Any] = []
        self.names: Future[list[Any]] | None = client.look_up(pool.server)

    def resolved(self) -> None:
        """Goes on once the name look-up has ended."""
        if self.names is None or not self.names.done():
            return
        names, self.names = self.names, None
        try:
            self.targets = list(names.result())
        except OSError:
            self.fail("resolve", "The host name of the mail server cannot be resolved.")
            return
        self.connect_next()

    def connect_next(self) -> None:
        self.drop_socket()
        if not self.targets:
            self.fail("connect", "The mail server cannot be reached.")
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
        self.fd = self.sock.fileno()
        self.stage = "connect"
        self.client.selector.register(self.fd, BOTH, self)
        self.events = BOTH

    def on_event(self) -> None:
        try:
            if self.stage == "connect":
                self.connected()
            elif self.stage == "handshake":
                self.handshake()
            else:
                self.receive()
        except Broken as broken:
            self.fail(*broken.args)
        except ssl.SSLCertVerificationError:
            self.fail("certificate", "The mail server's certificate is not trusted.")
        except ssl.SSLError:
            self.fail("tls", "The TLS connection broke.")
        except OSError:
            self.fail("reset", "The connection to the mail server broke.")

    def connected(self) -> None:
        assert self.sock is not None
        if self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.connect_next()
            return
        if self.pool.server.security == "tls":
            self.begin_tls()
        else:
            self.stage = "talk"
            self.listen(READ)

    def begin_tls(self) -> None:
        assert self.sock is not None
        self.sock = self.client.tls.wrap_socket(
            self.sock, server_hostname=self.pool.server.host, do_handshake_on_connect=False
        )
        self.stage = "handshake"
        self.handshake()

    def handshake(self) -> None:
        assert isinstance(self.sock, ssl.SSLSocket)
        try:
            self.sock.do_handshake()
        except ssl.SSLWantReadError:
            self.listen(READ)
            return
        except ssl.SSLWantWriteError:
            self.listen(BOTH)
            return
        self.stage = "talk"
        if self.dialogue.wants_tls:
            self.dialogue.wants_tls = False
            self.dialogue.secured = True
            self.dialogue.greet()
        self.flush()

    def receive(self) -> None:
        assert self.sock is not None
        while True:
            try:
                received = self.sock.recv(65536)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                break
            if not received:
                self.fail("reset", "The mail server closed the connection.")
                return
            self.dialogue.feed(received)
            if len(received) < 65536 and not isinstance(self.sock, ssl.SSLSocket):
                break
        if self.dialogue.wants_tls:
            self.begin_tls()
            return
        self.flush()

    def flush(self) -> None:
        """Writes what the dialogue has to say and ends a connection that is over."""
        dialogue = self.dialogue
        out = dialogue.out
        if out and self.sock is not None and not dialogue.over:
            try:
                count = self.sock.send(out)
                self.written += count  # inside TLS whole records only: part of one is nothing to the server
                del out[:count]
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                pass
            except OSError:
                self.fail("reset", "The connection to the mail server broke.")
                return
            self.listen(BOTH if out else READ)
        if dialogue.over:
            self.ended()

    def listen(self, events: int) -> None:
        if events != self.events and self.fd >= 0:
            self.client.selector.modify(self.fd, events, self)
            self.events = events

    def ended(self) -> None:
        """The dialogue is over: refused on the way in, or finished."""
        refused = self.dialogue.refused
        self.dialogue.lost(self.written, "reset", "The mail server closed the connection.")
        self.gone()
        if refused is not None:
            self.pool.not_opened(refused)

    def fail(self, code: str, words: str) -> None:
        opening = not self.dialogue.up and not self.dialogue.over
        self.dialogue.lost(self.written, code, words)
        self.gone()
        if opening:
            self.pool.not_opened(TransportFault(False, code, words))

    def leave(self) -> None:
        """Closes politely: QUIT, then whatever comes."""
        self.deadline = time.monotonic() + 1.0
        self.dialogue.quit()
        self.flush()

    def gone(self) -> None:
        self.drop_socket()
        self.pool.connections.discard(self)

    def drop_socket(self) -> None:
        if self.sock is not None:
            self.client.selector.unregister(self.fd)
            self.sock.close()
            self.sock, self.fd = None, -1

    def check_time(self, now: float) -> None:
        """Ends what has taken too long: the way in, a message, a goodbye; sends an idle connection home."""
        dialogue = self.dialogue
        if dialogue.open:
            self.idle_since = None
            if now >= next(iter(dialogue.open)).deadline:
                self.fail("timeout", "No reply within the time allowed.")
        elif not dialogue.idle:
            if now >= self.deadline:
                self.fail("timeout", "The mail server was not ready within the time allowed.")
        elif self.idle_since is None:
            self.idle_since = now
        elif now - self.idle_since >= self.client.idle_s:
            self.leave()


class _Pool:
    """All connections to one server and the messages that wait for one."""

    def __init__(self, server: SmtpServer, client: SmtpClient) -> None:
        self.server = server
        self.client = client
        self.waiting: deque[Mail] = deque()
        self.connections: set[_Connection] = set()
        self.limit = max(1, server.sessions)
        self.fewer_until = 0.0

    def pull(self) -> Mail | None:
        """The next message in time; one that is late is given back as not begun."""
        while self.waiting:
            mail = self.waiting.popleft()
            if mail.start_by is not None and time.clock_gettime(time.CLOCK_BOOTTIME) >= mail.start_by:
                self.client.finish(mail, NOT_STARTED)
                continue
            mail.deadline = time.monotonic() + self.client.timeout_s
            return mail
        return None

    def give_back(self, mail: Mail) -> None:
        mail.moved = True
        mail.dot_at = 0
        self.waiting.appendleft(mail)

    def staff(self, now: float) -> None:
        """Puts idle connections to work and opens more while more messages wait than connections are coming up."""
        if not self.waiting:
            return
        coming = 0
        for one in list(self.connections):
            if one.dialogue.idle:
                one.dialogue.advance()
                one.flush()
            elif not one.dialogue.up:
                coming += 1
        if now >= self.fewer_until:
            self.limit = max(1, self.server.sessions)
        while len(self.waiting) > coming and len(self.connections) < self.limit:
            self.connections.add(_Connection(self, self.client))
            coming += 1

    def not_opened(self, outcome: Outcome) -> None:
        """One connection did not come up. With others up or coming it is merely one too many for this server."""
        if self.connections:
            self.limit = len(self.connections)
            self.fewer_until = time.monotonic() + FEWER_S
            return
        waiting, self.waiting = self.waiting, deque()
        for mail in waiting:
            self.client.finish(mail, outcome)


class SmtpClient:
    """Sends mails over `SmtpServer.sessions` kept connections to each server.

    timeout_s   wall clock of opening one connection, and of one message from its envelope to the last reply, in seconds
    idle_s      seconds after which an unused connection is closed
    tls         how to check servers; None for the system's trusted roots
    """

    def __init__(
        self,
        timeout_s: float = 10.0,
        messages_per_connection: int = 100,
        idle_s: float = 15.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.timeout_s = timeout_s
        self.messages_per_connection = messages_per_connection
        self.idle_s = idle_s
        self.tls = tls or ssl.create_default_context()
        self.selector = selectors.DefaultSelector()
        self._pools: dict[SmtpServer, _Pool] = {}
        self._known: tuple[SmtpServer, _Pool] | None = None
        self._names = ThreadPoolExecutor(2, "smtp-names")
        self._done: list[tuple[object, MailAnswer | TransportFault]] = []
        self._count = 0
        self._next_sweep = 0.0

    @property
    def in_flight(self) -> int:
        """Messages started and not yet given back by `poll`."""
        return self._count

    def start(self, tag: object, request: MailRequest, start_by: float | None = None) -> None:
        """Takes a message; `poll` returns it with `tag`. Not begun by `start_by` (CLOCK_BOOTTIME, s), it never is."""
        mail = Mail(tag, request, start_by)
        self._count += 1
        if _UNSAFE.search(request.mail_from) or _UNSAFE.search(request.rcpt_to) or not request.rcpt_to:
            self.finish(mail, TransportFault(False, "address", "An address cannot stand in an envelope."))
        elif not request.data.count(b"\r\n") == request.data.count(b"\n") == request.data.count(b"\r"):
            self.finish(mail, TransportFault(False, "line_ends", "The message has line ends that are not CRLF."))
        else:
            self._pool(request.server).waiting.append(mail)

    def call_off(self) -> None:
        """What still waits for a connection is not begun any more: `poll` gives it back so."""
        for pool in self._pools.values():
            waiting, pool.waiting = pool.waiting, deque()
            for mail in waiting:
                self.finish(mail, NOT_STARTED)

    def _pool(self, server: SmtpServer) -> _Pool:
        if self._known is not None and self._known[0] is server:
            return self._known[1]
        pool = self._pools.get(server)
        if pool is None:
            pool = self._pools[server] = _Pool(server, self)
        self._known = (server, pool)
        return pool

    def finish(self, mail: Mail, outcome: MailAnswer | TransportFault) -> None:
        """Keeps an outcome for the next `poll`."""
        self._done.append((mail.tag, outcome))

    def look_up(self, server: SmtpServer) -> Future[list[Any]]:
        """Socket addresses of a server; a name is resolved beside this thread, an address at once."""
        try:
            found: Future[list[Any]] = Future()
            found.set_result(
                socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
            )
            return found
        except OSError:
            return self._names.submit(socket.getaddrinfo, server.host, server.port, 0, socket.SOCK_STREAM)

    def poll(self, timeout_s: float) -> list[tuple[object, MailAnswer | TransportFault]]:
        """Drives all connections; returns what is finished, at once if something is, else within `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while True:
            now = time.monotonic()
            resolving = self._tend(now)
            left = deadline - now
            if self._done or (not self._count and left <= 0):
                wait = 0.0
            else:
                wait = max(0.0, min(left, 0.005 if resolving else SWEEP_S))
            for key, _events in self.selector.select(wait):
                key.data.on_event()
            if self._done or left <= 0 or not self._count:
                done, self._done = self._done, []
                self._count -= len(done)
                return done

    def _tend(self, now: float) -> bool:
        """Staffs the pools, looks at deadlines now and then; True while a name is being looked up."""
        sweep = now >= self._next_sweep
        if sweep:
            self._next_sweep = now + SWEEP_S
        resolving = False
        for pool in self._pools.values():
            pool.staff(now)
            for one in list(pool.connections):
                if one.names is not None:
                    one.resolved()
                    resolving = resolving or one.names is not None
                if sweep and one in pool.connections:
                    one.check_time(now)
        return resolving

    def close(self) -> None:
        """Says goodbye where a connection is idle and drops the rest."""
        for pool in self._pools.values():
            for one in list(pool.connections):
                if one.dialogue.idle:
                    one.leave()
                one.gone()
        self._names.shutdown(wait=False, cancel_futures=True)
        self.selector.close()
