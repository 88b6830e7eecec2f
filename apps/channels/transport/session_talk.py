"""One session as a machine without a socket: octets come in, octets to write stand in `out`. SMPP and CMPP fill it in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from apps.channels.contract import PartAnswer, SessionLink


class Broken(Exception):
    """The peer does not speak the protocol: (code, words)."""


class Talk:
    """What a connection asks of a protocol. `answers` and `came` are emptied by whoever reads them.

    answers   (sequence, answer) of our submit requests, in the order they came
    came      whole requests of the gateway that must be stored before they are acknowledged
    refused   why the login was not taken; the talk is over then
    """

    def __init__(self, link: SessionLink, role: str, last_sequence: int) -> None:
        self.link = link
        self.role = role
        self.out = bytearray()
        self.queued = 0  # octets ever put into `out`
        self.up = False
        self.over = False
        self.refused: PartAnswer | None = None
        self.answers: list[tuple[int, PartAnswer]] = []
        self.came: list[bytes] = []
        self._in = bytearray()
        self._sequence = 0
        self._last_sequence = last_sequence

    def greet(self, now: datetime) -> None:
        """Logs in."""
        raise TypeError("a talk without a protocol")

    def submit(self, body: bytes) -> int:
        """Sends one request; returns the sequence number its answer will have."""
        raise TypeError("a talk without a protocol")

    def probe(self) -> None:
        """Asks whether the other side lives."""
        raise TypeError("a talk without a protocol")

    def acknowledge(self, request: bytes) -> None:
        """Answers one of `came`: it is stored now."""
        raise TypeError("a talk without a protocol")

    def leave(self) -> None:
        """Says goodbye."""
        raise TypeError("a talk without a protocol")

    def throttles(self, answer: PartAnswer) -> bool:
        """Whether the gateway says that the link is too fast."""
        raise TypeError("a talk without a protocol")

    def feed(self, received: bytes) -> None:
        """Takes octets of the gateway. Raises Broken."""
        raise TypeError("a talk without a protocol")

    def _next_sequence(self) -> int:
        self._sequence = self._sequence % self._last_sequence + 1
        return self._sequence

    def _put(self, octets: bytes) -> None:
        self.out += octets
        self.queued += len(octets)


MakeTalk = Callable[[SessionLink, str], Talk]
