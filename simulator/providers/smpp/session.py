"""One SMPP session on the centre's side: strict about states, lengths and headers."""

import time
from typing import Any

from simulator.providers.carrier.parts import (
    ALONE,
    ON_AIR,
    HeaderError,
    Place,
    octets_on_air,
    read_gsm,
    read_ucs2,
    split_header,
)
from simulator.providers.carrier.port import Part, Reply, place_of, readable
from simulator.providers.carrier.session import Hangup, Session
from simulator.providers.smpp import pdu
from simulator.providers.smpp.receipts import Receipt, receipt_body, written_id

OK, LENGTH, COMMAND_LENGTH, COMMAND, STATE, ALREADY, SYSTEM = 0, 0x01, 0x02, 0x03, 0x04, 0x05, 0x08
SOURCE, DESTINATION, PASSWORD, SYSTEM_ID, ESM_CLASS, SUBMIT_FAILED, THROTTLED = 0x0A, 0x0B, 0x0E, 0x0F, 0x43, 0x45, 0x58
READERS = {
    0: read_gsm,
    8: read_ucs2,
    3: lambda octets: octets.decode("latin-1"),
    1: lambda octets: octets.decode("latin-1"),
}


class Refused(Exception):
    """A submit_sm gets this status."""

    def __init__(self, status: int) -> None:
        super().__init__()
        self.status = status


class SmppSession(Session):
    """``mode`` is the bind's name once there is one."""

    mode = ""

    def read(self) -> None:
        """Answer every whole PDU."""
        while True:
            try:
                one = pdu.take(self.buffer)
            except pdu.Malformed:
                self.write(pdu.pack(pdu.NACK, COMMAND_LENGTH, 0))
                raise Hangup from None
            if one is None:
                return
            self._hear(one)

    def _hear(self, one: pdu.Pdu) -> None:
        if one.command in pdu.BINDS:
            self._bind(one)
        elif one.command == pdu.SUBMIT:
            self._submit(one)
        elif one.command == pdu.ENQUIRE:
            self.write(pdu.pack(pdu.ENQUIRE | pdu.ANSWER, OK, one.sequence))
        elif one.command == pdu.UNBIND:
            self.write(pdu.pack(pdu.UNBIND | pdu.ANSWER, OK, one.sequence))
            raise Hangup
        elif one.command == pdu.DELIVER | pdu.ANSWER:
            self.port.desk.answered(self, one.sequence, one.status == OK)
        elif not one.command & pdu.ANSWER:
            self.write(pdu.pack(pdu.NACK, COMMAND, one.sequence))

    # --- login

    def _bind(self, one: pdu.Pdu) -> None:
        status = self._bind_status(one)
        body = b"SIM\0\x02\x10\x00\x01\x34" if status == OK else b""
        if status:
            self._count(status)
        self.write(pdu.pack(one.command | pdu.ANSWER, status, one.sequence, body))
        if status not in (OK, ALREADY):
            raise Hangup

    def _bind_status(self, one: pdu.Pdu) -> int:
        if self.mode:
            return ALREADY
        try:
            (user, password, _type), rest = pdu.strings(one.body, 16, 9, 13)
            (_range,), rest = pdu.strings(rest[3:], 41)
        except pdu.Malformed:
            return COMMAND_LENGTH
        if rest:
            return COMMAND_LENGTH
        if user not in self.port.accounts:
            return SYSTEM_ID
        if self.port.accounts[user] != password:
            return PASSWORD
        if self.port.full(user):
            return ALREADY
        self.mode = pdu.BINDS[one.command]
        self.enter(user, self.mode != "transmitter")
        return OK

    # --- messages

    def _submit(self, one: pdu.Pdu) -> None:
        self.port.outside.counts[self.port.name].calls += 1
        try:
            if not self.mode or self.mode == "receiver":
                raise Refused(STATE)
            submit = self._checked(one.body)
            part = self._part(submit)
            if self.port.too_fast(self.account, self.unanswered):
                raise Refused(THROTTLED)
        except Refused as refused:
            self._refuse(one, refused.status)
            return
        plan = self.port.outside.plan(self.port.name, "send", [part.address])
        if plan.action in ("refuse", "429"):
            status = THROTTLED if plan.action == "429" else int(plan.argument or "0x45", 0)
            self._refuse(one, status)
            return
        number = self.port.outside.new_pid() % 0xFFFFFFFF if plan.accepts else 0
        honest = self._taken(one, submit, part, number, plan.returned) if plan.accepts else b""
        failed = pdu.pack(pdu.SUBMIT | pdu.ANSWER, SYSTEM, one.sequence)
        self.carry_out(plan, honest or failed, failed)

    def _refuse(self, one: pdu.Pdu, status: int) -> None:
        self._count(status)
        self.later(pdu.pack(one.command | pdu.ANSWER, status, one.sequence), 0.0)

    def _count(self, status: int) -> None:
        self.port.outside.counts[self.port.name].refused[f"0x{status:02X}"] += 1

    def _taken(self, one: pdu.Pdu, submit: pdu.Submit, part: Part, number: int, returned: bool) -> bytes:
        message_id = written_id(number, self.port.switches["response_id"])
        now = time.time()
        fate = self.port.accept(self.account, part, message_id, returned)
        if submit.registered & 3 == 1:
            receipt = Receipt(number, submit.destination, submit.source, fate, now)
            self.tell_of(receipt, fate.at, part.address, message_id)
        return pdu.pack(pdu.SUBMIT | pdu.ANSWER, OK, one.sequence, message_id.encode() + b"\0")

    def _checked(self, body: bytes) -> pdu.Submit:
        try:
            submit = pdu.read_submit(body)
        except pdu.Malformed:
            raise Refused(COMMAND_LENGTH) from None
        digits = submit.destination
        if not (digits.isascii() and digits.isdecimal() and 7 <= len(digits) <= 15):
            raise Refused(DESTINATION)
        if not submit.source:
            raise Refused(SOURCE)
        if submit.coding not in (*READERS, 4):
            raise Refused(SUBMIT_FAILED)
        return submit

    def _part(self, submit: pdu.Submit) -> Part:
        """Check lengths and headers; return the part as it goes on air."""
        octets = submit.tlvs.get(pdu.PAYLOAD, submit.text)
        place, text = ALONE, octets
        if submit.esm_class & 0x40:
            try:
                place, text = split_header(octets)
            except HeaderError:
                raise Refused(ESM_CLASS) from None
        elif pdu.SAR_TOTAL in submit.tlvs:
            place = _sar(submit.tlvs)
        whole = pdu.PAYLOAD in submit.tlvs and place is ALONE
        on_air = octets_on_air(text, len(octets) - len(text), submit.coding == 0)
        if (on_air > ON_AIR and not whole) or (submit.coding == 8 and len(text) % 2):
            raise Refused(LENGTH)
        read: Any = READERS.get(submit.coding, bytes.hex)
        return Part(place_of(submit.destination), submit.source, place, text, readable(read, text))

    # --- receipts

    def tell(self, receipt: Receipt | Reply) -> int:
        """Write a deliver_sm: a receipt, or what somebody wrote on a phone."""
        sequence = self.next_sequence()
        if isinstance(receipt, Reply):
            body = pdu.reply_body(receipt.phone, receipt.customer, receipt.text.encode("utf-16-be"))
            self.write(pdu.pack(pdu.DELIVER, OK, sequence, body))
            return sequence
        switches = self.port.switches
        body = receipt_body(receipt, switches["receipt_id"], switches["receipt_parameters"])
        self.write(pdu.pack(pdu.DELIVER, OK, sequence, body))
        return sequence


def _sar(tlvs: dict[int, bytes]) -> Place:
    numbers = [int.from_bytes(tlvs.get(tag, b""), "big") for tag in (pdu.SAR_REF, pdu.SAR_TOTAL, pdu.SAR_NUMBER)]
    if not 1 <= numbers[2] <= numbers[1]:
        raise Refused(LENGTH)
    return Place(*numbers)
