"""The SMPP codec: recorded PDUs of independent implementations, both ways, and whatever bytes come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.channels.wire import smpp

BIND = "0000002400000009000000000000000165736d6531007365637265743038000034000000"
SUBMIT = (
    "0000004600000004000000000000000200000031303639303030310001013836313338303031333830303000000000000001000800109a8c"
    "8bc1780100200038003800340038"
)
ANSWER = "00000019800000040000000000000002306131623263336400"
THROTTLED = "00000010800000040000005800000002"
RECEIPT = (
    "000000ac000000050000000000000001000000383631333830303133383030300000003130363930303031000400000000000001006469643a3061316232633364"
    "207375623a30303120646c7672643a303031207375626d697420646174653a3235303130323033303420646f6e6520646174653a323530313032303330352073"
    "7461743a44454c49565244206572723a30303020746578743a001e00093061316232633364000427000102"
)
ENQUIRE = "00000010000000150000000000000004"


@pytest.mark.parametrize("recorded", [BIND, SUBMIT, ANSWER, THROTTLED, RECEIPT, ENQUIRE])
def test_a_recorded_pdu_is_read_and_written_to_the_octet(recorded: str) -> None:
    assert smpp.decoded(bytes.fromhex(recorded)).encoded().hex() == recorded


def test_bind_and_submit_are_the_recorded_octets() -> None:
    bind = smpp.Pdu(smpp.BIND_TRANSCEIVER, 0, 1, smpp.bind_body("esme1", "secret08"))
    assert bind.encoded().hex() == BIND
    text = "验证码 8848".encode("utf-16-be")
    message = smpp.Message((0, 0, "10690001"), (1, 1, "8613800138000"), text, 8, registered_delivery=1)
    assert smpp.Pdu(smpp.SUBMIT_SM, 0, 2, message.encoded()).encoded().hex() == SUBMIT
    assert smpp.read_message(smpp.decoded(bytes.fromhex(SUBMIT)).body) == message


def test_answers_with_and_without_a_body() -> None:
    assert smpp.read_message_id(smpp.decoded(bytes.fromhex(ANSWER)).body) == "0a1b2c3d"
    throttled = smpp.decoded(bytes.fromhex(THROTTLED))
    assert (throttled.status, smpp.read_message_id(throttled.body)) == (0x58, "")


def test_a_receipt_is_read_from_its_parameters_and_from_its_text() -> None:
    message = smpp.read_message(smpp.decoded(bytes.fromhex(RECEIPT)).body)
    assert message.is_receipt and message.source[2] == "8613800138000"
    assert smpp.read_receipt(message) == smpp.Receipt("0a1b2c3d", "DELIVRD", "000", "2501020305")
    message.tlvs = {
        smpp.RECEIPTED_MESSAGE_ID: b"77\x00",
        smpp.MESSAGE_STATE: b"\x05",
        smpp.NETWORK_ERROR_CODE: b"\x03\x00\x45",
    }
    assert smpp.read_receipt(message) == smpp.Receipt("77", "UNDELIV", "069", "2501020305")
    message.tlvs = {}
    assert smpp.read_receipt(message) == smpp.Receipt("0a1b2c3d", "DELIVRD", "000", "2501020305")
    message.text = b"hello"
    assert smpp.read_receipt(message) is None


def test_a_receipt_in_message_payload() -> None:
    text = b"id:12 sub:001 dlvrd:000 submit date:2501020304 done date:250102030509 stat:UNDELIV err:0a1 text:"
    message = smpp.Message((0, 0, "1"), (0, 0, "2"), esm_class=4, tlvs={smpp.MESSAGE_PAYLOAD: text})
    again = smpp.read_message(message.encoded())
    assert smpp.read_receipt(again) == smpp.Receipt("12", "UNDELIV", "0a1", "250102030509")


def test_a_stream_gives_whole_pdus_only() -> None:
    stream = bytes.fromhex(ENQUIRE + ANSWER + THROTTLED)
    for at in range(len(stream) + 1):
        buffer = bytearray(stream[:at])
        first = smpp.split(buffer)
        buffer += stream[at:]
        assert [one.encoded().hex() for one in first + smpp.split(buffer)] == [ENQUIRE, ANSWER, THROTTLED]
        assert not buffer


@pytest.mark.parametrize("length", [0, 15, smpp.LARGEST_PDU + 1, 0xFFFFFFFF])
def test_an_impossible_length_is_no_pdu(length: int) -> None:
    with pytest.raises(smpp.BadPdu):
        smpp.split(bytearray(length.to_bytes(4, "big") + bytes(12)))


@pytest.mark.parametrize(
    "broken",
    [
        smpp.Message((0, 0, "1" * 21), (1, 1, "2")),
        smpp.Message((0, 0, "é"), (1, 1, "2")),
        smpp.Message((0, 0, "1"), (1, 1, "2\x003")),
        smpp.Message((0, 0, "1"), (1, 1, "2"), b"x" * 255),
        smpp.Message((0, 0, "1"), (1, 1, "2"), data_coding=256),
        smpp.Message((0, 0, "1"), (1, 1, "2"), tlvs={70000: b""}),
    ],
)
def test_what_has_no_place_is_refused(broken: smpp.Message) -> None:
    with pytest.raises(smpp.BadPdu):
        broken.encoded()


octet = st.integers(0, 255)
digits = st.text("0123456789+", max_size=20)


@given(
    st.builds(
        smpp.Message, st.tuples(octet, octet, digits), st.tuples(octet, octet, digits), st.binary(max_size=254),
        octet, octet, octet, st.text("ABC", max_size=5), octet, octet,
        tlvs=st.dictionaries(st.integers(0, 65535), st.binary(max_size=40), max_size=4),
    )
)  # fmt: skip
def test_what_is_written_is_read_again(message: smpp.Message) -> None:
    assert smpp.read_message(message.encoded()) == message


@given(st.binary(max_size=300))
def test_any_octets_are_read_or_refused_and_nothing_else(octets: bytes) -> None:
    for read in (smpp.read_message, smpp.read_data_sm, smpp.read_message_id, smpp.decoded):
        try:
            found = read(octets)
        except smpp.BadPdu:
            continue
        if isinstance(found, smpp.Message):
            smpp.read_receipt(found)


@given(st.binary(max_size=60), st.integers(0, 171))
def test_a_damaged_receipt_is_read_or_refused(noise: bytes, at: int) -> None:
    octets = bytearray(bytes.fromhex(RECEIPT))
    octets[at : at + len(noise)] = noise
    try:
        smpp.read_receipt(smpp.read_message(smpp.decoded(bytes(octets)).body))
    except smpp.BadPdu:
        return
