"""5G messages over the carriers' platform, from the request to the receipt, in the simulated world."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from apps.channels.contract import Account, BadReceipt, Envelope, HttpRequest, ReceiptEvent, TransportFault
from apps.channels.hooks import greeting, heard
from apps.channels.outcomes import Accepted, Misconfigured, Rejected, StaleToken, Throttled, Unknown
from apps.channels.transport.http import HttpClient
from tests.channels.peers import HttpPeer, http_answer, wait_for
from tests.channels.simulated.senders import Sender, answered, arrived
from tests.simulator.clients import Simulator

HOOK_ANSWER = ("application/json", b'{"errorCode":0,"errorMessage":"success"}')
CHATBOT = "106500000001"
CONFIG = {
    "chatbot_id": CHATBOT,
    "sender_address": "sip:106500000001@botplatform.rcs.example.cn",
    "app_id": "app0001",
    "app_key": "AppKey-000000000001",
    "callback_token": "callback-token-1",
}
CONTENT = {
    "text": '尊敬的"杜萍" & {Söhne}，您的余额为 12.50 元',
    "title": "账户余额",
    "buttons": {"查看详情": "https://bank.example/?a=1&b=2", "客服": "tel:+861095555", "退订": "TD"},
}
FAULTS = [
    ("reset_before", TransportFault, 0),
    ("reset_after", TransportFault, 1),
    ("hang_after_accept(2)", TransportFault, 1),
    ("garbage_after_accept", Unknown, 1),
    ("500", Unknown, 0),
    ("500_after_accept", Unknown, 1),
    ("429", Throttled, 0),
    ({"refuse": "60001"}, Rejected, 0),
    ({"refuse": "30008"}, Misconfigured, 0),
    ({"refuse": "-1"}, Throttled, 0),
    ("token_error", StaleToken, 0),
]


@pytest.fixture
def rcs(simulator: Simulator, http: HttpClient) -> Sender:
    made = Sender(Account("rcs", "rcs_maap", CONFIG | {"base_url": simulator.http}), http)
    made.sign_in()
    return made


@pytest.fixture
def told(simulator: Simulator, hook: HttpPeer) -> HttpPeer:
    simulator.control({"receipts": {"urls": {"rcs": hook.url("/hook")}, "delay": [0.0, 0.0]}})
    return hook


def people(*phones: str, start: int = 0) -> list[list[Envelope]]:
    return [[Envelope("k", f"k{start + n:x}", phone, CONTENT)] for n, phone in enumerate(phones)]


def settings(sender: Sender, **changes: Any) -> None:
    sender.account = replace(sender.account, config={**sender.account.config, **changes})


def states(sender: Sender, hook: HttpPeer) -> set[tuple[str, str, str]]:
    events = [event for event in sender.receipts(hook) if isinstance(event, ReceiptEvent)]
    return {(event.reference, event.state, event.address) for event in events}


def test_messages_arrive_and_are_read(simulator: Simulator, rcs: Sender, told: HttpPeer) -> None:
    simulator.control({"world": {"rcs": {"read": 1.0}}})
    before = len(simulator.ledger())
    phones = [f"138000001{n:02}" for n in range(20)]
    outcomes = rcs.send(*people(*phones))
    ids = [outcome.provider_id for outcome in outcomes if isinstance(outcome, Accepted)]
    lines = simulator.ledger(before)
    assert sorted(line["pid"] for line in lines) == sorted(ids)
    assert {line["delivery_ref"] for line in lines} == {f"k{n:x}" for n in range(20)}
    wanted = {
        (f"k{n:x}", state, phone) for n, phone in enumerate(phones) for state in ("accepted", "delivered", "read")
    }
    wait_for(lambda: states(rcs, told) == wanted)


def test_who_has_no_5g_messages_gets_the_short_one(simulator: Simulator, rcs: Sender, told: HttpPeer) -> None:
    simulator.control({"world": {"rcs": {"unsupported": 1.0}}})
    rcs.send(*people("13800000200"))
    wait_for(lambda: len(told.bodies) == 2)
    codes = {event.code: event.state for event in rcs.receipts(told) if isinstance(event, ReceiptEvent)}
    assert codes == {"sent": "accepted", "deliveredToNetwork": "delivered"}
    settings(rcs, sms_fallback=False)
    rcs.send(*people("13800000201"))
    wait_for(lambda: len(told.bodies) == 4)
    (failed,) = [event for event in rcs.receipts(told) if isinstance(event, ReceiptEvent) and event.state == "failed"]
    assert (failed.code, failed.address, failed.bad_address) == ("2", "13800000201", False)


def test_receipts_come_as_a_form_too(simulator: Simulator, rcs: Sender, told: HttpPeer) -> None:
    simulator.control({"rcs": {"form_callbacks": True}})
    rcs.send(*people("13800000210", start=900))
    wait_for(lambda: states(rcs, told) == {("k384", "accepted", "13800000210"), ("k384", "delivered", "13800000210")})


@pytest.mark.parametrize(("fault", "expected", "accepted"), FAULTS)
def test_faults(simulator: Simulator, rcs: Sender, fault: object, expected: type, accepted: int) -> None:
    simulator.control({"scripts": [{"provider": "rcs", "match": "all", "do": [fault]}]})
    before = len(simulator.ledger())
    (outcome,) = rcs.send(*people("13800000300"))
    assert isinstance(outcome, expected) and len(simulator.ledger()) - before == accepted


def test_a_send_of_unknown_outcome_is_settled_by_its_receipt(simulator: Simulator, rcs: Sender, told: HttpPeer) -> None:
    simulator.control({"scripts": [{"provider": "rcs", "match": "all", "do": ["reset_after"], "times": 1}]})
    (lost,) = rcs.send(*people("13800000310", start=77))
    assert isinstance(lost, TransportFault) and lost.sent
    wait_for(lambda: ("k4d", "delivered", "13800000310") in states(rcs, told))


def test_a_token_ends_with_the_next(simulator: Simulator, rcs: Sender) -> None:
    old = rcs.account
    rcs.sign_in()
    assert isinstance(rcs.send(*people("13800000400"))[0], Accepted)
    rcs.account = old
    (stale,) = rcs.send(*people("13800000401"))
    assert isinstance(stale, StaleToken) and stale.code == "42001"
    rcs.sign_in()
    simulator.call("POST", "/_sim/rcs/invalidate", json.dumps({"account": CHATBOT}))
    assert isinstance(rcs.send(*people("13800000402"))[0], StaleToken)


@pytest.mark.parametrize(("field", "value"), [("app_key", "wrong"), ("app_id", "other")])
def test_no_token_for_wrong_credentials(rcs: Sender, field: str, value: str) -> None:
    settings(rcs, **{field: value})
    asked = rcs.adapter.build_token(rcs.account, datetime.now(UTC))
    assert isinstance(asked, HttpRequest)
    outcome = rcs.adapter.read_token(rcs.account, answered(asked))
    assert isinstance(outcome, Misconfigured) and outcome.code == "40001"


def test_a_message_under_way_is_recalled(simulator: Simulator, rcs: Sender, told: HttpPeer) -> None:
    simulator.control({"world": {"rcs": {"offline": 1.0}}})
    (sent,) = rcs.send(*people("13800000500"))
    assert isinstance(sent, Accepted)
    assert rcs.recall(sent.provider_id, ["13800000500"]) == Accepted("")
    wait_for(lambda: any(b"revokeOk" in body for body in told.bodies) and len(told.bodies) == 2)
    assert states(rcs, told) == {("k0", "accepted", "13800000500"), ("k0", "recalled", "13800000500")}
    refused = rcs.recall("made-up", ["13800000500"])
    assert isinstance(refused, Rejected)


def test_strangers_are_not_believed(simulator: Simulator, rcs: Sender, told: HttpPeer) -> None:
    simulator.control({"receipts": {"bad_sig": 1.0}})
    rcs.send(*people("13800000600"))
    wait_for(lambda: len(told.bodies) == 4)
    believed = []
    for request in arrived(told):
        try:
            believed.append(len(heard(rcs.adapter, rcs.account, request)))
        except BadReceipt:
            believed.append(0)
    assert sorted(believed) == [0, 0, 1, 1]


@pytest.mark.parametrize(("token", "passed"), [("callback-token-1", True), ("another", False)])
def test_the_trial_of_the_address(simulator: Simulator, rcs: Sender, token: str, passed: bool) -> None:
    settings(rcs, callback_token=token)

    def answer(connection: object, head: bytes, body: bytes, number: int) -> bytes:
        try:
            reply = greeting(rcs.adapter, rcs.account, arrived(door)[-1])
        except BadReceipt:
            return http_answer(b"", "403 Forbidden")
        assert reply is not None
        return http_answer(reply.body, "200 OK", *(f"{name}: {value}" for name, value in reply.headers.items()))

    door = HttpPeer(answer)
    simulator.control({"receipts": {"urls": {"rcs": door.url("/hook")}}})
    said = simulator.call("POST", "/_sim/rcs/verify", "{}").json
    door.close()
    assert said == {"status": 200 if passed else 403, "passed": passed}
