"""`python -m bench.bare.smtp_loop PORT FIRST COUNT SESSIONS`: the limit of SMTP out.

Mails whose bytes were made before; sessions that write the next envelope together with the end of the last mail
(RFC 2920) and read nothing of the replies but their first digit.
"""

from __future__ import annotations

import select
import socket
import sys
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from apps.channels.contract import Account, Envelope
from apps.channels.providers.email_smtp.adapter import EmailSmtp
from bench.child import when_told
from bench.people import HTML, SUBJECT, TEXT, Person, person

SENDER = "bank@example.com"
CONFIG = {"host": "127.0.0.1", "port": 25, "security": "none", "from_address": SENDER}
ADAPTER = EmailSmtp()


def mail(number: int, one: Person) -> tuple[bytes, bytes]:
    """Envelope commands, and the mail with its final dot: the bytes that our adapter would send."""
    content = {"subject": one.filled(SUBJECT), "text": one.filled(TEXT), "html": one.filled(HTML)}
    reference = f"{number:012x}"
    account = Account("mail", "email_smtp", CONFIG)
    request = ADAPTER.build(account, [Envelope(reference, reference, one.email, content)], datetime.now(UTC))
    commands = f"MAIL FROM:<{request.mail_from}>\r\nRCPT TO:<{one.email}>\r\nDATA\r\n".encode()
    return commands, request.data.replace(b"\r\n.", b"\r\n..") + b".\r\n"


class Session:
    """One connection: `replies` counts what must still come before the next write."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.recv(512)
        self.socket.sendall(b"EHLO localhost\r\n")
        self.socket.recv(512)
        self.data = b""
        self.replies = 0

    def begin(self, row: tuple[bytes, bytes]) -> None:
        commands, self.data = row
        self.socket.sendall(commands)
        self.replies = 3

    def heard(self) -> int:
        """Counts the replies that came; how many of them refused."""
        lines = self.socket.recv(65536).splitlines()
        self.replies -= len(lines)
        return sum(line[:1] not in (b"2", b"3") for line in lines)

    def go_on(self, row: tuple[bytes, bytes] | None) -> bool:
        """Ends its mail, and begins the next in the same write; False where there is nothing left to wait for."""
        if not self.data:
            return False
        commands, data = row or (b"", b"")
        self.socket.sendall(self.data + commands)
        self.replies, self.data = (4 if row else 1), data
        return True


def send_all(port: int, rows: list[tuple[bytes, bytes]], sessions: int) -> dict[str, Any]:
    """Sends all; how many replies refused something."""
    waiting = iter(rows)
    poller = select.epoll()
    held: dict[int, Session] = {}
    for row in islice(waiting, sessions):
        session = Session(port)
        session.begin(row)
        held[session.socket.fileno()] = session
        poller.register(session.socket.fileno(), select.EPOLLIN)
    refused = 0
    while held:
        for descriptor, _event in poller.poll():
            session = held[descriptor]
            refused += session.heard()
            if session.replies <= 0 and not session.go_on(next(waiting, None)):
                poller.unregister(descriptor)
                held.pop(descriptor).socket.close()
    return {"refused": refused}


if __name__ == "__main__":
    port, first, count, sessions = map(int, sys.argv[1:5])
    mails = [mail(number, person(number)) for number in range(first, first + count)]
    when_told(lambda: send_all(port, mails, sessions))
