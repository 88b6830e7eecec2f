"""FCM beyond what every kind must keep: whom a refusal blames, how long to wait, whose project, what the app is given."""

import json
from base64 import urlsafe_b64decode
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest

from apps.channels.contract import HttpAnswer, HttpRequest
from apps.channels.outcomes import Outcome, Rejected, StaleToken, Throttled, Unknown
from apps.channels.providers.push_fcm.adapter import PushFcm
from tests.channels.golden_files import NOW, Kind, kinds

FCM = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD = "type.googleapis.com/google.rpc.BadRequest"


@pytest.fixture(scope="module")
def kind() -> Kind:
    return next(kind for kind in kinds() if kind.name == "push_fcm")


def refusal(kind: Kind, status: int, word: str, *details: dict[str, Any], **headers: str) -> Outcome:
    error = {"error": {"code": status, "message": "x", "status": word, "details": details}}
    answer = HttpAnswer(status, headers, json.dumps(error).encode())
    outcome = kind.adapter.read(kind.account, kind.envelopes(), answer)
    assert isinstance(outcome, Outcome)
    return outcome


def blamed(field: str) -> dict[str, Any]:
    return {"@type": BAD, "fieldViolations": [{"field": field, "description": "x"}]}


@pytest.mark.parametrize(
    ("details", "code", "scope"),
    [
        ([{"@type": FCM, "errorCode": "INVALID_ARGUMENT"}], "INVALID_ARGUMENT", "recipient"),
        ([{"@type": FCM, "errorCode": "INVALID_ARGUMENT"}, blamed("message.token")], "INVALID_ARGUMENT", "recipient"),
        ([blamed("message.token")], "INVALID_ARGUMENT", "recipient"),
        ([{"@type": FCM, "errorCode": "INVALID_ARGUMENT"}, blamed("message.android.ttl")], "BAD_REQUEST", "content"),
        ([blamed("message.data[0].value")], "BAD_REQUEST", "content"),
        ([], "BAD_REQUEST", "content"),
    ],
)
def test_an_invalid_argument_is_the_token_or_the_text(kind: Kind, details: list[Any], code: str, scope: str) -> None:
    outcome = refusal(kind, 400, "INVALID_ARGUMENT", *details)
    assert isinstance(outcome, Rejected) and (outcome.code, outcome.scope) == (code, scope)


def test_the_word_of_fcm_counts_before_that_of_every_google_api(kind: Kind) -> None:
    gone = refusal(kind, 404, "NOT_FOUND", {"@type": FCM, "errorCode": "UNREGISTERED"})
    assert isinstance(gone, Rejected) and gone.code == "UNREGISTERED"
    assert isinstance(refusal(kind, 401, "UNAUTHENTICATED"), StaleToken)
    odd = refusal(kind, 404, "NOT_FOUND", {"@type": FCM, "errorCode": "BRAND_NEW"})
    assert isinstance(odd, Unknown) and odd.unmapped


@pytest.mark.parametrize(
    ("code", "header", "seconds"),
    [
        ("QUOTA_EXCEEDED", "", 60),
        ("QUOTA_EXCEEDED", "5", 60),
        ("QUOTA_EXCEEDED", "90", 90),
        ("UNAVAILABLE", "", None),
        ("UNAVAILABLE", "7", 7),
        ("UNAVAILABLE", "9" * 40, 3600),
        ("UNAVAILABLE", "Fri, 31 Dec 2027 23:59:59 GMT", None),
    ],
)
def test_the_wait_is_the_providers(kind: Kind, code: str, header: str, seconds: int | None) -> None:
    outcome = refusal(kind, 429, "X", {"@type": FCM, "errorCode": code}, **({"retry-after": header} if header else {}))
    assert isinstance(outcome, Throttled)
    assert outcome.retry_after == (None if seconds is None else timedelta(seconds=seconds))


def test_the_project_is_that_of_the_file_unless_another_is_named(kind: Kind) -> None:
    account = replace(kind.account, config={**kind.account.config, "project_id": ""})
    assert kind.adapter.check_config(account.config) == {}
    request = kind.adapter.build(account, kind.envelopes(), NOW)
    assert "/v1/projects/ums-demo/messages:send" in request.url  # type: ignore[union-attr]


def test_a_service_account_may_be_an_object_already(kind: Kind) -> None:
    held = json.loads(kind.account.config["service_account"])
    config = {**kind.account.config, "service_account": held}
    assert kind.adapter.check_config(config) == {}
    given = kind.adapter.build_token(kind.account, NOW)
    assert kind.adapter.build_token(replace(kind.account, config=config), NOW) == given
    problems = kind.adapter.check_config({**config, "service_account": {**held, "private_key": "secret words"}})
    assert set(problems) == {"service_account"} and "secret" not in str(problems).replace("secret or", "")


@pytest.mark.parametrize("name", ["from", "google.c", "GCM.n", "message_type"])
def test_names_of_the_provider_are_refused_before_it_refuses_them(name: str) -> None:
    assert set(PushFcm().check_content({"alert": "x", "extras": {name: "1"}})) == {"extras"}


def test_data_values_are_text_and_the_reference_is_ours(kind: Kind) -> None:
    (envelope,) = kind.envelopes()
    envelope.content = {"alert": "x", "extras": {"n": 5, "delivery": "not mine"}}
    config = {**kind.account.config, "target": "fid", "time_to_live": 0, "channel_id": ""}
    request = kind.adapter.build(replace(kind.account, config=config), [envelope], NOW)
    message = json.loads(request.body)["message"]  # type: ignore[union-attr, arg-type]
    assert message["data"] == {"n": "5", "delivery": "k3x9"} and message["fid"] == envelope.address
    assert message["android"]["ttl"] == "0s" and message["apns"]["headers"]["apns-expiration"] == "0"


def test_the_assertion_is_meant_for_google_whatever_road_it_takes(kind: Kind) -> None:
    account = replace(kind.account, config=kind.given["config"] | {"token_url": "https://proxy.bank.example/token"})
    request = kind.adapter.build_token(account, NOW)
    assert isinstance(request, HttpRequest) and request.url == "https://proxy.bank.example/token"
    claims = parse_qs((request.body or b"").decode())["assertion"][0].split(".")[1]
    said = json.loads(urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    assert said["aud"] == "https://oauth2.googleapis.com/token"
    assert (said["iat"], said["exp"]) == (int(NOW.timestamp()), int(NOW.timestamp()) + 3600)
