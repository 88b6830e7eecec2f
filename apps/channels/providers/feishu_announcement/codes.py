"""Feishu's codes for batch messages in our words. Marks of confidence stand in README.md."""

from __future__ import annotations

from apps.channels.outcomes import Misconfigured, Outcome, Rejected, Throttled
from apps.channels.wire.feishu import GATEWAY

DAY_FULL = "11247"
_PARAMETER = "The provider finds a parameter, the content or a permission of the call not valid."
_PARAMETERS = (10002, 10003, 11203, 11204, 11205, 11207, 11209, 11210, 11227, 11231, 11235, 11246, 11312)

_OUTCOMES: tuple[Rejected | Misconfigured | Throttled, ...] = (
    *(Rejected(str(code), _PARAMETER, "content") for code in _PARAMETERS),
    Rejected("11101", "Nobody of the call can be reached by this app."),
    Rejected("11223", "Nobody of the call can be reached by this app."),
    Throttled(DAY_FULL, "The app has sent its 500,000 messages of this day."),
)
CODES: dict[str, Outcome] = {one.code: one for one in (*GATEWAY, *_OUTCOMES)}
INVALID = Rejected("invalid_id", "The id is not valid, or the person is outside the app's availability.")
EVERYONE = frozenset(("11101", "11223"))
