"""JPush's own client: its calls against the simulator; what it sends in a batch is what our adapter sends."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from apps.channels.contract import Account, Envelope, HttpRequest
from apps.channels.registry import adapter
from tests.channels.sdk.environment import run
from tests.simulator.clients import Simulator

pytestmark = pytest.mark.sdk

KEYS = {"app_key": "a1b2c3d4e5f6a1b2c3d4e5f6", "master_secret": "0123456789abcdef01234567"}
DEVICES = ["1507bfd3f7c466c355c", "1507bfd3f7c466c355d"]


def ours(base: str) -> list[dict[str, Any]]:
    """The entries of our adapter's batch, without their keys."""
    config = KEYS | {"base_url": base, "report_base_url": base, "own_texts_per_call": 10}
    group = [Envelope(f"cid{n}", f"r{n}", device, {"alert": f"第{n}号"}) for n, device in enumerate(DEVICES)]
    request = adapter("push_jpush").build(Account("a", "push_jpush", config), group, datetime.now(UTC))
    assert isinstance(request, HttpRequest) and request.body
    return list(json.loads(request.body)["pushlist"].values())


def client(sdk_python: Callable[[str], Path], simulator: Simulator, **changes: str) -> Any:
    document = {
        "base": simulator.http,
        "audience": {"registration_id": DEVICES},
        "notification": {"alert": "您的审批已通过", "android": {"alert": "x", "extras": {"delivery": "d-42"}}},
        "options": {"sendno": 7, "time_to_live": 60},
        "singles": ours(simulator.http),
    }
    return run(sdk_python("push"), "push/jiguang.py", KEYS | document | changes)


def test_its_calls_are_taken(sdk_python: Callable[[str], Path], simulator: Simulator) -> None:
    before = len(simulator.ledger())
    said = client(sdk_python, simulator)
    assert said["validate"]["sendno"] == "7" and len(said["cid"]["cidlist"]) == 3
    assert said["send"] == said["again"] and said["send"]["msg_id"]
    assert all("msg_id" in entry for entry in said["batch"].values()) and len(said["batch"]) == 2
    assert set(said["states"]) == set(DEVICES)
    lines = simulator.ledger(before)
    assert [line["ev"] for line in lines] == ["accept"] * 2 + ["dedup"] * 2 + ["accept"] * 2
    assert [line["delivery_ref"] for line in lines[4:]] == ["r0", "r1"]


def test_a_wrong_secret_is_told(sdk_python: Callable[[str], Path], simulator: Simulator) -> None:
    said = client(sdk_python, simulator, master_secret="0" * 24)
    assert said == dict.fromkeys(("validate", "cid", "batch"), {"error": 401})
