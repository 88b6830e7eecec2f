"""Google's own client: its calls against the simulator, its eyes on the assertion that our adapter signs."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

import simulator.providers.fcm as provider
from apps.channels.contract import Account, HttpRequest
from apps.channels.registry import adapter
from tests.channels.sdk.environment import run
from tests.simulator.clients import Simulator

pytestmark = pytest.mark.sdk

ACCOUNT = json.loads((Path(provider.__file__).parent / "service-account.json").read_text())
DEVICE = "cXw1K9fT0a4:APA91bHun4MxP5egoKMwt2KZFBaFUH-1RYqx"
GONE = "gone00000001:APA91bHun4MxP5egoKMwt2KZFBaFUH-1RYqx"


def client(sdk_python: Callable[[str], Path], **document: Any) -> Any:
    return run(sdk_python("firebase"), "firebase/client.py", {"account": ACCOUNT} | document)


def test_its_messages_are_taken(sdk_python: Callable[[str], Path], simulator: Simulator) -> None:
    people = [{"id": "G", "fcm": [GONE], "states": {"fcm": "unknown"}}]
    assert simulator.call("PUT", "/_sim/people", json.dumps(people)).status == 200
    before = len(simulator.ledger())
    good = {"token": DEVICE, "title": "审批", "body": "已通过", "data": {"delivery": "d-42"}}
    odd = [good | {"dry": True}, {"token": GONE, "body": "x"}, {"token": "bad token", "body": "x"}]
    answers = client(sdk_python, base=simulator.http, messages=[good, *odd])["answers"]
    assert answers[0]["name"].startswith("projects/ums-demo/messages/0:")
    assert answers[1]["name"].endswith("fake_message_id")
    assert answers[2:] == [
        {"error": "UnregisteredError", "code": "NOT_FOUND"},
        {"error": "InvalidArgumentError", "code": "INVALID_ARGUMENT"},
    ]
    (line,) = simulator.ledger(before)
    assert (line["provider"], line["delivery_ref"]) == ("fcm", "d-42")


def test_a_full_quota_and_a_foreign_sender_are_told(sdk_python: Callable[[str], Path], simulator: Simulator) -> None:
    simulator.control({"fcm": {"per_minute": 0}})
    one = {"token": DEVICE, "body": "x"}
    assert client(sdk_python, base=simulator.http, messages=[one])["answers"][0]["error"] == "QuotaExceededError"
    simulator.control({"fcm": {"per_minute": 100}, "world": {"fcm": {"mismatch": 1.0}}})
    assert client(sdk_python, base=simulator.http, messages=[one])["answers"][0]["error"] == "SenderIdMismatchError"


def test_it_agrees_with_our_assertion(sdk_python: Callable[[str], Path]) -> None:
    config = {"service_account": json.dumps(ACCOUNT), "token_url": "https://oauth2.googleapis.com/token"}
    now = datetime.now(UTC)
    request = adapter("push_fcm").build_token(Account("a", "push_fcm", config), now)
    assert isinstance(request, HttpRequest) and request.body is not None
    form = parse_qs(request.body.decode())
    said = client(sdk_python, assertion=form["assertion"][0], audience=config["token_url"])
    assert said["google_agrees"] and said["signer_says"]
    assert said["header"] == {"alg": "RS256", "kid": ACCOUNT["private_key_id"], "typ": "JWT"}
    assert said["claims"]["iss"] == ACCOUNT["client_email"] and said["claims"]["iat"] == int(now.timestamp())
