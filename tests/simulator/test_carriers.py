"""The carriers' gateways, spoken to by smpplib and by octets written out here: states, lengths, headers, receipts."""

import hashlib
import json
import socket
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import smpplib.client
import smpplib.consts
import smpplib.gsm

from tests.simulator.clients import Simulator

PHONE = "8613800138000"
TEXT = "验证码 8848"
OK, LENGTH, STATE, ALREADY, NUMBER, ESM, THROTTLED = 0, 1, 4, 5, 0x0B, 0x43, 0x58


class Esme:
    """smpplib with everything that it hears kept."""

    def __init__(self, simulator: Simulator, bind: str = "transceiver", password: str = "secret08") -> None:
        place = simulator.ready["smpp"]
        self.client = smpplib.client.Client(place["host"], place["port"], timeout=0.3, allow_unknown_opt_params=True)
        self.answers: list[Any] = []
        self.receipts: list[Any] = []
        self.answer_receipts = True
        self.client.set_message_sent_handler(lambda pdu: self.answers.append(pdu))
        self.client.set_message_received_handler(self._received)
        self.client.set_error_pdu_handler(lambda pdu: self.answers.append(pdu))
        self.client.connect()
        self.bound = getattr(self.client, f"bind_{bind}")(system_id="esme1", password=password)

    def _received(self, pdu: Any) -> int | None:
        self.receipts.append(pdu)
        return None if self.answer_receipts else smpplib.consts.SMPP_ESME_RX_T_APPN

    def send(self, text: bytes, coding: int = 8, esm_class: int = 0, to: str = PHONE, **more: Any) -> Any:
        """Send one part and return its answer."""
        before = len(self.answers)
        self.client.send_message(
            source_addr="10690001", dest_addr_ton=1, dest_addr_npi=1, destination_addr=to, short_message=text,
            data_coding=coding, esm_class=esm_class, registered_delivery=1, **more,
        )  # fmt: skip
        return self.hear(lambda: len(self.answers) > before and self.answers[-1])

    def hear(self, condition: Callable[[], Any]) -> Any:
        end = time.monotonic() + 8
        while not (found := condition()):
            assert time.monotonic() < end
            try:
                self.client.read_once()
            except TimeoutError:
                continue
        return found

    def close(self) -> None:
        self.client.disconnect()


@pytest.fixture
def esme(simulator: Simulator) -> Iterator[Esme]:
    made = Esme(simulator)
    yield made
    made.close()


def sms(simulator: Simulator, text: str) -> bool:
    """Whether the person's phone shows the text."""
    person = {"id": "U8000", "name": "杜萍", "phone": "+8613800138000"}
    assert simulator.call("PUT", "/_sim/people", json.dumps([person])).status == 200
    return text in simulator.call("GET", "/_sim/phones/U8000").body.decode()


def test_a_message_arrives_and_its_receipt_comes(simulator: Simulator, esme: Esme) -> None:
    before = len(simulator.ledger())
    answer = esme.send(TEXT.encode("utf-16-be"))
    assert answer.status == OK and len(answer.message_id) == 8
    receipt = esme.hear(lambda: esme.receipts and esme.receipts[0])
    assert receipt.esm_class == 4 and receipt.source_addr == PHONE.encode()
    decimal = str(int(answer.message_id, 16)).encode()
    assert (
        receipt.receipted_message_id.rstrip(b"\0") == decimal
        and f"id:{decimal.decode()} ".encode() in receipt.short_message
    )
    assert b"stat:DELIVRD err:000" in receipt.short_message and receipt.message_state == 2
    line = simulator.ledger(before)[-1]
    assert (line["provider"], line["account"], line["pid"]) == ("smpp", "esme1", answer.message_id.decode())
    assert line["addr_hash"] == hashlib.sha256(b"13800138000").hexdigest()
    assert sms(simulator, TEXT)


def test_the_parts_of_a_library_are_put_together(simulator: Simulator, esme: Esme) -> None:
    text = "长短信" * 40 + "结束"
    parts, coding, esm_class = smpplib.gsm.make_parts(text)
    assert len(parts) == 2
    for part in reversed(parts):
        assert esme.send(part, coding, esm_class).status == OK
    assert sms(simulator, text)


def test_a_part_that_a_phone_cannot_read_is_counted(simulator: Simulator, esme: Esme) -> None:
    before = simulator.stats()["providers"]["smpp"]["garbled"] if "providers" in simulator.stats() else None
    parts, coding, esm_class = smpplib.gsm.make_parts("😀" * 40)  # known to cut a pair
    for part in parts:
        esme.send(part, coding, esm_class)
    assert find(simulator.stats(), "garbled") > (before or 0)


def find(document: Any, name: str) -> Any:
    """Return the first value of a name anywhere in the statistics of smpp."""
    if isinstance(document, dict):
        if "smpp" in document and isinstance(document["smpp"], dict) and name in document["smpp"]:
            return document["smpp"][name]
        for value in document.values():
            if (found := find(value, name)) is not None:
                return found
    return None


@pytest.mark.parametrize(
    ("text", "coding", "esm_class", "status"),
    [
        (b"x" * 160, 0, 0, OK),
        (b"x" * 161, 0, 0, LENGTH),
        (b"\0x" * 70, 8, 0, OK),
        (b"\0x" * 71, 8, 0, LENGTH),
        (b"\0x\0", 8, 0, LENGTH),
        (b"\5\0\3\1\2\1" + b"x" * 153, 0, 0x40, OK),
        (b"\5\0\3\1\2\1" + b"x" * 154, 0, 0x40, LENGTH),
        (b"\5\0\3\1\2\1" + b"\0x" * 67, 8, 0x40, OK),
        (b"\5\0\3\1\2\1" + b"\0x" * 68, 8, 0x40, LENGTH),
        (b"\5\0\3\1\2\3" + b"\0x", 8, 0x40, ESM),
        (b"\5\0\3\1\2\0" + b"\0x", 8, 0x40, ESM),
        (b"\5\0\4\1\2\1" + b"\0x", 8, 0x40, ESM),
        (b"\xff\0\3\1\2\1", 8, 0x40, ESM),
        (b"", 8, 0x40, ESM),
    ],
)
def test_lengths_and_headers(esme: Esme, text: bytes, coding: int, esm_class: int, status: int) -> None:
    assert esme.send(text, coding, esm_class).status == status


@pytest.mark.parametrize("to", ["", "123", "abc", "1" * 16])
def test_what_is_no_number(esme: Esme, to: str) -> None:
    assert esme.send(b"x", 0, to=to).status == NUMBER


def test_states_of_a_session(simulator: Simulator, esme: Esme) -> None:
    esme.client.state = smpplib.consts.SMPP_CLIENT_STATE_OPEN
    esme.client.send_pdu(
        smpplib.smpp.make_pdu("bind_transceiver", client=esme.client, system_id="esme1", password="secret08")
    )
    again = esme.client.read_pdu()
    assert again.status == ALREADY
    receiver = Esme(simulator, "receiver")
    receiver.client.state = smpplib.consts.SMPP_CLIENT_STATE_BOUND_TRX
    assert receiver.send(b"x", 0).status == STATE
    receiver.close()


@pytest.mark.parametrize(("user", "password", "status"), [("esme1", "wrong", 0x0E), ("nobody", "secret08", 0x0F)])
def test_a_wrong_login(simulator: Simulator, user: str, password: str, status: int) -> None:
    with raw(simulator, "smpp") as line:
        line.sendall(bind(user, password))
        assert struct.unpack(">4I", line.recv(100)[:16])[2] == status
        assert line.recv(1) == b""


def bind(user: str, password: str) -> bytes:
    body = user.encode() + b"\0" + password.encode() + b"\0\0\x34\0\0\0"
    return struct.pack(">4I", 16 + len(body), 9, 0, 1) + body


def raw(simulator: Simulator, name: str) -> socket.socket:
    place = simulator.ready[name]
    return socket.create_connection((place["host"], place["port"]), timeout=5)


def test_noise_and_unknown_commands(simulator: Simulator) -> None:
    with raw(simulator, "smpp") as line:
        line.sendall(struct.pack(">4I", 16, 0x999, 0, 7))
        assert struct.unpack(">4I", line.recv(16)) == (16, 0x80000000, 3, 7)
        line.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert struct.unpack(">4I", line.recv(16))[1:3] == (0x80000000, 2)
        assert line.recv(1) == b""


def test_the_caps_of_a_link(simulator: Simulator, esme: Esme) -> None:
    simulator.control({"smpp": {"per_second": 3, "sessions": 1}})
    assert [esme.send(b"x", 0).status for _one in range(5)] == [OK] * 3 + [THROTTLED] * 2
    with raw(simulator, "smpp") as line:
        line.sendall(bind("esme1", "secret08"))
        assert struct.unpack(">4I", line.recv(16))[2] == ALREADY


def test_a_receipt_that_is_refused_comes_again_and_over_another_session(simulator: Simulator) -> None:
    simulator.control({"smpp": {"receipt_retry_s": 0.2}, "receipts": {"delay": 0}})
    first = Esme(simulator)
    first.answer_receipts = False
    first.send(b"x", 0)
    first.hear(lambda: len(first.receipts) >= 2)
    first.close()
    second = Esme(simulator)
    second.hear(lambda: second.receipts and find(simulator.stats(), "receipts_waiting") == 0)
    second.close()


def test_receipts_by_habit_and_form(simulator: Simulator, esme: Esme) -> None:
    simulator.control(
        {"world": {"smpp": {"empty": 1.0}}, "receipts": {"dup": 1.0, "delay": 0},
         "smpp": {"response_id": "decimal", "receipt_id": "padded", "receipt_parameters": False}}
    )  # fmt: skip
    answer = esme.send(b"x", 0)
    esme.hear(lambda: len(esme.receipts) == 2)
    said = esme.receipts[0].short_message
    assert said.startswith(b"id:" + answer.message_id.rjust(10, b"0")) and b"stat:UNDELIV err:001" in said
    assert esme.receipts[0].receipted_message_id is None


@pytest.mark.parametrize(("do", "status"), [("refuse(0x0A)", 0x0A), ("429", THROTTLED), ("500", 8)])
def test_scripts(simulator: Simulator, esme: Esme, do: str, status: int) -> None:
    before = len(simulator.ledger())
    simulator.control({"scripts": [{"provider": "smpp", "do": [do], "times": 1}]})
    assert esme.send(b"x", 0).status == status
    assert len(simulator.ledger()) == before
    assert esme.send(b"x", 0).status == OK


# CMPP, octet by octet as the sheet has them


def connect(version: int, secret: str = "shared-secret", user: bytes = b"sp0001") -> bytes:
    proof = hashlib.md5(user + bytes(9) + secret.encode() + b"0102030405").digest()
    return struct.pack(">3I", 39, 1, 1) + user + proof + bytes((version,)) + struct.pack(">I", 102030405)


SUBMIT_20 = bytes.fromhex(
    "000000af0000000400000002000000000000000001010100554d530000000000000002000000000000000000000000000000000000000000"
    "0000087370303030313031303030303030000000000000000000000000000000000000000000000000000000000000000000003130363930"
    "3030310000000000000000000000000001313338303031333830303000000000000000000000109a8c8bc178010020003800380034003800"
    "00000000000000"
)


def test_cmpp_takes_the_recorded_submit_and_reports(simulator: Simulator) -> None:
    with raw(simulator, "cmpp") as line:
        line.sendall(connect(0x20))
        answer = line.recv(100)
        assert answer[:13] == struct.pack(">3I", 30, 0x80000001, 1) + b"\0"
        assert answer[13:29].hex() == "0871d08818ecaa588b880fe656ef8d79" and answer[29] == 0x20
        line.sendall(SUBMIT_20)
        taken = line.recv(21)
        assert taken[:12] == struct.pack(">3I", 21, 0x80000004, 2) and taken[20] == 0
        told = line.recv(500)
        length, command, sequence = struct.unpack_from(">3I", told)
        assert command == 5 and length == len(told) == 12 + 8 + 21 + 10 + 3 + 21 + 2 + 60 + 8
        assert told[12 + 65 : 12 + 73] == taken[12:20] and told[12 + 73 : 12 + 80] == b"DELIVRD"
        line.sendall(struct.pack(">3I", 21, 0x80000005, sequence) + told[12:20] + b"\0")
        line.sendall(struct.pack(">3I", 12, 8, 9) + struct.pack(">3I", 12, 2, 10))
        said = b"".join(iter(lambda: line.recv(100), b""))
        assert said == struct.pack(">3I", 13, 0x80000008, 9) + b"\0" + struct.pack(">3I", 12, 0x80000002, 10)
    assert sms(simulator, TEXT)


@pytest.mark.parametrize(
    ("packet", "status"),
    [(connect(0x20, "wrong"), 3), (connect(0x20, user=b"nobody"), 2), (connect(0x10), 4)],
)
def test_cmpp_refuses_logins(simulator: Simulator, packet: bytes, status: int) -> None:
    with raw(simulator, "cmpp") as line:
        line.sendall(packet)
        assert line.recv(100)[12] == status
        assert line.recv(1) == b""


def changed(at: int, octets: bytes) -> bytes:
    return SUBMIT_20[:at] + octets + SUBMIT_20[at + len(octets) :]


@pytest.mark.parametrize(
    ("packet", "result"),
    [
        (changed(20, b"\2"), 1),  # Pk_total without a header
        (changed(12 + 12, bytes(10)), 7),
        (changed(12 + 47, b"spxxxx"), 11),
        (changed(12 + 95, b"abc"), 10),
        (changed(12 + 117, b"12a"), 13),
        (changed(12 + 46, b"\7"), 1),
        (changed(12 + 138, b"\x11"), 1),
    ],
)
def test_cmpp_refuses_what_is_wrong(simulator: Simulator, packet: bytes, result: int) -> None:
    with raw(simulator, "cmpp") as line:
        line.sendall(connect(0x20))
        line.recv(30)
        line.sendall(packet)
        assert line.recv(21)[20] == result
