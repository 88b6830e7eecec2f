"""Feishu's three kinds: what the conformance suite does not ask."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps.channels.contract import AddressLimit, BadReceipt, Envelope, HttpAnswer, HttpRequest
from apps.channels.hooks import heard
from apps.channels.outcomes import Accepted, Misconfigured, Rejected, Throttled, Unknown
from apps.channels.wire.feishu import FeishuCrypt, robot_sign
from apps.channels.wire.feishu_messages import message_of, problems_of
from tests.channels.golden_files import NOW, Kind, hook_request, kinds


@pytest.fixture
def app() -> Kind:
    return named("feishu_app")


@pytest.fixture
def announcement() -> Kind:
    return named("feishu_announcement")


@pytest.fixture
def robot() -> Kind:
    return named("feishu_robot")


def named(name: str) -> Kind:
    return next(one for one in kinds() if one.name == name)


def written(kind: Kind, *envelopes: Envelope) -> Any:
    request = kind.adapter.build(kind.account, list(envelopes), NOW)
    assert isinstance(request, HttpRequest)
    return json.loads(request.body or b"")


def answered(status: int = 200, **body: object) -> HttpAnswer:
    return HttpAnswer(status, {}, json.dumps(body).encode())


# --- what the sheet's vectors say


def test_a_robots_signature() -> None:
    assert robot_sign("1750000000", "umsFeishuRobotSecret01") == "J7yL/6xn4g/ODtMhpOVU+5Td5NwWi98FvbriSVeX2XA="


def test_the_signature_of_a_callback(app: Kind) -> None:
    given = app.given["hooks"][0]
    proof = FeishuCrypt("umsEncryptKey01").sign("1750000001", "nonce42", given["body"].encode())
    assert proof == given["headers"]["x-lark-signature"]


# --- callbacks


def test_an_event_needs_its_signature_even_if_it_is_encrypted(app: Kind) -> None:
    given = app.given["hooks"][0]
    with pytest.raises(BadReceipt, match="no signature"):
        heard(app.adapter, app.account, hook_request(given | {"headers": {}}))


def test_a_recorded_request_is_not_believed_the_next_day(app: Kind) -> None:
    given = app.given["hooks"][0]
    signed_at = datetime.fromtimestamp(1750000001, UTC)
    for late, believed in ((timedelta(hours=7), True), (timedelta(hours=9), False), (-timedelta(hours=9), False)):
        request = replace(hook_request(given), received_at=signed_at + late)
        if believed:
            assert heard(app.adapter, app.account, request)
        else:
            with pytest.raises(BadReceipt, match="too old"):
                heard(app.adapter, app.account, request)


def test_another_verification_token_or_none_at_all(app: Kind) -> None:
    request = hook_request(app.given["hooks"][0])
    other = replace(app.account, config={**app.account.config, "verification_token": "another"})
    with pytest.raises(BadReceipt, match="verification token"):
        heard(app.adapter, other, request)
    none = replace(app.account, config={**app.account.config, "verification_token": ""})
    assert heard(app.adapter, none, request)
    bare = replace(app.account, config={**app.account.config, "encrypt_key": ""})
    with pytest.raises(BadReceipt, match="Encrypt Key"):
        heard(app.adapter, bare, request)


@pytest.mark.parametrize("body", ['{"encrypt":7}', '{"encrypt":"AAAA"}', "{}", "[]", '{"encrypt":"' + "A" * 64 + '"}'])
def test_what_is_not_encrypted_with_the_key_is_refused(app: Kind, body: str) -> None:
    with pytest.raises(BadReceipt):
        heard(app.adapter, app.account, hook_request({"body": body}))


# --- single messages


def test_a_repeated_uuid_may_answer_with_an_error(app: Kind) -> None:
    outcome = app.adapter.read(app.account, app.envelopes(), answered(400, code=230049, msg="x"))
    assert isinstance(outcome, Unknown) and not outcome.unmapped


def test_the_gateway_says_how_long_to_wait(app: Kind) -> None:
    refused = answered(429, code=99991400, msg="x")
    waits = {
        "9": timedelta(seconds=9),
        "0": timedelta(seconds=1),
        "99999999": timedelta(days=1),
        "soon": None,
        "": None,
    }
    for header, wait in waits.items():
        outcome = app.adapter.read(
            app.account, app.envelopes(), replace(refused, headers={"x-ogw-ratelimit-reset": header})
        )
        assert isinstance(outcome, Throttled) and outcome.retry_after == wait


@pytest.mark.parametrize("code", [230013, 99991400, 99991663, 0])
def test_an_error_of_the_server_says_nothing_of_the_message(app: Kind, code: int) -> None:
    outcome = app.adapter.read(app.account, app.envelopes(), answered(502, code=code, msg="x"))
    assert isinstance(outcome, Unknown) and outcome.code == "http_502"


def test_a_key_that_is_too_long_is_not_cut(app: Kind) -> None:
    with pytest.raises(ValueError):
        app.adapter.build(app.account, [replace(app.envelopes()[0], key="u" * 51)], NOW)


@pytest.mark.parametrize("kind_of_id", ["union_id", "user_id"])
def test_a_read_is_for_the_kind_of_id_that_the_account_uses(app: Kind, kind_of_id: str) -> None:
    account = replace(app.account, config={**app.account.config, "receive_id_type": kind_of_id})
    (event,) = heard(app.adapter, account, hook_request(app.given["hooks"][0]))
    assert event.address == {"union_id": "on_ums01", "user_id": "u01"}[kind_of_id]


def test_what_the_contract_gives_a_person_a_group_and_a_message(app: Kind, robot: Kind, announcement: Kind) -> None:
    second, minute = timedelta(seconds=1), timedelta(minutes=1)
    assert app.adapter.capabilities.address_limits == (AddressLimit(5, second),)
    assert robot.adapter.capabilities.address_limits == (AddressLimit(5, second), AddressLimit(100, minute))
    assert app.adapter.capabilities.idempotency_window == timedelta(hours=1)
    # a KB may be 1000 bytes as well as 1024: ours are the smaller ones, of the whole JSON
    for kind, text, title in ((app, 149_989, 29_000), (announcement, 29_989, 29_000), (robot, 18_989, 18_000)):
        assert kind.adapter.check_content({"text": "x" * text}) == {}
        assert set(kind.adapter.check_content({"text": "x" * (text + 1)})) == {"text"}
        assert kind.adapter.check_content({"text": "x" * title, "title": "t"}) == {}
        assert set(kind.adapter.check_content({"text": "x" * (title + 1000), "title": "t"})) == {"text"}


# --- the forms


def test_forms_of_a_message() -> None:
    content = {"text": "第一行\n第二行", "title": "题", "url": "https://ums.example/m/1", "button": "看"}
    post = message_of(content)["zh_cn"]
    assert post["title"] == "题" and [len(line) for line in post["content"]] == [1, 1, 1]
    assert post["content"][2][0] == {"tag": "a", "text": "看", "href": "https://ums.example/m/1"}
    card = message_of(content | {"format": "card"})
    assert card["header"]["title"]["content"] == "题" and card["elements"][1]["actions"][0]["url"] == content["url"]
    assert message_of({"text": "只有文字"}) == {"text": "只有文字"}
    assert set(problems_of({"text": "x" * 90, "title": "t"}, 100, 100)) == {"text"}


# --- announcements and robots


def test_ids_that_are_not_valid_get_nothing_and_the_others_do(announcement: Kind) -> None:
    group = [*announcement.envelopes(2), Envelope("k3", "k3xb", "ou_ums03", announcement.given["content"])]
    data = {"message_id": "bm-1", "invalid_open_ids": ["ou_ums02"]}
    outcomes = announcement.adapter.read(announcement.account, group, answered(code=0, data=data))
    assert isinstance(outcomes, list) and [type(one) for one in outcomes] == [Accepted, Rejected, Accepted]
    everybody = announcement.adapter.read(announcement.account, group, answered(400, code=11101, msg="x"))
    assert isinstance(everybody, Rejected) and everybody.scope == "recipient"


def test_a_bad_parameter_is_the_contents_fault_in_a_call_and_the_accounts_for_a_token(announcement: Kind) -> None:
    odd = answered(400, code=10003, msg="invalid param")
    refused = announcement.adapter.read(announcement.account, announcement.envelopes(2), odd)
    assert isinstance(refused, Rejected) and refused.scope == "content"
    no_token = announcement.adapter.read_token(announcement.account, answered(code=10003, msg="invalid param"))
    assert isinstance(no_token, Misconfigured) and "Secret" in no_token.words


@pytest.mark.parametrize(
    ("date", "wait"),
    [
        ("Sun, 15 Jun 2025 15:06:41 GMT", timedelta(minutes=53, seconds=19)),
        ("soon", timedelta(hours=1)),
        ("", timedelta(hours=1)),
    ],
)
def test_the_days_announcements_are_back_at_midnight_in_beijing(announcement: Kind, date: str, wait: timedelta) -> None:
    full = replace(answered(400, code=11247, msg="x"), headers={"date": date} if date else {})
    outcome = announcement.adapter.read(announcement.account, announcement.envelopes(), full)
    assert isinstance(outcome, Throttled) and outcome.retry_after == wait


@pytest.mark.parametrize("data", [{}, {"message_id": ""}, {"message_id": 7}, [], None])
def test_a_success_without_an_id_is_none(announcement: Kind, app: Kind, data: object) -> None:
    for kind in (announcement, app):
        outcome = kind.adapter.read(kind.account, kind.envelopes(), answered(code=0, data=data))
        assert isinstance(outcome, Unknown) and outcome.code == "unreadable"


@pytest.mark.parametrize("kind_of_id", ["open_id", "union_id", "user_id"])
def test_the_list_is_named_after_the_kind_of_id(announcement: Kind, kind_of_id: str) -> None:
    config = {**announcement.account.config, "receive_id_type": kind_of_id}
    request = announcement.adapter.build(replace(announcement.account, config=config), announcement.envelopes(2), NOW)
    assert json.loads(request.body or b"")[f"{kind_of_id}s"] == ["ou_ums01", "ou_ums02"]  # type: ignore[union-attr]


def test_a_card_of_an_announcement_stands_in_its_own_field(announcement: Kind) -> None:
    content = announcement.given["content"] | {"format": "card"}
    body = written(announcement, Envelope("k", "r", "ou_1", content))
    assert body["msg_type"] == "interactive" and "content" not in body and body["card"]["elements"]


def test_a_robot_signs_only_where_it_has_a_secret(robot: Kind) -> None:
    content = {"text": "值班提醒"}
    bare = written(robot, Envelope("k", "r", "0b1c2d3e-4f5a", content))
    assert bare == {"msg_type": "text", "content": {"text": "值班提醒"}}
    post = written(robot, Envelope("k", "r", "0b1c2d3e-4f5a", content | {"title": "题"}))
    assert post["msg_type"] == "post" and post["content"]["post"]["zh_cn"]["title"] == "题"
    signed = written(robot, Envelope("k", "r", "0b1c2d3e-4f5a|s3cr3t", content))
    assert signed["timestamp"] == str(int(NOW.timestamp())) and signed["sign"] == robot_sign(
        signed["timestamp"], "s3cr3t"
    )
    for address in ("short", "0b1c2d3e/../x", "0b1c2d3e-4f5a|", ""):
        with pytest.raises(ValueError):
            robot.adapter.build(robot.account, [Envelope("k", "r", address, content)], NOW)
