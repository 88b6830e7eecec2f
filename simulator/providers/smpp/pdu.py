"""SMPP 3.4 as the service centre reads and writes it."""

import struct
from typing import NamedTuple

BINDS = {0x1: "receiver", 0x2: "transmitter", 0x9: "transceiver"}
SUBMIT, DELIVER, UNBIND, ENQUIRE, NACK = 0x4, 0x5, 0x6, 0x15, 0x80000000
ANSWER = 0x80000000
LARGEST = 70_000
PAYLOAD, SAR_REF, SAR_TOTAL, SAR_NUMBER = 0x0424, 0x020C, 0x020E, 0x020F


class Malformed(ValueError):
    """The body is not what the command says."""


class Pdu(NamedTuple):
    """One request or answer."""

    command: int
    status: int
    sequence: int
    body: bytes


class Submit(NamedTuple):
    """What of a submit_sm matters to the centre."""

    source: str
    ton: int
    destination: str
    esm_class: int
    registered: int
    coding: int
    text: bytes
    tlvs: dict[int, bytes]


def pack(command: int, status: int, sequence: int, body: bytes = b"") -> bytes:
    """Write one PDU."""
    return struct.pack(">4I", 16 + len(body), command, status, sequence) + body


def take(buffer: bytearray) -> Pdu | None:
    """Take the first whole PDU out of the buffer; Malformed if its length cannot be."""
    if len(buffer) < 16:
        return None
    length, command, status, sequence = struct.unpack_from(">4I", buffer)
    if not 16 <= length <= LARGEST:
        raise Malformed("length")
    if len(buffer) < length:
        return None
    body = bytes(buffer[16:length])
    del buffer[:length]
    return Pdu(command, status, sequence, body)


def strings(body: bytes, *sizes: int) -> tuple[list[str], bytes]:
    """Read C strings of at most these sizes (end included) from the beginning; return them and the rest."""
    found = []
    for size in sizes:
        text, end, body = body[:size].partition(b"\0")[0], body.find(b"\0"), body[body.find(b"\0") + 1 :]
        if not 0 <= end < size:
            raise Malformed("string")
        found.append(text.decode("latin-1"))
    return found, body


def read_submit(body: bytes) -> Submit:
    """Read a submit_sm; Malformed unless every octet has its place."""
    try:
        _service, body = strings(body, 6)
        (source,), rest = strings(body[2:], 21)
        ton, rest = rest[0], rest[2:]
        (destination,), rest = strings(rest, 21)
        esm_class, rest = rest[0], rest[3:]
        (_schedule, validity), rest = strings(rest, 17, 17)
        if len(validity) not in (0, 16):
            raise Malformed("validity")
        registered, _replace, coding, _default, length = rest[:5]
    except (IndexError, ValueError) as error:
        raise Malformed(str(error)) from None
    text, rest = rest[5 : 5 + length], rest[5 + length :]
    if len(text) != length:
        raise Malformed("text")
    return Submit(source, ton, destination, esm_class, registered, coding, text, read_tlvs(rest))


def read_tlvs(octets: bytes) -> dict[int, bytes]:
    """Read optional parameters to the last octet."""
    found = {}
    while octets:
        if len(octets) < 4:
            raise Malformed("parameter")
        tag, length = struct.unpack_from(">HH", octets)
        if len(octets) < 4 + length:
            raise Malformed("parameter")
        found[tag], octets = octets[4 : 4 + length], octets[4 + length :]
    return found


def reply_body(source: str, destination: str, text: bytes) -> bytes:
    """Write a text from a phone, in UCS-2."""
    head = b"\0\1\1" + source.encode() + b"\0\0\0" + destination.encode() + b"\0" + b"\0\0\0" + b"\0\0"
    return head + b"\0\0\x08\0" + bytes((len(text),)) + text


def deliver_body(source: str, destination: str, text: bytes, tlvs: dict[int, bytes]) -> bytes:
    """Write a receipt: source is the phone, destination the customer's number."""
    head = b"\0\1\1" + source.encode() + b"\0\0\0" + destination.encode() + b"\0" + b"\4\0\0" + b"\0\0" + b"\0\0\0\0"
    extra = b"".join(struct.pack(">HH", tag, len(value)) + value for tag, value in tlvs.items())
    return head + bytes((len(text),)) + text + extra
