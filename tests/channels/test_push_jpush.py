"""JPush with a text for each device in one call: what is asked, what each device is told, who may share a call."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps.channels.contract import Account, Envelope, HttpAnswer, HttpRequest
from apps.channels.outcomes import Accepted, Misconfigured, Rejected, Throttled, Unknown
from apps.channels.providers.push_jpush.adapter import PushJPush
from tests.channels.golden_files import GOLDEN, NOW

KIND = json.loads((GOLDEN / "push_jpush" / "kind.json").read_text())
KEYS = [one["key"] for one in KIND["envelopes"]]


def account(**changes: Any) -> Account:
    return Account("a", "push_jpush", KIND["config"] | {"own_texts_per_call": 300} | changes)


@pytest.fixture
def envelopes() -> list[Envelope]:
    return [Envelope(content={"alert": f"文{n}"}, **one) for n, one in enumerate(KIND["envelopes"])]


def read(envelopes: list[Envelope], body: Any, status: int = 200) -> Any:
    return PushJPush().read(account(), envelopes, HttpAnswer(status, {}, json.dumps(body).encode()))


def test_each_device_has_its_key_and_its_text(envelopes: list[Envelope]) -> None:
    request = PushJPush().build(account(), envelopes, NOW)
    assert isinstance(request, HttpRequest) and request.url.endswith("/v3/push/batch/regid/single")
    entries = json.loads(request.body or b"")["pushlist"]
    assert list(entries) == KEYS
    assert [one["notification"]["alert"] for one in entries.values()] == ["文0", "文1"]
    assert [one["notification"]["android"]["extras"]["delivery"] for one in entries.values()] == ["k3x9", "k3xa"]
    assert all(set(one) == {"platform", "target", "notification", "options"} for one in entries.values())
    again = PushJPush().build(account(), envelopes[::-1], NOW)
    assert json.loads(again.body or b"")["pushlist"] == entries


def test_the_size_of_a_call_follows_its_sort() -> None:
    kind = PushJPush()
    assert (kind.own_texts(account()), kind.call_size(account())) == (True, 300)
    plain = account(own_texts_per_call=0)
    assert (kind.own_texts(plain), kind.call_size(plain)) == (False, 500)
    assert not kind.own_texts(replace(plain, config={"app_key": "a"})), "an account from before the setting"


def test_devices_that_share_a_key_go_out_as_they_did(envelopes: list[Envelope]) -> None:
    for one in envelopes:
        one.key, one.content = KEYS[0], {"alert": "gleich"}
    request = PushJPush().build(account(), envelopes, NOW)
    assert isinstance(request, HttpRequest) and request.url.endswith("/v3/push")
    assert read(envelopes, {"sendno": "7", "msg_id": "181"}) == Accepted("181")


def test_each_device_is_told_its_own(envelopes: list[Envelope]) -> None:
    gone = {"error": {"code": 1011, "message": "x"}}
    assert read(envelopes, {KEYS[1]: {"msg_id": 182}, KEYS[0]: {"msg_id": "181"}}) == [Accepted("181"), Accepted("182")]
    well, refused = read(envelopes, {KEYS[0]: {"msg_id": 181}, KEYS[1]: gone | {"msg_id": 182}})
    assert well == Accepted("181") and isinstance(refused, Rejected)
    assert (refused.code, refused.scope) == ("1011", "recipient")
    odd = read(envelopes, {KEYS[0]: {"error": {"code": 9876, "message": "x"}}, KEYS[1]: [5]})
    assert [type(one) for one in odd] == [Unknown, Unknown] and odd[0].unmapped and not odd[1].unmapped
    assert [type(one) for one in read(envelopes, {})] == [Unknown, Unknown]


def test_what_is_said_of_the_whole_call_counts_for_all(envelopes: list[Envelope]) -> None:
    def said(code: int, status: int) -> Any:
        return read(envelopes, {"error": {"code": code, "message": "x"}}, status)

    assert isinstance(said(2002, 429), Throttled) and isinstance(said(2006, 403), Misconfigured)
    alone = said(1003, 400)
    assert isinstance(alone, Rejected) and alone.scope == "call"


def test_the_day_that_is_asked_for_is_that_of_beijing() -> None:
    late = datetime(2025, 1, 2, 16, 30, tzinfo=UTC)
    asked = json.loads(PushJPush().build_poll(account(), "181", ["r0"], late).body or b"")
    assert asked == {"msg_id": 181, "registration_ids": ["r0"], "date": "2025-01-03"}


@pytest.mark.parametrize(("header", "seconds"), [("17", 17), ("99999", 3600), ("soon", None), ("", None)])
def test_a_used_up_minute_is_waited_out(envelopes: list[Envelope], header: str, seconds: int | None) -> None:
    answer = HttpAnswer(429, {"x-rate-limit-reset": header}, b'{"error":{"code":2002}}')
    outcome = PushJPush().read(account(), envelopes, answer)
    assert isinstance(outcome, Throttled)
    assert outcome.retry_after == (None if seconds is None else timedelta(seconds=seconds))


def test_an_error_beside_an_id_is_no_acceptance() -> None:
    """1011 may carry the id of the push that reached nobody."""
    one = [Envelope(content={"alert": "x"}, **KIND["envelopes"][0])]
    body = b'{"msg_id":"181","error":{"code":1011,"message":"x"}}'
    for status in (200, 400):
        outcome = PushJPush().read(account(own_texts_per_call=0), one, HttpAnswer(status, {}, body))
        assert isinstance(outcome, Rejected) and outcome.code == "1011"


def test_a_device_that_stays_away_is_offline_only_where_nothing_is_kept_for_it() -> None:
    sent, later = NOW - timedelta(seconds=61), NOW
    answer = HttpAnswer(200, {}, b'{"r1": {"status": 1}, "r2": {"status": 0}, "r3": {"status": 4}}')
    devices = ["r1", "r2", "r3"]

    def told(who: Account, since: datetime | None) -> list[tuple[str, str, str]]:
        events = PushJPush().read_poll(who, "7", devices, answer, later, since)
        assert isinstance(events, list)
        return [(one.address, one.state, one.code) for one in events]

    keeps_nothing = account(time_to_live=0)
    assert told(keeps_nothing, sent) == [("r1", "failed", "offline"), ("r2", "delivered", "0")]
    assert told(keeps_nothing, later - timedelta(seconds=59)) == [("r2", "delivered", "0")]
    assert told(keeps_nothing, None) == told(account(), sent) == [("r2", "delivered", "0")]
