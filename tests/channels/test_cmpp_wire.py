"""The CMPP codec: published vectors, packets that an independent gateway took, both versions, and whatever bytes come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.channels.wire import cmpp

CONNECT_30 = "00000027000000010000000173703030303174dddfdbf76b6de9d1b6d21dc3170310300614dc45"
SUBMIT_20 = (
    "000000af0000000400000002000000000000000001010100554d530000000000000002000000000000000000000000000000000000000000"
    "0000087370303030313031303030303030000000000000000000000000000000000000000000000000000000000000000000003130363930"
    "3030310000000000000000000000000001313338303031333830303000000000000000000000109a8c8bc178010020003800380034003800"
    "00000000000000"
)


def test_proofs_are_the_published_ones() -> None:
    assert cmpp.proof("900001", "888888", 1021080510).hex() == "90d00c1d517abd0b4f65f6bcf8535d16"
    own = cmpp.proof("sp0001", "shared-secret", 102030405)
    assert own.hex() == "74dddfdbf76b6de9d1b6d21dc3170310"
    assert cmpp.gateway_proof(0, True, own, "shared-secret").hex() == "03dda8eec93edded472f23507f2882d1"
    assert cmpp.gateway_proof(0, False, own, "shared-secret").hex() == "0871d08818ecaa588b880fe656ef8d79"


def test_connect_is_the_recorded_packet() -> None:
    body = cmpp.connect_body("sp0001", "shared-secret", "3.0", 102030405)
    assert cmpp.Packet(cmpp.CONNECT, 1, body).encoded().hex() == CONNECT_30
    assert cmpp.connect_body("sp0001", "shared-secret", "2.0", 102030405)[22] == 0x20


def test_submit_is_the_recorded_packet() -> None:
    content = "验证码 8848".encode("utf-16-be")
    submit = cmpp.Submit("10690001", ["13800138000"], content, service="UMS", user="sp0001", level=0)
    assert cmpp.Packet(cmpp.SUBMIT, 2, submit.encoded(False)).encoded().hex() == SUBMIT_20
    assert cmpp.read_submit(cmpp.decoded(bytes.fromhex(SUBMIT_20)).body, False) == submit


@pytest.mark.parametrize(("wide", "fixed"), [(False, 117 + 1 + 8), (True, 129 + 1 + 1 + 20)])
def test_the_size_of_submit(wide: bool, fixed: int) -> None:
    submit = cmpp.Submit("1069", ["13800138000", "13900139000"], b"x" * 10)
    assert len(submit.encoded(wide)) == fixed + 10 + 2 * (32 if wide else 21)


@pytest.mark.parametrize("wide", [False, True])
def test_answers_by_version(wide: bool) -> None:
    body = cmpp.answer_body((77).to_bytes(8, "big"), 8, wide)
    assert cmpp.read_submit_answer(body, wide) == ("77", 8)
    with pytest.raises(cmpp.BadPacket):
        cmpp.read_submit_answer(body, not wide)
    status = (3).to_bytes(4 if wide else 1, "big") + bytes(16) + b"\x30"
    assert cmpp.read_connect_answer(status, wide) == (3, bytes(16))
    with pytest.raises(cmpp.BadPacket):
        cmpp.read_connect_answer(status, not wide)


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("wide_report", [False, True])
def test_a_report_is_read_by_its_own_length(wide: bool, wide_report: bool) -> None:
    report = cmpp.Report(str(2**63 + 5), "MK:0001", "2501020304", "2501020305", "13800138000")
    content = report.encoded(wide_report)
    assert len(content) == (71 if wide_report else 60)
    deliver = cmpp.Deliver(bytes(range(8)), "10690001", "13800138000", content, True)
    again = cmpp.read_deliver(deliver.encoded(wide))
    assert again == deliver and cmpp.read_report(again.content) == report


@pytest.mark.parametrize(
    "broken",
    [
        cmpp.Submit("1069", [], b""),
        cmpp.Submit("1069", ["1"] * 101, b""),
        cmpp.Submit("1069", ["1"], b"x" * 141),
        cmpp.Submit("1069", ["1"], b"x" * 161, cmpp.ASCII),
        cmpp.Submit("1069", ["1" * 22], b"x"),
        cmpp.Submit("1069", ["é"], b"x"),
        cmpp.Submit("1069", ["1"], b"x", total=300),
    ],
)
def test_what_has_no_place_is_refused(broken: cmpp.Submit) -> None:
    with pytest.raises(cmpp.BadPacket):
        broken.encoded(False)


@pytest.mark.parametrize("length", [0, 11, cmpp.LARGEST_PACKET + 1, 0xFFFFFFFF])
def test_an_impossible_length_is_no_packet(length: int) -> None:
    with pytest.raises(cmpp.BadPacket):
        cmpp.split(bytearray(length.to_bytes(4, "big") + bytes(8)))


number = st.text("0123456789", min_size=1, max_size=21)


@given(number, st.lists(number, min_size=1, max_size=100), st.binary(max_size=140), st.booleans(), st.booleans())
def test_what_is_written_is_read_again(source: str, numbers: list[str], content: bytes, udhi: bool, wide: bool) -> None:
    submit = cmpp.Submit(source, numbers, content, udhi=udhi, total=3, number=2)
    assert cmpp.read_submit(submit.encoded(wide), wide) == submit


@given(st.binary(max_size=300), st.booleans())
def test_any_octets_are_read_or_refused_and_nothing_else(octets: bytes, wide: bool) -> None:
    for read in (
        lambda: cmpp.read_submit(octets, wide),
        lambda: cmpp.read_deliver(octets),
        lambda: cmpp.read_report(octets),
        lambda: cmpp.read_connect_answer(octets, wide),
        lambda: cmpp.read_submit_answer(octets, wide),
        lambda: cmpp.decoded(octets),
    ):
        try:
            read()
        except cmpp.BadPacket:
            continue
