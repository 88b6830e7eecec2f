"""What phones answered, as each SMS kind hands it over; session requests are written by the simulated gateways."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from apps.channels.contract import Account, BadReceipt, HookRequest, InboundPdu, ReplyEvent
from apps.channels.registry import adapter
from apps.channels.wire.sms_replies import reply_text
from simulator.providers.cmpp import packet
from simulator.providers.smpp import pdu

NOW = datetime(2026, 11, 2, 4, tzinfo=UTC)
NUMBER = "13800138000"


def pushed(kind: str, body: object) -> list[object]:
    request = HookRequest({}, {}, json.dumps(body).encode(), NOW)
    return list(adapter(kind).parse_hook(Account("a", kind, {"sdk_app_id": "1400000001"}), request))


def test_aliyun_tells_reports_and_answers_at_one_address() -> None:
    said = {
        "phone_number": "+8613800138000", "send_time": "2026-11-02 12:00:00", "content": "ＴＤ", "sign_name": "x",
        "dest_code": "10690000", "sequence_id": 42,
    }  # fmt: skip
    report = {"phone_number": NUMBER, "success": True, "out_id": "k3x9", "biz_id": "1^0"}
    events = pushed("sms_aliyun", [said, report])
    assert ReplyEvent(NUMBER, "ＴＤ", NOW, "10690000", "42") in events and len(events) == 2
    with pytest.raises(BadReceipt):
        pushed("sms_aliyun", [{"content": "TD", "dest_code": "1"}])


def test_tencent_tells_one_answer_in_a_document() -> None:
    said = {"extend": "08", "mobile": NUMBER, "nationcode": "86", "sign": "x", "text": "TD", "time": 1793592000}
    moment = datetime.fromtimestamp(1793592000, UTC)
    assert pushed("sms_tencent", said) == [ReplyEvent(NUMBER, "TD", moment, "08")]
    assert pushed("sms_tencent", said | {"nationcode": "65", "mobile": "91234567"}) == [
        ReplyEvent("+6591234567", "TD", moment, "08")
    ]
    with pytest.raises(BadReceipt):
        pushed("sms_tencent", {"mobile": NUMBER})


@pytest.mark.parametrize("wide", [False, True])
def test_cmpp_tells_answers_over_the_session(wide: bool) -> None:
    body = packet.reply_body(77, "106900001234", NUMBER, "退订".encode("utf-16-be"), wide)
    inbound = InboundPdu(packet.pack(packet.DELIVER, 9, body), NOW)
    assert list(adapter("sms_cmpp").parse_inbound(Account("a", "sms_cmpp", {}), inbound)) == [
        ReplyEvent(NUMBER, "退订", NOW, "106900001234", "77")
    ]


def test_smpp_tells_answers_over_the_session() -> None:
    body = pdu.reply_body("86" + NUMBER, "106900001234", "退订".encode("utf-16-be"))
    inbound = InboundPdu(pdu.pack(pdu.DELIVER, 0, 9, body), NOW)
    assert list(adapter("sms_smpp").parse_inbound(Account("a", "sms_smpp", {}), inbound)) == [
        ReplyEvent(NUMBER, "退订", NOW, "106900001234")
    ]


@pytest.mark.parametrize(
    ("octets", "coding", "header", "gsm", "text"),
    [
        (b"TD", 0, False, True, "TD"),
        (b"\x00\x11\x1b\x65", 0, False, True, "@_€"),
        (b"TD\xff", 0, False, False, "TD\ufffd"),
        ("退订".encode("gb18030"), 15, False, False, "退订"),
        (b"\xe9", 3, False, True, "é"),
        (b"\x05\x00\x03\x01\x02\x01\x90\x00\x8b\xa2", 8, True, True, "退订"),
        (b"", 8, True, True, ""),
        (b"\x90", 8, False, True, "\ufffd"),
    ],
)
def test_alphabets_of_phones(octets: bytes, coding: int, header: bool, gsm: bool, text: str) -> None:
    assert reply_text(octets, coding, header=header, gsm=gsm) == text
