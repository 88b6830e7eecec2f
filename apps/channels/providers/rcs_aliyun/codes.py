"""Words of Alibaba Cloud's 5G messages in ours. Marks of confidence stand in README.md."""

from __future__ import annotations

from typing import Literal

from apps.channels.outcomes import Outcome, Rejected
from apps.channels.wire.alibaba_answers import COMMON_CODES

_OUTCOMES: tuple[Rejected, ...] = (
    Rejected("MOBILE_NOT_SUPPORT_RCS", "The number gets no 5G messages."),
    Rejected("isv.MOBILE_COUNT_OVER_LIMIT", "One call takes one number.", "call"),
)
CODES: dict[str, Outcome] = {one.code: one for one in (*COMMON_CODES, *_OUTCOMES)}

# send_status of the report 5GSmsReport
STATES: dict[str, Literal["failed", "delivered"]] = {"SEND_SUCCESS": "delivered", "SEND_FAILED": "failed"}
