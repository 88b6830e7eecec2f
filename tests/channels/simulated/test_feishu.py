"""Feishu, all three kinds, from the request to the read receipt, in the simulated world."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from apps.channels.contract import Account, Envelope, HttpRequest, ReceiptEvent, TransportFault
from apps.channels.hooks import greeting
from apps.channels.outcomes import Accepted, Misconfigured, Outcome, Rejected, StaleToken, Throttled, Unknown
from apps.channels.transport.http import HttpClient
from tests.channels.peers import HttpPeer, http_answer, wait_for
from tests.channels.simulated.senders import Sender, answered, arrived
from tests.channels.test_with_simulator import AFTER
from tests.simulator.clients import Simulator

APP = {"app_id": "cli_ums000000001", "app_secret": "TestFeishuSecret0000000000000001"}
HOOK = {"encrypt_key": "umsEncryptKey01", "verification_token": "umsVerificationToken01"}
ROBOT, ROBOT_SECRET = "0b1c2d3e-4f5a-4bc4-97a0-0ec2b1fa5aaa", "umsFeishuRobotSecret01"
CONTENT = {"text": "您的审批已通过", "title": "审批", "url": "https://ums.example/m/1"}
numbers = iter(range(10**9))


def message(address: str = "", key: str = "") -> list[Envelope]:
    number = next(numbers)
    return [Envelope(key or f"ums-{number}", f"r{number}", address or f"ou_person{number}", CONTENT)]


def people(count: int) -> list[Envelope]:
    return [one for _ in range(count) for one in message()]


@pytest.fixture
def app(simulator: Simulator, http: HttpClient) -> Sender:
    made = Sender(Account("staff", "feishu_app", APP | HOOK | {"base_url": simulator.http}), http)
    made.sign_in()
    return made


@pytest.fixture
def announcement(simulator: Simulator, http: HttpClient) -> Sender:
    made = Sender(Account("news", "feishu_announcement", APP | {"base_url": simulator.http}), http)
    made.sign_in()
    return made


def accepted_since(simulator: Simulator, before: int) -> int:
    return sum(line["ev"] == "accept" for line in simulator.ledger(before))


def script(simulator: Simulator, *do: object, operation: str = "send", times: int | None = None) -> None:
    one = {"provider": "feishu", "match": "all", "operation": operation, "do": list(do), "times": times}
    simulator.control({"scripts": [one]})


def test_messages_are_accepted_once_however_often_they_are_repeated(simulator: Simulator, app: Sender) -> None:
    groups, before = [message() for _ in range(30)], len(simulator.ledger())
    first, again = app.send(*groups), app.send(*groups)
    assert all(isinstance(one, Accepted) for one in first) and first == again
    assert accepted_since(simulator, before) == 30


@pytest.mark.parametrize(("fault", "expected", "accepted"), AFTER)
def test_faults(simulator: Simulator, app: Sender, fault: str, expected: type, accepted: int) -> None:
    script(simulator, fault)
    before = len(simulator.ledger())
    (outcome,) = app.send(message())
    assert isinstance(outcome, expected) and accepted_since(simulator, before) == accepted


def test_an_unknown_message_is_repeated_with_its_uuid(simulator: Simulator, app: Sender) -> None:
    script(simulator, "500_after_accept", times=1)
    group, before = message(), len(simulator.ledger())
    (lost,) = app.send(group)
    (found,) = app.send(group)
    assert isinstance(lost, Unknown) and isinstance(found, Accepted) and accepted_since(simulator, before) == 1


def test_limits_of_a_person_and_of_the_app(simulator: Simulator, app: Sender) -> None:
    outcomes = app.send(*[message("ou_busy") for _ in range(8)])
    slow = [one for one in outcomes if isinstance(one, Throttled)]
    assert slow and all(one.scope == "recipient" for one in slow)
    script(simulator, "429(9)")
    (outcome,) = app.send(message())
    assert isinstance(outcome, Throttled) and outcome.scope == "account"
    assert outcome.retry_after is not None and outcome.retry_after.total_seconds() == 9


@pytest.mark.parametrize(("word", "code"), [("invisible", "230013"), ("left", "230029"), ("blocked", "230053")])
def test_people_who_cannot_be_reached(simulator: Simulator, app: Sender, word: str, code: str) -> None:
    person = [{"id": word, "feishu": f"ou_{word}", "states": {"feishu": word}}]
    simulator.call("PUT", "/_sim/people", json.dumps(person))
    (outcome,) = app.send(message(f"ou_{word}"))
    assert isinstance(outcome, Rejected) and (outcome.code, outcome.scope) == (code, "recipient")


def test_a_stale_token_is_fetched_anew_and_a_wrong_secret_is_the_accounts_fault(
    simulator: Simulator, app: Sender
) -> None:
    simulator.call("POST", "/_sim/feishu/invalidate", json.dumps({"account": APP["app_id"]}))
    (outcome,) = app.send(message())
    assert isinstance(outcome, StaleToken) and outcome.code == "99991663"
    app.sign_in()
    assert isinstance(app.send(message())[0], Accepted)
    script(simulator, "token_error", times=1)
    assert isinstance(app.send(message())[0], StaleToken)
    wrong = replace(app.account, config={**app.account.config, "app_secret": "wrong"})
    asked = app.adapter.build_token(wrong, datetime.now(UTC))
    assert isinstance(asked, HttpRequest)
    assert isinstance(app.adapter.read_token(wrong, answered(asked)), Misconfigured)


def test_what_was_read_is_pushed_and_can_be_asked(simulator: Simulator, app: Sender) -> None:
    def answer(*_request: object) -> bytes:
        reply = greeting(app.adapter, app.account, arrived(hook)[-1])
        return http_answer(reply.body if reply else app.adapter.hook_answer[1])

    hook = HttpPeer(answer)
    try:
        simulator.control({"receipts": {"urls": {"feishu": hook.url("/hook")}, "delay": [0.0, 0.0]}})
        assert simulator.call("POST", "/_sim/feishu/verify", b"{}").json == {"status": 200, "passed": True}
        (sent,) = app.send(message("ou_reader1"))
        assert isinstance(sent, Accepted) and app.poll(sent.provider_id, ["ou_reader1"]) == []
        simulator.call("POST", "/_sim/feishu/read", json.dumps({"id": "ou_reader1"}))
        wait_for(lambda: len(hook.bodies) == 2)
        (pushed,) = app.receipts(hook)
        (asked,) = app.poll(sent.provider_id, ["ou_reader1"])
        assert isinstance(pushed, ReceiptEvent) and pushed == asked
        assert (pushed.state, pushed.provider_id, pushed.address) == ("read", sent.provider_id, "ou_reader1")
    finally:
        hook.close()


def test_a_message_is_recalled_and_a_person_looked_up(simulator: Simulator, app: Sender) -> None:
    simulator.call("PUT", "/_sim/people", json.dumps([{"id": "F", "feishu": "ou_recalled", "phone": "13800138044"}]))
    (sent,) = app.send(message("ou_recalled"))
    assert isinstance(sent, Accepted) and app.recall(sent.provider_id, ["ou_recalled"]) == Accepted("")
    assert isinstance(app.recall("om_other", ["ou_recalled"]), Rejected)
    assert "撤回" in simulator.call("GET", "/_sim/phones/F").body.decode()
    for phone, found in (("+8613800138044", "ou_recalled"), ("13800138045", "")):
        assert app.adapter.read_lookup(app.account, answered(app.adapter.build_lookup(app.account, phone))) == found


def test_an_announcement_is_one_call(simulator: Simulator, announcement: Sender) -> None:
    simulator.call("PUT", "/_sim/people", json.dumps([{"id": "G", "feishu": "ou_gone", "states": {"feishu": "left"}}]))
    before = len(simulator.ledger())
    (outcomes,) = announcement.send([*people(199), *message("ou_gone")])
    assert isinstance(outcomes, list) and isinstance(outcomes[-1], Rejected)
    assert len({one.provider_id for one in outcomes[:-1] if isinstance(one, Accepted)}) == 1
    assert accepted_since(simulator, before) == 199
    (nobody,) = announcement.send(message("ou_gone"))
    assert isinstance(nobody, Rejected) and nobody.code == "11101"
    first = outcomes[0]
    assert isinstance(first, Accepted) and announcement.recall(first.provider_id, []) == Accepted("")
    assert isinstance(announcement.recall("bm-other", []), Rejected)


@pytest.mark.parametrize(("fault", "expected", "accepted"), [("reset_after", TransportFault, 2), ("500", Unknown, 0)])
def test_faults_of_announcements(
    simulator: Simulator, announcement: Sender, fault: str, expected: type, accepted: int
) -> None:
    script(simulator, fault)
    before = len(simulator.ledger())
    (outcome,) = announcement.send(people(2))
    assert isinstance(outcome, expected) and accepted_since(simulator, before) == accepted


def test_a_group_gets_a_robots_message(simulator: Simulator, http: HttpClient) -> None:
    robot = Sender(Account("groups", "feishu_robot", {"base_url": simulator.http}), http)
    simulator.control({"feishu": {"robots": {ROBOT: {"secret": ROBOT_SECRET, "name": "值班群"}}}})

    def said(address: str) -> list[type[Outcome]]:
        return [type(one) for one in robot.send(message(address))]  # type: ignore[misc]

    before = len(simulator.ledger())
    assert said(f"{ROBOT}|{ROBOT_SECRET}") == [Accepted] and accepted_since(simulator, before) == 1
    assert said(f"{ROBOT}|wrong") == said(ROBOT) == [Rejected]
    assert said("robot-without-secret") == [Accepted]
    outcomes = robot.send(*[message("busy-robot") for _ in range(8)])
    slow = [one for one in outcomes if isinstance(one, Throttled)]
    assert slow and all(one.scope == "recipient" for one in slow)
