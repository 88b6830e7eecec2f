"""Aliyun's words in ours. Marks of confidence stand in README.md."""

from __future__ import annotations

from typing import Literal

from apps.channels.outcomes import Misconfigured, Outcome, Rejected
from apps.channels.wire.alibaba_answers import COMMON_CODES

_OUTCOMES: tuple[Rejected | Misconfigured, ...] = (
    Rejected("isv.DOMESTIC_NUMBER_NOT_SUPPORTED", "The template is not for mainland numbers."),
    Rejected("isv.SMS_TEST_NUMBER_LIMIT", "A test signature reaches registered test numbers only."),
    Rejected("isv.MOBILE_COUNT_OVER_LIMIT", "Too many numbers in one call.", "call"),
    Misconfigured("isv.EXTEND_CODE_ERROR", "The extension code of the account is not valid."),
)
CODES: dict[str, Outcome] = {one.code: one for one in (*COMMON_CODES, *_OUTCOMES)}

# SendStatus of QuerySendDetails; "accepted" stands for "the provider has it and waits for the carrier"
STATES: dict[str, Literal["accepted", "failed", "delivered"]] = {"1": "accepted", "2": "failed", "3": "delivered"}

AUDITS: dict[str, Literal["approved", "pending", "refused"]] = {
    "AUDIT_STATE_PASS": "approved",
    "AUDIT_STATE_INIT": "pending",
    "AUDIT_STATE_NOT_PASS": "refused",
}
