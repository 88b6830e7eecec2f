"""What is DingTalk's alone: hidden causes, punished machines, the robot's mode, the webhook's signature."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from apps.channels.contract import (
    Account,
    AddressEvent,
    AddressLimit,
    BadReceipt,
    Envelope,
    HttpAnswer,
    HttpRequest,
    Token,
)
from apps.channels.hooks import greeting, heard
from apps.channels.outcomes import Accepted, Misconfigured, Outcome, Rejected, StaleToken, Throttled, Unknown
from apps.channels.providers.dingtalk_robot.adapter import DingtalkRobot, sign
from apps.channels.providers.dingtalk_work.adapter import DingtalkWork
from tests.channels.golden_files import GOLDEN, hook_request

KIND = json.loads((GOLDEN / "dingtalk_work" / "kind.json").read_text())
WORK = Account("w", "dingtalk_work", KIND["config"], "AT")
AS_ROBOT = replace(WORK, config=KIND["config"] | {"mode": "robot", "robot_code": "dingUMSrobot1"})
GROUP = Account("g", "dingtalk_robot", {"base_url": "https://oapi.dingtalk.com"})
SECRET = "SECumsrobotsecret0000000000000000000000000000000000000000000000000001"
NOW = datetime(2025, 6, 15, 15, 6, 40, tzinfo=UTC)
TEXT = {"text": "设备 A-01 告警"}
PEOPLE = ["zhangsan", "lisi", "ghost", "busy", "filtered"]


def envelopes(*people: str, content: dict[str, str] = TEXT) -> list[Envelope]:
    return [Envelope("", f"r{number}", one, content) for number, one in enumerate(people)]


def answer(document: Any, status: int = 200) -> HttpAnswer:
    return HttpAnswer(status, {}, json.dumps(document).encode())


def built(account: Account, *people: str, content: dict[str, str] = TEXT) -> tuple[HttpRequest, Any]:
    kind = DingtalkRobot() if account is GROUP or account.kind == "dingtalk_robot" else DingtalkWork()
    request = kind.build(account, envelopes(*people, content=content), NOW)
    assert isinstance(request, HttpRequest) and request.body is not None
    return request, json.loads(request.body)


# causes


@pytest.mark.parametrize(
    ("body", "expected", "code"),
    [
        ({"errcode": 60011}, Misconfigured, "60011"),
        ({"errcode": 88, "sub_code": "90018", "errmsg": "x"}, Throttled, "90018"),
        ({"errcode": 88, "errmsg": "ding talk error[subcode=60011,submsg=没有权限]"}, Misconfigured, "60011"),
        ({"errcode": 88, "sub_code": 40014}, StaleToken, "40014"),
        ({"errcode": 88, "errmsg": "nothing more"}, Unknown, "88"),
        ({"errcode": 34017}, Rejected, "34017"),
        ({"errcode": 35000}, Unknown, "35000"),
        ({"status": 1111, "wait": 5, "source": "x5", "punish": "deny"}, Throttled, "1111"),
        ({"errcode": 0}, Unknown, "http_200"),
        ({"status": 1111, "data": "of somebody else"}, Unknown, "http_200"),
        ({"errcode": False, "task_id": 7}, Unknown, "http_200"),
    ],
)
def test_what_a_refusal_means(body: dict[str, Any], expected: type[Outcome], code: str) -> None:
    outcome = DingtalkWork().read(WORK, envelopes("zhangsan"), answer(body))
    assert isinstance(outcome, expected) and getattr(outcome, "code", "") == code
    if code == "1111":
        assert isinstance(outcome, Throttled)
        assert (outcome.scope, outcome.retry_after) == ("account", timedelta(minutes=5))


def test_a_page_of_a_gateway_is_unknown() -> None:
    outcome = DingtalkWork().read(WORK, envelopes("zhangsan"), HttpAnswer(200, {}, b"<html>punish</html>"))
    assert isinstance(outcome, Unknown)


# work notifications


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (TEXT, {"msgtype": "text", "text": {"content": "设备 A-01 告警"}}),
        (TEXT | {"title": "告警"}, {"msgtype": "markdown", "markdown": {"title": "告警", "text": "设备 A-01 告警"}}),
        (
            TEXT | {"title": "告警", "url": "https://u.example", "button": "看"},
            {
                "msgtype": "action_card",
                "action_card": {
                    "title": "告警",
                    "markdown": "设备 A-01 告警",
                    "single_title": "看",
                    "single_url": "https://u.example",
                },
            },
        ),
    ],
)
def test_the_content_decides_the_form(content: dict[str, str], expected: dict[str, Any]) -> None:
    _request, body = built(WORK, "zhangsan", content=content)
    assert body["msg"] == expected


def test_a_retry_is_the_same_to_the_byte_and_a_mark_tells_two_messages_apart() -> None:
    adapter, people = DingtalkWork(), envelopes("zhangsan")
    assert adapter.build(WORK, people, NOW) == adapter.build(WORK, people, NOW + timedelta(minutes=9))
    marked = replace(WORK, config=KIND["config"] | {"mark_text": True})
    _request, body = built(marked, "zhangsan", "lisi")
    assert body["msg"]["text"]["content"] == "设备 A-01 告警\n\n[r0]"


def test_the_longest_text_leaves_room_for_the_mark() -> None:
    marked = replace(WORK, config=KIND["config"] | {"mark_text": True})
    (limit,) = (field.max_length for field in DingtalkWork().content_fields if field.name == "text")
    person = Envelope("", "1y2p0ij32e8e7", "zhangsan", {"text": "长" * (limit or 0)})  # 2 ** 63 - 1 in base 36
    request = DingtalkWork().build(marked, [person], NOW)
    assert len(json.loads(request.body or b"")["msg"]["text"]["content"]) == 5000


@pytest.mark.parametrize(
    ("code", "state"),
    [
        *((code, "failed") for code in ("143103", "143104", "143105", "143203", "143204", "143205")),
        *((code, "delivered") for code in ("143106", "143206")),
        *((code, "failed") for code in ("1430000", "1430002", "1430003", "1430004", "7")),
    ],
)
def test_why_nobody_got_it(code: str, state: str) -> None:
    """An equal text of today was delivered; everything else was dropped without a word when it was sent."""
    for said in (code, int(code)):
        lists = {"forbidden_list": [{"userid": "lisi", "code": said, "count": 1}], "forbidden_user_id_list": ["lisi"]}
        events = DingtalkWork().read_poll(WORK, "7", ["lisi"], answer({"errcode": 0, "send_result": lists}), NOW)
        assert isinstance(events, list)
        assert [(one.state, one.code, one.bad_address) for one in events] == [(state, code, False)] and events[0].words


def test_who_stands_in_two_lists_has_read_it() -> None:
    lists = {"unread_user_id_list": ["lisi"], "read_user_id_list": ["lisi"], "failed_user_id_list": ["lisi"]}
    events = DingtalkWork().read_poll(WORK, "7", ["lisi"], answer({"errcode": 0, "send_result": lists}), NOW)
    assert isinstance(events, list) and [one.state for one in events] == ["read"]


def test_a_userid_with_a_comma_is_never_sent() -> None:
    with pytest.raises(ValueError, match="comma"):
        built(WORK, "zhangsan,lisi")


def test_who_left_and_who_joined() -> None:
    adapter = DingtalkWork()
    moves = []
    for given in KIND["hooks"]:
        request = hook_request(given)
        assert greeting(adapter, WORK, request) is None
        for event in heard(adapter, WORK, request):
            assert isinstance(event, AddressEvent) and event.occurred_at.timestamp() == 1750000000
            moves.append((event.address, event.reachable, event.reason))
    assert moves == [("zhangsan", False, "left"), ("lisi", False, "left"), ("wangwu", True, "joined")]


def test_an_old_event_is_refused_and_limits_are_the_providers() -> None:
    given = KIND["hooks"][0]
    request = hook_request(given)
    assert heard(DingtalkWork(), WORK, request)
    with pytest.raises(BadReceipt):
        heard(DingtalkWork(), WORK, replace(request, received_at=request.received_at + timedelta(days=1)))
    assert DingtalkWork.capabilities.address_limits == (AddressLimit(500, timedelta(days=1)),)
    assert DingtalkRobot.capabilities.address_limits == (AddressLimit(20, timedelta(minutes=1)),)
    assert DingtalkWork.capabilities.recall_within == timedelta(days=1)


# as a robot


def test_a_robot_sends_to_twenty_in_the_new_style() -> None:
    assert DingtalkWork().call_size(AS_ROBOT) == 20
    request, body = built(AS_ROBOT, "zhangsan", "lisi")
    assert request.url == "https://api.dingtalk.com/v1.0/robot/oToMessages/batchSend"
    assert "x-acs-dingtalk-access-token: AT" in request.headers
    assert body["userIds"] == ["zhangsan", "lisi"] and body["msgKey"] == "sampleText"
    assert body["robotCode"] == "dingUMSrobot1" and json.loads(body["msgParam"]) == {"content": TEXT["text"]}
    with pytest.raises(ValueError, match="15000"):
        built(AS_ROBOT, "zhangsan", content={"text": "长" * 5000})


def test_a_robots_call_has_an_outcome_for_each() -> None:
    body = {
        "processQueryKey": "PQK",
        "invalidStaffIdList": ["ghost"],
        "flowControlledStaffIdList": ["busy"],
        "filteredStaffIdList": ["filtered"],
    }
    found = DingtalkWork().read(AS_ROBOT, envelopes(*PEOPLE), answer(body))
    assert isinstance(found, list)
    assert [type(one) for one in found] == [Accepted, Accepted, Rejected, Throttled, Rejected]
    assert found[0] == Accepted("PQK") and found[3].scope == "recipient"
    assert (found[2].bad_address, found[4].bad_address) == (True, False)
    assert DingtalkWork().read(AS_ROBOT, envelopes("zhangsan"), answer(body)) == Accepted("PQK")
    assert isinstance(DingtalkWork().read(AS_ROBOT, envelopes("zhangsan"), answer({"invalidStaffIdList": []})), Unknown)


def test_whose_of_several_a_robots_refusal_was_is_looked_for() -> None:
    said = answer({"code": "33012", "message": "x"}, 400)
    alone = DingtalkWork().read(AS_ROBOT, envelopes("zhangsan"), said)
    several = DingtalkWork().read(AS_ROBOT, envelopes("zhangsan", "lisi"), said)
    assert isinstance(alone, Rejected) and isinstance(several, Rejected)
    assert (alone.scope, several.scope) == ("recipient", "call")


def test_a_robots_text_has_its_mark() -> None:
    marked = replace(AS_ROBOT, config=AS_ROBOT.config | {"mark_text": True})  # type: ignore[operator]
    _request, body = built(marked, "zhangsan")
    assert json.loads(body["msgParam"]) == {"content": "设备 A-01 告警\n\n[r0]"}


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (401, "some.newName", StaleToken),
        (400, "InvalidAuthentication", StaleToken),
        (403, "Forbidden.AccessDenied.ApiCountLimitForOrg", Misconfigured),
        (400, "never.seen", Unknown),
        (200, "never.seen", Unknown),
    ],
)
def test_refusals_of_the_new_style(status: int, code: str, expected: type[Outcome]) -> None:
    said = answer({"code": code, "message": "x", "requestid": "r"}, status)
    outcome = DingtalkWork().read(AS_ROBOT, envelopes("zhangsan"), said)
    assert isinstance(outcome, expected)


def test_an_account_may_name_what_an_old_token_is_called() -> None:
    said = answer({"code": "some.newName", "message": "x"}, 400)
    named = replace(AS_ROBOT, config=AS_ROBOT.config | {"token_error_codes": "a.b, some.newName"})  # type: ignore[operator]
    assert isinstance(DingtalkWork().read(named, envelopes("zhangsan"), said), StaleToken)
    assert isinstance(DingtalkWork().read(AS_ROBOT, envelopes("zhangsan"), said), Unknown)


def test_a_robots_token() -> None:
    adapter = DingtalkWork()
    asked = adapter.build_token(AS_ROBOT, NOW)
    assert isinstance(asked, HttpRequest) and json.loads(asked.body or b"") == {
        "appKey": "dingUMSappkey01",
        "appSecret": "TestAppSecret000000000000000001",
    }
    token = adapter.read_token(AS_ROBOT, answer({"accessToken": "AT2", "expireIn": 7200}))
    assert token == Token("AT2", timedelta(hours=2))
    assert isinstance(adapter.read_token(AS_ROBOT, answer({"code": "x", "message": ""}, 401)), Misconfigured)


def test_who_read_a_robots_message() -> None:
    rows = [
        {"name": "张三", "userId": "zhangsan", "readStatus": "READ", "readTimestamp": 1750000000000},
        {"userId": "lisi", "readStatus": "UNREAD", "readTimestamp": 0},
    ]
    adapter = DingtalkWork()
    said = answer({"sendStatus": "SUCCESS", "messageReadInfoList": rows})
    events = adapter.read_poll(AS_ROBOT, "PQK", PEOPLE[:3], said, NOW)
    assert isinstance(events, list)
    assert [(one.state, one.address) for one in events] == [("read", "zhangsan"), ("delivered", "lisi")]
    assert events[0].occurred_at.timestamp() == 1750000000 and events[1].occurred_at == NOW
    assert adapter.read_poll(AS_ROBOT, "PQK", PEOPLE, answer({"sendStatus": "PROCESSING"}), NOW) == []
    request = adapter.build_poll(AS_ROBOT, "PQK+/=", PEOPLE, NOW)
    assert parse_qs(urlsplit(request.url).query) == {"robotCode": ["dingUMSrobot1"], "processQueryKey": ["PQK+/="]}


def test_a_robots_message_is_taken_back_under_the_odd_path() -> None:
    adapter = DingtalkWork()
    request = adapter.build_recall(AS_ROBOT, "PQK", PEOPLE, NOW)
    assert request.url.endswith("/v1.0/robot/otoMessages/batchRecall")
    assert adapter.read_recall(AS_ROBOT, answer({"successResult": ["PQK"]})) == Accepted("")
    assert isinstance(adapter.read_recall(AS_ROBOT, answer({"failedResult": {"PQK": "x"}})), Rejected)
    assert isinstance(adapter.read_recall(AS_ROBOT, answer({})), Unknown)


def test_a_robot_needs_its_code() -> None:
    assert set(DingtalkWork().check_config(KIND["config"] | {"mode": "robot"})) == {"robot_code"}


# group robots


def test_the_webhooks_signature() -> None:
    assert sign(SECRET, 1750000000000) == "fS4T0lk0EIYU56/i/aAop/UAJpkq9MvREAE8BYmAosc="
    request, _body = built(GROUP, f"66727dd9a1|{SECRET}")
    assert request.url == (
        "https://oapi.dingtalk.com/robot/send?access_token=66727dd9a1&timestamp=1750000000000"
        "&sign=fS4T0lk0EIYU56%2Fi%2FaAop%2FUAJpkq9MvREAE8BYmAosc%3D"
    )
    shared = replace(GROUP, config=dict(GROUP.config) | {"secret": SECRET})
    assert DingtalkRobot().build(shared, envelopes("66727dd9a1"), NOW).url == request.url
    assert "sign" not in built(GROUP, "66727dd9a1")[0].url
    with pytest.raises(ValueError, match="webhook"):
        built(GROUP, "66727dd9a1&x=1")


@pytest.mark.parametrize(
    ("content", "form", "expected"),
    [
        (TEXT | {"at_all": "yes"}, "text", {"content": TEXT["text"]}),
        (TEXT | {"title": "告警"}, "markdown", {"title": "告警", "text": TEXT["text"]}),
        (
            TEXT | {"title": "告警", "url": "https://u.example"},
            "actionCard",
            {"title": "告警", "text": TEXT["text"], "singleTitle": "查看详情", "singleURL": "https://u.example"},
        ),
    ],
)
def test_the_form_of_a_groups_message(content: dict[str, str], form: str, expected: dict[str, str]) -> None:
    _request, body = built(GROUP, "66727dd9a1", content=content)
    assert body["msgtype"] == form and body[form] == expected
    assert body.get("at", {}).get("isAtAll", False) is ("at_all" in content)


def test_whom_a_group_message_mentions() -> None:
    content = TEXT | {"at_mobiles": "13800000000, 13800000001", "at_user_ids": "zhangsan"}
    _request, body = built(GROUP, "66727dd9a1", content=content)
    assert body["at"] == {"atMobiles": ["13800000000", "13800000001"], "atUserIds": ["zhangsan"], "isAtAll": False}


def test_a_robots_own_protection_concerns_that_robot_only() -> None:
    said = answer({"errcode": 310000, "errmsg": "description:签名不匹配;"})
    shared = replace(GROUP, config=dict(GROUP.config) | {"secret": SECRET})
    adapter = DingtalkRobot()
    assert isinstance(adapter.read(shared, envelopes("66727dd9a1"), said), Misconfigured)
    for account, address in ((shared, f"66727dd9a1|{SECRET}"), (GROUP, "66727dd9a1")):
        outcome = adapter.read(account, envelopes(address), said)
        assert isinstance(outcome, Rejected) and (outcome.code, outcome.scope) == ("310000", "recipient")
