"""JSON that comes from a provider: an answer that should be one object, judged by its code, and what is pushed to a hook."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

from apps.channels.contract import Answer, BadReceipt, Envelope, HttpAnswer
from apps.channels.outcomes import Accepted, Refusal, Rejected, Throttled, Unknown

Event = TypeVar("Event")
LONGEST_WAIT = timedelta(days=1)

dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def json_object(answer: Answer) -> dict[str, Any] | Unknown:
    """The object, whatever the HTTP status says."""
    if not isinstance(answer, HttpAnswer) or answer.truncated:
        return Unknown("truncated", "The answer was too long to be read.")
    try:
        body = json.loads(answer.body)
    except (ValueError, RecursionError):
        body = None
    return body if isinstance(body, dict) else no_answer(answer)


def no_answer(answer: HttpAnswer) -> Unknown:
    """What a status without a word of the provider is worth."""
    return Unknown(f"http_{answer.status}", f"HTTP {answer.status} without a readable answer.")


def succeeded(
    answer: Answer, codes: Mapping[str, Refusal], *, name: str = "code", good: str = "OK"
) -> dict[str, Any] | Refusal:
    """The object of a success, which is HTTP 200 with `good` as its `name`; else what its code comes to by the table."""
    body = json_object(answer)
    if isinstance(body, Unknown):
        return body
    assert isinstance(answer, HttpAnswer)
    code = body.get(name)
    if not isinstance(code, str | int) or code == "":
        return no_answer(answer)
    if str(code) == good:
        return body if answer.status == 200 else no_answer(answer)
    return waiting(refused(code, codes), answer)


def refused(code: object, codes: Mapping[str, Refusal]) -> Refusal:
    """What a code means; one that is in no table says so and is counted."""
    return codes.get(str(code)) or Unknown(str(code)[:80], "A code that is in no table.", unmapped=True)


def waiting(outcome: Refusal, answer: HttpAnswer) -> Refusal:
    """A Throttled without a time of its own takes the seconds of Retry-After, a day at most."""
    wait = answer.headers.get("retry-after", "")
    if not isinstance(outcome, Throttled) or outcome.retry_after is not None or not wait.isdecimal() or len(wait) > 9:
        return outcome
    return replace(outcome, retry_after=min(max(timedelta(seconds=int(wait)), timedelta(seconds=1)), LONGEST_WAIT))


def of_call(outcome: Refusal, envelopes: Sequence[Envelope]) -> Refusal:
    """A refusal of a whole call for the sake of one of several recipients: who it was is not told, each is sent alone."""
    at_one = isinstance(outcome, Rejected | Throttled) and outcome.scope == "recipient"
    return Rejected(outcome.code, outcome.words, "call") if at_one and len(envelopes) > 1 else outcome


def all_but(
    envelopes: Sequence[Envelope], accepted: Accepted, failed: Mapping[str, Refusal]
) -> Accepted | Unknown | list[Accepted | Refusal]:
    """Accepted for everybody but those whose address is in `failed`; a list that names somebody else cannot be trusted."""
    if not failed.keys() <= {one.address for one in envelopes}:
        return Unknown("somebody_else", "The list of failures names somebody who is not in the call.")
    return [failed.get(one.address, accepted) for one in envelopes] if failed else accepted


def pushed(body: bytes, read: Callable[[Any], list[Event]]) -> list[Event]:
    """What `read` makes of the JSON of a body; BadReceipt where it is none, or lacks or misspells what `read` asks for."""
    try:
        return read(json.loads(body))
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        raise BadReceipt("The body is not JSON, or a report in it cannot be read.") from None
