"""Mail into aiosmtpd, signed and verified by dkimpy: an independent server reads what we mean, and its log-in is tried."""

import json
import subprocess
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from apps.channels.contract import Account, Envelope, SmtpServer, TransportFault
from apps.channels.outcomes import Accepted, Misconfigured, Outcome, Rejected
from apps.channels.registry import adapter
from apps.channels.transport.log_in import log_in
from apps.channels.transport.smtp import SmtpClient
from tests.channels.peers import closed_port
from tests.channels.sdk.environment import HERE

pytestmark = pytest.mark.sdk
SETTINGS = {
    "host": "127.0.0.1",
    "security": "none",
    "username": "ums",
    "password": "relay-secret-7",
    "from_address": "notice@bank.example",
    "from_name": "优选银行",
    "bounce_domain": "bounce.bank.example",
    "bounce_secret": "bounce-secret-7",
    "unsubscribe_url": "https://ums.example/u/{token}",
}


def keys() -> tuple[str, str]:
    key = rsa.generate_private_key(65537, 2048)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return key.private_bytes(*form).decode(), f"v=DKIM1; k=rsa; p={b64encode(public).decode()}"


def said_by(account: Account, *addresses: str) -> list[Outcome]:
    client, found = SmtpClient(timeout_s=5.0), []
    for address in addresses:
        envelope = Envelope(
            "k", "k3x9", address, {"subject": "余额提醒", "text": "您好\n.\n再见", "html": "<p>您好</p>"}
        )
        client.start(envelope, adapter("email_smtp").build(account, [envelope], datetime.now(UTC)))  # type: ignore[arg-type]
        answers: list[Any] = []
        while not answers:
            answers = client.poll(5.0)
        found.append(adapter("email_smtp").read(account, [envelope], answers[0][1]))
    client.close()
    return found  # type: ignore[return-value]


def checked(account: Account) -> Outcome | TransportFault:
    server = adapter("email_smtp").build_check(account)
    assert isinstance(server, SmtpServer)
    answer = log_in(server, 5.0)
    return answer if isinstance(answer, TransportFault) else adapter("email_smtp").read_check(account, answer)


def test_an_independent_server_reads_what_we_mean(sdk_python: Callable[[str], Path]) -> None:
    port = closed_port()
    account = Account("mail", "email_smtp", SETTINGS | {"port": port})
    assert isinstance(checked(account), TransportFault)
    command = [str(sdk_python("mail")), "-W", "ignore", str(HERE / "mail" / "receive.py"), str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None and server.stdout is not None
        server.stdin.write(json.dumps(keys()) + "\n")
        server.stdin.flush()
        assert server.stdout.readline().strip() == str(port)
        wrong = Account("mail", "email_smtp", SETTINGS | {"port": port, "password": "wrong"})
        assert checked(account) == Accepted("") and isinstance(checked(wrong), Misconfigured)
        good, bad = said_by(account, "u42@users.example", "nobody@users.example")
        server.stdin.close()
        (mail,) = json.loads(server.stdout.read())
    assert good == Accepted("2.0.0 Ok: queued as Q1") and isinstance(bad, Rejected) and bad.code == "5.1.1"
    assert (mail["from"], mail["to"]) == ("b+k3x9=62f48509@bounce.bank.example", ["u42@users.example"])
    assert mail["headers"]["Subject"] == "余额提醒" and mail["text"].split() == ["您好", ".", "再见"]
    assert mail["headers"]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click" and not mail["defects"]
    assert mail["dkim"] is True and mail["tampered"] is False
