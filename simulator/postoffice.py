"""What happens to a mail after the final dot: ledger, spool, mailbox, bounce."""

import hashlib
import os
from typing import NamedTuple

from simulator.bounces import Bounce
from simulator.ledger import Entry
from simulator.outside import Arrival, Outside
from simulator.receipts import ReceiptSender
from simulator.smtp_grammar import from_xtext, message_id_local

HEAD_BYTES = 16_384


class Envelope(NamedTuple):
    """Who sent what to whom, with the DSN wishes of the client."""

    user: str
    sender: str
    parameters: dict[str, str]
    recipients: list[tuple[str, dict[str, str]]]


class Stored(NamedTuple):
    """Where a mail lies in the spool file, and its envelope sender."""

    offset: int
    size: int
    sender: str


class PostOffice:
    """Takes accepted mail. The bodies lie in ``mail.spool`` so that memory does not grow with them."""

    def __init__(self, outside: Outside, receipts: ReceiptSender) -> None:
        self.outside, self.receipts = outside, receipts
        self._spool = os.open(outside.state_dir / "mail.spool", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._end = os.fstat(self._spool).st_size
        self._first_try: dict[tuple[str, str], float] = {}

    def greylists(self, sender: str, recipient: str, now: float) -> bool:
        """Tell whether this pair has to come back later; the first try starts its clock."""
        seconds = self.outside.settings["smtp"]["greylist_seconds"]
        if not seconds:
            return False
        return now - self._first_try.setdefault((sender, recipient), now) < seconds

    def take(self, envelope: Envelope, body: bytes, returned: bool) -> str:
        """Accept a mail: ledger lines first, then mailbox and bounces. Returns the queue id."""
        local = message_id_local(body[:HEAD_BYTES])
        key = from_xtext(envelope.parameters.get("ENVID", "")) or local
        pid = f"{self.outside.new_pid():X}"
        body_hash = hashlib.sha256(body).hexdigest()
        entries = [Entry(address, local or key, body_hash) for address, _ in envelope.recipients]
        now = self.outside.record("smtp", envelope.user, key, pid, entries, returned)
        stored = self._store(body, envelope.sender)
        for address, wishes in envelope.recipients:
            fate = self.outside.world.mail_fate(address, pid, now)
            self.outside.remember(Arrival("mail", address, now, envelope.user, pid, local or key, stored, fate))
            if fate.word == "bounced" and envelope.sender and _wants_failure(wishes):
                self._bounce(envelope, address, wishes, pid, now, fate.at, body)
        return pid

    def _store(self, body: bytes, sender: str) -> Stored:
        stored = Stored(self._end, len(body), sender)
        rest = memoryview(body)
        while rest:
            rest = rest[os.write(self._spool, rest) :]
        self._end += len(body)
        return stored

    def read(self, stored: Stored) -> bytes:
        """Return a mail as it was sent."""
        return os.pread(self._spool, stored.size, stored.offset)

    def _bounce(
        self, envelope: Envelope, address: str, wishes: dict[str, str], pid: str, now: float, due: float, body: bytes
    ) -> None:
        full = envelope.parameters.get("RET", "HDRS").upper() == "FULL"
        original = from_xtext(wishes.get("ORCPT", ""))
        envelope_id = from_xtext(envelope.parameters.get("ENVID", ""))
        bounce = Bounce(envelope.sender, address, original, envelope_id, full, pid, now, body)
        self.receipts.bounce(bounce, due)

    def close(self) -> None:
        """Close the spool."""
        os.close(self._spool)


def _wants_failure(wishes: dict[str, str]) -> bool:
    notify = wishes.get("NOTIFY")
    return notify is None or "FAILURE" in notify.upper().split(",")
