"""The HTTP transport against servers that misbehave: what came back, and was anything sent."""

import gzip
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from apps.channels.contract import HttpAnswer, HttpRequest, TransportFault
from apps.channels.transport.http import HttpClient, fetch
from tests.channels.peers import HttpPeer, certificate, closed_port, http_answer, reset, wait_for

Serve = Callable[..., HttpPeer]
Result = HttpAnswer | TransportFault


@pytest.fixture
def serve() -> Iterator[Serve]:
    peers: list[HttpPeer] = []

    def make(*arguments: object, **options: object) -> HttpPeer:
        peers.append(HttpPeer(*arguments, **options))  # type: ignore[arg-type]
        return peers[-1]

    yield make
    for peer in peers:
        peer.close()


@pytest.fixture
def client() -> Iterator[HttpClient]:
    made = HttpClient(max_in_flight=4, timeout_s=1.0, body_cap=1000)
    yield made
    made.close()


def post(url: str, body: bytes = b"{}") -> HttpRequest:
    return HttpRequest("POST", url, ["Content-Type: application/json"], body)


def run(client: HttpClient, *requests: HttpRequest, start_by: float | None = None) -> list[Result]:
    """Outcomes in the order of the requests."""
    for number, request in enumerate(requests):
        client.start(number, request, start_by)
    done: dict[object, Result] = {}
    end = time.monotonic() + 15
    while client.in_flight:
        assert time.monotonic() < end
        done.update(client.poll(0.5))
    return [done[number] for number in range(len(requests))]


def test_an_answer_comes_back_with_its_tag_status_headers_and_body(serve: Serve, client: HttpClient) -> None:
    peer = serve(lambda *_: http_answer(b"no", "429 Slow", "Retry-After: 7", "X-Two: a"))
    client.start("mine", post(peer.url()))
    assert client.in_flight == 1
    results = client.poll(5) or client.poll(5)
    ((tag, answer),) = results
    assert tag == "mine" and isinstance(answer, HttpAnswer)
    assert (answer.status, answer.body, answer.truncated) == (429, b"no", False)
    assert answer.headers["retry-after"] == "7" and answer.headers.get("absent") is None and "x-two" in answer.headers
    assert client.in_flight == 0 and client.poll(0) == []


def test_the_request_carries_our_lines_and_nothing_that_nobody_asked_for(serve: Serve, client: HttpClient) -> None:
    peer = serve(lambda *_: http_answer())
    run(
        client,
        HttpRequest("POST", peer.url("/a/../b?x=%20y"), ["X-Mine: 1"], b"x" * 2000000),
        HttpRequest("GET", peer.url("/get"), []),
        HttpRequest("DELETE", peer.url("/gone"), []),
        HttpRequest("PUT", peer.url("/put"), [], b"p"),
    )
    heads = {head.split(b" ")[0]: head for head in peer.heads}
    assert heads[b"POST"].startswith(b"POST /a/../b?x=%20y HTTP/1.1\r\n") and b"X-Mine: 1" in heads[b"POST"]
    for head in peer.heads:
        assert not any(name in head.lower() for name in (b"content-type", b"expect", b"accept-encoding", b"proxy"))
    assert heads[b"DELETE"].startswith(b"DELETE /gone ") and sorted(peer.bodies, key=len)[2] == b"p"


def test_one_handle_goes_from_method_to_method(serve: Serve) -> None:
    peer = serve(lambda *_: http_answer())
    client = HttpClient(max_in_flight=1)
    for method, body in (
        ("POST", b"1"),
        ("GET", None),
        ("POST", b"2"),
        ("DELETE", None),
        ("DELETE", b"3"),
        ("GET", None),
    ):
        run(client, HttpRequest(method, peer.url(), [], body))
    client.close()
    assert [head.split(b" ")[0] for head in peer.heads] == [b"POST", b"GET", b"POST", b"DELETE", b"DELETE", b"GET"]
    assert peer.bodies == [b"1", b"", b"2", b"", b"3", b""]
    assert peer.accepted == 1


def test_nobody_listens(client: HttpClient) -> None:
    (fault,) = run(client, post(f"http://127.0.0.1:{closed_port()}/"))
    assert fault == TransportFault(False, "connect", "The provider's host cannot be reached.")


def test_a_name_that_does_not_exist(client: HttpClient) -> None:
    (fault,) = run(client, post("http://no-such-host.invalid/"))
    assert isinstance(fault, TransportFault) and not fault.sent
    assert fault.code in ("resolve", "timeout")


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "file:///etc/passwd", "not a url", "http://127.0.0.1/\r\nX: 1"])
def test_only_http_is_spoken(client: HttpClient, url: str) -> None:
    (fault,) = run(client, post(url))
    assert isinstance(fault, TransportFault) and not fault.sent


def test_a_reset_after_reading_may_have_been_done(serve: Serve, client: HttpClient) -> None:
    peer = serve(lambda connection, *_: reset(connection))
    (fault,) = run(client, post(peer.url()))
    assert isinstance(fault, TransportFault) and (fault.sent, fault.code) == (True, "reset")
    assert peer.bodies == [b"{}"]


def test_a_reset_before_reading_is_a_fault_in_any_case(serve: Serve, client: HttpClient) -> None:
    peer = serve(lambda *_: http_answer(), before=reset)
    (fault,) = run(client, post(peer.url()))
    assert isinstance(fault, TransportFault) and peer.bodies == []


def test_a_hang_ends_with_the_wall_clock(serve: Serve, client: HttpClient) -> None:
    peer = serve(lambda *_: peer.closing.wait(20) and None)
    begun = time.monotonic()
    (fault,) = run(client, post(peer.url()))
    assert isinstance(fault, TransportFault) and (fault.sent, fault.code) == (True, "timeout")
    assert 0.9 < time.monotonic() - begun < 3


def test_a_drip_ends_with_the_wall_clock(serve: Serve, client: HttpClient) -> None:
    def drip(connection: socket.socket, *_: object) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")
        while not peer.closing.wait(0.05):
            connection.sendall(b"x")

    peer = serve(drip)
    (fault,) = run(client, post(peer.url()))
    assert isinstance(fault, TransportFault) and (fault.sent, fault.code) == (True, "timeout")


@pytest.mark.parametrize("framing", ["Content-Length: 5000000", "Transfer-Encoding: chunked", "Connection: close"])
def test_a_body_over_the_cap_comes_back_truncated(serve: Serve, client: HttpClient, framing: str) -> None:
    def flood(connection: socket.socket, *_: object) -> None:
        piece = b"1000\r\n" + b"x" * 4096 + b"\r\n" if "chunked" in framing else b"x" * 4096
        connection.sendall(f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n".encode() + piece * 1000)

    peer = serve(flood)
    (answer,) = run(client, post(peer.url()))
    assert isinstance(answer, HttpAnswer)
    assert answer.truncated and answer.status == 200 and len(answer.body) < 70000


@pytest.mark.parametrize(
    "raw", [b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort", b"<html>no http at all</html>\r\n\r\n", b""]
)
def test_half_an_answer_or_none_is_a_fault_after_sending(serve: Serve, client: HttpClient, raw: bytes) -> None:
    peer = serve(lambda connection, *_: connection.sendall(raw))
    (fault,) = run(client, post(peer.url()))
    assert isinstance(fault, TransportFault) and fault.sent


def test_a_redirect_is_an_answer(serve: Serve, client: HttpClient) -> None:
    peer = serve(lambda *_: http_answer(b"", "302 Found", f"Location: {peer.url('/elsewhere')}"))
    (answer,) = run(client, post(peer.url()))
    assert isinstance(answer, HttpAnswer) and answer.status == 302 and len(peer.heads) == 1


def test_interim_answers_and_compression_are_left_as_they_are(serve: Serve, client: HttpClient) -> None:
    packed = gzip.compress(b"x" * 100000)
    peer = serve(
        lambda *_: b"HTTP/1.1 103 Hints\r\nX-Early: 1\r\n\r\n" + http_answer(packed, "200 OK", "Content-Encoding: gzip")
    )
    (answer,) = run(client, post(peer.url()))
    assert isinstance(answer, HttpAnswer) and answer.body == packed
    assert answer.status == 200 and "x-early" not in answer.headers


def test_a_kept_connection_that_closes_after_reading_is_not_written_to_twice(serve: Serve) -> None:
    def once(connection: socket.socket, head: bytes, body: bytes, number: int) -> bytes | None:
        return http_answer() if number == 1 else None  # the second request is read, then the connection ends

    peer = serve(once)
    client = HttpClient(max_in_flight=1, timeout_s=2)
    (first,) = run(client, post(peer.url(), b"one"))
    (second,) = run(client, post(peer.url(), b"two"))
    (third,) = run(client, post(peer.url(), b"three"))
    client.close()
    assert isinstance(first, HttpAnswer)
    for fault in (second, third):
        assert isinstance(fault, TransportFault) and (fault.sent, fault.code) == (True, "reset")
    assert peer.bodies == [b"one", b"two", b"three"]


def test_a_kept_connection_that_closed_while_idle_is_replaced(serve: Serve) -> None:
    def answer_and_close(connection: socket.socket, *_: object) -> None:
        connection.sendall(http_answer())

    peer = serve(answer_and_close)
    client = HttpClient(max_in_flight=1, timeout_s=2)
    for number, body in enumerate((b"one", b"two", b"three"), 1):
        (answer,) = run(client, post(peer.url(), body))
        assert isinstance(answer, HttpAnswer)
        wait_for(lambda number=number: peer.ended == number)
    client.close()
    assert peer.bodies == [b"one", b"two", b"three"]


def test_connections_are_kept_and_never_more_than_allowed(serve: Serve, client: HttpClient) -> None:
    peer = serve(lambda _c, _h, body, _n: http_answer(body))
    bodies = [str(number).encode() for number in range(300)]
    answers = run(client, *[post(peer.url(), body) for body in bodies])
    assert [answer.body for answer in answers if isinstance(answer, HttpAnswer)] == bodies
    assert peer.accepted <= 4


def test_a_call_that_is_late_is_never_begun(serve: Serve, client: HttpClient) -> None:
    peer = serve(lambda *_: http_answer())
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    (fault,) = run(client, post(peer.url()), start_by=now)
    assert isinstance(fault, TransportFault) and (fault.sent, fault.code) == (False, "not_started")
    (answer,) = run(client, post(peer.url()), start_by=now + 5)
    assert isinstance(answer, HttpAnswer) and len(peer.heads) == 1


def test_a_call_that_waits_too_long_behind_others_is_not_begun(serve: Serve) -> None:
    peer = serve(lambda *_: peer.closing.wait(0.4) and None or http_answer())
    client = HttpClient(max_in_flight=1, timeout_s=2)
    first, second = run(
        client, post(peer.url()), post(peer.url()), start_by=time.clock_gettime(time.CLOCK_BOOTTIME) + 0.2
    )
    client.close()
    assert isinstance(first, HttpAnswer) and second == TransportFault(
        False, "not_started", "The call was not begun in time."
    )
    assert len(peer.heads) == 1


def test_tls_is_checked_and_lateness_found_after_the_handshake(serve: Serve, tmp_path: Path) -> None:
    roots, context = certificate(tmp_path)
    peer = serve(lambda *_: http_answer(), tls=context)
    slow = serve(lambda *_: http_answer(), tls=context, before=lambda _connection: slow.closing.wait(0.5))
    client = HttpClient(timeout_s=3, ca_file=str(roots))
    (answer,) = run(client, post(peer.url()))
    (late,) = run(client, post(slow.url()), start_by=time.clock_gettime(time.CLOCK_BOOTTIME) + 0.2)
    client.close()
    assert isinstance(answer, HttpAnswer)
    assert late == TransportFault(False, "not_started", "The call was not begun in time.") and slow.heads == []
    fault = fetch(post(peer.url()))
    assert isinstance(fault, TransportFault) and (fault.sent, fault.code) == (False, "certificate")
    assert len(peer.heads) == 1


def test_a_peer_that_speaks_no_tls(serve: Serve, client: HttpClient) -> None:
    peer = serve(lambda *_: http_answer())
    (fault,) = run(client, post(peer.url().replace("http:", "https:")))
    assert isinstance(fault, TransportFault) and not fault.sent
    peer.faults.clear()


def test_proxies_of_the_environment_are_not_used(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port()}")
    peer = serve(lambda *_: http_answer())
    answer = fetch(post(peer.url()), 2)
    assert isinstance(answer, HttpAnswer) and answer.body == b"ok"


def test_close_with_calls_under_way_ends_their_connections(serve: Serve) -> None:
    peer = serve(lambda *_: peer.closing.wait(20) and None)
    client = HttpClient(max_in_flight=2)
    for number in range(5):
        client.start(number, post(peer.url()))
    client.poll(0.1)
    wait_for(lambda: len(peer.heads) == 2)
    client.close()
    assert client.in_flight == 0
