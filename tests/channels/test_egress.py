"""Where a message to an address that a user gave may not go, and that it truly does not go there."""

import ipaddress
from collections.abc import Iterator

import pytest

from apps.channels.contract import HttpAnswer, HttpRequest, TransportFault
from apps.channels.outcomes import Rejected
from apps.channels.transport.egress import Egress
from apps.channels.transport.http import HttpClient, fetch
from tests.channels.peers import HttpPeer, http_answer

LOOPBACK = Egress([ipaddress.ip_network("127.0.0.0/8")])
CLOSED = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.100.100.200",
    "192.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "192.88.99.1",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "2001::1",
    "2002:7f00:1::1",
    "2002:a00:1::1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "localhost",
    "example.com",
    "127.1",
    "0x7f000001",
]
OPEN = ["1.1.1.1", "8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize("host", CLOSED)
def test_closed(host: str) -> None:
    assert not Egress().permits(host)


@pytest.mark.parametrize("host", OPEN)
def test_open(host: str) -> None:
    assert Egress().permits(host)


def test_what_is_allowed_by_name_is_open_and_nothing_beside_it() -> None:
    house = Egress([ipaddress.ip_network("10.1.2.0/24"), ipaddress.ip_network("fd00:1::/32")])
    for host in ("10.1.2.9", "::ffff:10.1.2.9", "fd00:1::9", "8.8.8.8"):
        assert house.permits(host)
    for host in ("10.1.3.9", "fd00:2::9", "127.0.0.1"):
        assert not house.permits(host)


@pytest.fixture
def peer() -> Iterator[HttpPeer]:
    made = HttpPeer(lambda *_: http_answer(b"{}"))
    yield made
    made.close()


def post(url: str, public_only: bool = True) -> HttpRequest:
    return HttpRequest("POST", url, [], b"{}", public_only=public_only)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"]
)
def test_no_connection_is_made(peer: HttpPeer, host: str) -> None:
    """Names that resolve to loopback and every way of writing it; `localhost` is resolved by the system."""
    fault = fetch(post(f"http://{host}:{peer.port}/hook"))
    assert isinstance(fault, TransportFault) and (fault.code, fault.sent) == ("egress_refused", False)
    assert isinstance(fault.outcome(), Rejected)
    assert peer.accepted == 0
    allowed = fetch(post(f"http://{host}:{peer.port}/hook"), egress=LOOPBACK)
    assert isinstance(allowed, HttpAnswer) and allowed.status == 200


def test_a_kept_connection_of_another_request_is_no_way_in(peer: HttpPeer) -> None:
    client = HttpClient(max_in_flight=1, timeout_s=5.0)
    try:
        found = []
        for public_only in (False, True, False):
            client.start(None, post(peer.url("/hook"), public_only))
            while client.in_flight:
                found += [answer for _tag, answer in client.poll(1.0)]
        first, second, third = found
        assert isinstance(first, HttpAnswer) and isinstance(third, HttpAnswer)
        assert isinstance(second, TransportFault) and second.refused and not second.sent
        assert len(peer.bodies) == 2
    finally:
        client.close()


def test_a_redirect_into_the_house_is_an_answer_like_any_other(peer: HttpPeer) -> None:
    redirect = http_answer(b"", "302 Found", f"Location: {peer.url('/inside')}")
    outer = HttpPeer(lambda *_: redirect)
    try:
        answer = fetch(post(outer.url("/hook")), egress=LOOPBACK)
        assert isinstance(answer, HttpAnswer) and answer.status == 302 and peer.accepted == 0
    finally:
        outer.close()
