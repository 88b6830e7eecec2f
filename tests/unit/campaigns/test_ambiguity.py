"""What becomes of a delivery after each outcome: the matrix of classes and capabilities, and the bounds of waiting."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.campaigns.ambiguity import (
    BASE,
    LONGEST_BACKOFF,
    LONGEST_RETRY_AFTER,
    MOST_ATTEMPTS,
    MOST_CRASHES,
    History,
    after,
    after_crash,
    after_unknown_window,
    backoff,
    repeat_counts,
)
from apps.campaigns.states import MessageClass, may
from apps.channels.contract import Capabilities, Idempotency
from apps.channels.outcomes import Accepted, Misconfigured, Rejected, StaleToken, Throttled, Unavailable, Unknown

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
T_HTTP = timedelta(seconds=10)
NOTHING = Capabilities("phone")
KEYED = Capabilities("jpush", idempotency=Idempotency.KEYED, idempotency_window=timedelta(hours=1))
QUERY = Capabilities("phone", can_query=True)
ECHO = Capabilities("phone", echoes_reference=True)
EQUAL = Capabilities("wecom", idempotency=Idempotency.CONTENT, idempotency_window=timedelta(hours=1))
ABILITIES = [NOTHING, KEYED, QUERY, ECHO, EQUAL]
OUTCOMES = [
    Accepted("1"), Rejected("bad", "no"), Rejected("bad", "no", "call"), Misconfigured("auth", "no"), Throttled("qps", "no"),
    Unavailable("connect", "no"), Unknown("timeout", "?"), StaleToken("40014", "no"),
]  # fmt: skip

histories = st.builds(
    History,
    attempts=st.integers(1, MOST_ATTEMPTS + 2),
    first_intent_at=st.integers(0, 7200).map(lambda ago: NOW - timedelta(seconds=ago)),
    expires_at=st.one_of(st.none(), st.integers(-60, 7200).map(lambda ahead: NOW + timedelta(seconds=ahead))),
    jitter=st.floats(0, 1, exclude_max=True),
    alone=st.booleans(),
)


def history(attempts: int = 1, ago: float = 0.0, expires_in: float | None = None, jitter: float = 0.5) -> History:
    expires = None if expires_in is None else NOW + timedelta(seconds=expires_in)
    return History(attempts, NOW - timedelta(seconds=ago), expires, jitter)


@given(st.sampled_from(OUTCOMES), histories, st.sampled_from(ABILITIES), st.sampled_from(MessageClass))
def test_every_outcome_leads_to_a_legal_state(
    outcome: object, past: History, able: Capabilities, message_class: MessageClass
) -> None:
    decided = after(outcome, past, able, message_class, NOW, T_HTTP)  # type: ignore[arg-type]
    assert may("delivery", "SENDING", decided.state)
    assert (decided.held_until is not None) == (decided.state == "HELD")
    assert decided.held_until is None or decided.held_until >= NOW
    if not decided.burn:
        assert decided.state == "HELD", "an attempt that does not count is made again"


@given(histories, st.sampled_from(ABILITIES), st.sampled_from(MessageClass))
def test_an_unknown_outcome_is_never_repeated_without_a_reason(
    past: History, able: Capabilities, message_class: MessageClass
) -> None:
    decided = after(Unknown("timeout", "?"), past, able, message_class, NOW, T_HTTP)
    if decided.state == "HELD" and not decided.stamp:
        assert decided.held_until is not None
        assert repeat_counts(able, past, decided.held_until, T_HTTP)
    if decided.stamp:
        assert message_class is MessageClass.OTP and not able.can_query and not able.echoes_reference


MATRIX = [
    (KEYED, MessageClass.MARKETING, "HELD", False),
    (KEYED, MessageClass.OTP, "HELD", False),
    (QUERY, MessageClass.OTP, "UNKNOWN", False),
    (ECHO, MessageClass.OTP, "UNKNOWN", False),
    (NOTHING, MessageClass.OTP, "HELD", True),
    (NOTHING, MessageClass.TRANSACTIONAL, "UNKNOWN", False),
    (NOTHING, MessageClass.MARKETING, "UNKNOWN", False),
]


@pytest.mark.parametrize(("able", "message_class", "state", "stamp"), MATRIX)
def test_the_matrix(able: Capabilities, message_class: MessageClass, state: str, stamp: bool) -> None:
    decided = after(Unknown("timeout", "?"), history(), able, message_class, NOW, T_HTTP)
    assert (decided.state, decided.stamp) == (state, stamp)
    crashed = after_crash(history(), 1, able, message_class, NOW, T_HTTP)
    assert (crashed.state, crashed.stamp) == (state, stamp)


def test_a_key_counts_until_its_window_is_over_call_included() -> None:
    window = KEYED.idempotency_window
    assert repeat_counts(KEYED, history(), NOW + window - T_HTTP - timedelta(seconds=1), T_HTTP)
    assert not repeat_counts(KEYED, history(), NOW + window - T_HTTP, T_HTTP)
    late = after(Unknown("timeout", "?"), history(ago=3595), KEYED, MessageClass.MARKETING, NOW, T_HTTP)
    assert late.state == "UNKNOWN"


def test_equal_content_is_repeated_where_the_call_can_be_made_again_to_the_byte() -> None:
    for alone, state in ((True, "HELD"), (False, "UNKNOWN")):
        past = replace(history(), alone=alone)
        assert after(Unknown("timeout", "?"), past, EQUAL, MessageClass.MARKETING, NOW, T_HTTP).state == state
        assert after_crash(past, 1, EQUAL, MessageClass.MARKETING, NOW, T_HTTP).state == state


def test_a_key_that_was_not_reserved_counts_for_a_call_of_one_that_stays_alone() -> None:
    many = replace(KEYED, recipients_per_call=50)
    for able, alone, state, solo in (
        (many, True, "HELD", True),
        (many, False, "UNKNOWN", False),
        (replace(many, reserves_keys=True), False, "HELD", False),
        (KEYED, True, "HELD", False),
        (replace(EQUAL, recipients_per_call=50), True, "HELD", True),
    ):
        decided = after(Unknown("timeout", "?"), replace(history(), alone=alone), able, MessageClass.OTP, NOW, T_HTTP)
        if alone or able.reserves_keys:
            assert (decided.state, decided.solo, decided.stamp) == (state, solo, False)
        else:
            assert decided.stamp, "a password goes out again, and says that it may be a duplicate"
        past = replace(history(), alone=alone)
        assert after_crash(past, 1, able, MessageClass.MARKETING, NOW, T_HTTP).state == state


def test_a_stale_token_burns_nothing_and_waits_for_nothing() -> None:
    decided = after(StaleToken("40014", "no"), history(), NOTHING, MessageClass.MARKETING, NOW, T_HTTP)
    assert (decided.state, decided.held_until, decided.burn) == ("HELD", NOW, False)


def test_a_call_of_several_is_taken_apart_once_and_a_call_of_one_is_refused() -> None:
    refused = Rejected("too_many", "no", "call")
    several = after(refused, replace(history(), alone=False), NOTHING, MessageClass.MARKETING, NOW, T_HTTP)
    assert (several.state, several.solo, several.burn) == ("HELD", True, False)
    alone = after(refused, replace(history(), alone=True), NOTHING, MessageClass.MARKETING, NOW, T_HTTP)
    assert (alone.state, alone.reason) == ("REJECTED", "too_many"), "or it would be called for ever"


def test_a_delivery_that_kills_its_worker_is_given_up() -> None:
    states = [
        after_crash(history(attempts=crash), crash, KEYED, MessageClass.MARKETING, NOW, T_HTTP).state
        for crash in range(1, MOST_CRASHES + 1)
    ]
    assert states == ["HELD"] * (MOST_CRASHES - 1) + ["UNKNOWN"]
    reserved = replace(KEYED, reserves_keys=True)
    call = replace(history(attempts=MOST_CRASHES), alone=False)
    assert after_crash(call, MOST_CRASHES, reserved, MessageClass.MARKETING, NOW, T_HTTP).state == "HELD"
    call = replace(history(attempts=MOST_ATTEMPTS), alone=False)
    assert after_crash(call, MOST_ATTEMPTS, reserved, MessageClass.MARKETING, NOW, T_HTTP).state == "UNKNOWN"


@pytest.mark.parametrize("outcome", [Throttled("qps", "no"), Unavailable("connect", "no")])
def test_trying_again_ends(outcome: object) -> None:
    def decided(past: History) -> tuple[str, str]:
        one = after(outcome, past, NOTHING, MessageClass.MARKETING, NOW, T_HTTP)  # type: ignore[arg-type]
        return one.state, one.reason.partition(" ")[0]

    assert decided(history(MOST_ATTEMPTS - 1))[0] == "HELD"
    assert decided(history(MOST_ATTEMPTS)) == ("REJECTED", "out_of_tries")
    assert decided(history(5, expires_in=1)) == ("REJECTED", "expires_first")


@given(st.integers(1, 50), st.floats(0, 1, exclude_max=True), st.one_of(st.none(), st.integers(0, 10**6)))
def test_backoff_has_its_bounds(attempts: int, jitter: float, asked: int | None) -> None:
    floor = None if asked is None else timedelta(seconds=asked)
    wait = backoff(attempts, jitter, floor)
    assert wait >= min(floor or timedelta(0), LONGEST_RETRY_AFTER)
    assert wait <= max(
        min(LONGEST_BACKOFF, BASE * 2 ** min(attempts, 20)), min(floor or timedelta(0), LONGEST_RETRY_AFTER)
    )


def test_after_the_unknown_window() -> None:
    def state(message_class: MessageClass, past: History) -> str:
        return after_unknown_window(NOTHING, message_class, past, NOW).state

    assert state(MessageClass.MARKETING, history()) == state(MessageClass.TRANSACTIONAL, history()) == "UNKNOWN_FINAL"
    assert state(MessageClass.OTP, history()) == "HELD"
    assert (
        state(MessageClass.OTP, history(expires_in=-1))
        == state(MessageClass.OTP, history(MOST_ATTEMPTS))
        == "UNKNOWN_FINAL"
    )
