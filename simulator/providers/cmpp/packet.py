"""CMPP as the gateway reads and writes it; ``wide`` is version 3.0."""

import hashlib
import struct
from typing import NamedTuple

CONNECT, TERMINATE, SUBMIT, DELIVER, ACTIVE = 1, 2, 4, 5, 8
ANSWER = 0x80000000
LARGEST = 3335


class Malformed(ValueError):
    """The body is not what the command says."""


class Packet(NamedTuple):
    """One request or answer."""

    command: int
    sequence: int
    body: bytes


class Submit(NamedTuple):
    """What of a SUBMIT matters to the gateway."""

    total: int
    number: int
    report: int
    service: str
    udhi: int
    coding: int
    user: str
    source: str
    destinations: list[str]
    content: bytes


def pack(command: int, sequence: int, body: bytes = b"") -> bytes:
    """Write one packet."""
    return struct.pack(">3I", 12 + len(body), command, sequence) + body


def take(buffer: bytearray) -> Packet | None:
    """Take the first whole packet out of the buffer; Malformed if its length cannot be."""
    if len(buffer) < 12:
        return None
    length, command, sequence = struct.unpack_from(">3I", buffer)
    if not 12 <= length <= LARGEST:
        raise Malformed("length")
    if len(buffer) < length:
        return None
    body = bytes(buffer[12:length])
    del buffer[:length]
    return Packet(command, sequence, body)


def _text(octets: bytes) -> str:
    return octets.rstrip(b"\0").decode("latin-1").strip()


def read_submit(body: bytes, wide: bool) -> Submit:
    """Read a SUBMIT; Malformed unless its length is exactly what its counts say."""
    width, gap, tail = (32, 1, 20) if wide else (21, 0, 8)
    head = 8 + 4 + 10 + 1 + width + gap + 3 + 6 + 2 + 6 + 17 + 17 + 21
    if len(body) < head + 1:
        raise Malformed("head")
    count = body[head]
    at = head + 1 + count * width + gap
    if len(body) <= at or len(body) != at + 1 + body[at] + tail or not 1 <= count <= 100:
        raise Malformed("length")
    flags = 8 + 4 + 10 + 1 + width + gap
    return Submit(
        total=body[8], number=body[9], report=body[10], service=_text(body[12:22]), udhi=body[flags + 1],
        coding=body[flags + 2], user=_text(body[flags + 3 : flags + 9]), source=_text(body[head - 21 : head]),
        destinations=[_text(body[head + 1 + n * width : head + 1 + (n + 1) * width]) for n in range(count)],
        content=body[at + 1 : at + 1 + body[at]],
    )  # fmt: skip


def proof(user: bytes, secret: str, stamp: int) -> bytes:
    """Return what a customer must prove itself with."""
    return hashlib.md5(user + bytes(9) + secret.encode() + b"%010d" % stamp).digest()


def connect_answer(status: int, wide: bool, theirs: bytes, secret: str, version: int) -> bytes:
    """Write the body of CONNECT_RESP."""
    word = status.to_bytes(4 if wide else 1, "big")
    return word + hashlib.md5(word + theirs + secret.encode()).digest() + bytes((version,))


def report(pid: int, word: str, times: tuple[str, str], phone: str, wide: bool) -> bytes:
    """Write the content of a status report."""
    stamps = times[0].encode() + times[1].encode()
    number = phone.encode().ljust(32 if wide else 21, b"\0")
    return pid.to_bytes(8, "big") + word.encode().ljust(7, b"\0") + stamps + number + bytes(4)


def reply_body(pid: int, customer: str, phone: str, text: bytes, wide: bool) -> bytes:
    """Write a DELIVER with a text from a phone, in UCS-2."""
    number = phone.encode().ljust(32 if wide else 21, b"\0") + bytes(wide)
    head = pid.to_bytes(8, "big") + customer.encode().ljust(21, b"\0") + bytes(10) + b"\0\0\x08"
    return head + number + b"\0" + bytes((len(text),)) + text + bytes(20 if wide else 8)


def deliver_body(pid: int, customer: str, service: str, phone: str, content: bytes, wide: bool) -> bytes:
    """Write a DELIVER that carries a report."""
    number = phone.encode().ljust(32 if wide else 21, b"\0") + bytes(wide)
    head = pid.to_bytes(8, "big") + customer.encode().ljust(21, b"\0") + service.encode().ljust(10, b"\0") + bytes(3)
    return head + number + b"\1" + bytes((len(content),)) + content + bytes(20 if wide else 8)
