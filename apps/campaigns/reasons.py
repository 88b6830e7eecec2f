"""Reason codes that rules leave on deliveries and messages. Pure.

A reason is its code alone, or `code: detail`. What a rule forbids the person is final for the message: no other step may
be tried, it would meet the same rule. What it forbids one address, account or text leaves the other steps open.
"""

from __future__ import annotations

# Rules about the person or the whole message: the message is BLOCKED, whatever steps are left.
PERSONAL = frozenset(
    {
        "blacklisted",
        "no_consent",
        "not_whitelisted",
        "holdout",
        "frequency_cap",
        "duplicate_content",
        "quiet_hours",
        "quota",
        "campaign_ceiling",
    }
)
# Rules about one address, one account or kind of channel, or one text: the next step may still do.
OF_ONE_WAY = frozenset(
    {
        "address_blacklisted",
        "way_blacklisted",
        "way_not_whitelisted",
        "address_limit",
        "sensitive_word",
        "over_ceiling",
    }
)
BLOCKING = PERSONAL | OF_ONE_WAY
CALLED_OFF = {
    "expired": "EXPIRED",
    "campaign_cancelled": "CANCELLED",
    "recalled": "CANCELLED",
    "discarded": "CANCELLED",
}
OWN_REPORT = "own_report"  # the code of a receipt that the business line's own systems gave


def code_of(reason: str) -> str:
    """The code before the colon."""
    return reason.partition(":")[0].strip()


def is_personal(reason: str) -> bool:
    return code_of(reason) in PERSONAL


def message_state(reason: str) -> str:
    """What a message is called whose every delivery was called off for this reason."""
    code = code_of(reason)
    return "BLOCKED" if code in BLOCKING else CALLED_OFF.get(code, "FAILED")


def message_reason(reason: str) -> str:
    """The reason that the message takes over: figures count by it, so what differs from person to person stays behind."""
    return code_of(reason) if code_of(reason) in OF_ONE_WAY else reason
