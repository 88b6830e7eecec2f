"""One CMPP session on the gateway's side."""

import time
from typing import Any, NamedTuple

from simulator.providers.carrier.parts import ALONE, HeaderError, Place, read_ucs2, split_header
from simulator.providers.carrier.port import Part, Reply, place_of, readable
from simulator.providers.carrier.session import Hangup, Session
from simulator.providers.cmpp import packet
from simulator.world import REACHED, Fate

OK, STRUCTURE, LENGTH, SERVICE, FLOW, SOURCE, USER, NUMBER = 0, 1, 4, 7, 8, 10, 11, 13
FAILED = 20  # the gateway's own trouble, outside the documented range
UNKNOWN_USER, WRONG_PROOF, WRONG_VERSION, OTHER = 2, 3, 4, 5
WORDS = {"off": "MK:0023", "empty": "MK:0001", "blacklisted": "DB:0144", "stopped": "MK:0005"}
READERS: dict[int, Any] = {
    0: lambda octets: octets.decode("latin-1"),
    4: bytes.hex,
    8: read_ucs2,
    15: lambda octets: octets.decode("gb18030", "replace"),
}


class Receipt(NamedTuple):
    """About which part, from which phone to which of the customer's numbers, what became of it and when it came in."""

    pid: int
    phone: str
    customer: str
    service: str
    fate: Fate
    at: float


class Refused(Exception):
    """A SUBMIT gets this result."""

    def __init__(self, result: int) -> None:
        super().__init__()
        self.result = result


class CmppSession(Session):
    """The version is that of the login."""

    wide = False

    def read(self) -> None:
        """Answer every whole packet."""
        while True:
            try:
                one = packet.take(self.buffer)
            except packet.Malformed:
                raise Hangup from None
            if one is None:
                return
            self._hear(one)

    def _hear(self, one: packet.Packet) -> None:
        if one.command == packet.CONNECT:
            self._connect(one)
        elif not self.account:
            raise Hangup
        elif one.command == packet.SUBMIT:
            self._submit(one)
        elif one.command == packet.ACTIVE:
            self.write(packet.pack(packet.ACTIVE | packet.ANSWER, one.sequence, b"\0"))
        elif one.command == packet.TERMINATE:
            self.write(packet.pack(packet.TERMINATE | packet.ANSWER, one.sequence))
            raise Hangup
        elif one.command == packet.DELIVER | packet.ANSWER:
            size = 12 if self.wide else 9
            good = len(one.body) == size and not any(one.body[8:])
            self.port.desk.answered(self, one.sequence, good)

    # --- login

    def _connect(self, one: packet.Packet) -> None:
        status, user, version = STRUCTURE, b"", 0x20
        if len(one.body) == 27 and not self.account:
            user, version = one.body[:6], one.body[22]
            status = self._status(user, one.body[6:22], version, int.from_bytes(one.body[23:], "big"))
        self.wide = version == 0x30
        secret = self.port.accounts.get(user.decode("latin-1"), "")
        body = packet.connect_answer(status, self.wide, one.body[6:22], secret, 0x30 if self.wide else 0x20)
        self.write(packet.pack(packet.CONNECT | packet.ANSWER, one.sequence, body))
        if status:
            self._count(f"connect:{status}")
            raise Hangup
        self.enter(user.decode("latin-1"), True)

    def _status(self, user: bytes, theirs: bytes, version: int, stamp: int) -> int:
        name = user.decode("latin-1")
        if name not in self.port.accounts:
            return UNKNOWN_USER
        if theirs != packet.proof(user, self.port.accounts[name], stamp):
            return WRONG_PROOF
        if version not in (0x20, 0x30):
            return WRONG_VERSION
        return OTHER if self.port.full(name) else OK

    # --- messages

    def _submit(self, one: packet.Packet) -> None:
        self.port.outside.counts[self.port.name].calls += 1
        try:
            submit = self._checked(one.body)
            parts = self._parts(submit)
            if self.port.too_fast(self.account, self.unanswered):
                raise Refused(FLOW)
        except Refused as refused:
            self._refuse(one, refused.result)
            return
        plan = self.port.outside.plan(self.port.name, "send", [part.address for part in parts])
        if plan.action in ("refuse", "429"):
            self._refuse(one, FLOW if plan.action == "429" else int(plan.argument or NUMBER))
            return
        pid = self.port.outside.new_pid()
        if plan.accepts:
            self._take(submit, parts, pid, plan.returned)
        honest = self._answer_to(one, pid, OK if plan.accepts else FAILED)
        self.carry_out(plan, honest, self._answer_to(one, pid, FAILED))

    def _take(self, submit: packet.Submit, parts: list[Part], pid: int, returned: bool) -> None:
        now = time.time()
        for part, phone in zip(parts, submit.destinations, strict=True):
            fate = self.port.accept(self.account, part, str(pid), returned)
            if submit.report == 1:
                receipt = Receipt(pid, phone, submit.source, submit.service, fate, now)
                self.tell_of(receipt, fate.at, part.address, str(pid))

    def _refuse(self, one: packet.Packet, result: int) -> None:
        self._count(str(result))
        self.later(self._answer_to(one, 0, result), 0.0)

    def _count(self, code: str) -> None:
        self.port.outside.counts[self.port.name].refused[code] += 1

    def _answer_to(self, one: packet.Packet, pid: int, result: int) -> bytes:
        body = pid.to_bytes(8, "big") + result.to_bytes(4 if self.wide else 1, "big")
        return packet.pack(packet.SUBMIT | packet.ANSWER, one.sequence, body)

    def _checked(self, body: bytes) -> packet.Submit:
        try:
            submit = packet.read_submit(body, self.wide)
        except packet.Malformed:
            raise Refused(STRUCTURE) from None
        if submit.coding not in READERS or not 1 <= submit.number <= submit.total:
            raise Refused(STRUCTURE)
        if len(submit.content) > (160 if submit.coding == 0 else 140):
            raise Refused(LENGTH)
        if not submit.service:
            raise Refused(SERVICE)
        if not submit.source.isdecimal():
            raise Refused(SOURCE)
        if submit.user != self.account:
            raise Refused(USER)
        return submit

    def _parts(self, submit: packet.Submit) -> list[Part]:
        place, text = ALONE, submit.content
        if submit.udhi:
            try:
                place, text = split_header(submit.content)
            except HeaderError:
                raise Refused(STRUCTURE) from None
        if (place.total, place.number) != (submit.total, submit.number):
            raise Refused(STRUCTURE)
        return [self._part(number, submit, place, text) for number in submit.destinations]

    def _part(self, number: str, submit: packet.Submit, place: Place, text: bytes) -> Part:
        if not (number.isascii() and number.isdecimal() and 7 <= len(number) <= 15):
            raise Refused(NUMBER)
        read = READERS[submit.coding]
        return Part(place_of(number), submit.source, place, text, readable(read, text))

    # --- receipts

    def tell(self, receipt: Receipt | Reply) -> int:
        """Write a DELIVER with a status report, or with what somebody wrote on a phone."""
        sequence, own = self.next_sequence(), self.port.outside.new_pid()
        if isinstance(receipt, Reply):
            text = receipt.text.encode("utf-16-be")
            body = packet.reply_body(own, receipt.customer, receipt.phone, text, self.wide)
            self.write(packet.pack(packet.DELIVER, sequence, body))
            return sequence
        word = "DELIVRD" if receipt.fate.word in REACHED else WORDS.get(receipt.fate.word, "UNDELIV")
        stamps = tuple(_beijing(at) for at in (receipt.at, receipt.fate.at))
        wide = self.wide and not self.port.switches["narrow_reports"]
        content = packet.report(receipt.pid, word, (stamps[0], stamps[1]), receipt.phone, wide)
        body = packet.deliver_body(own, receipt.customer, receipt.service, receipt.phone, content, self.wide)
        self.write(packet.pack(packet.DELIVER, sequence, body))
        return sequence


def _beijing(at: float) -> str:
    return time.strftime("%y%m%d%H%M", time.gmtime(at + 8 * 3600))
