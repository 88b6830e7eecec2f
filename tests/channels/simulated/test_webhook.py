"""Signed webhooks from the request to the subscriber's answer, in the simulated world."""

import ipaddress
import json
from collections.abc import Iterator
from typing import Any

import pytest

from apps.channels.contract import Account, Envelope, TransportFault
from apps.channels.outcomes import Accepted, Outcome, Rejected, Throttled, Unknown
from apps.channels.transport.egress import PUBLIC, Egress
from apps.channels.transport.http import HttpClient
from tests.channels.simulated.senders import Sender
from tests.simulator.clients import Simulator

SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
OWN = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
LOOPBACK = Egress([ipaddress.ip_network("127.0.0.0/8")])


def sender(client: HttpClient, secret: str = SECRET) -> Sender:
    return Sender(Account("hooks", "webhook", {"signing_secret": secret, "allow_http": True}), client)


@pytest.fixture
def client() -> Iterator[HttpClient]:
    made = HttpClient(max_in_flight=20, timeout_s=1.0, egress=LOOPBACK)
    yield made
    made.close()


def send(subscriber: Sender, url: str, *keys: str) -> list[Any]:
    return subscriber.send(*([Envelope(key, key, url, {"text": "余额变动", "title": "提醒"})] for key in keys))


def script(simulator: Simulator, *do: object) -> None:
    simulator.control({"scripts": [{"provider": "webhook", "match": "all", "do": list(do), "times": 1}]})


def test_the_answer_is_the_receipt_and_a_repeat_is_taken_once(simulator: Simulator, client: HttpClient) -> None:
    before = len(simulator.ledger())
    url = f"{simulator.http}/hooks/once"
    assert send(sender(client), url, "w1", "w2", "w1") == [Accepted("", delivered=True)] * 3
    lines = simulator.ledger(before)
    assert sorted(line["ev"] for line in lines) == ["accept", "accept", "dedup"]
    assert {line["delivery_ref"] for line in lines} == {"w1", "w2"}


def test_a_lost_answer_is_repeated_under_the_same_id(simulator: Simulator, client: HttpClient) -> None:
    before = len(simulator.ledger())
    url = f"{simulator.http}/hooks/lost"
    for fault in ("reset_after", ["accept", "500"]):
        script(simulator, *([fault] if isinstance(fault, str) else fault))
        (first,) = send(sender(client), url, f"lost{fault}".translate({ord(sign): "" for sign in "[]', "}))
        assert isinstance(first.outcome() if isinstance(first, TransportFault) else first, Unknown)
    assert send(sender(client), url, "lostreset_after") == [Accepted("", delivered=True)]
    assert [line["ev"] for line in simulator.ledger(before)] == ["accept", "accept", "dedup"]


@pytest.mark.parametrize(
    ("do", "expected"),
    [
        ("429(7)", Throttled),
        ({"refuse": "503"}, Throttled),
        ({"refuse": "404"}, Throttled),
        ({"refuse": "302"}, Rejected),
        ({"refuse": "410"}, Rejected),
        ("500", Unknown),
    ],
)
def test_refusals(simulator: Simulator, client: HttpClient, do: object, expected: type[Outcome]) -> None:
    before = len(simulator.ledger())
    script(simulator, do)
    (outcome,) = send(sender(client), f"{simulator.http}/hooks/refuses", "w3")
    assert isinstance(outcome, expected)
    assert simulator.ledger(before) == []


def test_a_subscriber_believes_its_own_key_only(simulator: Simulator, client: HttpClient) -> None:
    simulator.control({"webhook": {"secrets": {"own": [OWN]}}})
    url = f"{simulator.http}/hooks/own"
    (refused,) = send(sender(client), url, "w4")
    assert isinstance(refused, Throttled) and refused.code == "401"
    assert send(sender(client), f"{url}|{OWN}", "w4") == [Accepted("", delivered=True)]
    simulator.call("POST", "/_sim/webhook/close", json.dumps({"name": "own"}))
    (gone,) = send(sender(client), f"{url}|{OWN}", "w5")
    assert isinstance(gone, Rejected) and gone.bad_address


def test_an_address_inside_is_not_called(simulator: Simulator) -> None:
    before, calls = len(simulator.ledger()), simulator.stats()["webhook"]["calls"]
    guarded = HttpClient(max_in_flight=2, timeout_s=1.0, egress=PUBLIC)
    try:
        for host in ("127.0.0.1", "localhost"):
            url = f"{simulator.http.replace('127.0.0.1', host)}/hooks/inside"
            (fault,) = send(sender(guarded), url, "w6")
            assert isinstance(fault, TransportFault) and fault.code == "egress_refused"
            assert isinstance(fault.outcome(), Rejected)
    finally:
        guarded.close()
    assert len(simulator.ledger()) == before and simulator.stats()["webhook"]["calls"] == calls
