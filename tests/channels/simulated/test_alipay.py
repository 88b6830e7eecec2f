"""A life account's messages, from the request to the signed answer, and who follows, in the simulated world."""

import json
from dataclasses import replace
from typing import Any

import pytest

from apps.channels.contract import Account, AddressEvent, BadReceipt, Envelope, TransportFault
from apps.channels.hooks import greeting, heard
from apps.channels.outcomes import Accepted, Misconfigured, Outcome, Rejected, Throttled, Unknown
from apps.channels.transport.http import HttpClient
from tests.channels.golden_files import GOLDEN
from tests.channels.peers import HttpPeer, http_answer, wait_for
from tests.channels.simulated.senders import Sender, arrived
from tests.simulator.clients import Simulator

KEYS = json.loads((GOLDEN / "alipay_life" / "vectors.json").read_text())["keys"]
CONTENT = {
    "template_id": "umstpl0000000000000000000000001",
    "keywords": {"keyword1": "杜萍 & +%", "keyword2": "12.50"},
    "first": "您好",
    "url": "https://ums.example/m/1?a=1&b=2",
    "action_name": "查看详情",
}
FAULTS = [
    ("reset_before", TransportFault, 0),
    ("reset_after", TransportFault, 1),
    ("hang_after_accept(2)", TransportFault, 1),
    ("garbage_after_accept", Unknown, 1),
    ("500", Unknown, 0),
    ("500_after_accept", Unknown, 1),
    ("429", Throttled, 0),
    ({"refuse": "isv.invalid-signature"}, Misconfigured, 0),
    ({"refuse": "PUB.MSG_TEMPLATE_NOT_EXIST"}, Rejected, 0),
    ({"refuse": "PUB.MSG_OTHER"}, Rejected, 0),
]


@pytest.fixture
def life(simulator: Simulator, http: HttpClient) -> Sender:
    config: dict[str, Any] = {
        "app_id": "2021000000000001",
        "private_key": KEYS["app_private"],
        "alipay_public_key": KEYS["alipay_public"],
        "base_url": f"{simulator.http}/gateway.do",
    }
    return Sender(Account("life", "alipay_life", config), http)


def one(number: int = 1) -> list[Envelope]:
    return [Envelope("", f"r{number}", f"2088{number:012}", CONTENT)]


def test_messages_are_accepted_once(simulator: Simulator, life: Sender) -> None:
    before = len(simulator.ledger())
    assert life.send(*[one(number) for number in range(30)]) == [Accepted("")] * 30
    assert len(simulator.ledger()) - before == 30


@pytest.mark.parametrize(("fault", "expected", "accepted"), FAULTS)
def test_faults(simulator: Simulator, life: Sender, fault: object, expected: type[Outcome], accepted: int) -> None:
    simulator.control({"scripts": [{"provider": "alipay", "match": "all", "do": [fault]}]})
    before = len(simulator.ledger())
    (outcome,) = life.send(one())
    assert isinstance(outcome, expected), outcome
    assert len(simulator.ledger()) - before == accepted


@pytest.mark.parametrize("how", ["missing", "wrong"])
def test_a_success_that_is_not_signed_is_unknown(simulator: Simulator, life: Sender, how: str) -> None:
    simulator.control({"alipay": {"answer_signature": how}})
    (outcome,) = life.send(one())
    assert isinstance(outcome, Unknown) and outcome.code == "bad_signature"
    checked = life.check()
    assert isinstance(checked, Misconfigured)


def test_who_left_is_refused_and_comes_back(simulator: Simulator, life: Sender, hook: HttpPeer) -> None:
    simulator.control({"receipts": {"urls": {"alipay": hook.url("/hook")}}})
    person = one(77)[0].address
    for act, expected in (("unfollow", Rejected), ("follow", Accepted)):
        seen = len(hook.bodies)
        simulator.call("POST", f"/_sim/alipay/{act}", json.dumps({"user_id": person}))
        (outcome,) = life.send(one(77))
        assert isinstance(outcome, expected)
        wait_for(lambda seen=seen: len(hook.bodies) > seen)
    events = life.receipts(hook)
    assert [(event.address, event.reachable) for event in events if isinstance(event, AddressEvent)] == [
        (person, False), (person, True)
    ]  # fmt: skip


def test_a_stranger_is_not_heard(simulator: Simulator, life: Sender, hook: HttpPeer) -> None:
    simulator.control({"receipts": {"urls": {"alipay": hook.url("/hook")}, "bad_sig": 1.0}})
    simulator.call("POST", "/_sim/alipay/unfollow", json.dumps({"user_id": one(78)[0].address}))
    wait_for(lambda: len(hook.bodies) == 2)
    forged, true = arrived(hook)
    with pytest.raises(BadReceipt):
        heard(life.adapter, life.account, forged)
    assert len(heard(life.adapter, life.account, true)) == 1
    simulator.call("POST", "/_sim/alipay/follow", json.dumps({"user_id": one(78)[0].address}))


@pytest.mark.parametrize("old", [False, True])
def test_the_gateway_is_tried_by_the_console(simulator: Simulator, life: Sender, old: bool) -> None:
    life.account = replace(life.account, config={**life.account.config, "callback_check": "v1" if old else "v2"})

    def answer(_connection: object, head: bytes, body: bytes, _number: int) -> bytes:
        peer.heads[:], peer.bodies[:] = [head], [body]
        reply = greeting(life.adapter, life.account, arrived(peer)[-1])
        assert reply is not None
        return http_answer(reply.body, "200 OK", f"Content-Type: {reply.content_type}")

    peer = HttpPeer(answer)
    simulator.control({"receipts": {"urls": {"alipay": peer.url("/hook")}}, "alipay": {"callbacks_v1": old}})
    said = simulator.call("POST", "/_sim/alipay/verify", "{}").json
    peer.close()
    assert said == {"status": 200, "verified": True}


def test_credentials_are_checked_without_a_message(simulator: Simulator, life: Sender) -> None:
    before = len(simulator.ledger())
    assert life.check() == Accepted("")
    for name, value in (
        ("private_key", KEYS["alipay_private"]),
        ("app_id", "2021"),
        ("alipay_public_key", KEYS["app_public"]),
    ):
        wrong = Sender(replace(life.account, config={**life.account.config, name: value}), life.client)
        assert isinstance(wrong.check(), Misconfigured)
    assert len(simulator.ledger()) == before


def test_the_phone_shows_the_rows_of_the_template(simulator: Simulator, life: Sender) -> None:
    people = [{"id": "ping", "name": "杜萍", "alipay": one(90)[0].address}]
    simulator.call("PUT", "/_sim/people", json.dumps(people))
    life.send(one(90))
    page = simulator.call("GET", "/_sim/phones/ping").body.decode()
    assert all(
        words in page for words in ("您好", "杜萍 &amp; +%", "12.50", "查看详情", "https://ums.example/m/1?a=1&amp;b=2")
    )
