"""Apprise in its processes against the simulated note service: what goes out, what never does, and the cap."""

import ipaddress
import socket
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from apps.channels.contract import Account, AppriseAnswer, AppriseRequest, Envelope, TransportFault
from apps.channels.outcomes import Accepted, Outcome, Rejected, Throttled, Unavailable, Unknown
from apps.channels.providers.apprise.adapter import LOCAL, Apprise
from apps.channels.transport.apprise import AppriseClient
from apps.channels.transport.apprise_worker import word
from apps.channels.transport.egress import PUBLIC, Egress
from tests.channels.peers import HttpPeer, closed_port, http_answer
from tests.simulator.clients import Simulator

LOOPBACK = Egress([ipaddress.ip_network("127.0.0.0/8")])
ACCOUNT = Account("any", "apprise", {"services": ""})


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    running = Simulator(tmp_path_factory.mktemp("state"), "--world", "perfect")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def open_client() -> Iterator[AppriseClient]:
    made = AppriseClient(2, 5.0, LOOPBACK)
    yield made
    made.close()


def outcomes(client: AppriseClient, *urls: str, start_by: float | None = None) -> list[Outcome]:
    """One outcome for each URL, in order, as the pipeline comes to it."""
    for number, url in enumerate(urls):
        envelope = Envelope("k", f"r{number}", url, {"title": "提醒", "text": "余额变动"})
        client.start(number, Apprise().build(ACCOUNT, [envelope], None), start_by)  # type: ignore[arg-type]
    heard: dict[Any, AppriseAnswer | TransportFault] = {}
    end = time.monotonic() + 40
    while client.in_flight:
        assert time.monotonic() < end
        heard.update(client.poll(1.0))
    answers = [heard[number] for number in range(len(urls))]
    return [one.outcome() if isinstance(one, TransportFault) else Apprise().read(ACCOUNT, [], one) for one in answers]


def place(simulator: Simulator) -> str:
    return simulator.http.removeprefix("http://")


def test_messages_arrive_with_our_reference(simulator: Simulator, open_client: AppriseClient) -> None:
    before = len(simulator.ledger())
    urls = [f"json://{place(simulator)}/notes/n{number}" for number in range(6)]
    assert outcomes(open_client, *urls) == [Accepted("")] * 6
    assert {line["delivery_ref"] for line in simulator.ledger(before)} == {f"r{number}" for number in range(6)}


@pytest.mark.parametrize(
    ("do", "expected"),
    [({"refuse": "404"}, Throttled), ("429", Throttled), ("500", Unknown), ("reset_after", Unknown)],
)
def test_what_a_failure_means(
    simulator: Simulator, open_client: AppriseClient, do: object, expected: type[Outcome]
) -> None:
    script = {"provider": "webhook", "operation": "note", "match": "all", "do": [do], "times": 1}
    simulator.control({"scripts": [script]})
    (outcome,) = outcomes(open_client, f"json://{place(simulator)}/notes/fails?retry=3")
    assert isinstance(outcome, expected)


def test_nothing_listens_and_nothing_is_known(open_client: AppriseClient) -> None:
    found = outcomes(open_client, f"json://127.0.0.1:{closed_port()}/x", "nosuchservice://x")
    assert [type(one) for one in found] == [Unavailable, Rejected]


def test_sockets_stay_under_the_egress_rule(simulator: Simulator) -> None:
    before, port = len(simulator.ledger()), simulator.smtp["port"]
    client = AppriseClient(1, 10.0, PUBLIC)
    targets = (f"json://{place(simulator)}/notes/in", f"json://localhost:{place(simulator).split(':')[1]}/notes/in")
    try:
        found = outcomes(
            client, *targets, f"mailto://a:b@bank.example?smtp=127.0.0.1:{port}", f"mqtt://127.0.0.1:{port}/t"
        )
    finally:
        client.close()
    assert [getattr(one, "code", "") for one in found[:2]] == ["egress_refused"] * 2
    assert not any(isinstance(one, Accepted) for one in found)
    assert len(simulator.ledger()) == before


def test_a_redirect_into_the_house_is_not_followed() -> None:
    inside = socket.create_server(("127.0.0.2", 0))
    location = f"Location: http://127.0.0.2:{inside.getsockname()[1]}/inside"
    outer = HttpPeer(lambda *_: http_answer(b"", "307 Temporary Redirect", location))
    client = AppriseClient(1, 10.0, Egress([ipaddress.ip_network("127.0.0.1/32")]))
    try:
        (outcome,) = outcomes(client, f"json://127.0.0.1:{outer.port}/x")
        assert isinstance(outcome, Unknown) and outcome.code == "failed" and outer.accepted == 1
        inside.setblocking(False)
        with pytest.raises(BlockingIOError):
            inside.accept()
    finally:
        client.close()
        outer.close()
        inside.close()


def test_a_message_that_hangs_is_ended_at_the_cap_and_the_next_goes_on(simulator: Simulator) -> None:
    script = {"provider": "webhook", "operation": "note", "match": "all", "do": ["hang(20)"], "times": 1}
    simulator.control({"scripts": [script]})
    client = AppriseClient(1, 1.5, LOOPBACK)
    began = time.monotonic()
    try:
        first, second = outcomes(client, *[f"json://{place(simulator)}/notes/hangs?rto=30"] * 2)
    finally:
        client.close()
    assert isinstance(first, Unknown) and first.code == "timeout" and second == Accepted("")
    assert time.monotonic() - began < 15


def test_a_call_that_is_too_late_is_never_begun(open_client: AppriseClient) -> None:
    (outcome,) = outcomes(open_client, "json://127.0.0.1/x", start_by=0.0)
    assert isinstance(outcome, Unavailable) and outcome.code == "not_started"


@pytest.mark.parametrize(
    ("sent", "begun", "forbidden", "statuses", "expected"),
    [
        (True, 1, 0, [200], "sent"),
        (False, 0, 0, [], "not_begun"),
        (False, 1, 0, [-1], "not_begun"),
        (False, 0, 1, [-1], "forbidden"),
        (False, 1, 1, [302, -1], "failed"),
        (False, 1, 0, [404], "refused"),
        (False, 2, 0, [200, 404], "failed"),
        (False, 1, 0, [0], "failed"),
        (False, 1, 0, [503], "failed"),
        (False, 1, 0, [], "failed"),
    ],
)
def test_the_word_for_what_was_seen(
    sent: bool, begun: int, forbidden: int, statuses: Sequence[int], expected: str
) -> None:
    assert word(sent, begun, forbidden, statuses) == expected


def test_services_of_our_own_machine_and_those_not_allowed_are_not_built() -> None:
    only = Account("any", "apprise", {"services": "json"})
    for account, url in [(ACCOUNT, f"{one}://x") for one in sorted(LOCAL)] + [(only, "ntfys://x")]:
        with pytest.raises(ValueError):
            Apprise().build(account, [Envelope("k", "r", url, {"text": "x"})], None)  # type: ignore[arg-type]
    built = Apprise().build(only, [Envelope("k", "r", "json://h/x?wait=9", {"text": "x"})], None)  # type: ignore[arg-type]
    assert isinstance(built, AppriseRequest) and built.url == "json://h/x?&+X-UMS-Delivery=r"
