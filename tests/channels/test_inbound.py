"""Bodies of the inbox that came over a session: several requests in one, some of them unreadable."""

import json

import pytest

from apps.channels.contract import Account, BadReceipt, InboundPdu
from apps.channels.inbound import heard, joined
from apps.channels.providers.sms_cmpp.adapter import SmsCmpp
from apps.channels.providers.sms_smpp.adapter import SmsSmpp
from apps.channels.wire import cmpp, smpp
from tests.channels.golden_files import GOLDEN, NOW


def account(kind: str) -> Account:
    return Account("main", kind, json.loads((GOLDEN / kind / "kind.json").read_text())["config"])


def receipt(number: int, text: str = "stat:DELIVRD") -> bytes:
    message = smpp.Message((1, 1, "8613800138000"), (0, 0, "1069"), f"id:{number} {text}".encode(), esm_class=4)
    return smpp.Pdu(smpp.DELIVER_SM, 0, number, message.encoded()).encoded()


def body(*pdus: bytes) -> bytes:
    return joined(InboundPdu(pdu, NOW) for pdu in pdus)


def test_every_request_of_a_body_is_heard() -> None:
    events = heard(SmsSmpp(), account("sms_smpp"), body(*(receipt(number) for number in range(1, 6))), NOW)
    assert [one.provider_id for one in events] == ["1", "2", "3", "4", "5"]
    report = cmpp.Report("7", "DELIVRD", "2501020304", "2501020305", "13800138000").encoded(False)
    packet = cmpp.Packet(cmpp.DELIVER, 9, cmpp.Deliver(bytes(8), "1069", "138", report, True).encoded(False)).encoded()
    assert len(heard(SmsCmpp(), account("sms_cmpp"), body(packet, packet), NOW)) == 2


def test_one_that_cannot_be_read_silences_nobody() -> None:
    events = heard(SmsSmpp(), account("sms_smpp"), body(receipt(1), receipt(2, "nothing"), receipt(3)), NOW)
    assert [one.provider_id for one in events] == ["1", "3"]


@pytest.mark.parametrize(
    "octets", [receipt(1, "nothing"), b"\x00", b"\x00\x00\x00\x00" * 3, b"\xff" * 40, receipt(1)[:-1]]
)
def test_a_body_without_anything_readable_is_bad(octets: bytes) -> None:
    with pytest.raises(BadReceipt):
        heard(SmsSmpp(), account("sms_smpp"), octets, NOW)


def test_an_empty_body_says_nothing() -> None:
    assert heard(SmsSmpp(), account("sms_smpp"), b"", NOW) == []
