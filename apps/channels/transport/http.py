"""HTTP out: many calls at once over libcurl, each with a hard wall-clock cap, and an exact word on whether it left.

libcurl calls `PREREQFUNCTION` when the connection (DNS, TCP, TLS) stands and no byte of the request has been written.
Three promises rest on that one moment:

* `TransportFault.sent` is False exactly where it was never reached: no guessing from error numbers.
* A call whose `start_by` has passed while it was connecting is given up there, before it can do anything.
* libcurl looks whether a kept connection still stands once a second at most (8.21 on). It is looked at here each time:
  where the provider has hung up already, nothing is written and the call goes out over another connection.
* libcurl silently repeats a request, POST included, when a *reused* connection is closed before the first answer byte
  (`Curl_retry_request`, lib/transfer.c): the provider may have read and done it by then. The second visit to that
  moment is refused, so one `start` writes a request once at most; the call ends as "reset", sent.

A request to an address that a user gave (`public_only`) reaches what the egress rule permits and nothing else: the rule is
asked for each address that is about to be connected to, and for that of a kept connection once more at that moment.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping

import pycurl

from apps.channels.contract import HttpAnswer, HttpRequest, TransportFault
from apps.channels.transport.egress import PUBLIC, REFUSED, WORDS, Egress

CONNECT_TIMEOUT_S = 5.0
IDLE_S = 15  # shorter than the idle limits usual on servers (nginx 75 s, cloud balancers 15-60 s)
ROUND_S = 0.05  # libcurl's fdset cannot see descriptors above 1024: never wait longer for one event
E_HTTP2_STREAM = 92  # CURLE_HTTP2_STREAM, which pycurl does not name

FAULTS: dict[int, tuple[str, str]] = {
    pycurl.E_COULDNT_RESOLVE_HOST: ("resolve", "The host name of the provider cannot be resolved."),
    pycurl.E_COULDNT_CONNECT: ("connect", "The provider's host cannot be reached."),
    pycurl.E_OPERATION_TIMEDOUT: ("timeout", "No complete answer within the time allowed."),
    pycurl.E_SSL_CONNECT_ERROR: ("tls", "The TLS handshake failed."),
    pycurl.E_PEER_FAILED_VERIFICATION: ("certificate", "The provider's certificate is not trusted."),
    pycurl.E_GOT_NOTHING: ("reset", "The connection was closed without an answer."),
    pycurl.E_SEND_ERROR: ("reset", "The connection broke while the request was being written."),
    pycurl.E_RECV_ERROR: ("reset", "The connection broke before the answer was complete."),
    pycurl.E_PARTIAL_FILE: ("partial", "The answer ended early."),
    pycurl.E_HTTP2: ("reset", "The HTTP/2 connection broke before the answer was complete."),
    E_HTTP2_STREAM: ("reset", "The HTTP/2 stream was reset before the answer was complete."),
    pycurl.E_ABORTED_BY_CALLBACK: ("reset", "A kept connection was closed before the first byte of an answer."),
    pycurl.E_UNSUPPORTED_PROTOCOL: ("bad_answer", "What came back is not HTTP."),
    pycurl.E_FTP_WEIRD_SERVER_REPLY: ("bad_answer", "What came back is not HTTP."),
    pycurl.E_URL_MALFORMAT: ("url", "The URL cannot be read."),
}
Look = Callable[[int], list[tuple[int, int]]]
NOT_PERMITTED = TransportFault(False, REFUSED, WORDS, refused=True)
NOT_STARTED = TransportFault(False, "not_started", "The call was not begun in time.")


class AnswerHeaders(Mapping[str, str]):
    """Header lines of one answer, read only when somebody asks; names in lower case, the last of equal names wins."""

    __slots__ = ("_lines", "_read")

    def __init__(self, lines: list[bytes]) -> None:
        self._lines = lines
        self._read: dict[str, str] | None = None

    def _parsed(self) -> dict[str, str]:
        if self._read is None:
            found: dict[str, str] = {}
            for line in self._lines:
                if line.startswith(b"HTTP/"):  # after an interim answer (1xx) the real one begins
                    found.clear()
                name, colon, value = line.decode("latin-1").partition(":")
                if colon:
                    found[name.strip().lower()] = value.strip()
            self._read = found
        return self._read

    def __getitem__(self, name: str) -> str:
        return self._parsed()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parsed())

    def __len__(self) -> int:
        return len(self._parsed())


class _Line:
    """One easy handle, set up once and used for one call after another."""

    __slots__ = (
        "body",
        "connections",
        "curl",
        "evicts",
        "egress",
        "guarded",
        "head",
        "headers",
        "late",
        "made",
        "method",
        "refused",
        "request",
        "stale",
        "start_by",
        "tag",
        "url",
        "version",
        "written",
    )

    def __init__(self, client: HttpClient) -> None:
        self.head: list[bytes] = []
        self.body: list[bytes] = []
        self.headers: list[str] | None = None
        self.method = self.url = ""
        self.version = pycurl.CURL_HTTP_VERSION_1_1
        self.evicts = False
        self.tag: object = None
        self.request: HttpRequest | None = None
        self.start_by: float | None = None
        self.written = self.late = self.stale = self.refused = self.guarded = False
        self.made: list[socket.socket] = []
        self.connections, self.egress = client.connections, client.egress
        self.curl = client.new_handle()
        self.curl.setopt(pycurl.SOCKOPTFUNCTION, self.connections.opened)
        self.curl.setopt(pycurl.HEADERFUNCTION, self.head.append)
        self.curl.setopt(pycurl.WRITEFUNCTION, self.body.append)
        self.curl.setopt(pycurl.PREREQFUNCTION, self._before_first_byte)

    def _socket(self, _purpose: int, place: tuple[int, int, int, tuple[str, int]]) -> socket.socket | int:
        """libcurl is about to connect to one of the addresses that the name has."""
        family, kind, protocol, address = place
        if not self._may_reach(str(address[0])):
            self.refused = True
            return int(pycurl.SOCKET_BAD)
        self.made.append(socket.socket(family, kind, protocol))  # pycurl goes on with a copy
        return self.made[-1]

    def _before_first_byte(self, peer: str, _own: str, _peer_port: int, own_port: int) -> int:
        if self.written:
            return pycurl.PREREQFUNC_ABORT  # libcurl is about to repeat what may have been done
        if self.guarded and not self._may_reach(peer):
            self.refused = True
            self._close_made()
            return pycurl.PREREQFUNC_ABORT
        if self.connections.hung_up(own_port):
            self.stale = True
            return pycurl.PREREQFUNC_ABORT
        if self.start_by is not None and time.clock_gettime(time.CLOCK_BOOTTIME) >= self.start_by:
            self.late = True
            return pycurl.PREREQFUNC_ABORT
        self.written = True
        return pycurl.PREREQFUNC_OK

    def _close_made(self) -> None:
        for one in self.made:
            one.close()
        self.made.clear()

    def _may_reach(self, peer: str) -> bool:
        return self.request is None or not self.request.public_only or self.egress.permits(peer)

    def load(self, tag: object, request: HttpRequest, start_by: float | None, evicts: bool) -> None:
        self.tag, self.request, self.start_by = tag, request, start_by
        self.written = self.late = self.stale = self.refused = False
        curl = self.curl
        if request.public_only and not self.guarded:
            curl.setopt(pycurl.OPENSOCKETFUNCTION, self._socket)
            self.guarded = True
        if request.url != self.url:
            curl.setopt(pycurl.URL, request.url)
            self.url = request.url
        if request.method != self.method:
            self._set_method(request.method, request.body is not None)
        if request.body is not None:
            curl.setopt(pycurl.POSTFIELDS, request.body)
        if request.headers != self.headers:
            curl.setopt(pycurl.HTTPHEADER, _header_lines(request))
            self.headers = request.headers
        version = _version(request)
        if version != self.version:
            curl.setopt(pycurl.HTTP_VERSION, version)
            curl.setopt(pycurl.PIPEWAIT, request.http2)  # calls share its connections, also one that is being made
            self.version = version
        if evicts != self.evicts:
            curl.setopt(pycurl.FORBID_REUSE, evicts)
            self.evicts = evicts

    def _set_method(self, method: str, has_body: bool) -> None:
        self.curl.unsetopt(pycurl.CUSTOMREQUEST)
        self.curl.setopt(pycurl.POST if has_body else pycurl.HTTPGET, 1)
        if method != ("POST" if has_body else "GET"):
            self.curl.setopt(pycurl.CUSTOMREQUEST, method)
        # a method that comes with a body now and without one then is set anew each time
        self.method = method if has_body == (method in ("POST", "PUT", "PATCH")) else ""

    def answer(self, truncated: bool = False) -> HttpAnswer:
        body = self.body
        return HttpAnswer(
            self.curl.getinfo(pycurl.RESPONSE_CODE),
            AnswerHeaders(self.head[:]),
            body[0] if len(body) == 1 else b"".join(body),
            truncated,
        )

    def fault(self, number: int) -> HttpAnswer | TransportFault:
        if number == pycurl.E_FILESIZE_EXCEEDED:
            return self.answer(truncated=True)
        if self.late:
            return NOT_STARTED
        if self.refused and not self.made and not self.written:
            return NOT_PERMITTED
        code, words = FAULTS.get(number, (f"curl_{number}", "The call failed on the way."))
        return TransportFault(self.written, code, words)

    def unload(self) -> object:
        tag, self.tag, self.request = self.tag, None, None
        if self.made:
            self._close_made()
        self.head.clear()
        self.body.clear()
        return tag


class _Connections:
    """Which connections of one client the other side has closed; libcurl tells their own port and no more."""

    def __init__(self) -> None:
        self._opened: list[int] = []
        self._new: dict[int, Look] = {}
        self._used: dict[int, Look] = {}

    def opened(self, descriptor: int, _purpose: int) -> int:
        """libcurl has made a socket; its port is known once it is connecting."""
        self._opened.append(descriptor)
        return pycurl.SOCKOPT_OK

    def hung_up(self, own_port: int) -> bool:
        """True where the peer has ended a connection that carried a call before; a new one is never blamed."""
        if self._opened:
            self._opened = [descriptor for descriptor in self._opened if not self._sort_in(descriptor)]
        look = self._used.get(own_port)
        if look is not None:
            return bool(look(0))
        first = self._new.pop(own_port, None)
        if first is not None:
            self._used[own_port] = first
        return False

    def _sort_in(self, descriptor: int) -> bool:
        """Files a socket under its own port; False while it has none. One that is closed again is forgotten."""
        try:
            with socket.socket(fileno=os.dup(descriptor)) as copy:
                port = int(copy.getsockname()[1])
        except OSError:
            return True
        if not port:
            return False
        poller = select.poll()
        poller.register(descriptor, select.POLLRDHUP)
        self._used.pop(port, None)
        self._new[port] = poller.poll
        return True


def _version(request: HttpRequest) -> int:
    """HTTP/2 is agreed upon within TLS (ALPN); without TLS both sides must know of it beforehand."""
    if not request.http2:
        return pycurl.CURL_HTTP_VERSION_1_1
    secure = request.url.startswith("https:")
    return pycurl.CURL_HTTP_VERSION_2TLS if secure else pycurl.CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE


def _header_lines(request: HttpRequest) -> list[str]:
    lines = [*request.headers, "Expect:"]
    if request.body is not None and "\ncontent-type:" not in "\n".join(["", *request.headers]).lower():
        lines.append("Content-Type:")  # libcurl would name a form that nobody signed
    return lines


class HttpClient:
    """Runs up to `max_in_flight` calls at once on one thread; the rest waits here, not inside libcurl.

    timeout_s   wall clock of one call from its first connect step to the last byte, in seconds
    body_cap    bytes of an answer that are read; a longer one comes back with `truncated`
    ca_file     PEM file of trusted roots, None for the system's
    egress      what a request that is `public_only` may reach

    Connections are kept and reused. Redirects are answers like any other; proxies from the environment, cookies and
    compressed answers (a bomb needs them) are off.
    """

    def __init__(
        self,
        max_in_flight: int = 400,
        timeout_s: float = 10.0,
        body_cap: int = 65536,
        ca_file: str | None = None,
        egress: Egress = PUBLIC,
    ) -> None:
        self.egress = egress
        self._max = max_in_flight
        self._timeout_s = timeout_s
        self._body_cap = body_cap
        self._ca_file = ca_file or ssl.get_default_verify_paths().cafile
        self._waiting: deque[tuple[object, HttpRequest, float | None]] = deque()
        self._free: list[_Line] = []
        self.connections = _Connections()
        self._evict = False  # libcurl keeps a shared connection when a call over it is given up: the next one closes it
        self._running: dict[pycurl.Curl, _Line] = {}
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, max_in_flight)

    def new_handle(self) -> pycurl.Curl:
        """An easy handle with everything that stays the same from call to call."""
        curl = pycurl.Curl()
        for option, value in (
            (pycurl.NOSIGNAL, 1),
            (pycurl.TIMEOUT_MS, int(self._timeout_s * 1000)),
            (pycurl.CONNECTTIMEOUT_MS, int(min(self._timeout_s, CONNECT_TIMEOUT_S) * 1000)),
            (pycurl.MAXFILESIZE_LARGE, self._body_cap),
            (pycurl.FOLLOWLOCATION, 0),
            (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
            (pycurl.PROXY, ""),
            (pycurl.PATH_AS_IS, 1),
            (pycurl.TCP_NODELAY, 1),
            (pycurl.MAXAGE_CONN, IDLE_S),
            (pycurl.SSL_VERIFYPEER, 1),
            (pycurl.SSL_VERIFYHOST, 2),
            (pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2),
            (pycurl.USERAGENT, "UMS"),
            (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),
        ):
            curl.setopt(option, value)
        if self._ca_file:
            curl.setopt(pycurl.CAINFO, self._ca_file)
        return curl

    @property
    def in_flight(self) -> int:
        """Calls started and not yet given back, those that wait for a free line included."""
        return len(self._waiting) + len(self._running)

    def start(self, tag: object, request: HttpRequest, start_by: float | None = None) -> None:
        """Takes a call; `poll` gives it back with `tag`. Not begun by `start_by` (CLOCK_BOOTTIME, s), it never is."""
        self._waiting.append((tag, request, start_by))

    def call_off(self) -> None:
        """What still waits for a free line is not begun any more: `poll` gives it back so."""
        self._waiting = deque((tag, request, 0.0) for tag, request, _start_by in self._waiting)

    def poll(self, timeout_s: float) -> list[tuple[object, HttpAnswer | TransportFault]]:
        """Drives all calls; returns what is finished, at once if something is, else within `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        done: list[tuple[object, HttpAnswer | TransportFault]] = []
        while True:
            self._begin(done)
            self._multi.perform()
            self._harvest(done)
            if done or not self.in_flight:
                return done
            left = deadline - time.monotonic()
            if left <= 0:
                return done
            self._wait(min(left, ROUND_S))

    def _begin(self, done: list[tuple[object, HttpAnswer | TransportFault]]) -> None:
        waiting, running = self._waiting, self._running
        while waiting and len(running) < self._max:
            tag, request, start_by = waiting.popleft()
            if start_by is not None and time.clock_gettime(time.CLOCK_BOOTTIME) >= start_by:
                done.append((tag, NOT_STARTED))
                continue
            line = self._free.pop() if self._free else _Line(self)
            evicts = self._evict and request.http2
            try:
                line.load(tag, request, start_by, evicts)
            except (pycurl.error, UnicodeError, TypeError):
                done.append((tag, TransportFault(False, "request", "The request cannot be written as HTTP.")))
                continue
            self._evict = self._evict and not evicts
            running[line.curl] = line
            self._multi.add_handle(line.curl)

    def _harvest(self, done: list[tuple[object, HttpAnswer | TransportFault]]) -> None:
        more = 1
        while more:
            more, finished, failed = self._multi.info_read(256)
            for curl in finished:
                line = self._running.pop(curl)
                self._multi.remove_handle(curl)
                answer = line.answer()
                done.append((line.unload(), answer))
                self._free.append(line)
            for curl, number, _text in failed:
                line = self._running.pop(curl)
                self._multi.remove_handle(curl)
                if line.stale and line.request is not None:
                    self._evict = self._evict or (line.request.http2 and not line.evicts)
                    self._waiting.appendleft((line.tag, line.request, line.start_by))
                    line.unload()
                else:
                    fault = line.fault(number)
                    done.append((line.unload(), fault))
                self._free.append(line)

    def _wait(self, seconds: float) -> None:
        begun = time.monotonic()
        if self._multi.select(seconds) <= 0 and time.monotonic() - begun < seconds / 2:
            time.sleep(0.002)  # nothing to listen to yet, a name is being resolved

    def close(self) -> None:
        """Drops connections and whatever is still under way."""
        for curl in self._running:
            self._multi.remove_handle(curl)
        self._running.clear()
        self._waiting.clear()
        self._free.clear()
        self._multi.close()


def fetch(
    request: HttpRequest, timeout_s: float = 10.0, ca_file: str | None = None, egress: Egress = PUBLIC
) -> HttpAnswer | TransportFault:
    """One call on a connection of its own, at most `timeout_s` long."""
    client = HttpClient(max_in_flight=1, timeout_s=timeout_s, ca_file=ca_file, egress=egress)
    try:
        client.start(None, request)
        while True:
            for _tag, answer in client.poll(timeout_s):
                return answer
    finally:
        client.close()
