"""What becomes of a delivery after each outcome: retry, hold, give up, or ambiguity by its rules. Pure.

The matrix for unknown outcomes (reliability: a KEYED channel repeats the key; one-time passwords may be repeated,
stamped; everything else waits for a receipt or an answer and is then left as unknown for ever, never sent again).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from apps.campaigns.states import MessageClass
from apps.channels.contract import Capabilities, Idempotency
from apps.channels.outcomes import (
    Accepted,
    Misconfigured,
    Outcome,
    Rejected,
    StaleToken,
    Throttled,
    Unavailable,
    Unknown,
)

BASE = timedelta(seconds=2)
LONGEST_BACKOFF = timedelta(minutes=10)
LONGEST_RETRY_AFTER = timedelta(hours=1)
MOST_ATTEMPTS = 8
MISCONFIGURED_HOLD = timedelta(seconds=30)
MOST_CRASHES = 3


@dataclass(frozen=True, slots=True)
class After:
    """The state that a delivery goes to. `burn` false: the attempt does not count; `stamp`: may be a duplicate."""

    state: str
    reason: str
    held_until: datetime | None = None
    solo: bool = False
    burn: bool = True
    stamp: bool = False


@dataclass(frozen=True, slots=True)
class History:
    """attempts: calls that counted, this one included; `first_intent_at` of the whole delivery; `jitter` in [0, 1).

    `alone`: its call had no other recipient, so the same call can be made again to the byte.
    """

    attempts: int
    first_intent_at: datetime
    expires_at: datetime | None
    jitter: float
    alone: bool = True


def backoff(attempts: int, jitter: float, at_least: timedelta | None = None) -> timedelta:
    """Full jitter over 2 s doubling to 10 min, never less than what the provider asked for (an hour at most)."""
    spread = min(LONGEST_BACKOFF, BASE * 2 ** min(attempts, 12)) * jitter
    return max(spread, min(at_least or timedelta(0), LONGEST_RETRY_AFTER))


def after(
    outcome: Outcome,
    history: History,
    capabilities: Capabilities,
    message_class: MessageClass,
    now: datetime,
    t_http: timedelta,
) -> After:
    """Where a delivery goes after `outcome`, by class, capability and history."""
    match outcome:
        case Accepted():
            return After("ACCEPTED", "")
        case Rejected(scope="call") if not history.alone:
            return After("HELD", "sent_alone_next", now, solo=True, burn=False)
        case Rejected(code=code):
            return After("REJECTED", code)
        case Misconfigured(code=code):
            return After("HELD", f"account: {code}", now + MISCONFIGURED_HOLD, burn=False)
        case StaleToken(code=code):
            return After("HELD", f"token: {code}", now, burn=False)
        case Throttled(code=code, retry_after=wait):
            return _again(f"throttled: {code}", history, now, wait)
        case Unavailable(code=code):
            return _again(f"unavailable: {code}", history, now, None)
        case Unknown(code=code):
            return _after_unknown(code, history, capabilities, message_class, now, t_http)


def _again(reason: str, history: History, now: datetime, at_least: timedelta | None) -> After:
    if history.attempts >= MOST_ATTEMPTS:
        return After("REJECTED", f"out_of_tries ({reason})")
    until = now + backoff(history.attempts, history.jitter, at_least)
    if history.expires_at is not None and until >= history.expires_at:
        return After("REJECTED", f"expires_first ({reason})")
    return After("HELD", reason, until)


def _after_unknown(
    code: str,
    history: History,
    capabilities: Capabilities,
    message_class: MessageClass,
    now: datetime,
    t_http: timedelta,
) -> After:
    if repeat_counts(capabilities, history, now, t_http) and history.attempts < MOST_ATTEMPTS:
        until = now + backoff(history.attempts, history.jitter)
        if repeat_counts(capabilities, history, until, t_http):
            return After("HELD", f"same_key: {code}", until, solo=_only_alone(capabilities))
    may_repeat = message_class is MessageClass.OTP and not capabilities.can_query and not capabilities.echoes_reference
    if may_repeat and history.attempts < MOST_ATTEMPTS:
        return After("HELD", f"repeated: {code}", now, stamp=True)
    return After("UNKNOWN", code)


def repeat_counts(capabilities: Capabilities, history: History, at: datetime, t_http: timedelta) -> bool:
    """Whether a repeat that begins at `at` would be de-duplicated against the first call.

    By a reserved key, which its call keeps; else by its own key or by its content, where the call can be made again as
    it was. One with several recipients cannot: some of them may have been called off meanwhile.
    """
    if capabilities.idempotency is Idempotency.NONE:
        return False
    if not capabilities.reserves_keys and not history.alone:
        return False
    return at + t_http < history.first_intent_at + capabilities.idempotency_window


def _only_alone(capabilities: Capabilities) -> bool:
    """Whether a repeat is known by the call that was alone, and would be a new one in company."""
    return capabilities.recipients_per_call > 1 and not capabilities.reserves_keys


def after_crash(
    history: History,
    crashes: int,
    capabilities: Capabilities,
    message_class: MessageClass,
    now: datetime,
    t_http: timedelta,
) -> After:
    """Where a delivery goes whose worker died between intent and result: ambiguous, poison at the third time.

    A call for several goes on until its attempts are used up: hundreds would pay for one of them, or for bad luck.
    """
    decided = _after_unknown("worker_lost", history, capabilities, message_class, now, t_http)
    if decided.state == "HELD" and history.alone and crashes >= MOST_CRASHES:
        return After("UNKNOWN", "poison")
    return decided


def after_unknown_window(
    capabilities: Capabilities, message_class: MessageClass, history: History, now: datetime
) -> After:
    """Where an UNKNOWN delivery goes once no receipt and no answer came within the account's unknown window."""
    expired = history.expires_at is not None and now >= history.expires_at
    if message_class is MessageClass.OTP and not expired and history.attempts < MOST_ATTEMPTS:
        return After("HELD", "repeated: no_receipt", now, stamp=True)
    return After("UNKNOWN_FINAL", "no_receipt")
