"""An answer that should be one JSON object: read it, or say why nobody knows what became of the call."""

from __future__ import annotations

import json
from typing import Any

from apps.channels.contract import Answer, HttpAnswer
from apps.channels.outcomes import Unknown

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
