"""Official account and mini program: published vectors, who is believed at the hook, values of templates, odd answers."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps.channels.contract import (
    Account,
    Adapter,
    BadReceipt,
    Envelope,
    HookRequest,
    HttpAnswer,
    HttpRequest,
    Idempotency,
)
from apps.channels.hooks import greeting, heard
from apps.channels.outcomes import Accepted, Rejected, Throttled, Unknown
from apps.channels.registry import adapter
from apps.channels.wire.wechat_fields import fitted, misfit

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
AT = datetime.fromtimestamp(1750000001, UTC)
SIGNATURE = "08e07923d22192b2fe8223617d72d88fc6e2b970"
# Official account, template result: encrypted by this project's first implementation, opened by wechatpy 1.8.18.
OA_ENCRYPT = (
    "4j/AuRx71kQlxVlzbpsMWLBpIMfZDdYvXgrLumZud44fXY3UfuKSElsbr6F9fDt6Bl/i97vs4dxrV9zRchB6dkPazGDSVNIKs1a5oWwjCMtPg10/SQYu"
    "hmkio/sTv0TEfaUtJjeENIsf1V0RqgbMMAwJRY6gN49pqOwiB0P5nkcFqRzVnxBr5z9ZDvTPjDO4ZlzfuRPYXkKdCf6C6tgMzK71+phPMem/5NqEqajz"
    "IBJ4OBTG6TVXqgeK9uCqV8n5igqCQBNDWnpC0DaHMUzG+Dl9M+kr2zLuG1fqAtZJQtSDKvsmK8fpvh2CY6CSnBamSNDSX98ABGiORZEDRh+KqoG6LmVl"
    "/RnqasAcaFmmCIrARHKPSt0xSmTlVkE5O8jlOt6Ggw44+WeJHurksq7p7Oh3fKlvPPysoeh7WLvEGZ8t7TsdOp/Yz8Mq48/nrwKcy54KN8QPpFEjCqrg"
    "p7srlMv46iCaQ59ETVHxd4kFLSfJ4v3J1HaBgYsOYC+2dwJW"
)
OA_SIGNATURE = "cdb89c5cb3fee8bb2f1d4f52d4ff3c9ba3e8149d"
MINI_ENCRYPT = (
    "4j/AuRx71kQlxVlzbpsMWBq2GZVoZzZvTpOIkMxQln96Zwmb9BcLqvO0/50pJh++qQwlH5NtUmw6Udqg9SCGxA2cL+WaPMndgvrhX+xYnXBFhgfg/YwS"
    "j+Ux48/9PQYilAWNOS6ADgE2vZ0uPvmMaeTA+EMPLsq2sAIzBYLMYPVtDEGRRV/qWAv+xTNpgxeICMgb8o9t8f5Xa4OV9wO6TZTgcHWS07rySk3kNLW6"
    "Oe5QXD5bzwAMBeddyGMVhgW0b3lMBBvRBVLphw03/7cQHv7KCK7DEQQvVVWigwjmUy/qAFXjlwT8wk7kY9aEcF8ms9oK2/AqAZ2ebJYXkNEVM0ssjWIi"
    "pL0RhzEnY4kx4RXzC+NR0H0IGoZU40krA/m7buGGvb6WpG+x5Fq+mJJqj6+8fLZAVKlAWdsLjHr9YQLkm/2ySrUe8YBpqKYwEV2raSbivJjmzr9AOZj1"
    "d3ckiA=="
)
MINI_SIGNATURE = "9bc60d911cc96779128bad891cebeac660b826a7"


def account(kind: str, **changes: Any) -> Account:
    receiver = {"wechat_oa": "wx00000000000ums01", "wechat_mini": "wx00000000000mini1"}[kind]
    config = {
        "app_id": receiver,
        "app_secret": "s3cr3t-example",
        "base_url": "https://api.weixin.qq.com",
        "callback_token": "umsCallbackToken",
        "callback_aes_key": KEY,
    }
    return Account("main", kind, config | changes, "AT")


def called(body: str, msg_signature: str = "", **changes: str) -> HookRequest:
    query = {"signature": SIGNATURE, "timestamp": "1750000001", "nonce": "nonce42", "msg_signature": msg_signature}
    return HookRequest({}, query | changes, body.encode(), AT)


OA_CALL = called(f"<xml><ToUserName>gh</ToUserName><Encrypt><![CDATA[{OA_ENCRYPT}]]></Encrypt></xml>", OA_SIGNATURE)
MINI_CALL = called(json.dumps({"ToUserName": "gh_umsmini00001", "Encrypt": MINI_ENCRYPT}), MINI_SIGNATURE)


@pytest.fixture
def oa() -> Adapter:
    return adapter("wechat_oa")


@pytest.fixture
def mini() -> Adapter:
    return adapter("wechat_mini")


def test_the_recorded_cipher_texts_are_read(oa: Adapter, mini: Adapter) -> None:
    (template,) = heard(oa, account("wechat_oa"), OA_CALL)
    assert (template.state, template.provider_id) == ("delivered", "3000000000000000001")  # type: ignore[union-attr]
    (subscription,) = heard(mini, account("wechat_mini"), MINI_CALL)
    assert (subscription.state, subscription.provider_id) == ("delivered", "1864000000000000001")  # type: ignore[union-attr]
    assert subscription.occurred_at == AT - timedelta(seconds=1)


def test_an_envelope_for_another_receiver_or_of_yesterday_is_refused(oa: Adapter) -> None:
    for wrong in (account("wechat_oa", app_id="wx00000000000ums02"), account("wechat_oa", callback_token="")):
        with pytest.raises(BadReceipt):
            heard(oa, wrong, OA_CALL)
    with pytest.raises(BadReceipt, match="too old"):
        heard(oa, account("wechat_oa"), replace(OA_CALL, received_at=AT + timedelta(days=1)))
    with pytest.raises(BadReceipt):
        heard(oa, account("wechat_oa"), called(OA_CALL.body.decode(), OA_SIGNATURE[:-1] + "e"))


def test_a_body_in_clear_is_believed_only_where_the_operator_says_so(oa: Adapter) -> None:
    clear = called(
        "<xml><FromUserName>o1</FromUserName><CreateTime>1750000000</CreateTime><MsgType>event</MsgType>"
        "<Event>unsubscribe</Event></xml>"
    )
    with pytest.raises(BadReceipt, match="not encrypted"):
        heard(oa, account("wechat_oa"), clear)
    (event,) = heard(oa, account("wechat_oa", plain_callbacks=True), clear)
    assert event.address == "o1" and event.reachable is False  # type: ignore[union-attr]
    with pytest.raises(BadReceipt):
        heard(oa, account("wechat_oa", plain_callbacks="true"), replace(clear, query={**clear.query, "signature": "0"}))


def test_of_a_call_in_both_forms_only_the_encrypted_one_counts(oa: Adapter) -> None:
    both = called(
        "<xml><ToUserName>gh</ToUserName><FromUserName>o1</FromUserName><CreateTime>1750000000</CreateTime>"
        "<MsgType>event</MsgType><Event>unsubscribe</Event>"
        f"<Encrypt><![CDATA[{OA_ENCRYPT}]]></Encrypt></xml>",
        OA_SIGNATURE,
    )
    (event,) = heard(oa, account("wechat_oa", plain_callbacks=True), both)
    assert event.address == "oUMS_0000000000000000000001x"


def test_the_trial_of_the_address_echoes_what_was_signed_only(mini: Adapter) -> None:
    trial = replace(called(""), method="GET", body=b"")
    trial = replace(trial, query={**trial.query, "echostr": "<b>7</b>"})
    reply = greeting(mini, account("wechat_mini"), trial)
    assert reply is not None and (reply.body, reply.content_type) == (b"<b>7</b>", "text/plain")
    with pytest.raises(BadReceipt):
        greeting(mini, account("wechat_mini"), replace(trial, query={**trial.query, "nonce": "other"}))


def test_subscription_receipts_are_silent_where_answers_carry_no_id(oa: Adapter, mini: Adapter) -> None:
    assert heard(mini, account("wechat_mini", subscribe_msgid=False), MINI_CALL) == []
    body = replace(OA_CALL, body=b"")
    sent = json.dumps(
        {
            "FromUserName": "o1",
            "CreateTime": 1750000000,
            "MsgType": "event",
            "Event": "subscribe_msg_sent_event",
            "List": {"MsgID": 7, "ErrorCode": 0},
        }
    ).encode()
    clear = replace(body, body=sent)
    assert heard(oa, account("wechat_oa", plain_callbacks=True), clear) == []
    (event,) = heard(oa, account("wechat_oa", plain_callbacks=True, subscribe_msgid="true"), clear)
    assert (event.state, event.provider_id) == ("delivered", "7")  # type: ignore[union-attr]


def test_a_yes_or_no_to_one_template_says_nothing_of_the_account(oa: Adapter, mini: Adapter) -> None:
    """An official account reaches people by other messages, too: only templates that the operator names count."""
    entry = {"TemplateId": "T1", "SubscribeStatusString": "reject"}
    event = {"FromUserName": "o1", "CreateTime": 1750000000, "MsgType": "event", "Event": "subscribe_msg_popup_event"}
    said = called(json.dumps(event | {"List": entry}))
    for kind, named, heard_of in ((oa, "", 0), (oa, "T1", 1), (oa, "T2", 0), (mini, "", 1), (mini, "T2", 0)):
        assert len(kind.parse_hook(account(kind.kind, consent_templates=named), said)) == heard_of, (kind.kind, named)


# what is sent


def envelope(**content: Any) -> list[Envelope]:
    return [Envelope("key1", "ref1", "oUMS_1", content)]


def sent(kind: Adapter, **content: Any) -> tuple[str, dict[str, Any]]:
    request = kind.build(account(kind.kind), envelope(**content), AT)
    assert isinstance(request, HttpRequest) and request.body is not None
    return request.url, json.loads(request.body)


def test_the_content_says_which_message_it_is(oa: Adapter) -> None:
    url, body = sent(oa, template_id="T", data={"thing1": "a"})
    assert "/template/send?" in url and body["client_msg_id"] == "key1" and "url" not in body
    url, body = sent(oa, message_type="subscribe", template_id="T", data={"thing1": "a\nb"}, url="https://x.example")
    assert "/subscribe/bizsend?" in url and "client_msg_id" not in body
    assert body["data"] == {"thing1": {"value": "a b"}} and body["page"] == "https://x.example"
    url, body = sent(oa, message_type="customer", text="您好")
    assert "/custom/send?" in url and body == {"touser": "oUMS_1", "msgtype": "text", "text": {"content": "您好"}}


def test_each_message_wants_its_own_fields(oa: Adapter) -> None:
    assert set(oa.check_content({"message_type": "customer"})) == {"text"}
    assert set(oa.check_content({"message_type": "customer", "text": "字" * 683})) == {"text"}
    assert oa.check_content({"message_type": "customer", "text": "字" * 682}) == {}
    assert set(oa.check_content({"message_type": "subscribe"})) == {"template_id", "data"}
    assert oa.check_content({"template_id": "T", "data": {"letter1": "12"}}) == {}
    wrong = {"message_type": "subscribe", "template_id": "T", "data": {"letter1": "12"}}
    assert oa.check_content(wrong) == {"data": "letter1: at most 32 letters are allowed."}


def test_a_mini_programs_message_is_fitted_and_says_what_a_tap_opens(mini: Adapter) -> None:
    config = account("wechat_mini", miniprogram_state="trial", lang="en_US")
    request = mini.build(config, envelope(template_id="T", data={"thing1": "a\nb" + "字" * 20}), AT)
    assert isinstance(request, HttpRequest) and request.body is not None
    body = json.loads(request.body)
    assert body["data"] == {"thing1": {"value": "a b" + "字" * 16 + "…"}}
    assert (body["miniprogram_state"], body["lang"], "page" in body) == ("trial", "en_US", False)
    _url, plain = sent(mini, template_id="T", data={"thing1": "a"})
    assert (plain["miniprogram_state"], plain["lang"]) == ("formal", "zh_CN")
    assert mini.check_content({"template_id": "T", "data": {"phrase1": "ok"}}) == {
        "data": "phrase1: at most 5 Chinese characters are allowed, nothing else."
    }
    with pytest.raises(ValueError):
        sent(mini, template_id="T", data={"thing1": "\n"})


def test_a_token_is_written_so_that_it_stays_one_parameter(mini: Adapter) -> None:
    request = mini.build(
        replace(account("wechat_mini"), token="a&b=c d"), envelope(template_id="T", data={"thing1": "a"}), AT
    )
    assert isinstance(request, HttpRequest) and request.url.endswith("?access_token=a%26b%3Dc%20d")


# what the provider answers


def answer(errcode: int, errmsg: str = "", **headers: str) -> HttpAnswer:
    return HttpAnswer(200, headers, json.dumps({"errcode": errcode, "errmsg": errmsg}).encode())


def test_busy_says_nothing_of_the_message_and_only_a_template_message_has_a_guard(oa: Adapter, mini: Adapter) -> None:
    for kind in (oa, mini):
        busy = kind.read(account(kind.kind), envelope(template_id="T", data={}), answer(-1))
        assert isinstance(busy, Unknown) and not busy.unmapped
    guarded = oa.capabilities_of(account("wechat_oa"), {"template_id": "T"})
    assert (guarded.idempotency, guarded.idempotency_window) == (Idempotency.KEYED, timedelta(minutes=10))
    for content in (None, {"message_type": "customer"}, {"message_type": "subscribe"}):
        assert oa.capabilities_of(account("wechat_oa"), content).idempotency is Idempotency.NONE


@pytest.mark.parametrize("status", [302, 500, 502])
def test_only_http_200_carries_a_word_of_the_provider(oa: Adapter, mini: Adapter, status: int) -> None:
    for kind in (oa, mini):
        for code in (43004, 45011, 40001):
            refused = replace(answer(code), status=status)
            assert kind.read(account(kind.kind), envelope(), refused).code == f"http_{status}"  # type: ignore[union-attr]


@pytest.mark.parametrize("errcode", ["oUMS_0000000000000000000001x", True, None, {}, 1e400, "", 0.5])
def test_what_is_no_number_is_no_code(oa: Adapter, errcode: object) -> None:
    odd = HttpAnswer(200, {}, json.dumps({"errcode": errcode}).encode())
    outcome = oa.read(account("wechat_oa"), envelope(), odd)
    assert isinstance(outcome, Unknown) and outcome.code == "http_200" and not outcome.unmapped


def test_a_result_that_names_no_message_or_no_end_is_not_read(oa: Adapter, mini: Adapter) -> None:
    head = "<xml><FromUserName>o1</FromUserName><CreateTime>1750000000</CreateTime><MsgType>event</MsgType>"
    names = {"MsgID": "7", "Status": "success"}
    for missing in names:
        fields = "".join(f"<{name}>{value}</{name}>" for name, value in names.items() if name != missing)
        body = f"{head}<Event>TEMPLATESENDJOBFINISH</Event>{fields}</xml>"
        with pytest.raises(BadReceipt):
            oa.parse_hook(account("wechat_oa"), called(body))
    for entry in ({"MsgID": "7"}, {"ErrorCode": "0"}, {"MsgID": "7", "ErrorCode": ""}):
        event = {
            "FromUserName": "o1",
            "CreateTime": 1750000000,
            "MsgType": "event",
            "Event": "subscribe_msg_sent_event",
        }
        for kind in (oa, mini):
            with pytest.raises(BadReceipt):
                kind.parse_hook(account(kind.kind, subscribe_msgid=True), called(json.dumps(event | {"List": entry})))


def test_an_acceptance_without_an_id_is_one(oa: Adapter, mini: Adapter) -> None:
    for kind in (oa, mini):
        assert kind.read(account(kind.kind), envelope(), answer(0, "ok")) == Accepted("")


def test_words_name_the_field_and_the_number_for_support(mini: Adapter) -> None:
    said = "argument invalid! data.thing14.value is empty rid: 68500000-00000000-00000001"
    outcome = mini.read(account("wechat_mini"), envelope(), answer(47003, said))
    assert isinstance(outcome, Rejected) and outcome.scope == "content"
    assert outcome.words == (
        "A value does not fit its field of the template. Field thing14. Request id 68500000-00000000-00000001."
    )


def test_a_quota_is_waited_for(oa: Adapter) -> None:
    for said, headers, wait in (
        (
            "reach max api daily quota limit",
            {"date": "Sun, 15 Jun 2025 15:06:41 GMT"},
            timedelta(minutes=53, seconds=19),
        ),
        ("reach max api minute quota limit", {}, timedelta(minutes=1)),
        ("", {"date": "soon"}, timedelta(hours=1)),
        ("", {}, timedelta(hours=1)),
    ):
        outcome = oa.read(account("wechat_oa"), envelope(), answer(45009, said, **headers))
        assert isinstance(outcome, Throttled) and outcome.retry_after == wait


# values of templates

GOOD = {
    "thing1": "字" * 25,
    "number2": "-12.50",
    "letter3": "abc",
    "symbol4": "!?#",
    "character_string5": "UMS-2026-0001",
    "time6": "2026年1月2日 15:01~16:00",
    "date7": "2026-01-02",
    "amount8": "¥12,345.50元",
    "phone_number9": "+86 (0)138-0000",
    "car_number10": "粤B12345",
    "name11": "杜萍",
    "phrase12": "已发货",
    "const13": "任何",
    "keyword1": "x" * 300,
}
BAD = {
    "number2": "twelve",
    "letter3": "a1",
    "symbol4": "!!!!!!",
    "character_string5": "编号",
    "time6": "Jan 2, 2026",
    "date7": "Jan 2, 2026",
    "date8": "明天",
    "amount8": "12345678901",
    "amount9": "US$5.00",
    "phone_number9": "1" * 18,
    "car_number10": "123456789",
    "name11": "一二三四五六七八九十一",
    "name12": "x" * 21,
    "phrase12": "已发货1",
    "thing1": " \n ",
}


def test_values_that_fit_pass_and_each_type_has_its_rule() -> None:
    assert misfit(GOOD) == ""
    assert misfit(dict.fromkeys(GOOD, "0")) == "", "templates are checked with 0 in place of values"
    assert misfit({"date1": "0 0", "time2": "0~0", "amount3": "¥0元"}) == ""
    for name, value in BAD.items():
        assert misfit({name: value}).startswith(f"{name}: "), name
        assert value.strip() == "" or value not in misfit({name: value})


def test_values_are_fitted_before_they_leave() -> None:
    assert fitted({"thing1": "字" * 21, "name2": " a\r\nb "}) == {
        "thing1": {"value": "字" * 19 + "…"},
        "name2": {"value": "a b"},
    }
    assert fitted({"amount1": "¥12,345.50元", "number2": "1,000"}) == {
        "amount1": {"value": "¥12345.50元"},
        "number2": {"value": "1000"},
    }
    assert fitted({"thing1": "字" * 20})["thing1"] == {"value": "字" * 20}
    with pytest.raises(ValueError):
        fitted({"thing1": "\n"})
