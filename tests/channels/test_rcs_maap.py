"""What is the carriers' platform's alone: ids that stand for deliveries, the proof of a call, cards and buttons."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.channels.contract import Account, BadReceipt, Envelope, HookRequest, ReceiptEvent
from apps.channels.hooks import greeting, heard
from apps.channels.providers.rcs_maap.adapter import RcsMaap
from apps.channels.providers.rcs_maap.callbacks import signature
from apps.channels.providers.rcs_maap.messages import message_id, reference_of
from ums_site.ids import to_base36

CONFIG = {
    "base_url": "http://127.0.0.1:1",
    "chatbot_id": "106500000001",
    "sender_address": "sip:106500000001@botplatform.rcs.example.cn",
    "app_id": "app0001",
    "app_key": "k",
    "callback_token": "callback-token-1",
}
ACCOUNT = Account("a", "rcs_maap", CONFIG, "t")
NOW = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
PROOF = {
    "timestamp": "1735787045",
    "nonce": "0b9e6f1c-6d5e-4a55-9a5e-1f2d3c4b5a69",
    "signature": "810ad05c2cdb1a2273c4168b2d0a0f4e7d3be8f97139fb8800d2c77b95ebcf28",
}


def call(body: Any = None, at: datetime = NOW, method: str = "POST", **headers: Any) -> HookRequest:
    return HookRequest(PROOF | headers, {}, json.dumps(body or {}).encode(), at, method)


def sent(content: dict[str, Any], address: str = "13800138000", **config: Any) -> Any:
    account = replace(ACCOUNT, config=CONFIG | config)
    request = RcsMaap().build(account, [Envelope("k", "k3x9", address, content)], NOW)
    return json.loads(request.body or b"")


def test_the_vector_of_the_contract() -> None:
    assert signature("callback-token-1", PROOF["timestamp"], PROOF["nonce"]) == PROOF["signature"]


@given(st.integers(1, 2**63 - 1), st.sampled_from(["", "sip:106500000001@botplatform.rcs.example.cn"]))
def test_an_id_stands_for_its_delivery(number: int, behind: str) -> None:
    reference = to_base36(number)
    made = message_id(reference)
    assert made[14] == "8" and made[19] in "89ab", "a free-form UUID"
    assert reference_of(made + behind) == reference_of(made.upper()) == reference


@pytest.mark.parametrize("other", ["", "x", "5e0c1f0a-0000-4000-8000-000000000042", "7" * 36])
def test_an_id_of_somebody_else_stands_for_nothing(other: str) -> None:
    assert reference_of(other) == ""


def test_an_old_call_is_refused_though_it_is_signed() -> None:
    assert heard(RcsMaap(), ACCOUNT, call(at=NOW + timedelta(minutes=59))) == []
    for late in (timedelta(minutes=61), -timedelta(minutes=61)):
        with pytest.raises(BadReceipt):
            heard(RcsMaap(), ACCOUNT, call(at=NOW + late))


def test_a_platform_that_signs_otherwise_is_believed_for_its_address() -> None:
    account = replace(ACCOUNT, config=CONFIG | {"callback_proof": "address"})
    assert heard(RcsMaap(), account, call(signature="0" * 64)) == []
    with pytest.raises(BadReceipt):
        heard(RcsMaap(), ACCOUNT, call(signature="0" * 64))


@pytest.mark.parametrize("headers", [{"chatbotid": "other"}, {"echostr": "a\r\nSet-Cookie: b"}, {"echostr": "字"}])
def test_a_trial_for_somebody_else_or_with_odd_words_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(BadReceipt):
        greeting(RcsMaap(), ACCOUNT, call(None, NOW, "GET", **headers))


def test_what_the_short_message_says_is_the_accounts_choice() -> None:
    told = {
        "messageId": message_id("k3x9"),
        "dateTime": "2025-01-02T11:04:09+08:00",
        "senderAddress": "tel:+8613800138000",
    }
    body = {"deliveryInfoList": [told | {"status": "deliveredToNetwork"}]}
    for chosen in ("delivered", "accepted"):
        account = replace(ACCOUNT, config=CONFIG | {"sms_state": chosen})
        (event,) = heard(RcsMaap(), account, call(body))
        assert isinstance(event, ReceiptEvent) and event.state == chosen


def test_a_text_is_a_text_and_falls_back_to_itself() -> None:
    document = sent({"text": "您好"})
    assert document["messageList"] == [{"contentType": "text/plain", "contentEncoding": "utf8", "contentText": "您好"}]
    assert (document["smsSupported"], document["smsContent"], document["storeSupported"]) == (True, "您好", True)
    alone = sent({"text": "您好"}, sms_fallback=False, store_offline=False)
    assert (alone["smsSupported"], alone["storeSupported"]) == (False, False) and "smsContent" not in alone


def test_a_whole_card_takes_the_place_of_the_text() -> None:
    card = {"generalPurposeCardCarousel": {"layout": {"cardWidth": "SMALL_WIDTH"}, "content": []}}
    (part,) = sent({"text": "预览", "title": "x", "card": json.dumps(card)})["messageList"]
    assert part["contentText"] == {"message": card}


def test_values_of_a_person_stay_text() -> None:
    (_text, menu) = sent({"text": "x", "buttons": {"回复": '"}],"a":[{"'}})["messageList"]
    (button,) = menu["contentText"]["suggestions"]
    assert button["reply"]["postback"]["data"] == '"}],"a":[{"'


@pytest.mark.parametrize(
    ("address", "uri"),
    [
        ("13800138000", "tel:+8613800138000"),
        ("+85261234567", "tel:+85261234567"),
        ("+13125550100", "tel:+13125550100"),
        ("008613800138000", "tel:+8613800138000"),
    ],
)
def test_numbers(address: str, uri: str) -> None:
    assert sent({"text": "x"}, address)["destinationAddress"] == [uri]


def test_what_is_no_number_is_not_sent() -> None:
    with pytest.raises(ValueError):
        sent({"text": "x"}, "someone@example.net")


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({"buttons": {f"b{n}": "x" for n in range(12)}}, "buttons"),
        ({"buttons": {"九个中文字的按钮呀": "x"}}, "buttons"),
        ({"buttons": {"ok": "x" * 2049}}, "buttons"),
        ({"media": "{}"}, "media"),
        ({"card": '{"generalPurposeCard":{},"other":{}}'}, "card"),
    ],
)
def test_limits_of_buttons_and_cards(content: dict[str, Any], field: str) -> None:
    assert set(RcsMaap().check_content({"text": "x"} | content)) == {field}
    assert RcsMaap().check_content({"text": "x", "buttons": {"八个中文字的按钮": "x"}}) == {}
