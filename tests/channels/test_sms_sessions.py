"""What the two session kinds decide beyond the suite of all kinds: parts, ids, own tables, half-accepted messages."""

import json
from pathlib import Path
from typing import Any

import pytest

from apps.channels.contract import Account, Adapter, Envelope, InboundPdu, PartAnswer, SessionAnswer, SessionRequest
from apps.channels.outcomes import Accepted, Misconfigured, Rejected, Throttled, Unavailable, Unknown
from apps.channels.providers.sms_cmpp.adapter import SmsCmpp
from apps.channels.providers.sms_smpp.adapter import SmsSmpp, plain_id
from apps.channels.wire import cmpp, smpp
from tests.channels.golden_files import GOLDEN, NOW

KINDS: list[Adapter] = [SmsSmpp(), SmsCmpp()]
both = pytest.mark.parametrize("kind", KINDS, ids=["smpp", "cmpp"])


def account(kind: Adapter, **changes: Any) -> Account:
    given = json.loads((Path(GOLDEN) / kind.kind / "kind.json").read_text())
    return Account("main", kind.kind, given["config"] | changes)


def build(
    kind: Adapter, text: str, address: str = "13800138000", reference: str = "k1", **changes: Any
) -> SessionRequest:
    envelope = Envelope("k", reference, address, {"text": text, "sign_name": ""})
    found = kind.build(account(kind, **changes), [envelope], NOW)
    assert isinstance(found, SessionRequest)
    return found


def said(*parts: PartAnswer) -> SessionAnswer:
    return SessionAnswer("submit", parts)


def test_a_long_message_over_smpp() -> None:
    bodies = [smpp.read_message(body) for body in build(SmsSmpp(), "验" * 100).parts]
    assert [one.esm_class for one in bodies] == [0x40, 0x40] and {one.data_coding for one in bodies} == {8}
    assert [one.text[:6] for one in bodies] == [bytes((5, 0, 3, bodies[0].text[3], 2, n)) for n in (1, 2)]
    assert b"".join(one.text[6:] for one in bodies).decode("utf-16-be") == "验" * 100
    assert all(len(one.text) <= 140 for one in bodies)


@pytest.mark.parametrize("version", ["2.0", "3.0"])
def test_a_long_message_over_cmpp(version: str) -> None:
    bodies = [cmpp.read_submit(body, version == "3.0") for body in build(SmsCmpp(), "a" * 200, version=version).parts]
    assert [(one.total, one.number, one.udhi, one.coding) for one in bodies] == [(2, 1, True, 0), (2, 2, True, 0)]
    assert b"".join(one.content[6:] for one in bodies) == b"a" * 200
    assert {one.user for one in bodies} == {"sp0001"} and all(one.report for one in bodies)


@both
def test_two_long_messages_to_one_person_are_not_joined(kind: Adapter) -> None:
    requests = [build(kind, "验" * 100, reference=reference) for reference in ("a", "b", "b")]
    first, second, repeat = (one.parts[0] for one in requests)
    assert first != second and second == repeat


@both
def test_the_signature_stands_before_the_text_and_counts(kind: Adapter) -> None:
    content = {"text": "验" * 64, "sign_name": "【签名】"}
    request = kind.build(account(kind), [Envelope("k", "r", "13800138000", content)], NOW)
    assert isinstance(request, SessionRequest) and "【签名】验".encode("utf-16-be") in request.parts[0]
    assert kind.pieces(content) == 1 and kind.pieces(content | {"text": "验" * 67}) == 2


@both
@pytest.mark.parametrize("address", ["", "me@x.example", "+", "1380013800x", "1" * 21])
def test_what_is_no_number_is_refused(kind: Adapter, address: str) -> None:
    with pytest.raises(ValueError):
        build(kind, "x", address)


def test_numbers_as_each_gateway_wants_them() -> None:
    for address, plain in (
        ("13800138000", "8613800138000"), ("+85251234567", "85251234567"), ("+13125550100", "13125550100"),
    ):  # fmt: skip
        assert smpp.read_message(build(SmsSmpp(), "x", address).parts[0]).destination == (1, 1, plain)
    for prefix, plain in (("without 86", "13800138000"), ("with 86", "8613800138000")):
        submit = cmpp.read_submit(build(SmsCmpp(), "x", "+8613800138000", country_prefix=prefix).parts[0], False)
        assert submit.destinations == [plain]
        with pytest.raises(ValueError):
            build(SmsCmpp(), "x", "+13125550100", country_prefix=prefix)  # on the mainland this is somebody else


def test_alphabets_may_be_turned_off() -> None:
    assert smpp.read_message(build(SmsSmpp(), "a{", gsm7=False).parts[0]).text == "a{".encode("utf-16-be")
    assert smpp.read_message(build(SmsSmpp(), "a{").parts[0]).text == b"a\x1b\x28"
    assert cmpp.read_submit(build(SmsCmpp(), "ab", ascii=False).parts[0], False).coding == cmpp.UCS2


def test_a_validity_is_relative() -> None:
    body = build(SmsSmpp(), "x", validity_minutes=1505).parts[0]
    assert smpp.read_message(body).validity == "000001010500000R"


@both
def test_half_a_message_is_an_open_outcome(kind: Adapter) -> None:
    for refusal in (PartAnswer(8), PartAnswer(0x58), PartAnswer(0x0B)):
        outcome = kind.read(account(kind), [], said(PartAnswer(0, "7"), refusal, PartAnswer(0, "8")))
        assert isinstance(outcome, Unknown) and outcome.code.startswith("part 2: ") and not outcome.unmapped
    assert kind.read(account(kind), [], said(PartAnswer(0, "7"), PartAnswer(0, "8"))) == Accepted("7,8")


def test_an_account_may_read_statuses_its_own_way() -> None:
    kind, words = SmsSmpp(), ["rejected", "content", "account", "throttled", "retry", "unknown"]
    own = account(kind, status_map={f"0x40{number}": word for number, word in enumerate(words)})
    found = [kind.read(own, [], said(PartAnswer(0x400 + number))) for number in range(6)]
    assert [type(one) for one in found] == [Rejected, Rejected, Misconfigured, Throttled, Unavailable, Unknown]
    assert [getattr(one, "scope", "") for one in found][:2] == ["recipient", "content"]


@pytest.mark.parametrize(
    ("form", "given", "plain"),
    [
        ("text", " 0aB ", "0aB"),
        ("unpadded", "000aB1", "ab1"),
        ("unpadded", "000", "0"),
        ("decimal", "0007", "7"),
        ("decimal", "x7", "x7"),
        ("hex", "0A1B2C3D", "169552957"),
        ("hex", "uuid-1", "uuid-1"),
    ],
)
def test_ids_in_one_spelling(form: str, given: str, plain: str) -> None:
    assert plain_id(given, form) == plain


def test_an_account_may_read_receipts_its_own_way() -> None:
    kind = SmsSmpp()
    body = smpp.Message((1, 1, "8613800138000"), (0, 0, "1069"), b"id:0A stat:UNKNOWN", esm_class=4).encoded()
    inbound = InboundPdu(smpp.Pdu(smpp.DELIVER_SM, 0, 1, body).encoded(), NOW)
    assert kind.parse_inbound(account(kind), inbound) == []
    events = kind.parse_inbound(account(kind, receipt_map={"UNKNOWN": "failed"}, receipt_id="hex"), inbound)
    assert [(one.state, one.provider_id) for one in events] == [("failed", "10")]


def test_a_receipt_as_data_sm() -> None:
    tlvs = b"\x00\x1e\x00\x029\x00" + b"\x04\x27\x00\x01\x02"
    body = b"\x00" + b"\x01\x018613800138000\x00" + b"\x00\x001069\x00" + bytes((4, 0, 0)) + tlvs
    inbound = InboundPdu(smpp.Pdu(smpp.DATA_SM, 0, 1, body).encoded(), NOW)
    events = SmsSmpp().parse_inbound(account(SmsSmpp()), inbound)
    assert [(one.state, one.provider_id, one.address) for one in events] == [("delivered", "9", "13800138000")]
