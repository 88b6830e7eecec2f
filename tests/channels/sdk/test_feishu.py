"""Feishu's own client: its calls against the simulator and beside ours, its event handler over the simulator's pushes."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from apps.channels.contract import Account, Envelope, HttpRequest
from apps.channels.registry import adapter
from tests.channels.golden_files import NOW
from tests.channels.peers import HttpPeer, http_answer, wait_for
from tests.channels.sdk.environment import run
from tests.channels.simulated.senders import arrived
from tests.simulator.clients import Simulator

pytestmark = pytest.mark.sdk

APP = {
    "app_id": "cli_ums000000001",
    "app_secret": "TestFeishuSecret0000000000000001",
    "encrypt_key": "umsEncryptKey01",
    "verification_token": "umsVerificationToken01",
}
TEXT = "设备 A-01 告警"
ANNOUNCEMENT = {"open_ids": ["ou_1", "ou_2"], "msg_type": "text", "content": {"text": TEXT}}


@pytest.fixture
def hook(simulator: Simulator) -> Iterator[HttpPeer]:
    peer = HttpPeer(lambda *_: http_answer(b"{}"))
    simulator.control({"receipts": {"urls": {"feishu": peer.url("/hook")}, "delay": [0.0, 0.0]}})
    yield peer
    peer.close()


def client(sdk_python: Callable[[str], Path], base_url: str, **document: Any) -> Any:
    return run(sdk_python("lark"), "lark/client.py", APP | {"base_url": base_url} | document)


def test_its_calls_are_taken(sdk_python: Callable[[str], Path], simulator: Simulator) -> None:
    before = len(simulator.ledger())
    message = {"to": "ou_sdk", "text": TEXT, "uuid": "sdk-1"}
    calls = [["send", message], ["send", message], ["send", message | {"to": "on_wrong"}]]
    first, again, wrong = client(sdk_python, simulator.http, calls=calls)["answers"]
    assert first["code"] == 0 and first["raw"]["data"] == again["raw"]["data"] and wrong["code"] == 230034
    assert [line["ev"] for line in simulator.ledger(before)] == ["accept", "dedup"]
    simulator.call("POST", "/_sim/feishu/read", json.dumps({"id": "ou_sdk"}))
    message_id = {"id": first["raw"]["data"]["message_id"]}
    calls = [["readers", message_id], ["recall", message_id], ["announce", {"body": ANNOUNCEMENT}]]
    readers, recalled, announced = client(sdk_python, simulator.http, calls=calls)["answers"]
    assert readers["raw"]["data"]["items"][0]["user_id"] == "ou_sdk" and recalled["code"] == announced["code"] == 0
    batch = {"id": announced["raw"]["data"]["message_id"]}
    (progress,) = client(sdk_python, simulator.http, calls=[["progress", batch]])["answers"]
    assert progress["raw"]["data"]["batch_message_send_progress"]["valid_user_ids_count"] == 2


def test_its_handler_takes_the_simulators_pushes(
    sdk_python: Callable[[str], Path], simulator: Simulator, hook: HttpPeer
) -> None:
    message = {"to": "ou_pushed", "text": TEXT, "uuid": "sdk-2"}
    (sent,) = client(sdk_python, simulator.http, calls=[["send", message]])["answers"]
    simulator.call("POST", "/_sim/feishu/read", json.dumps({"id": "ou_pushed"}))
    wait_for(lambda: len(hook.bodies) == 1)
    simulator.call("POST", "/_sim/feishu/verify", b"{}")
    wait_for(lambda: len(hook.bodies) == 2)
    pushed, trial = (
        {"headers": _headers(head), "body": body.decode()} for head, body in zip(hook.heads, hook.bodies, strict=True)
    )
    forged = pushed | {"headers": pushed["headers"] | {"X-Lark-Signature": "0" * 64}}
    handled = client(sdk_python, simulator.http, handle=[pushed, trial, forged])["handled"]
    assert handled[0]["status"] == 200 and handled[0]["seen"] == [["ou_pushed", [sent["raw"]["data"]["message_id"]]]]
    assert handled[1]["status"] == 200 and "challenge" in json.loads(handled[1]["body"])
    assert handled[2]["status"] == 500 and handled[2]["seen"] == []


def _headers(head: bytes) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:] if line)


def test_our_calls_are_its_calls(sdk_python: Callable[[str], Path]) -> None:
    def answer(_connection: object, head: bytes, *_more: object) -> bytes:
        token = {"tenant_access_token": "t-EXAMPLE", "expire": 7200} if b"tenant_access_token" in head else {}
        return http_answer(json.dumps({"code": 0, "msg": "ok", "data": {}} | token).encode())

    peer = HttpPeer(answer)
    try:
        calls = [
            ["send", {"to": "ou_1", "text": TEXT, "uuid": "k1"}],
            ["readers", {"id": "om_1"}],
            ["recall", {"id": "om_1"}],
            ["announce", {"body": ANNOUNCEMENT}],
        ]
        client(sdk_python, peer.url("").rstrip("/"), calls=calls)
        theirs = [_call(one.method, head, one.body) for one, head in zip(arrived(peer), peer.heads, strict=True)]
    finally:
        peer.close()
    assert theirs == [_ours(request) for request in _requests(peer.url("").rstrip("/"))]


def _call(method: str, head: bytes, body: bytes) -> tuple[str, str, str, Any]:
    target = head.decode().split(" ")[1].split("?")
    token = _headers(head).get("Authorization", "")
    return method, target[0], "&".join(sorted("".join(target[1:]).split("&"))) + token, _plain(body)


def _ours(request: HttpRequest) -> tuple[str, str, str, Any]:
    place = "/" + request.url.split("/", 3)[3]
    head = "\r\n".join([f"{request.method} {place} HTTP/1.1", *request.headers]).encode()
    return _call(request.method, head, request.body or b"")


def _plain(body: bytes) -> Any:
    """The document of a body; the JSON text in it as a document too, as spaces in it mean nothing."""
    document = json.loads(body) if body else {}
    if isinstance(document.get("content"), str):
        document["content"] = json.loads(document["content"])
    return document


def _requests(base_url: str) -> list[HttpRequest]:
    single, batch = adapter("feishu_app"), adapter("feishu_announcement")
    staff = Account("staff", "feishu_app", APP | {"base_url": base_url}, "t-EXAMPLE")
    news = Account("news", "feishu_announcement", APP | {"base_url": base_url}, "t-EXAMPLE")
    envelopes = [Envelope(f"k{number}", f"r{number}", f"ou_{number}", {"text": TEXT}) for number in (1, 2)]
    made = [
        single.build_token(staff, NOW),
        single.build(staff, envelopes[:1], NOW),
        single.build_poll(staff, "om_1", ["ou_1"], datetime.now(UTC)),
        single.build_recall(staff, "om_1", ["ou_1"], NOW),
        batch.build(news, envelopes, NOW),
    ]
    return [one for one in made if isinstance(one, HttpRequest)]
