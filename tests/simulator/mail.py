"""Clients of the mail relay: the standard library's, and a bare socket for dialogues it does not speak."""

import base64
import smtplib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.simulator.clients import Simulator

TOKEN = base64.b64encode(b"\0ums\0ums-secret").decode()
SENDER = "b+d-42=0a1b2c3d@bounce.ums.example"


def message(number: str = "42", body: str = "hello") -> bytes:
    """Return a small mail with the Message-ID of a delivery."""
    return f"Message-ID: <d-{number}.1@ums.example>\r\nSubject: =?utf-8?b?6LSm5Y2V?=\r\n\r\n{body}\r\n".encode()


@contextmanager
def session(simulator: Simulator) -> Iterator[smtplib.SMTP]:
    """Yield a logged-in connection."""
    with smtplib.SMTP(simulator.smtp["host"], simulator.smtp["port"], timeout=10) as client:
        client.login("ums", "ums-secret")
        yield client


def send_mail(
    simulator: Simulator, *to: str, sender: str = SENDER, wishes: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Send one mail on a connection of its own; return the refused recipients."""
    wishes = wishes or {"mail": [], "rcpt": []}
    with session(simulator) as client:
        refused: dict[str, Any] = client.sendmail(sender, list(to), message(), wishes["mail"], wishes["rcpt"])
        return refused


class Wire:
    """A connection that says bytes and reads replies."""

    def __init__(self, simulator: Simulator) -> None:
        self.socket = socket.create_connection((simulator.smtp["host"], simulator.smtp["port"]), timeout=10)
        self.file = self.socket.makefile("rb")
        self.greeting = self.reply()

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()
        self.socket.close()

    def reply(self) -> str:
        """Read one reply, all its lines."""
        lines = []
        while True:
            line = self.file.readline().decode("utf-8", "replace").rstrip("\r\n")
            lines.append(line)
            if line[3:4] != "-":
                return "\n".join(lines)

    def say(self, *lines: str) -> list[str]:
        """Send all lines in one write, then read one reply for each."""
        self.socket.sendall("".join(f"{line}\r\n" for line in lines).encode())
        return [self.reply() for _ in lines]

    def login(self) -> None:
        assert [reply[:3] for reply in self.say("EHLO client.example", f"AUTH PLAIN {TOKEN}")] == ["250", "235"]
