"""CMPP 2.0 and 3.0 on the wire: packets, login, SUBMIT, DELIVER and status reports, both ways.

The two versions differ in the width of some fields only; `wide` means 3.0. What cannot be read raises BadPacket and
nothing else, whatever the bytes are.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

CONNECT, TERMINATE, SUBMIT, DELIVER, ACTIVE_TEST = 1, 2, 4, 5, 8
RESPONSE = 0x80000000
HEADER = struct.Struct(">III")
LARGEST_PACKET = 4096  # 3335 at most in 3.0
LAST_SEQUENCE = 0xFFFFFFFF
VERSIONS = {"2.0": 0x20, "3.0": 0x30}

ASCII, BINARY, UCS2, GBK = 0, 4, 8, 15  # Msg_Fmt


class BadPacket(ValueError):
    """The bytes are not what they should be, or a value has no place in its field."""


@dataclass(slots=True)
class Packet:
    """One request or response; `body` is what follows the header."""

    command: int
    sequence: int
    body: bytes = field(default=b"", repr=False)

    def encoded(self) -> bytes:
        return HEADER.pack(HEADER.size + len(self.body), self.command, self.sequence) + self.body


def decoded(octets: bytes) -> Packet:
    """The one packet that these octets are, no more and no less. Raises BadPacket."""
    buffer = bytearray(octets)
    found = split(buffer)
    if len(found) != 1 or buffer:
        raise BadPacket("not exactly one packet")
    return found[0]


def split(buffer: bytearray) -> list[Packet]:
    """Takes the whole packets out of a stream's buffer and leaves the rest in it. Raises BadPacket."""
    found: list[Packet] = []
    start = 0
    while len(buffer) - start >= HEADER.size:
        length, command, sequence = HEADER.unpack_from(buffer, start)
        if not HEADER.size <= length <= LARGEST_PACKET:
            if found:
                break  # what is good before it counts; the next call says it
            raise BadPacket("a length that no packet has")
        if len(buffer) - start < length:
            break
        found.append(Packet(command, sequence, bytes(buffer[start + HEADER.size : start + length])))
        start += length
    del buffer[:start]
    return found


def proof(user: str, password: str, timestamp: int) -> bytes:
    """AuthenticatorSource: MD5 over name, nine zero octets, secret and the time as ten digits."""
    text = user.encode("latin-1", "replace") + bytes(9) + password.encode("latin-1", "replace")
    return hashlib.md5(text + f"{timestamp:010d}".encode(), usedforsecurity=False).digest()


def connect_body(user: str, password: str, version: str, timestamp: int) -> bytes:
    """Body of CONNECT; `timestamp` is MMDDHHMMSS as a number. Raises BadPacket."""
    return (
        _padded("the name", user, 6)
        + proof(user, password, timestamp)
        + struct.pack(">BI", VERSIONS[version], timestamp)
    )


def read_connect_answer(body: bytes, wide: bool) -> tuple[int, bytes]:
    """(status, the gateway's own proof) of CONNECT_RESP. Raises BadPacket."""
    size = 4 if wide else 1
    if len(body) != size + 17:
        raise BadPacket("CONNECT_RESP has another length")
    return int.from_bytes(body[:size], "big"), body[size : size + 16]


def gateway_proof(status: int, wide: bool, own_proof: bytes, password: str) -> bytes:
    """AuthenticatorISMG: MD5 over the status as it travels, our own proof and the secret."""
    size = 4 if wide else 1
    octets = status.to_bytes(size, "big") + own_proof + password.encode("latin-1", "replace")
    return hashlib.md5(octets, usedforsecurity=False).digest()


@dataclass(slots=True)
class Submit:
    """Body of SUBMIT for one number or several with equal text."""

    source: str  # Src_Id, the number that the phone shows
    destinations: Sequence[str] = field(repr=False)
    content: bytes = field(repr=False)
    coding: int = UCS2
    udhi: bool = False
    total: int = 1
    number: int = 1
    report: bool = True
    level: int = 0
    service: str = ""
    fee_user: int = 2
    fee_type: str = "01"
    fee_code: str = "000000"
    user: str = ""  # Msg_src
    valid_until: str = ""

    def encoded(self, wide: bool) -> bytes:
        """Raises BadPacket where a value does not fit its field."""
        most = 160 if self.coding == ASCII else 140
        if len(self.content) > most or not 1 <= len(self.destinations) <= 100:
            raise BadPacket("too much content, or no or too many numbers")
        width = 32 if wide else 21
        try:
            return b"".join(
                (
                    bytes(8),
                    bytes((self.total, self.number, int(self.report), self.level)),
                    _padded("Service_Id", self.service, 10),
                    bytes((self.fee_user,)),
                    bytes(width + wide),
                    bytes((0, int(self.udhi), self.coding)),
                    _padded("Msg_src", self.user, 6),
                    _padded("FeeType", self.fee_type, 2),
                    _padded("FeeCode", self.fee_code, 6),
                    _padded("ValId_Time", self.valid_until, 17),
                    bytes(17),
                    _padded("Src_Id", self.source, 21),
                    bytes((len(self.destinations),)),
                    *(_padded("a number", one, width) for one in self.destinations),
                    bytes(wide),
                    bytes((len(self.content),)),
                    self.content,
                    bytes(20 if wide else 8),
                )
            )
        except ValueError as error:
            raise error if isinstance(error, BadPacket) else BadPacket("a number does not fit its field") from None


def read_submit(body: bytes, wide: bool) -> Submit:
    """Reads the body of SUBMIT. Raises BadPacket."""
    reader, width = _Reader(body), 32 if wide else 21
    reader.octets(8)
    total, number, report, level = reader.octets(4)
    service, fee_user = reader.text(10), reader.octets(1)[0]
    reader.octets(width + wide)
    _protocol, udhi, coding = reader.octets(3)
    user, fee_type, fee_code, valid = reader.text(6), reader.text(2), reader.text(6), reader.text(17)
    reader.octets(17)
    source = reader.text(21)
    destinations = [reader.text(width) for _one in range(reader.octets(1)[0])]
    reader.octets(int(wide))
    content = reader.octets(reader.octets(1)[0])
    reader.octets(20 if wide else 8)
    reader.end()
    return Submit(
        source, destinations, content, coding, bool(udhi), total, number, bool(report), level, service, fee_user,
        fee_type, fee_code, user, valid,
    )  # fmt: skip


def read_submit_answer(body: bytes, wide: bool) -> tuple[str, int]:
    """(Msg_Id as unsigned decimal, result) of SUBMIT_RESP. Raises BadPacket."""
    if len(body) != (12 if wide else 9):
        raise BadPacket("SUBMIT_RESP has another length")
    return str(int.from_bytes(body[:8], "big")), int.from_bytes(body[8:], "big")


def answer_body(message_id: bytes, result: int, wide: bool) -> bytes:
    """Body of SUBMIT_RESP and of DELIVER_RESP; `message_id` is eight octets."""
    return message_id + result.to_bytes(4 if wide else 1, "big")


@dataclass(slots=True)
class Deliver:
    """Body of DELIVER: a status report (`report`) or a message from a phone."""

    message_id: bytes
    destination: str
    source: str = field(repr=False)
    content: bytes = field(repr=False)
    report: bool
    coding: int = ASCII
    udhi: bool = False
    service: str = ""

    def encoded(self, wide: bool) -> bytes:
        """Raises BadPacket where a value does not fit its field."""
        if len(self.message_id) != 8 or len(self.content) > 255:
            raise BadPacket("a value does not fit its field")
        return b"".join(
            (
                self.message_id,
                _padded("Dest_Id", self.destination, 21),
                _padded("Service_Id", self.service, 10),
                bytes((0, int(self.udhi), self.coding)),
                _padded("Src_terminal_Id", self.source, 32 if wide else 21),
                bytes(wide),
                bytes((int(self.report), len(self.content))),
                self.content,
                bytes(20 if wide else 8),
            )
        )


def read_deliver(body: bytes) -> Deliver:
    """Reads the body of DELIVER of either version, told apart by its length. Raises BadPacket."""
    for wide in (False, True):
        at = 8 + 21 + 10 + 3 + (33 if wide else 21) + 1
        if len(body) > at and len(body) == at + 1 + body[at] + (20 if wide else 8):
            return _deliver(_Reader(body), wide)
    raise BadPacket("DELIVER has a length that its content does not explain")


def _deliver(reader: _Reader, wide: bool) -> Deliver:
    message_id, destination, service = reader.octets(8), reader.text(21), reader.text(10)
    _protocol, udhi, coding = reader.octets(3)
    source = reader.text(32 if wide else 21)
    reader.octets(int(wide))
    report, length = reader.octets(2)
    return Deliver(
        message_id, destination, source, reader.octets(length), bool(report), coding, bool(udhi), service
    )  # fmt: skip


@dataclass(slots=True)
class Report:
    """Content of a status report. Times are YYMMDDHHMM; `message_id` is that of SUBMIT_RESP, in unsigned decimal."""

    message_id: str
    word: str
    submitted: str
    done: str
    number: str = field(repr=False)

    def encoded(self, wide: bool) -> bytes:
        """The content for DELIVER: 60 octets in 2.0, 71 in 3.0. Raises BadPacket."""
        return b"".join(
            (
                int(self.message_id).to_bytes(8, "big"),
                _padded("Stat", self.word, 7),
                _padded("Submit_time", self.submitted, 10),
                _padded("Done_time", self.done, 10),
                _padded("Dest_terminal_Id", self.number, 32 if wide else 21),
                bytes(4),
            )
        )


def read_report(content: bytes) -> Report:
    """Reads a status report by its own length: gateways send 60 octets in 3.0 too. Raises BadPacket."""
    if len(content) not in (60, 71):
        raise BadPacket("a status report has 60 or 71 octets")
    reader = _Reader(content)
    message_id = str(int.from_bytes(reader.octets(8), "big"))
    return Report(
        message_id, reader.text(7), reader.text(10), reader.text(10), reader.text(21 if len(content) == 60 else 32)
    )  # fmt: skip


def _padded(name: str, value: str, size: int) -> bytes:
    """An octet string of exactly `size`, filled with zeros."""
    try:
        octets = value.encode("ascii")
    except UnicodeEncodeError:
        raise BadPacket(f"{name} is not ASCII") from None
    if len(octets) > size or b"\x00" in octets:
        raise BadPacket(f"{name} does not fit its field")
    return octets.ljust(size, b"\x00")


class _Reader:
    """Reads a body from its beginning; every step may end in BadPacket."""

    def __init__(self, body: bytes) -> None:
        self.body, self.at = body, 0

    def octets(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self.body):
            raise BadPacket("the body ends early")
        found, self.at = self.body[self.at : end], end
        return found

    def text(self, size: int) -> str:
        return self.octets(size).partition(b"\x00")[0].decode("latin-1").strip()

    def end(self) -> None:
        if self.at != len(self.body):
            raise BadPacket("the body goes on behind its end")
