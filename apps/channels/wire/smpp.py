"""SMPP 3.4 on the wire: PDUs, bodies, optional parameters and delivery receipts, both ways.

Field order and limits are those of the SMPP 3.4 specification, sections 4 and 5. What cannot be read raises BadPdu and
nothing else, whatever the bytes are.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

GENERIC_NACK = 0x80000000
BIND_RECEIVER, BIND_TRANSMITTER, BIND_TRANSCEIVER = 0x00000001, 0x00000002, 0x00000009
SUBMIT_SM, DELIVER_SM, UNBIND, DATA_SM = 0x00000004, 0x00000005, 0x00000006, 0x00000103
OUTBIND, ENQUIRE_LINK, ALERT_NOTIFICATION = 0x0000000B, 0x00000015, 0x00000102
RESPONSE = 0x80000000
LAST_SEQUENCE = 0x7FFFFFFF
HEADER = struct.Struct(">IIII")
LARGEST_PDU = 65536  # short_message is 254 octets at most, message_payload 64 K; anything longer is no SMPP
VERSION_34 = 0x34

UDHI = 0x40  # of esm_class: the text begins with a user data header
RECEIPT, INTERMEDIATE = 0x04, 0x20  # of esm_class, bits 2 to 5
MESSAGE_TYPE = 0x3C

RECEIPTED_MESSAGE_ID, MESSAGE_STATE, NETWORK_ERROR_CODE = 0x001E, 0x0427, 0x0423
MESSAGE_PAYLOAD = 0x0424
SAR_REFERENCE, SAR_TOTAL, SAR_NUMBER = 0x020C, 0x020E, 0x020F
STATE_WORDS = {
    1: "ENROUTE",
    2: "DELIVRD",
    3: "EXPIRED",
    4: "DELETED",
    5: "UNDELIV",
    6: "ACCEPTD",
    7: "UNKNOWN",
    8: "REJECTD",
}

_RECEIPT_ID = re.compile(r"\bid:\s*(\S+)", re.I)
_RECEIPT_STATE = re.compile(r"\bstat:\s*([A-Za-z]{1,10})", re.I)
_RECEIPT_ERROR = re.compile(r"\berr:\s*(\w{1,10})", re.I)
_RECEIPT_DONE = re.compile(r"\bdone date:\s*(\d{10}(?:\d\d)?)", re.I)


class BadPdu(ValueError):
    """The bytes are not what they should be, or a value has no place in its field."""


@dataclass(slots=True)
class Pdu:
    """One protocol data unit; `body` is what follows the header."""

    command: int
    status: int
    sequence: int
    body: bytes = field(default=b"", repr=False)

    def encoded(self) -> bytes:
        return HEADER.pack(HEADER.size + len(self.body), self.command, self.status, self.sequence) + self.body


def decoded(octets: bytes) -> Pdu:
    """The one PDU that these octets are, no more and no less. Raises BadPdu."""
    buffer = bytearray(octets)
    found = split(buffer)
    if len(found) != 1 or buffer:
        raise BadPdu("not exactly one PDU")
    return found[0]


def split(buffer: bytearray) -> list[Pdu]:
    """Takes the whole PDUs out of a stream's buffer and leaves the rest in it. Raises BadPdu."""
    found: list[Pdu] = []
    start = 0
    while len(buffer) - start >= HEADER.size:
        length, command, status, sequence = HEADER.unpack_from(buffer, start)
        if not HEADER.size <= length <= LARGEST_PDU:
            if found:
                break  # what is good before it counts; the next call says it
            raise BadPdu("a length that no PDU has")
        if len(buffer) - start < length:
            break
        found.append(Pdu(command, status, sequence, bytes(buffer[start + HEADER.size : start + length])))
        start += length
    del buffer[:start]
    return found


def bind_body(user: str, password: str, system_type: str = "", version: int = VERSION_34) -> bytes:
    """Body of any of the three binds; the address range is left open."""
    return (
        _string("system_id", user, 16)
        + _string("password", password, 9)
        + _string("system_type", system_type, 13)
        + bytes((version, 0, 0))
        + b"\x00"
    )


@dataclass(slots=True)
class Message:
    """The body of submit_sm and of deliver_sm. Addresses are (type of number, numbering plan, digits or name)."""

    source: tuple[int, int, str]
    destination: tuple[int, int, str] = field(repr=False)
    text: bytes = field(default=b"", repr=False)
    data_coding: int = 0
    esm_class: int = 0
    registered_delivery: int = 0
    service_type: str = ""
    protocol_id: int = 0
    priority: int = 0
    schedule: str = ""
    validity: str = ""
    replace: int = 0
    default_text: int = 0
    tlvs: Mapping[int, bytes] = field(default_factory=dict, repr=False)

    def encoded(self) -> bytes:
        """Raises BadPdu where a value does not fit its field."""
        if len(self.text) > 254:
            raise BadPdu("short_message is longer than 254 octets")
        try:
            return b"".join(
                (
                    _string("service_type", self.service_type, 6),
                    _address(self.source),
                    _address(self.destination),
                    bytes((self.esm_class, self.protocol_id, self.priority)),
                    _string("schedule_delivery_time", self.schedule, 17),
                    _string("validity_period", self.validity, 17),
                    bytes((self.registered_delivery, self.replace, self.data_coding, self.default_text)),
                    bytes((len(self.text),)),
                    self.text,
                    *(struct.pack(">HH", tag, len(value)) + value for tag, value in self.tlvs.items()),
                )
            )
        except (ValueError, struct.error) as error:
            raise error if isinstance(error, BadPdu) else BadPdu("a number does not fit its field") from None

    @property
    def is_receipt(self) -> bool:
        return self.esm_class & MESSAGE_TYPE in (RECEIPT, INTERMEDIATE)

    @property
    def payload(self) -> bytes:
        """The text, from wherever it travels."""
        return self.text or self.tlvs.get(MESSAGE_PAYLOAD, b"")


def read_message(body: bytes) -> Message:
    """Reads the body of submit_sm or deliver_sm. Raises BadPdu."""
    reader = _Reader(body)
    service_type = reader.string(6)
    source = reader.address()
    destination = reader.address()
    esm_class, protocol_id, priority = reader.octets(3)
    schedule, validity = reader.string(17), reader.string(17)
    registered, replace, coding, default_text, length = reader.octets(5)
    return Message(
        source,
        destination,
        reader.octets(length),
        coding,
        esm_class,
        registered,
        service_type,
        protocol_id,
        priority,
        schedule,
        validity,
        replace,
        default_text,
        reader.tlvs(),
    )


def read_data_sm(body: bytes) -> Message:
    """Reads the body of data_sm, whose text and receipt stand in optional parameters. Raises BadPdu."""
    reader = _Reader(body)
    service_type = reader.string(6)
    source, destination = reader.address(65), reader.address(65)
    esm_class, registered, coding = reader.octets(3)
    return Message(source, destination, b"", coding, esm_class, registered, service_type, tlvs=reader.tlvs())


def read_message_id(body: bytes) -> str:
    """message_id of a submit_sm_resp; empty where the gateway sent the header alone. Raises BadPdu."""
    return _Reader(body).string(65) if body else ""


def message_id_body(message_id: str) -> bytes:
    """Body of submit_sm_resp, and with an empty id of deliver_sm_resp."""
    return _string("message_id", message_id, 65)


@dataclass(slots=True)
class Receipt:
    """A delivery receipt: the id of the part it is about, the state's word, the network's code, `done` YYMMDDhhmm[ss]."""

    message_id: str
    word: str
    error: str = ""
    done: str = ""


def read_receipt(message: Message) -> Receipt | None:
    """What a receipt says: its optional parameters first, the conventional text second. None where either is missing."""
    text = message.payload.decode("latin-1")
    message_id = _terminated(message.tlvs.get(RECEIPTED_MESSAGE_ID, b"")) or _found(_RECEIPT_ID, text)
    state = message.tlvs.get(MESSAGE_STATE, b"")
    word = STATE_WORDS.get(state[0], "") if len(state) == 1 else ""
    word = word or _found(_RECEIPT_STATE, text).upper()
    if not message_id or not word:
        return None
    network = message.tlvs.get(NETWORK_ERROR_CODE, b"")
    error = f"{int.from_bytes(network[1:], 'big'):03d}" if len(network) == 3 else _found(_RECEIPT_ERROR, text)
    return Receipt(message_id, word, error, _found(_RECEIPT_DONE, text))


def _found(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return match[1] if match else ""


def _terminated(value: bytes) -> str:
    return value.partition(b"\x00")[0].decode("latin-1").strip()


def _string(name: str, value: str, size: int) -> bytes:
    """A C string of `size` octets at most, its end included."""
    try:
        octets = value.encode("ascii")
    except UnicodeEncodeError:
        raise BadPdu(f"{name} is not ASCII") from None
    if b"\x00" in octets or len(octets) >= size:
        raise BadPdu(f"{name} does not fit its field")
    return octets + b"\x00"


def _address(address: tuple[int, int, str]) -> bytes:
    ton, npi, number = address
    return bytes((ton, npi)) + _string("an address", number, 21)


class _Reader:
    """Reads a body from its beginning; every step may end in BadPdu."""

    def __init__(self, body: bytes) -> None:
        self.body, self.at = body, 0

    def octets(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self.body):
            raise BadPdu("the body ends early")
        found, self.at = self.body[self.at : end], end
        return found

    def string(self, size: int) -> str:
        end = self.body.find(b"\x00", self.at, self.at + size)
        if end < 0:
            raise BadPdu("a string without its end")
        found, self.at = self.body[self.at : end], end + 1
        return found.decode("latin-1")

    def address(self, size: int = 21) -> tuple[int, int, str]:
        ton, npi = self.octets(2)
        return ton, npi, self.string(size)

    def tlvs(self) -> dict[int, bytes]:
        found = {}
        while self.at < len(self.body):
            tag, length = struct.unpack(">HH", self.octets(4))
            found[tag] = self.octets(length)
        return found
