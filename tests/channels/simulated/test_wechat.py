"""Official account and mini program into the simulated world: sent, faulted, signed in again, reported, and people's deeds."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest

from apps.channels.contract import (
    Account,
    AddressEvent,
    BadReceipt,
    Envelope,
    HttpRequest,
    ReceiptEvent,
    TransportFault,
)
from apps.channels.hooks import greeting, heard
from apps.channels.outcomes import Accepted, Misconfigured, Rejected, StaleToken, Throttled, Unknown
from apps.channels.transport.http import HttpClient
from tests.channels.peers import HttpPeer, http_answer, wait_for
from tests.channels.simulated.senders import Said, Sender, answered, arrived
from tests.simulator.clients import Simulator

HOOK_ANSWER = ("text/plain", b"success")
OA, MINI = "wx00000000000ums01", "wx00000000000mini1"
TPL, SUB = "UMSTPL_abcdefghijklmnopqrstuvwxyz0123456789", "UMSSUB_abcdefghijklmnopqrstuvwxyz0123456789"
MINITPL = "MINITPL_abcdefghijklmnopqrstuvwxyz01234567"
BILL = {"thing1": "杜萍", "amount2": "¥12.50"}
KEYS = count()  # a key that comes again is the same message to the provider
STEP = {"thing1": "设备告警", "time2": "2026年1月2日 03:04", "character_string3": "UMS-2026-0001"}


def signed_in(simulator: Simulator, client: HttpClient, kind: str, app_id: str, secret: str, **more: Any) -> Sender:
    config = {
        "app_id": app_id,
        "app_secret": secret,
        "base_url": simulator.http,
        "callback_token": "umsCallbackToken",
        "callback_aes_key": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        **more,
    }
    sender = Sender(Account("main", kind, config), client)
    sender.sign_in()
    return sender


@pytest.fixture
def oa(simulator: Simulator, http: HttpClient) -> Sender:
    return signed_in(simulator, http, "wechat_oa", OA, "TestOaSecret000000000000000000001")


@pytest.fixture
def mini(simulator: Simulator, http: HttpClient) -> Sender:
    return signed_in(simulator, http, "wechat_mini", MINI, "TestMiniSecret0000000000000000001", token_mode="classic")


@pytest.fixture
def told(simulator: Simulator, hook: HttpPeer) -> HttpPeer:
    simulator.control({"receipts": {"urls": {"wechat": hook.url("/hook")}, "delay": [0.0, 0.0]}})
    return hook


def openid(number: int) -> str:
    return f"oUMS_{number:022d}x"


def bill(number: int = 1, **content: Any) -> list[Envelope]:
    given = {"template_id": TPL, "data": BILL} | content
    return [Envelope(f"key{next(KEYS)}", f"ref{number}", openid(number), given)]


def step(number: int = 1) -> list[Envelope]:
    content = {"template_id": MINITPL, "data": STEP, "page": "pages/index?id=1"}
    return [Envelope(f"key{number}", f"ref{number}", openid(number), content)]


def ids(outcomes: Sequence[Said]) -> list[str]:
    assert all(isinstance(one, Accepted) for one in outcomes), outcomes
    return [one.provider_id for one in outcomes if isinstance(one, Accepted)]


def act(simulator: Simulator, operation: str, account: str = OA, number: int = 1, **more: Any) -> None:
    body = {"account": account, "openid": openid(number), **more}
    assert simulator.call("POST", f"/_sim/wechat/{operation}", json.dumps(body)).status == 200


def faulted(simulator: Simulator, do: str | dict[str, Any]) -> None:
    simulator.control({"scripts": [{"provider": "wechat", "match": "all", "do": do, "times": 1}]})


# sends


def test_template_messages_are_accepted_and_reported(simulator: Simulator, oa: Sender, told: HttpPeer) -> None:
    before = len(simulator.ledger())
    sent = ids(oa.send(*[bill(number) for number in range(30)]))
    lines = simulator.ledger(before)
    assert sorted(line["pid"] for line in lines) == sorted(sent) and len(set(sent)) == 30
    wait_for(lambda: len(told.bodies) == 30)
    events = [event for event in oa.receipts(told) if isinstance(event, ReceiptEvent)]
    assert {(event.provider_id, event.address, event.state) for event in events} == {
        (pid, openid(number), "delivered") for number, pid in enumerate(sent)
    }


def test_failed_template_messages(simulator: Simulator, oa: Sender, told: HttpPeer) -> None:
    simulator.control({"world": {"wechat": {"blocked": 1.0}}})
    (pid,) = ids(oa.send(bill()))
    wait_for(lambda: told.bodies)
    (event,) = oa.receipts(told)
    assert isinstance(event, ReceiptEvent) and (event.state, event.code) == ("failed", "failed:user block")
    assert event.provider_id == pid and not event.bad_address


@pytest.mark.parametrize("fault", ["reset_after", "500_after_accept", "garbage_after_accept", "hang_after_accept(2)"])
def test_a_template_message_of_unknown_outcome_can_be_said_again(simulator: Simulator, oa: Sender, fault: str) -> None:
    faulted(simulator, [fault])
    before, group = len(simulator.ledger()), bill()
    (lost,) = oa.send(group)
    assert isinstance(lost, Unknown) or (isinstance(lost, TransportFault) and lost.sent)
    ids(oa.send(group))
    key = group[0].key
    assert [(line["ev"], line["key"]) for line in simulator.ledger(before)] == [("accept", key), ("dedup", key)]


def test_the_three_messages_of_an_official_account(simulator: Simulator, oa: Sender) -> None:
    act(simulator, "speak", number=2)
    contents = [
        {"message_type": "subscribe", "template_id": SUB, "data": BILL | {"thing1": "字" * 30}},
        {"message_type": "customer", "text": "您好"},
        {"url": "https://ums.example/m/1", "mini_appid": MINI, "mini_path": "pages/index"},
    ]
    subscription, answer, template = ids(oa.send(*[bill(2, **content) for content in contents]))
    assert (subscription, answer) == ("", "") and template
    (closed,) = oa.send(bill(3, message_type="customer", text="您好"))
    assert isinstance(closed, Rejected) and closed.code == "45015"


def test_refusals_of_people_and_templates(simulator: Simulator, oa: Sender, mini: Sender) -> None:
    act(simulator, "unfollow", number=5)
    (gone,) = oa.send(bill(5))
    act(simulator, "follow", number=5)
    assert isinstance(gone, Rejected) and (gone.code, gone.scope) == ("43004", "recipient")
    (unknown,) = oa.send(bill(1, template_id="UMSTPL_none"))
    assert isinstance(unknown, Rejected) and (unknown.code, unknown.scope) == ("40037", "content")
    (missing,) = oa.send(bill(1, data={"thing1": "x"}))
    assert isinstance(missing, Rejected) and missing.code == "47003" and "Field amount2." in missing.words
    simulator.control({"wechat": {"grants_each": 0}})
    (refused,) = mini.send(step(9))
    assert isinstance(refused, Rejected) and (refused.code, refused.scope) == ("43101", "recipient")


def test_limits_hold_the_account_or_the_person(simulator: Simulator, oa: Sender, mini: Sender) -> None:
    faulted(simulator, ["429"])
    (minute,) = oa.send(bill())
    assert isinstance(minute, Throttled) and minute.scope == "account" and minute.retry_after is not None
    simulator.control({"wechat": {"serial_s": 60.0}})
    first, second = mini.send(step(11)), mini.send(step(11))
    assert isinstance(first[0], Accepted) and isinstance(second[0], Throttled) and second[0].scope == "recipient"
    simulator.control({"wechat": {"daily": 0}})
    (day,) = mini.send(step())
    assert isinstance(day, Throttled) and day.code == "45009" and day.retry_after is not None


def test_a_busy_mini_program_is_not_asked_again(simulator: Simulator, oa: Sender, mini: Sender) -> None:
    faulted(simulator, {"refuse": "-1"})
    (busy,) = mini.send(step())
    assert isinstance(busy, Unknown) and not busy.unmapped
    faulted(simulator, {"refuse": "-1"})
    assert isinstance(oa.send(bill())[0], Unknown)


# tokens


def test_an_ended_token_is_fetched_anew(simulator: Simulator, oa: Sender, mini: Sender) -> None:
    for sender, account, group in ((oa, OA, bill()), (mini, MINI, step())):
        before = len(simulator.ledger())
        act(simulator, "invalidate", account)
        (stale,) = sender.send(group)
        assert isinstance(stale, StaleToken)
        sender.sign_in()
        ids(sender.send(group))
        assert len(simulator.ledger(before)) == 1


def test_no_token_for_wrong_credentials(simulator: Simulator, oa: Sender, mini: Sender) -> None:
    for sender in (oa, mini):
        wrong = replace(sender.account, config={**sender.account.config, "app_secret": "wrong"})
        asked = sender.adapter.build_token(wrong, datetime.now(UTC))
        assert isinstance(asked, HttpRequest)
        refused = sender.adapter.read_token(wrong, answered(asked))
        assert isinstance(refused, Misconfigured)


# what is told


def test_subscriptions_of_a_mini_program_are_reported(simulator: Simulator, mini: Sender, told: HttpPeer) -> None:
    sent = ids(mini.send(step(1), step(2)))
    wait_for(lambda: len(told.bodies) == 2)
    events = {event.provider_id: event for event in mini.receipts(told) if isinstance(event, ReceiptEvent)}
    assert {pid: (event.address, event.state) for pid, event in events.items()} == {
        sent[0]: (openid(1), "delivered"),
        sent[1]: (openid(2), "delivered"),
    }


def test_people_follow_and_leave(simulator: Simulator, oa: Sender, told: HttpPeer) -> None:
    act(simulator, "follow", unionid="uni-1")
    wait_for(lambda: len(told.bodies) == 1)
    act(simulator, "unfollow")
    wait_for(lambda: len(told.bodies) == 2)
    act(simulator, "follow")
    news = [event for event in oa.receipts(told) if isinstance(event, AddressEvent)]
    assert [(one.reachable, one.reason, one.unionid) for one in news[:2]] == [
        (True, "followed", "uni-1"),
        (False, "unfollowed", ""),
    ]


def test_people_allow_and_refuse(simulator: Simulator, mini: Sender, told: HttpPeer) -> None:
    deeds = (("refuse", False), ("grant", True), ("switch_off", False))
    for number, (operation, _reachable) in enumerate(deeds, 1):
        act(simulator, operation, MINI, number=21, template=MINITPL)
        wait_for(lambda number=number: len(told.bodies) == number)  # type: ignore[misc]
    news = [event for event in mini.receipts(told) if isinstance(event, AddressEvent)]
    assert [(one.address, one.reachable) for one in news] == [(openid(21), reachable) for _deed, reachable in deeds]


def test_strangers_are_not_believed(simulator: Simulator, oa: Sender, told: HttpPeer) -> None:
    simulator.control({"receipts": {"bad_sig": 1.0}})
    oa.send(bill())
    wait_for(lambda: len(told.bodies) == 2)
    kinds = set()
    for request in arrived(told):
        try:
            kinds.add(len(heard(oa.adapter, oa.account, request)))
        except BadReceipt:
            kinds.add(-1)
    assert kinds == {1, -1}


def test_the_trial_of_the_address_is_passed(simulator: Simulator, oa: Sender) -> None:
    def answer(connection: object, head: bytes, body: bytes, number: int) -> bytes:
        reply = greeting(oa.adapter, oa.account, arrived(door)[-1])
        assert reply is not None
        return http_answer(reply.body, "200 OK", f"Content-Type: {reply.content_type}")

    door = HttpPeer(answer)
    simulator.control({"receipts": {"urls": {"wechat": door.url("/hook")}}})
    said = simulator.call("POST", "/_sim/wechat/verify", json.dumps({"account": OA})).json
    door.close()
    assert said == {"status": 200, "passed": True}
