"""What JPush says: a body, a refusal by its code, the entry of one device in a batch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from apps.channels.contract import Answer, HttpAnswer
from apps.channels.outcomes import Accepted, Outcome, Rejected, Throttled, Unknown
from apps.channels.providers.push_jpush.codes import CODES


def answer_body(answer: Answer) -> dict[str, Any] | Unknown:
    if not isinstance(answer, HttpAnswer) or answer.truncated:
        return Unknown("truncated", "The answer was too long to be read.")
    try:
        body = json.loads(answer.body)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        return Unknown(f"http_{answer.status}", f"HTTP {answer.status} without a readable answer.")
    return body


def refusal(body: Mapping[str, Any], answer: HttpAnswer, recipients: int) -> Outcome:
    error = body.get("error")
    code = str(error.get("code") or "") if isinstance(error, dict) else ""
    if not code:
        return Unknown(f"http_{answer.status}", f"HTTP {answer.status} without a readable answer.")
    outcome = CODES.get(code)
    if outcome is None:
        return Unknown(code[:80], "A code that is in no table.", unmapped=True)
    if isinstance(outcome, Rejected) and outcome.scope == "recipient" and recipients > 1:
        return replace(outcome, scope="call")
    if isinstance(outcome, Throttled) and outcome.retry_after is None:
        reset = answer.headers.get("x-rate-limit-reset", "")
        return replace(outcome, retry_after=timedelta(seconds=min(int(reset), 3600)) if reset.isdecimal() else None)
    return outcome


def entry(entry: Any, answer: HttpAnswer) -> Outcome:
    """What the answer says under one cid. One may carry an id and an error: then nobody was reached."""
    if not isinstance(entry, dict):
        return Unknown("no_entry", "The answer says nothing of this device.")
    msg_id = entry.get("msg_id")
    if "error" in entry:
        return refusal(entry, answer, 1)
    if isinstance(msg_id, str | int) and msg_id:
        return Accepted(str(msg_id))
    return Unknown("no_entry", "The answer says nothing of this device.")
