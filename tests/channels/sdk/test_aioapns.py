"""An independent client of APNs: its requests over TLS against the simulator, PyJWT's eyes on the token that we sign."""

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from apps.channels.contract import Account, Token
from apps.channels.registry import adapter
from tests.channels.golden_files import GOLDEN
from tests.channels.sdk.environment import run
from tests.simulator.clients import Simulator

pytestmark = pytest.mark.sdk

CONFIG = json.loads((GOLDEN / "push_apns" / "kind.json").read_text())["config"]
GONE = "ab" * 32


def client(sdk_python: Callable[[str], Path], **document: Any) -> Any:
    account = {"key": CONFIG["private_key"]} | {name: CONFIG[name] for name in ("key_id", "team_id", "topic")}
    return run(sdk_python("push"), "push/apns.py", account | document)


def test_its_notifications_are_taken(sdk_python: Callable[[str], Path], simulator: Simulator) -> None:
    simulator.control({"apns": {"token_update_s": 0}})
    people = [{"id": "G", "apns": [GONE], "states": {"apns": "unknown"}}]
    assert simulator.call("PUT", "/_sim/people", json.dumps(people)).status == 200
    before = len(simulator.ledger())
    message = {"aps": {"alert": {"title": "审批", "body": "已通过"}, "sound": "default"}, "delivery": "d-42"}
    one = {"token": f"{1:064x}", "message": message, "id": str(uuid.uuid4()), "collapse": "oa"}
    several = [one | {"token": f"{n:064x}", "id": str(uuid.uuid4())} for n in range(2, 12)]
    bad = [one | {"token": GONE}, one | {"token": "x"}, one | {"message": {"alert": "x"}}, one | {"collapse": "x" * 65}]
    bad = [wrong | {"id": str(uuid.uuid4())} for wrong in bad]
    place = {"host": "127.0.0.1", "port": simulator.ready["apns"]["port"]}
    authority = str(simulator.folder / "apns-ca.pem")
    answers = client(sdk_python, **place, authority=authority, messages=[one, *several, *bad])["answers"]
    assert [answer["status"] for answer in answers[:11]] == ["200"] * 11 and answers[0]["id"] == one["id"]
    assert [(answer["status"], answer["reason"]) for answer in answers[11:]] == [
        ("410", "Unregistered"),
        ("400", "BadDeviceToken"),
        ("400", "PayloadEmpty"),
        ("400", "BadCollapseId"),
    ]
    assert {line["pid"] for line in simulator.ledger(before)} == {answer["id"] for answer in answers[:11]}


def test_pyjwt_agrees_with_our_token(sdk_python: Callable[[str], Path]) -> None:
    now = datetime.now(UTC)
    token = adapter("push_apns").build_token(Account("a", "push_apns", CONFIG), now)
    assert isinstance(token, Token)
    said = client(sdk_python, jwt=token.value)
    assert said["header"] == {"alg": "ES256", "kid": "KEY1234567", "typ": "JWT"}
    assert said["claims"]["iss"] == "TEAM123456" and 0 <= now.timestamp() - said["claims"]["iat"] < 1200
