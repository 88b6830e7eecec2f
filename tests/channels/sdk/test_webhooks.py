"""Two independent packages verify what our adapter sends; what they sign is believed by the simulated subscriber."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from apps.channels.contract import Account, Envelope, HttpRequest
from apps.channels.registry import adapter
from tests.channels.sdk.environment import run
from tests.simulator.clients import Simulator

pytestmark = pytest.mark.sdk

SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
OTHER = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def sent(secret: str, former: str = "", age: timedelta = timedelta(0)) -> dict[str, Any]:
    account = Account("main", "webhook", {"signing_secret": secret, "former_secret": former})
    envelope = Envelope("k3x9", "k3x9", "https://subscriber.example/hook", {"text": "验证码 8848"})
    request = adapter("webhook").build(account, [envelope], datetime.now(UTC) - age)
    assert isinstance(request, HttpRequest) and request.body is not None
    return {
        "secret": SECRET,
        "headers": dict(line.split(": ", 1) for line in request.headers),
        "body": request.body.decode(),
    }


def test_both_packages_agree_with_us(sdk_python: Callable[[str], Path], simulator: Simulator) -> None:
    changed = sent(SECRET)
    changed["body"] = changed["body"].replace("8848", "8849")
    requests = [sent(SECRET), sent(OTHER, SECRET), changed, sent(OTHER), sent(SECRET, age=timedelta(minutes=6))]
    event = json.dumps({"type": "a.b", "timestamp": "2025-01-02T03:04:05Z", "data": {"text": "余额 12.50"}})
    asked = {"verify": requests, "sign": {"secret": SECRET, "id": "msg_1", "body": event}}
    found = run(sdk_python("webhooks"), "webhooks/verify.py", asked)
    assert found["verified"] == {name: [True, True, False, False, False] for name in ("standardwebhooks", "svix")}
    for headers in found["signed"].values():
        reply = simulator.call("POST", "/hooks/sdk", event.encode(), headers | {"Content-Type": "application/json"})
        assert reply.status == 204
        reply = simulator.call(
            "POST", "/hooks/sdk", event.encode() + b" ", headers | {"Content-Type": "application/json"}
        )
        assert reply.status == 401
    lines = [line["ev"] for line in simulator.ledger() if line["provider"] == "webhook"]
    assert lines == ["accept", "dedup"]
