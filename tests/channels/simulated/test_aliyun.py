"""Alibaba Cloud beside SendSms, from the request to the receipt, in the simulated world: own texts, templates, 5G messages."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from apps.channels.contract import Account, ApprovedTemplate, Envelope, ReceiptEvent, TransportFault
from apps.channels.outcomes import Accepted, Misconfigured, Outcome, Rejected, Throttled, Unknown
from apps.channels.transport.http import HttpClient
from tests.channels.peers import HttpPeer, wait_for
from tests.channels.simulated.senders import Sender, answered
from tests.simulator.clients import ALIYUN_KEY, ALIYUN_SECRET, Simulator

HOOK_ANSWER = ("application/json", b'{"code":0,"msg":"ok"}')
KEYS = {"access_key_id": ALIYUN_KEY, "access_key_secret": ALIYUN_SECRET}
FAULTS = [
    ("reset_before", TransportFault, 0),
    ("reset_after", TransportFault, 1),
    ("hang_after_accept(2)", TransportFault, 1),
    ("garbage_after_accept", Unknown, 1),
    ("500", Unknown, 0),
    ("500_after_accept", Unknown, 1),
    ("429", Throttled, 0),
    ({"refuse": "isv.AMOUNT_NOT_ENOUGH"}, Misconfigured, 0),
    ({"refuse": "isv.MOBILE_NUMBER_ILLEGAL"}, Rejected, 0),
]


@pytest.fixture
def sms(simulator: Simulator, http: HttpClient) -> Sender:
    config = KEYS | {"base_url": simulator.http, "texts_of_call": "own", "recipients_per_call": 100}
    return Sender(Account("sms", "sms_aliyun", config), http)


@pytest.fixture
def rcs(simulator: Simulator, http: HttpClient) -> Sender:
    return Sender(Account("rcs", "rcs_aliyun", KEYS | {"base_url": simulator.http}), http)


def texts(count: int, template: str = "SMS_100000002", **values: str) -> Sequence[Envelope]:
    content: dict[str, Any] = {"sign_name": "优选银行", "template_code": template, "text": "x"}
    params = [{"name": f"杜萍 & {n}", "balance": str(n)} | values for n in range(count)]
    return [Envelope("", f"r{n}", f"+86138000{n:05}", content | {"params": one}) for n, one in enumerate(params)]


def faulted(simulator: Simulator, do: object) -> None:
    simulator.control({"scripts": [{"provider": "aliyun", "match": "all", "do": [do]}]})


def test_a_hundred_own_texts_are_one_call(simulator: Simulator, sms: Sender, hook: HttpPeer) -> None:
    simulator.control({"receipts": {"urls": {"aliyun": hook.url("/hook")}, "delay": [0.0, 0.0]}})
    before, calls = len(simulator.ledger()), simulator.stats()["aliyun"]["calls"]
    (outcome,) = sms.send(texts(100))
    assert isinstance(outcome, Accepted) and simulator.stats()["aliyun"]["calls"] == calls + 1
    lines = simulator.ledger(before)
    assert len({line["body_hash"] for line in lines}) == 100 and {line["delivery_ref"] for line in lines} == {"r0"}
    wait_for(lambda: len(sms.receipts(hook)) == 100)
    told = {event.address: event for event in sms.receipts(hook) if isinstance(event, ReceiptEvent)}
    assert set(told) == {f"138000{n:05}" for n in range(100)}
    assert {(event.reference, event.provider_id) for event in told.values()} == {("r0", outcome.provider_id)}


def test_one_bad_text_of_several_is_looked_for(simulator: Simulator, sms: Sender) -> None:
    before = len(simulator.ledger())
    bad = replace(texts(1)[0], content=texts(1, name="https://a.example")[0].content)
    (outcome,) = sms.send([*texts(3), bad])
    assert isinstance(outcome, Rejected) and outcome.scope == "call" and len(simulator.ledger()) == before
    (alone,) = sms.send([bad])
    assert isinstance(alone, Rejected) and alone.scope == "content"


def test_templates_come_page_by_page(simulator: Simulator, sms: Sender) -> None:
    many = {f"SMS_9{n:03}": {"text": "${name}您好", "name": f"n{n}"} for n in range(60)}
    simulator.control({"aliyun": {"templates": many}})
    found: list[ApprovedTemplate] = []
    more, page = True, 0
    while more:
        page += 1
        read = sms.adapter.read_templates(sms.account, answered(sms.adapter.build_templates(sms.account, page)))
        assert isinstance(read, tuple)
        found, more = [*found, *read[0]], read[1]
    assert page == 2 and set(many) < {one.code for one in found}
    assert ApprovedTemplate("SMS_9007", "n7", "${name}您好", "approved") in found


def test_credentials_are_checked_without_a_message(simulator: Simulator, sms: Sender, rcs: Sender) -> None:
    before = len(simulator.ledger())
    for sender in (sms, rcs):
        assert sender.check() == Accepted("")
        sender.account = replace(sender.account, config={**sender.account.config, "access_key_secret": "wrong"})
        outcome = sender.check()
        assert isinstance(outcome, Misconfigured) and outcome.code == "SignatureDoesNotMatch"
    assert len(simulator.ledger()) == before


def test_5g_messages_are_reported_with_our_reference(simulator: Simulator, rcs: Sender, hook: HttpPeer) -> None:
    simulator.control({"receipts": {"urls": {"aliyun:rcs": hook.url("/hook")}, "delay": [0.0, 0.0]}})
    people = '[{"id": "old", "phone": "13800000001", "states": {"phone": "empty"}}]'
    assert simulator.call("PUT", "/_sim/people", people).status == 200
    simulator.control({"world": {"aliyun": {"unsupported": 0.5}}})
    outcomes = rcs.send(*[[one] for one in texts(20, "RCS_SMS_100000001")])
    assert outcomes == [Accepted("")] * 20
    wait_for(lambda: len(rcs.receipts(hook)) == 20)
    told = {event.reference: event for event in rcs.receipts(hook) if isinstance(event, ReceiptEvent)}
    assert {told[f"r{n}"].address for n in range(20)} == {f"138000{n:05}" for n in range(20)}
    assert [ref for ref, event in told.items() if event.state != "delivered"] == ["r1"]
    assert {event.words.rpartition(" ")[2] for event in told.values()} == {"(RCS)", "(PLAIN_TEXT)"}


def test_a_number_without_5g_messages_is_no_bad_number(simulator: Simulator, rcs: Sender, hook: HttpPeer) -> None:
    simulator.control({"receipts": {"urls": {"aliyun:rcs": hook.url("/hook")}, "delay": [0.0, 0.0]}})
    simulator.control({"world": {"aliyun": {"unsupported": 1.0}}, "aliyun": {"rcs_falls_back": False}})
    rcs.send(texts(1, "RCS_SMS_100000001"))
    wait_for(lambda: rcs.receipts(hook))
    (event,) = rcs.receipts(hook)
    assert isinstance(event, ReceiptEvent) and (event.state, event.code) == ("failed", "MOBILE_NOT_SUPPORT_RCS")
    assert not event.bad_address


@pytest.mark.parametrize(("fault", "expected", "accepted"), FAULTS)
def test_faults(simulator: Simulator, rcs: Sender, fault: object, expected: type[Outcome], accepted: int) -> None:
    faulted(simulator, fault)
    before = len(simulator.ledger())
    (outcome,) = rcs.send(texts(1, "RCS_SMS_100000001"))
    assert isinstance(outcome, expected)
    assert len(simulator.ledger()) - before == accepted
