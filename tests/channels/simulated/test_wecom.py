"""WeCom, both kinds, from the request to the news at the hook, in the simulated world."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from apps.channels.contract import Account, AddressEvent, Envelope, HookReply, TransportFault
from apps.channels.hooks import greeting
from apps.channels.outcomes import Accepted, Misconfigured, Rejected, StaleToken, Throttled, Unknown
from apps.channels.transport.http import HttpClient
from tests.channels.peers import HttpPeer, http_answer, wait_for
from tests.channels.simulated.senders import Sender, answered, arrived
from tests.channels.test_with_simulator import AFTER
from tests.simulator.clients import Simulator

ROBOT = "693a91f6-7aaa-4bc4-97a0-0ec2b1fa5aaa"
APP = {
    "corpid": "wwUMScorp00001",
    "agentid": 1000002,
    "corpsecret": "TestCorpSecret000000000000001",
    "callback_token": "umsCallbackToken",
    "encoding_aes_key": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
}
ACCOUNT = f"{APP['corpid']}/{APP['agentid']}"
numbers = iter(range(10**9))


def envelopes(*userids: str, text: str = "") -> list[Envelope]:
    content = {"text": text or f"您的审批已通过 {next(numbers)}"}
    return [Envelope(f"k{n}", f"r{n}", userid, content) for n, userid in enumerate(userids)]


@pytest.fixture
def app(simulator: Simulator, http: HttpClient) -> Sender:
    made = Sender(Account("staff", "wecom_app", APP | {"base_url": simulator.http}), http)
    made.sign_in()
    return made


def accepted_since(simulator: Simulator, before: int) -> int:
    return sum(line["ev"] == "accept" for line in simulator.ledger(before))


def script(simulator: Simulator, *do: object, operation: str = "send", times: int | None = None) -> None:
    one = {"provider": "wecom", "match": "all", "operation": operation, "do": list(do), "times": times}
    simulator.control({"scripts": [one]})


def test_a_thousand_members_are_one_call(simulator: Simulator, app: Sender) -> None:
    before = len(simulator.ledger())
    (outcome,) = app.send(envelopes(*(f"member{n}" for n in range(1000))))
    assert isinstance(outcome, Accepted) and outcome.provider_id and accepted_since(simulator, before) == 1000


def test_each_member_has_an_outcome(simulator: Simulator, app: Sender) -> None:
    people = [{"id": "A", "wecom": "Lost", "states": {"wecom": "invalid"}}]
    simulator.call("PUT", "/_sim/people", json.dumps(people))
    (outcomes,) = app.send(envelopes("found", "lost"))
    assert isinstance(outcomes, list) and [type(one) for one in outcomes] == [Accepted, Rejected]
    (outcome,) = app.send(envelopes("lost"))
    assert isinstance(outcome, Rejected) and (outcome.code, outcome.scope) == ("81013", "recipient")


def test_the_same_call_is_shown_once(simulator: Simulator, app: Sender) -> None:
    group, before = envelopes("twice1", "twice2"), len(simulator.ledger())
    script(simulator, "reset_after", times=1)
    (lost,) = app.send(group)
    (again,) = app.send(group)
    assert isinstance(lost, TransportFault) and lost.sent and isinstance(again, Accepted)
    assert accepted_since(simulator, before) == 2


@pytest.mark.parametrize(("fault", "expected", "accepted"), AFTER)
def test_faults(simulator: Simulator, app: Sender, fault: str, expected: type, accepted: int) -> None:
    script(simulator, fault)
    before = len(simulator.ledger())
    (outcome,) = app.send(envelopes(f"fault{next(numbers)}"))
    assert isinstance(outcome, expected) and accepted_since(simulator, before) == accepted


def test_a_stale_token_is_fetched_anew(simulator: Simulator, app: Sender) -> None:
    simulator.call("POST", "/_sim/wecom/invalidate", json.dumps({"account": ACCOUNT}))
    (outcome,) = app.send(envelopes("zhangsan"))
    assert isinstance(outcome, StaleToken) and outcome.code == "42001"
    app.sign_in()
    assert isinstance(app.send(envelopes("zhangsan"))[0], Accepted)
    script(simulator, "token_error", times=1)
    assert [type(one) for one in app.send(envelopes("zhangsan"))] == [StaleToken]


def test_a_wrong_secret_or_agent_is_the_accounts_fault(simulator: Simulator, app: Sender) -> None:
    wrong = replace(app.account, config={**app.account.config, "corpsecret": "wrong"})
    asked = app.adapter.build_token(wrong, datetime.now(UTC))
    outcome = app.adapter.read_token(wrong, answered(asked))  # type: ignore[arg-type]
    assert isinstance(outcome, Misconfigured) and outcome.code == "40001"
    app.account = replace(app.account, config={**app.account.config, "agentid": 1000003})
    assert app.send(envelopes("zhangsan")) == [Misconfigured("301002", "The agent id does not belong to this secret.")]


def test_a_message_is_recalled_and_a_member_looked_up(simulator: Simulator, app: Sender) -> None:
    simulator.call("PUT", "/_sim/people", json.dumps([{"id": "R", "wecom": "Recalled", "phone": "13800138055"}]))
    (sent,) = app.send(envelopes("recalled"))
    assert isinstance(sent, Accepted)
    for provider_id, expected in ((sent.provider_id, Accepted), ("made-up", Rejected)):
        request = app.adapter.build_recall(app.account, provider_id, ["recalled"], datetime.now(UTC))
        assert isinstance(app.adapter.read_recall(app.account, answered(request)), expected)
    assert "撤回" in simulator.call("GET", "/_sim/phones/R").body.decode()
    for phone, found in (("+8613800138055", "recalled"), ("13800138056", "")):
        assert app.adapter.read_lookup(app.account, answered(app.adapter.build_lookup(app.account, phone))) == found


def test_members_who_leave_and_come_back_are_heard_of(simulator: Simulator, app: Sender) -> None:
    def answer(*_request: object) -> bytes:
        reply: HookReply | None = greeting(app.adapter, app.account, arrived(hook)[-1])
        return http_answer(reply.body if reply else app.adapter.hook_answer[1])

    hook = HttpPeer(answer)
    try:
        urls = {"wecom": hook.url("/hook")}
        simulator.control({"receipts": {"urls": urls, "delay": [0.0, 0.0], "bad_sig": 0.0}})
        tried = simulator.call("POST", "/_sim/wecom/verify", b"{}")
        assert tried.json == {"status": 200, "passed": True}
        for number, act in enumerate(("unfollow", "follow", "enter"), start=2):
            simulator.call("POST", f"/_sim/wecom/{act}", json.dumps({"userid": "ZhaoLiu"}))
            wait_for(lambda number=number: len(hook.bodies) == number)  # told side by side, they come in any order
        events = app.receipts(hook)
        assert [(e.address, e.reachable) for e in events if isinstance(e, AddressEvent)] == [
            ("zhaoliu", False),
            ("zhaoliu", True),
        ]
    finally:
        hook.close()


def test_a_group_gets_a_robots_message(simulator: Simulator, http: HttpClient) -> None:
    robot = Sender(Account("groups", "wecom_robot", {"base_url": simulator.http}), http)
    group = [Envelope("k", "r", ROBOT, {"text": "值班提醒", "mentions": "zhangsan,@all"})]
    before = len(simulator.ledger())
    outcomes = robot.send(*([group] * 20))
    assert outcomes == [Accepted("")] * 20 and accepted_since(simulator, before) == 20
    (slow,) = robot.send(group)
    assert isinstance(slow, Throttled) and slow.scope == "recipient"
    simulator.control({"wecom": {"listed_robots_only": True}})
    assert [type(one) for one in robot.send(group)] == [Rejected]
    script(simulator, "500")
    simulator.control({"wecom": {"listed_robots_only": False, "robot_minute": 100}})
    assert [type(one) for one in robot.send(group)] == [Unknown]
