"""A carrier's gateway: takes parts, remembers what phones show, and knows how fast its customers may be."""

import asyncio
import time
from collections import deque
from typing import Any, NamedTuple

from simulator.outside import Arrival, Outside
from simulator.posting import Poster
from simulator.provider import Message, Port, Shown
from simulator.providers.carrier.desk import ReceiptDesk
from simulator.providers.carrier.parts import Assembler, Garbled, Place
from simulator.world import Fate

SWITCHES: dict[str, Any] = {
    "per_second": 0,
    "window": 0,
    "sessions": 0,
    "latency_s": 0.0,
    "receipt_first": False,
    "receipt_retry_s": 5.0,
}


class Reply(NamedTuple):
    """What somebody wrote on a phone to one of the customer's numbers."""

    phone: str
    customer: str
    text: str


class Part(NamedTuple):
    """A checked part: to whom, from which number, where in its message, its octets and what a phone reads in them."""

    address: str
    sender: str
    place: Place
    octets: bytes
    text: str | None


def place_of(number: str) -> str:
    """Return a number as it stands in the ledger and on phones: mainland numbers as 11 digits."""
    digits = number.removeprefix("+").removeprefix("00")
    return digits[2:] if len(digits) == 13 and digits.startswith("861") else digits


class Carrier(Port):
    """What the gateways of SMPP and CMPP have in common."""

    channels = {"sms": "sms"}
    habits = {"empty": 0.0, "off": 0.0}
    believable = {"world": {"empty": 0.02, "off": 0.01}}
    operations = ("send",)
    lost_answer = "hang"  # the session stays up, the answer never comes
    accounts: dict[str, str]

    def __init__(self, outside: Outside, post: Poster) -> None:
        super().__init__(outside, post)
        self.desk = ReceiptDesk(outside, post, self.name, lambda: float(self.switches["receipt_retry_s"]))
        self.logged_in: list[str] = []
        self.garbled = 0
        self._assembler = Assembler()
        self._taken: dict[str, deque[float]] = {}
        self._teller: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen, and tell receipts."""
        self._teller = asyncio.ensure_future(self.desk.run())
        return await super().start(host, port)

    async def stop(self) -> None:
        """End the sessions."""
        if self._teller is not None:
            self._teller.cancel()
        await super().stop()

    def control(self, document: dict[str, Any]) -> None:
        """Take accounts ({name: secret}) and the switches."""
        self.accounts.update(document.pop("accounts", {}))
        super().control(document)

    def stats(self) -> dict[str, Any]:
        """Return sessions, parts that a phone could not read, and receipts that wait."""
        return {"sessions": len(self.logged_in), "garbled": self.garbled, "receipts_waiting": self.desk.waiting}

    def act(self, operation: str, document: dict[str, Any]) -> Any:
        """``reply`` {phone, text, account?, to?}: somebody answers; told over a session that hears receipts."""
        if operation != "reply":
            return super().act(operation, document)
        said = Reply(str(document["phone"]), str(document.get("to", "106900001234")), str(document["text"]))
        account = str(document.get("account") or next(iter(self.accounts)))
        self.desk.plan(account, said, time.time(), (said.phone, str(self.outside.new_pid())))
        return {"account": account}

    def full(self, account: str) -> bool:
        """Tell whether the account has as many sessions as it may have."""
        most = self.switches["sessions"]
        return bool(most) and self.logged_in.count(account) >= most

    def too_fast(self, account: str, unanswered: int) -> bool:
        """Tell whether one more request is too much for the window or for this second."""
        window, most, now = self.switches["window"], self.switches["per_second"], time.monotonic()
        if window and unanswered > window:
            return True
        if not most:
            return False
        taken = self._taken.setdefault(account, deque())
        while taken and now - taken[0] >= 1.0:
            taken.popleft()
        if len(taken) >= most:
            return True
        taken.append(now)
        return False

    def accept(self, account: str, part: Part, pid: str, returned: bool) -> Fate:
        """Take a part: ledger first, then the phone once the message is whole. The receipt is the caller's."""
        key = "/".join(map(str, part.place)) if part.place.total > 1 else ""
        entry = Message(part.address, "", part.text, part.octets).entry()
        now = self.outside.record(self.name, account, key, pid, [entry], returned)
        fate = self.fate("sms", part.address, pid, now)
        if part.text is None:
            self.garbled += 1
        shown = "\ufffd" if part.text is None else part.text
        whole = self._assembler.add(part.address, part.sender, part.place, shown)
        if whole is not None:
            content = (part.sender, whole)
            self.outside.remember(Arrival(self.name, "sms", part.address, now, account, pid, "", content, fate))
        return fate

    def show(self, arrival: Arrival, language: str) -> Shown:
        """Show the text as the phone put it together."""
        sender, text = arrival.content
        return Shown(sender=sender, text=text)


def readable(read: Any, octets: bytes) -> str | None:
    """Return what a phone reads in a part alone, None where it cannot."""
    try:
        text: str = read(octets)
    except Garbled:
        return None
    return text
