"""What is alone with APNs: the age of its token, the headers of a kind of push, the positive sign."""

import json
from base64 import urlsafe_b64decode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps.channels.contract import Account, Envelope, HttpAnswer, HttpRequest
from apps.channels.outcomes import Accepted, Unknown
from apps.channels.providers.push_apns.adapter import PushApns
from tests.channels.golden_files import GOLDEN, NOW

KIND = json.loads((GOLDEN / "push_apns" / "kind.json").read_text())
ACCOUNT = Account("a", "push_apns", KIND["config"], "TOKEN")
ONE = Envelope(content=KIND["content"], **KIND["envelopes"][0])
STEP = datetime(2025, 1, 2, 3, 0, tzinfo=UTC)


def built(one: Envelope = ONE, **config: Any) -> tuple[dict[str, str], dict[str, Any]]:
    request = PushApns().build(replace(ACCOUNT, config=KIND["config"] | config), [one], NOW)
    assert isinstance(request, HttpRequest)
    return dict(line.split(": ", 1) for line in request.headers), json.loads(request.body or b"")


def issued(value: str) -> int:
    claims = value.split(".")[1]
    made: int = json.loads(urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["iat"]
    return made


def test_a_token_is_the_same_for_twenty_minutes_and_never_kept_for_an_hour() -> None:
    tokens = [PushApns().build_token(ACCOUNT, STEP + timedelta(seconds=late)) for late in (0, 600, 1199, 1200)]
    assert len({one.value for one in tokens[:3]}) == 1 and tokens[3].value != tokens[0].value
    assert issued(tokens[3].value) - issued(tokens[0].value) == 1200, "a newer one any sooner is refused"
    for late, token in zip((0, 600, 1199, 1200), tokens, strict=True):
        ends = STEP + timedelta(seconds=late) + token.valid
        assert timedelta(minutes=20) < token.valid
        assert ends.timestamp() <= issued(token.value) + 3600 - 300, "five minutes for clocks that differ"


def test_what_only_wakes_the_app_is_not_urgent() -> None:
    headers, payload = built(push_type="background", priority="10")
    assert (headers["apns-push-type"], headers["apns-priority"]) == ("background", "5")
    assert payload["aps"] == {"content-available": 1} and payload["alert"] == KIND["content"]["alert"]
    headers, payload = built(push_type="alert", priority="1")
    assert (headers["apns-push-type"], headers["apns-priority"]) == ("alert", "1")
    assert payload["aps"]["alert"]["body"] == KIND["content"]["alert"]


def test_how_long_it_is_kept() -> None:
    assert built(time_to_live=0)[0]["apns-expiration"] == "0"
    assert built(time_to_live=60)[0]["apns-expiration"] == str(int(NOW.timestamp()) + 60)


def test_the_apps_own_values_do_not_replace_the_providers_and_ours() -> None:
    _headers, payload = built(replace(ONE, content=KIND["content"] | {"extras": {"delivery": "x", "page": "1"}}))
    assert (payload["delivery"], payload["page"]) == (ONE.reference, "1")
    assert set(PushApns().check_content(KIND["content"] | {"extras": {"aps": "x"}})) == {"extras"}


@pytest.mark.parametrize("address", ["", "ab/../cd", "ab?x=1", "ab cd", "ab\r\nx: y"])
def test_only_a_device_token_stands_in_the_path(address: str) -> None:
    with pytest.raises(ValueError, match="device token"):
        built(replace(ONE, address=address))


@pytest.mark.parametrize(
    ("headers", "body", "accepted"),
    [
        ({"apns-id": "7"}, b"", True),
        ({"apns-id": "7"}, b" ", False),
        ({"apns-id": "7"}, b'{"reason":"Unregistered"}', False),
        ({}, b"", False),
        ({"apns-id": ""}, b"", False),
    ],
)
def test_only_an_id_and_nothing_else_is_acceptance(headers: dict[str, str], body: bytes, accepted: bool) -> None:
    outcome = PushApns().read(ACCOUNT, [ONE], HttpAnswer(200, headers, body))
    assert outcome == Accepted("7") if accepted else isinstance(outcome, Unknown)
