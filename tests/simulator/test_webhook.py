"""The simulated subscriber: what it believes, what it refuses, what it remembers; and the note service."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import pytest

from tests.simulator.clients import Reply, Simulator

KEY = bytes(range(32))
EVENT = {
    "type": "a.b",
    "timestamp": "2025-01-02T03:04:05Z",
    "data": {"delivery_id": "d-42", "title": "余额", "text": "验证码 8848"},
}
NOTE = {"version": "1.0", "title": "t", "message": "提醒", "attachments": [], "type": "info"}


def post(
    simulator: Simulator, name: str, event: Any = EVENT, key: bytes = KEY, shift: int = 0, **changes: str | None
) -> Reply:
    """A signed event; changes replace or take away headers after signing."""
    body = event if isinstance(event, bytes) else json.dumps(event, ensure_ascii=False).encode()
    stamp = str(int(time.time()) + shift)
    event_id = changes.get("webhook_id") or "e1"
    digest = hmac.new(key, f"{event_id}.{stamp}.".encode() + body, hashlib.sha256).digest()
    headers: dict[str, str | None] = {
        "Content-Type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
    headers |= {field.replace("_", "-"): value for field, value in changes.items()}
    return simulator.call("POST", f"/hooks/{name}", body, {k: v for k, v in headers.items() if v is not None})


def test_a_signed_event_is_taken_once(simulator: Simulator) -> None:
    before = len(simulator.ledger())
    assert [post(simulator, "once", shift=shift).status for shift in (0, 1)] == [204, 204]
    assert post(simulator, "once", webhook_id="e2").status == 204
    lines = simulator.ledger(before)
    assert [(line["ev"], line["delivery_ref"]) for line in lines] == [
        ("accept", "d-42"),
        ("dedup", "d-42"),
        ("accept", "d-42"),
    ]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"key": b"x" * 32}, 401),
        ({"shift": 301}, 401),
        ({"shift": -301}, 401),
        ({"webhook_id": "e.1"}, 401),
        ({"webhook_signature": None}, 401),
        ({"webhook_timestamp": "soon"}, 401),
        ({"webhook_signature": "v1,AAAA v2,AAAA"}, 401),
        ({"event": b"not json"}, 400),
        ({"event": {"type": "a.b", "data": {"text": "x"}}}, 400),
        ({"event": EVENT | {"data": {}}}, 400),
        ({"Content_Type": "text/plain"}, 415),
        ({"event": EVENT | {"data": {"text": "x" * 70_000}}}, 413),
    ],
)
def test_what_is_not_sound_is_refused(simulator: Simulator, changes: dict[str, Any], status: int) -> None:
    before = len(simulator.ledger())
    if "Content_Type" in changes:
        changes = {"Content-Type": changes["Content_Type"]}
    assert post(simulator, "unsound", **changes).status == status
    assert simulator.ledger(before) == []


def test_a_hook_may_have_keys_of_its_own(simulator: Simulator) -> None:
    own = b"o" * 32
    simulator.control(
        {"webhook": {"secrets": {"own": [f"whsec_{base64.b64encode(own).decode()}"]}, "listed_only": True}}
    )
    assert post(simulator, "own", key=own).status == 204
    assert post(simulator, "own").status == 401
    assert post(simulator, "unlisted").status == 404


def test_a_closed_address_is_gone_until_it_is_opened(simulator: Simulator) -> None:
    for act, status in (("close", 410), ("open", 204)):
        simulator.call("POST", f"/_sim/webhook/{act}", json.dumps({"name": "door"}))
        assert post(simulator, "door").status == status


def test_scripts_answer_for_the_subscriber(simulator: Simulator) -> None:
    for do, status in (("429(7)", 429), ("500", 500), ({"refuse": "503"}, 503)):
        simulator.control({"scripts": [{"provider": "webhook", "match": "all", "do": [do], "times": 1}]})
        reply = post(simulator, "scripted", webhook_id=f"s{status}")
        assert reply.status == status
        assert status != 429 or reply.headers["retry-after"] == "7"


def test_notes_are_taken_as_they_come(simulator: Simulator) -> None:
    before = len(simulator.ledger())
    headers = {"Content-Type": "application/json", "X-UMS-Delivery": "d-43"}
    for note, status in (
        (NOTE, 200),
        (NOTE, 200),
        (NOTE | {"message": ""}, 400),
        (NOTE | {"type": "odd"}, 400),
        ([], 400),
    ):
        assert simulator.call("POST", "/notes/somebody", json.dumps(note), headers).status == status
    assert [(line["ev"], line["delivery_ref"]) for line in simulator.ledger(before)] == [("accept", "d-43")] * 2


def test_the_phone_shows_both(simulator: Simulator) -> None:
    people = [{"id": "W", "name": "订阅方", "webhook": "http://127.0.0.1/hooks/shown", "apprise": "shown"}]
    simulator.call("PUT", "/_sim/people", json.dumps(people))
    post(simulator, "shown", webhook_id="e9")
    simulator.call("POST", "/notes/shown", json.dumps(NOTE), {"Content-Type": "application/json"})
    page = simulator.call("GET", "/_sim/phones/W").body.decode()
    assert "验证码 8848" in page and "提醒" in page
