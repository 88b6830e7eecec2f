"""DingTalk from the request to the reading, in the simulated world: work notifications, robots to one person, groups."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from apps.channels.contract import Account, AddressEvent, BadReceipt, Envelope, HttpRequest, TransportFault
from apps.channels.hooks import greeting, heard
from apps.channels.outcomes import Accepted, Misconfigured, Outcome, Rejected, StaleToken, Throttled, Unknown
from apps.channels.transport.http import HttpClient
from tests.channels.peers import HttpPeer, http_answer, wait_for
from tests.channels.simulated.senders import Sender, answered, arrived
from tests.simulator.clients import Simulator

KEY = "dingUMSappkey01"
SECRET = "SECumsrobotsecret0000000000000000000000000000000000000000000000000001"
FAULTS = [
    ("reset_before", TransportFault, 0),
    ("reset_after", TransportFault, 2),
    ("hang_after_accept(2)", TransportFault, 2),
    ("garbage_after_accept", Unknown, 2),
    ("500", Unknown, 0),
    ("500_after_accept", Unknown, 2),
    ("429", Throttled, 0),
    ("token_error", StaleToken, 0),
]


@pytest.fixture(params=["work", "robot"])
def ding(request: pytest.FixtureRequest, simulator: Simulator, http: HttpClient) -> Sender:
    """Both modes of the kind, signed in."""
    config: dict[str, Any] = {
        "app_key": KEY,
        "app_secret": "TestAppSecret000000000000000001",
        "agent_id": 1234567890,
        "mode": request.param,
        "robot_code": "dingUMSrobot1",
        "base_url": simulator.http,
        "api_base_url": simulator.http,
        "callback_token": "umsCallbackToken",
        "callback_aes_key": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
    }
    simulator.control({"receipts": {"delay": [0.0, 0.0]}})
    sender = Sender(Account("ding", "dingtalk_work", config), http)
    sender.sign_in()
    return sender


@pytest.fixture
def group(simulator: Simulator, http: HttpClient) -> Sender:
    return Sender(Account("group", "dingtalk_robot", {"base_url": simulator.http}), http)


def notice(text: str, *people: str) -> Sequence[Envelope]:
    return [Envelope("", f"r{number}", one, {"text": text}) for number, one in enumerate(people)]


def state(simulator: Simulator, userid: str, word: str) -> None:
    document = [{"id": userid, "dingtalk": userid, "states": {"dingtalk": word}}]
    assert simulator.call("PUT", "/_sim/people", json.dumps(document)).status == 200


def ids(outcomes: object) -> set[str]:
    some = outcomes if isinstance(outcomes, list) else [outcomes]
    return {one.provider_id for one in some if isinstance(one, Accepted)}


def test_who_has_it_and_who_read_it_is_asked_later(simulator: Simulator, ding: Sender) -> None:
    mode = ding.account.config["mode"]
    people = [f"{mode}-a1", f"{mode}-b2", f"{mode}-c3"]
    state(simulator, people[2], "unknown")
    (outcome,) = ding.send(notice("later", *people))
    (provider_id,) = ids(outcome)
    wait_for(lambda: len([one for one in ding.poll(provider_id, people) if one.state == "delivered"]) == 2)
    simulator.call("POST", "/_sim/dingtalk/read", json.dumps({"userid": people[0]}))
    found = {one.address: (one.state, one.bad_address) for one in ding.poll(provider_id, people)}
    assert found[people[0]] == ("read", False) and found[people[1]] == ("delivered", False)
    if mode == "work":
        assert found[people[2]] == ("failed", True)
    else:
        assert isinstance(outcome, list) and isinstance(outcome[2], Rejected) and people[2] not in found


@pytest.mark.parametrize(("fault", "expected", "accepted"), FAULTS)
def test_faults(simulator: Simulator, ding: Sender, fault: str, expected: type[Outcome], accepted: int) -> None:
    simulator.control({"scripts": [{"provider": "dingtalk", "match": "all", "do": [fault]}]})
    before = len(simulator.ledger())
    (outcome,) = ding.send(notice(f"{fault} {ding.account.config['mode']}", "f1", "f2"))
    assert isinstance(outcome, expected), outcome
    assert len(simulator.ledger()) - before == accepted


def test_a_token_that_has_ended_is_fetched_anew(simulator: Simulator, ding: Sender) -> None:
    first = ding.account.token
    simulator.call("POST", "/_sim/dingtalk/invalidate", json.dumps({"account": KEY}))
    (stale,) = ding.send(notice(f"stale {ding.account.config['mode']}", "t1"))
    assert isinstance(stale, StaleToken)
    assert ding.sign_in().value != first
    (outcome,) = ding.send(notice(f"stale {ding.account.config['mode']}", "t1"))
    assert isinstance(outcome, Accepted)


def test_a_wrong_secret_is_the_accounts_fault(ding: Sender) -> None:
    ding.account = replace(ding.account, config={**ding.account.config, "app_secret": "wrong"})
    asked = ding.adapter.build_token(ding.account, datetime.now(UTC))
    assert isinstance(asked, HttpRequest)
    outcome = ding.adapter.read_token(ding.account, answered(asked))
    assert isinstance(outcome, Misconfigured)


def test_messages_are_taken_back(simulator: Simulator, ding: Sender) -> None:
    (outcome,) = ding.send(notice(f"back {ding.account.config['mode']}", "k1"))
    (provider_id,) = ids(outcome)
    assert ding.recall(provider_id, ["k1"]) == Accepted("")
    assert isinstance(ding.recall("1", ["k1"]), Rejected)


def test_a_machine_that_is_punished_waits(simulator: Simulator, ding: Sender) -> None:
    simulator.control({"dingtalk": {"punished": "json"}})
    (outcome,) = ding.send(notice("punished", "p1"))
    assert isinstance(outcome, Throttled) and outcome.code == "1111" and outcome.scope == "account"
    simulator.control({"dingtalk": {"punished": "html"}})
    (outcome,) = ding.send(notice("punished", "p1"))
    assert isinstance(outcome, Unknown)


@pytest.mark.parametrize("ding", ["work"], indirect=True)
def test_an_equal_text_of_the_same_day_arrived_before(simulator: Simulator, ding: Sender) -> None:
    first, again = ding.send(notice("equal", "e1"))[0], ding.send(notice("equal", "e1"))[0]
    (one,) = ding.poll(ids(again).pop(), ["e1"])
    assert ids(first) != ids(again) and (one.state, one.code) == ("delivered", "143106")
    ding.account = replace(ding.account, config={**ding.account.config, "mark_text": True})
    (marked,) = ding.send([replace(notice("equal", "e1")[0], reference="other")])
    wait_for(lambda: bool(ding.poll(ids(marked).pop(), ["e1"])))
    (one,) = ding.poll(ids(marked).pop(), ["e1"])
    assert one.state == "delivered" and one.code != "143106"


@pytest.mark.parametrize("ding", ["work"], indirect=True)
def test_causes_behind_the_wrapper(simulator: Simulator, ding: Sender) -> None:
    simulator.control({"dingtalk": {"wrapper_88": True}})
    simulator.control({"scripts": [{"provider": "dingtalk", "match": "all", "do": [{"refuse": "60011"}]}]})
    (outcome,) = ding.send(notice("wrapped", "w1"))
    assert isinstance(outcome, Misconfigured) and outcome.code == "60011"


def test_a_mobile_number_finds_its_employee(simulator: Simulator, ding: Sender) -> None:
    people = [{"id": "m", "phone": "13800138001", "dingtalk": "mobile1"}]
    simulator.call("PUT", "/_sim/people", json.dumps(people))
    for phone, userid in (("13800138001", "mobile1"), ("13800138002", "")):
        answer = answered(ding.adapter.build_lookup(ding.account, phone))
        assert ding.adapter.read_lookup(ding.account, answer) == userid


@pytest.mark.parametrize("ding", ["work"], indirect=True)
def test_who_leaves_the_organisation_is_heard_of(simulator: Simulator, ding: Sender, hook: HttpPeer) -> None:
    simulator.control({"receipts": {"urls": {"dingtalk": hook.url("/hook")}, "bad_sig": 1.0}})
    simulator.call("POST", "/_sim/dingtalk/leave", json.dumps({"userid": "gone1"}))
    wait_for(lambda: len(hook.bodies) == 2)
    forged, true = arrived(hook)
    with pytest.raises(BadReceipt):
        heard(ding.adapter, ding.account, forged)
    (event,) = heard(ding.adapter, ding.account, true)
    assert isinstance(event, AddressEvent) and (event.address, event.reachable) == ("gone1", False)


@pytest.mark.parametrize("ding", ["work"], indirect=True)
def test_the_callback_address_is_tried(simulator: Simulator, ding: Sender) -> None:
    def answer(_connection: object, head: bytes, body: bytes, _number: int) -> bytes:
        reply = greeting(ding.adapter, ding.account, arrived(peer)[-1])
        assert reply is not None
        return http_answer(reply.body, "200 OK", f"Content-Type: {reply.content_type}")

    peer = HttpPeer(answer)
    simulator.control({"receipts": {"urls": {"dingtalk": peer.url("/hook")}}})
    said = simulator.call("POST", "/_sim/dingtalk/verify", "{}").json
    peer.close()
    assert said == {"status": 200, "verified": True}


# robots of groups


def test_a_group_gets_a_signed_message(simulator: Simulator, group: Sender) -> None:
    simulator.control({"dingtalk": {"robots": {"66727dd9a1": {"secret": SECRET}}}})
    before = len(simulator.ledger())
    outcomes = group.send(
        notice("signed", f"66727dd9a1|{SECRET}"), notice("signed", "66727dd9a1"), notice("x", "11111111")
    )
    assert outcomes[0] == outcomes[2] == Accepted("")
    assert isinstance(outcomes[1], Rejected) and outcomes[1].code == "310000"
    assert len(simulator.ledger()) - before == 2


def test_a_group_that_heard_too_much_waits_alone(simulator: Simulator, group: Sender) -> None:
    outcomes = group.send(*[notice("loud", "22222222")] * 21, notice("loud", "33333333"))
    held = [one for one in outcomes if isinstance(one, Throttled)]
    assert len(held) == 1 and held[0].scope == "recipient" and outcomes[-1] == Accepted("")


@pytest.mark.parametrize(("fault", "expected"), [("reset_after", TransportFault), ("500_after_accept", Unknown)])
def test_faults_of_a_groups_robot(simulator: Simulator, group: Sender, fault: str, expected: type[Outcome]) -> None:
    simulator.control({"scripts": [{"provider": "dingtalk", "match": "all", "do": [fault]}]})
    (outcome,) = group.send(notice(fault, "44444444"))
    assert isinstance(outcome, expected)


def test_the_phone_shows_what_came_from_the_application_and_from_the_group(
    simulator: Simulator, ding: Sender, group: Sender
) -> None:
    people = [{"id": "ping", "name": "杜萍", "dingtalk": "ping1", "dingtalk_group": "55555555|SEC1"}]
    simulator.call("PUT", "/_sim/people", json.dumps(people))
    card = {"title": "告警", "text": "温度过高", "url": "https://ums.example/a", "button": "查看"}
    ding.send([replace(notice("", "ping1")[0], content=card)])
    group.send([replace(notice("", "55555555|SEC1")[0], content={"text": "群里的话", "at_all": "yes"})])
    page = simulator.call("GET", "/_sim/phones/ping").body.decode()
    assert all(words in page for words in ("温度过高", "查看", "https://ums.example/a", "群里的话", "@all"))
