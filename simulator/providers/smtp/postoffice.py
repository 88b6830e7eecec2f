"""What happens to a mail after the final dot: ledger, spool, mailbox, bounce."""

import os
from typing import NamedTuple

from simulator.outside import Arrival
from simulator.posting import Parcel
from simulator.provider import Message, Port
from simulator.providers.smtp.bounces import Bounce, write_bounce
from simulator.providers.smtp.grammar import from_xtext, message_id_local
from simulator.world import Fate

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

    def __init__(self, relay: Port, users: dict[str, str]) -> None:
        self.relay, self.users = relay, users
        path = relay.outside.state_dir / "mail.spool"
        self._spool = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._end = os.fstat(self._spool).st_size
        self._first_try: dict[tuple[str, str], float] = {}

    def fate(self, address: str) -> Fate:
        """Return what would become of a mail to this address; ``refused`` is already said at RCPT."""
        return self.relay.fate("mail", address, "", 0.0)

    def greylists(self, sender: str, recipient: str, now: float) -> bool:
        """Tell whether this pair has to come back later; the first try starts its clock."""
        seconds: float = self.relay.switches["greylist_seconds"]
        if not seconds:
            return False
        return now - self._first_try.setdefault((sender, recipient), now) < seconds

    def take(self, envelope: Envelope, body: bytes, returned: bool) -> str:
        """Accept a mail: ledger lines first, then mailbox and bounces. Returns the queue id."""
        local = message_id_local(body[:HEAD_BYTES])
        key = from_xtext(envelope.parameters.get("ENVID", "")) or local
        pid = f"{self.relay.outside.new_pid():X}"
        stored = self._store(body, envelope.sender)
        messages = [Message(address, local or key, stored, body) for address, _ in envelope.recipients]
        arrivals = self.relay.take("mail", envelope.user, key, pid, messages, returned)
        for arrival, (address, wishes) in zip(arrivals, envelope.recipients, strict=True):
            if arrival.fate.word == "bounced" and envelope.sender and _wants_failure(wishes):
                self._bounce(envelope, address, wishes, arrival, body)
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

    def _bounce(self, envelope: Envelope, address: str, wishes: dict[str, str], arrival: Arrival, body: bytes) -> None:
        """Plan the return of an undeliverable mail: the whole report, as a mail server pipes it to a program."""
        full = envelope.parameters.get("RET", "HDRS").upper() == "FULL"
        original = from_xtext(wishes.get("ORCPT", ""))
        envelope_id = from_xtext(envelope.parameters.get("ENVID", ""))
        bounce = Bounce(envelope.sender, address, original, envelope_id, full, arrival.pid, arrival.at, body)
        if url := self.relay.post.url(self.relay.name, arrival.account):
            headers = {"Content-Type": "message/rfc822"}
            parcel = Parcel(self.relay.name, url, write_bounce(bounce), headers, label="bounce")
            self.relay.post.later(parcel, arrival.fate.at)

    def close(self) -> None:
        """Close the spool."""
        os.close(self._spool)


def _wants_failure(wishes: dict[str, str]) -> bool:
    notify = wishes.get("NOTIFY")
    return notify is None or "FAILURE" in notify.upper().split(",")
