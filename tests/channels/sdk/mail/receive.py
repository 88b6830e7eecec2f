"""Runs in the environment of aiosmtpd and dkimpy: a strict mail server until the input ends, then says what came.

The first line of output is the port, the second, after the end of the input, the mails as JSON; each is signed by dkimpy as a
relay would and verified again.
"""

import json
import sys
from email import message_from_bytes, policy
from typing import Any

import dkim
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope

LISTED = (b"from", b"to", b"subject", b"date", b"message-id", b"list-unsubscribe", b"list-unsubscribe-post")


class Keeper:
    """Keeps what arrives; refuses one recipient."""

    def __init__(self) -> None:
        self.kept: list[Envelope] = []

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Envelope, address: str, _options: Any) -> str:
        if address.startswith("nobody@"):
            return "550 5.1.1 no such mailbox here"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:
        self.kept.append(envelope)
        return f"250 2.0.0 Ok: queued as Q{len(self.kept)}"


def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, said: Any) -> AuthResult:
    return AuthResult(success=(said.login, said.password) == (b"ums", b"relay-secret-7"), handled=False)


def told(envelope: Envelope, key: bytes, record: bytes) -> dict[str, Any]:
    raw = envelope.original_content
    mail = message_from_bytes(raw, policy=policy.default)
    signed = dkim.sign(raw, b"s1", b"bank.example", key, include_headers=list(LISTED)) + raw
    plain = mail.get_body(("plain",))
    return {
        "from": envelope.mail_from,
        "to": envelope.rcpt_tos,
        "headers": {name: str(value) for name, value in mail.items()},
        "text": plain.get_content() if plain else "",
        "defects": [type(one).__name__ for one in mail.defects],
        "dkim": dkim.verify(signed, dnsfunc=lambda *_name, **_options: record),
        "tampered": dkim.verify(signed.replace(b"One-Click", b"Two-Click"), dnsfunc=lambda *_name, **_options: record),
    }


def main() -> None:
    key, record = (text.encode() for text in json.loads(sys.stdin.readline()))
    keeper = Keeper()
    server = Controller(
        keeper,
        "127.0.0.1",
        0,
        authenticator=authenticate,
        auth_required=True,
        auth_require_tls=False,
        enable_SMTPUTF8=True,
    )
    server.port = int(sys.argv[1])
    server.start()
    print(server.port, flush=True)
    sys.stdin.read()
    server.stop()
    print(json.dumps([told(one, key, record) for one in keeper.kept]), flush=True)


main()
