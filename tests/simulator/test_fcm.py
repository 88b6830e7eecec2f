"""FCM: who gets an access token, what a message may look like, what is said of devices."""

import base64
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

import simulator.providers.fcm as provider
from tests.simulator.clients import Reply, Simulator

ACCOUNT = json.loads((Path(provider.__file__).parent / "service-account.json").read_text())
DEVICE = "cXw1K9fT0a4:APA91bHun4MxP5egoKMwt2KZFBaFUH-1RYqx"
SEND = "/v1/projects/ums-demo/messages:send"


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def assertion(header: dict[str, Any] | None = None, key: rsa.RSAPrivateKey | None = None, **claims: Any) -> str:
    now = int(time.time())
    given = {
        "iss": ACCOUNT["client_email"],
        "scope": "https://www.googleapis.com/auth/firebase.messaging",
        "aud": "https://oauth2.googleapis.com/token",
        "iat": now,
        "exp": now + 3600,
    } | claims
    text = ".".join(
        base64url(json.dumps(part).encode()) for part in ({"alg": "RS256", "typ": "JWT"} | (header or {}), given)
    )
    if key is None:
        held = load_pem_private_key(ACCOUNT["private_key"].encode(), None)
        assert isinstance(held, rsa.RSAPrivateKey)
        key = held
    return f"{text}.{base64url(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def ask(simulator: Simulator, signed: str, grant: str = "urn:ietf:params:oauth:grant-type:jwt-bearer") -> Reply:
    form = urlencode({"grant_type": grant, "assertion": signed})
    return simulator.call("POST", "/token", form, {"Content-Type": "application/x-www-form-urlencoded"})


def token(simulator: Simulator) -> str:
    reply = ask(simulator, assertion())
    assert reply.status == 200 and reply.json["token_type"] == "Bearer" and 3500 < reply.json["expires_in"] <= 3600
    held: str = reply.json["access_token"]
    return held


def message(**parts: Any) -> dict[str, Any]:
    return {
        "token": DEVICE,
        "notification": {"title": "审批", "body": "已通过"},
        "data": {"delivery": "d-42"},
        "android": {"priority": "high", "ttl": "3600s", "collapse_key": "oa"},
    } | parts


def send(simulator: Simulator, body: Any, bearer: str | None = None, path: str = SEND) -> Reply:
    headers = {"Authorization": f"Bearer {token(simulator) if bearer is None else bearer}"}
    return simulator.call("POST", path, json.dumps(body), headers)


def said(reply: Reply) -> tuple[int, str, str]:
    """Status, the word of every Google API, and that of FcmError."""
    error = reply.json["error"]
    words = [one["errorCode"] for one in error.get("details", ()) if one["@type"].endswith("fcm.v1.FcmError")]
    assert error["code"] == reply.status
    return reply.status, error["status"], "".join(words)


def test_a_message_is_accepted_and_named(simulator: Simulator) -> None:
    before = len(simulator.ledger())
    reply = send(simulator, {"message": message()})
    assert reply.status == 200 and reply.json["name"].startswith("projects/ums-demo/messages/0:")
    (line,) = simulator.ledger(before)
    assert (line["provider"], line["account"], line["delivery_ref"]) == ("fcm", "ums-demo", "d-42")
    assert reply.json["name"].endswith(line["pid"])
    people = [{"id": "F1", "name": "杜萍", "fcm": [DEVICE]}]
    assert simulator.call("PUT", "/_sim/people", json.dumps(people)).status == 200
    assert "已通过" in simulator.call("GET", "/_sim/phones/F1").body.decode()


def test_a_repeat_is_a_second_message(simulator: Simulator) -> None:
    before, bearer = len(simulator.ledger()), token(simulator)
    for _ in range(2):
        assert send(simulator, {"message": message()}, bearer).status == 200
    assert [line["ev"] for line in simulator.ledger(before)] == ["accept", "accept"]


def test_a_dry_run_delivers_nothing(simulator: Simulator) -> None:
    before = len(simulator.ledger())
    assert send(simulator, {"validate_only": True, "message": message()}).status == 200
    assert len(simulator.ledger()) == before


@pytest.mark.parametrize(
    ("header", "claims", "error"),
    [
        ({"alg": "HS256"}, {}, "invalid_grant"),
        ({"kid": "another"}, {}, "invalid_grant"),
        ({}, {"iss": "nobody@x"}, "invalid_grant"),
        ({}, {"aud": "http://127.0.0.1/token"}, "invalid_grant"),
        ({}, {"exp": 1}, "invalid_grant"),
        ({}, {"iat": 1, "exp": 3601}, "invalid_grant"),
        ({}, {"exp": int(time.time()) + 9000}, "invalid_grant"),
        ({}, {"scope": "https://www.googleapis.com/auth/drive"}, "invalid_scope"),
    ],
)
def test_assertions_that_buy_nothing(
    simulator: Simulator, header: dict[str, Any], claims: dict[str, Any], error: str
) -> None:
    reply = ask(simulator, assertion(header, **claims))
    assert reply.status == 400 and reply.json["error"] == error


def test_another_key_another_grant_and_no_assertion(simulator: Simulator) -> None:
    stranger = rsa.generate_private_key(65537, 2048)
    assert ask(simulator, assertion(key=stranger)).json["error"] == "invalid_grant"
    assert ask(simulator, assertion(), "password").json["error"] == "unsupported_grant_type"
    for broken in ("", "a.b", "a.b.c", "e30.e30.e30"):
        assert ask(simulator, broken).json["error"] == "invalid_grant"


def test_access_tokens(simulator: Simulator) -> None:
    good = token(simulator)
    for bearer in ("", "unknown"):
        assert said(send(simulator, {"message": message()}, bearer)) == (401, "UNAUTHENTICATED", "")
    other = send(simulator, {"message": message()}, good, "/v1/projects/another/messages:send")
    assert said(other) == (403, "PERMISSION_DENIED", "")
    simulator.call("POST", "/_sim/fcm/invalidate", json.dumps({"account": ACCOUNT["client_email"]}))
    assert said(send(simulator, {"message": message()}, good))[0] == 401
    assert simulator.stats()["fcm"]["tokens"]["issued"][ACCOUNT["client_email"]] >= 1


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"token": None}, "message.token"),
    ({"token": "bad token!"}, "message.token"),
    ({"fid": DEVICE}, "message"),
    ({"colour": "red"}, "message"),
    ({"data": {"n": 5}}, "message.data[n]"),
    ({"data": {"google.c": "1"}}, "message.data"),
    ({"data": {"from": "1"}}, "message.data"),
    ({"notification": {"alert": "x"}}, "message.notification"),
    ({"notification": {"body": "长" * 1400}}, "message"),
    ({"android": {"ttl": "5"}}, "message.android.ttl"),
    ({"android": {"ttl": "2419201s"}}, "message.android.ttl"),
    ({"android": {"priority": "urgent"}}, "message.android.priority"),
    ({"android": {"notification": {"colour": "red"}}}, "message.android.notification"),
    ({"apns": {"headers": {"apns-priority": 10}}}, "message.apns.headers[apns-priority]"),
]


@pytest.mark.parametrize(("parts", "field"), REFUSED)
def test_refusals_blame_a_field(simulator: Simulator, parts: dict[str, Any], field: str) -> None:
    before = len(simulator.ledger())
    reply = send(simulator, {"message": message(**parts)})
    assert said(reply) == (400, "INVALID_ARGUMENT", "INVALID_ARGUMENT" if field == "message.token" else "")
    (violation,) = reply.json["error"]["details"][-1]["fieldViolations"]
    assert violation["field"] == field and len(simulator.ledger()) == before


@pytest.mark.parametrize("body", [[], {"message": 5}, {"message": {}}, {"token": DEVICE}])
def test_bodies_that_are_no_message(simulator: Simulator, body: Any) -> None:
    assert said(send(simulator, body)) == (400, "INVALID_ARGUMENT", "")


@pytest.mark.parametrize(
    ("habit", "expected"),
    [
        ("unknown", (404, "NOT_FOUND", "UNREGISTERED")),
        ("mismatch", (403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH")),
    ],
)
def test_devices_that_get_nothing(simulator: Simulator, habit: str, expected: tuple[int, str, str]) -> None:
    simulator.control({"world": {"fcm": {habit: 1.0}}})
    assert said(send(simulator, {"message": message()})) == expected


def test_the_quota_of_a_minute(simulator: Simulator) -> None:
    simulator.control({"fcm": {"per_minute": 0}})
    assert said(send(simulator, {"message": message()})) == (429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED")


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("500", (500, "INTERNAL", "INTERNAL")),
        ("429(7)", (429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED")),
        ("token_error", (401, "UNAUTHENTICATED", "")),
        ({"refuse": "UNAVAILABLE"}, (503, "UNAVAILABLE", "UNAVAILABLE")),
        ({"refuse": "BAD_REQUEST"}, (400, "INVALID_ARGUMENT", "")),
    ],
)
def test_scripts(simulator: Simulator, action: Any, expected: tuple[int, str, str]) -> None:
    bearer = token(simulator)
    simulator.control({"scripts": [{"provider": "fcm", "match": "all", "do": [action]}]})
    reply = send(simulator, {"message": message()}, bearer)
    assert said(reply) == expected
    assert action != "429(7)" or reply.headers["retry-after"] == "7"


def test_other_service_accounts(simulator: Simulator) -> None:
    other = ACCOUNT | {"client_email": "b@other.example", "project_id": "other"}
    simulator.control({"fcm": {"service_accounts": [other]}})
    bearer = ask(simulator, assertion(iss="b@other.example")).json["access_token"]
    assert send(simulator, {"message": message()}, bearer, "/~fcm/v1/projects/other/messages:send").status == 200
    assert simulator.call("PUT", "/_sim/ctl", json.dumps({"fcm": {"service_accounts": [{}]}})).status == 400
