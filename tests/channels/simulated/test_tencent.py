"""Short messages over Tencent Cloud, from the request to the receipt, in the simulated world."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from apps.channels.contract import Account, Envelope, ReceiptEvent, TransportFault
from apps.channels.outcomes import Accepted, Misconfigured, Outcome, Rejected, Throttled, Unknown
from apps.channels.transport.http import HttpClient
from tests.channels.peers import HttpPeer, wait_for
from tests.channels.simulated.senders import Sender, answered
from tests.simulator.clients import Simulator

HOOK_ANSWER = ("application/json", b'{"result":0,"errmsg":"OK"}')
CONTENT = {"sign_name": "优选银行", "template_id": "100002", "params": {"1": "杜萍 & 1", "2": "12.50"}, "text": "x"}
FAULTS = [
    ("reset_before", TransportFault, 0),
    ("reset_after", TransportFault, 2),
    ("hang_after_accept(2)", TransportFault, 2),
    ("garbage_after_accept", Unknown, 2),
    ("500", Unknown, 0),
    ("500_after_accept", Unknown, 2),
    ("429", Throttled, 0),
    ({"refuse": "FailedOperation.InsufficientBalanceInSmsPackage"}, Misconfigured, 0),
    ({"refuse": "InvalidParameterValue.IncorrectPhoneNumber"}, Rejected, 0),
]


@pytest.fixture
def sms(simulator: Simulator, http: HttpClient) -> Sender:
    config = {
        "secret_id": "AKIDtestsecretid000000000000000000",
        "secret_key": "testsecretkey000000000000000000",
        "sdk_app_id": "1400000001",
        "base_url": simulator.http,
    }
    return Sender(Account("sms", "sms_tencent", config), http)


def texts(*phones: str) -> Sequence[Envelope]:
    return [Envelope("", f"r{number}", phone, CONTENT) for number, phone in enumerate(phones)]


def test_each_number_is_accepted_and_reported_under_its_own_id(
    simulator: Simulator, sms: Sender, hook: HttpPeer
) -> None:
    simulator.control({"receipts": {"urls": {"tencent": hook.url("/hook")}, "delay": [0.0, 0.0]}})
    simulator.call("PUT", "/_sim/people", '[{"id": "e", "phone": "13712300007", "states": {"phone": "empty"}}]')
    phones = [f"137123000{number:02}" for number in range(20)] + ["+8612345"]
    (outcomes,) = sms.send(texts(*phones))
    assert isinstance(outcomes, list) and isinstance(outcomes[-1], Rejected)
    ids = {one.provider_id: phone for one, phone in zip(outcomes, phones, strict=True) if isinstance(one, Accepted)}
    assert len(ids) == 20
    wait_for(lambda: len(sms.receipts(hook)) == 20)
    for event in sms.receipts(hook):
        assert isinstance(event, ReceiptEvent) and ids[event.provider_id] == event.address
        assert event.state == ("failed" if event.address == "13712300007" else "delivered")
        assert event.bad_address == (event.address == "13712300007")


@pytest.mark.parametrize(("fault", "expected", "accepted"), FAULTS)
def test_faults(simulator: Simulator, sms: Sender, fault: object, expected: type[Outcome], accepted: int) -> None:
    simulator.control({"scripts": [{"provider": "tencent", "match": "all", "do": [fault]}]})
    before = len(simulator.ledger())
    (outcome,) = sms.send(texts("13800001000", "13800001001"))
    assert isinstance(outcome, expected)
    assert len(simulator.ledger()) - before == accepted


@pytest.mark.parametrize(("fault", "known"), [("reset_after", True), ("reset_before", False)])
def test_a_send_of_unknown_outcome_can_be_asked_for(simulator: Simulator, sms: Sender, fault: str, known: bool) -> None:
    simulator.control({"receipts": {"delay": [0.0, 0.0]}})
    simulator.control({"scripts": [{"provider": "tencent", "match": "all", "do": [fault], "times": 1}]})
    (envelope,) = [replace(texts("13800002000")[0], reference=f"q{known}", address=f"1380000200{int(known)}")]
    (outcome,) = sms.send([envelope])
    assert isinstance(outcome, TransportFault) and outcome.sent
    events = sms.adapter.read_query(
        sms.account, envelope, answered(sms.adapter.build_query(sms.account, envelope, datetime.now(UTC)))
    )
    assert isinstance(events, list)
    assert [(event.reference, event.state) for event in events] == [(envelope.reference, "delivered")] * known


def test_numbers_of_two_kinds_in_one_call_are_sent_alone(sms: Sender) -> None:
    (outcome,) = sms.send(texts("13800003000", "+85261234567"))
    assert isinstance(outcome, Rejected) and outcome.scope == "call"


def test_a_number_that_had_one_just_now_waits_and_the_other_does_not(simulator: Simulator, sms: Sender) -> None:
    simulator.control({"tencent": {"frequency_limits": True}})
    sms.send(texts("13800004000"))
    (outcomes,) = sms.send(texts("13800004000", "13800004001"))
    assert isinstance(outcomes, list) and [type(one) for one in outcomes] == [Throttled, Accepted]


def test_a_stranger_changes_nothing(simulator: Simulator, sms: Sender, hook: HttpPeer) -> None:
    simulator.control({"receipts": {"urls": {"tencent": hook.url("/hook")}, "delay": [0.0, 0.0], "bad_sig": 1.0}})
    sms.send(texts("13800005000"))
    wait_for(lambda: len(hook.bodies) == 2)
    assert simulator.stats()["receipts"]["forged"] >= 1, "the secret is in the path: the door compares it"
    assert hook.heads[0].split(b" ")[1] != hook.heads[1].split(b" ")[1] == b"/hook"


def test_credentials_are_checked_without_a_message(simulator: Simulator, sms: Sender) -> None:
    before = len(simulator.ledger())
    assert sms.check() == Accepted("")
    for name, value, code in (
        ("secret_key", "wrong", "AuthFailure.SignatureFailure"),
        ("secret_id", "AKIDnobody", "AuthFailure.SecretIdNotFound"),
        ("sdk_app_id", "1400000002", "UnauthorizedOperation.SmsSdkAppIdVerifyFail"),
    ):
        wrong = Sender(replace(sms.account, config={**sms.account.config, name: value}), sms.client)
        outcome = wrong.check()
        assert isinstance(outcome, Misconfigured) and outcome.code == code
    assert len(simulator.ledger()) == before


def test_the_phone_shows_the_text_under_its_signature(simulator: Simulator, sms: Sender) -> None:
    simulator.call("PUT", "/_sim/people", '[{"id": "ping", "phone": "13800006000"}]')
    sms.send(texts("13800006000"))
    page = simulator.call("GET", "/_sim/phones/ping").body.decode()
    assert "【优选银行】尊敬的杜萍 &amp; 1，您的账户余额为12.50元。" in page
