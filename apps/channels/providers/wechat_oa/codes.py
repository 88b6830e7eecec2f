"""`errcode` of official accounts in our words. Sources and marks stand in README.md."""

from __future__ import annotations

from typing import Literal

from apps.channels.outcomes import Misconfigured, Rejected
from apps.channels.wire.wechat_platform import COMMON_CODES, Refusal

_OWN: tuple[Refusal, ...] = (
    Rejected("43004", "The person does not follow the account."),
    Rejected("43019", "The person is on the account's black list."),
    Rejected("46004", "The person does not exist."),
    Rejected("48002", "The person receives no messages of the account."),
    Rejected("50002", "The person is restricted by the provider."),
    Rejected("50005", "The person does not follow the account."),
    Rejected("45015", "The person has not spoken to the account lately: the time for answers is over."),
    Rejected("45047", "The account has used up its answers to this person."),
    Rejected("40249", "The template is blocked for its content.", "content"),
    Rejected("45002", "The text is too long.", "content"),
    Rejected("43002", "The provider takes POST only.", "content"),
    Misconfigured("45026", "The account has too many templates."),
    Misconfigured("45027", "The templates do not belong to the account's line of business."),
    Misconfigured("45109", "The account's kind has no such call."),
    Misconfigured("61003", "The account has not authorised this platform."),
    Misconfigured("61007", "The account has not authorised this platform for the call."),
)
CODES: dict[str, Refusal] = {one.code: one for one in (*COMMON_CODES, *_OWN)}

# `Status` of TEMPLATESENDJOBFINISH, in lower case and without blanks after the colon
STATES: dict[str, Literal["delivered", "failed"]] = {
    "success": "delivered",
    "failed:user block": "failed",
    "failed:system failed": "failed",
    "failed:freq limit": "failed",
}
STATE_WORDS = {
    "failed:user block": "The person takes no messages of the account.",
    "failed:system failed": "The provider could not deliver it.",
    "failed:freq limit": "The person has had too many messages for now.",
}
