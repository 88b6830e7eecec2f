"""`errcode` of mini programs in our words. Sources and marks stand in README.md."""

from __future__ import annotations

from apps.channels.outcomes import Rejected, Unknown
from apps.channels.wire.wechat_platform import COMMON_CODES, Refusal

_OWN: tuple[Refusal, ...] = (
    # as with -1: nothing keeps a repeated call from being a second message, so these are not repeated
    Unknown("1700", "The provider had an error of its own."),
    Unknown("20001", "The provider had an error of its own."),
    Rejected("43107", "The person has switched off messages of this mini program."),
)
CODES: dict[str, Refusal] = {one.code: one for one in (*COMMON_CODES, *_OWN)}
