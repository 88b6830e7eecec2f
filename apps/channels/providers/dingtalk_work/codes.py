"""DingTalk's words about work notifications and robots in ours. Marks of confidence stand in README.md."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from apps.channels.outcomes import Misconfigured, Outcome, Rejected, StaleToken, Throttled
from apps.channels.wire.dingtalk import GLOBAL

_TOKEN = "The access token is no longer taken."
_SECOND = timedelta(seconds=1)

_OUTCOMES: tuple[Rejected | Misconfigured | Throttled | StaleToken, ...] = (
    StaleToken("40001", _TOKEN),
    StaleToken("40014", _TOKEN),
    StaleToken("42001", _TOKEN),
    StaleToken("33001", _TOKEN),
    Rejected("33012", "No employee has this userid."),
    Rejected("60121", "No employee has this userid."),
    Rejected("40003", "No employee has this userid."),
    Rejected("40031", "A userid in the list is not valid."),
    Rejected("40032", "Too many userids in one call.", "call"),
    StaleToken("InvalidAuthentication", _TOKEN),
    Misconfigured("invalidClientIdOrSecret", "AppKey and AppSecret do not belong together."),
    Misconfigured(
        "Forbidden.AccessDenied.AccessTokenPermissionDenied", "The application has no permission for this call."
    ),
    Misconfigured("Forbidden.AccessDenied.ApiCountLimitForOrg", "The organisation's calls of this month are used up."),
    Throttled("Forbidden.AccessDenied.QpsLimitForApi", "Too many calls in this second.", _SECOND),
    Throttled(
        "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi", "Too many calls of this application in this second.", _SECOND
    ),
)
CODES: dict[str, Outcome] = {**GLOBAL, **{one.code: one for one in _OUTCOMES}}

# `code` in forbidden_list of getsendresult. An equal text that went out earlier today was delivered then.
_MINUTE = "The provider's limit for a minute was reached: the message was dropped."
_DAY = "The employee has had this application's share of messages for today: the message was dropped."
_EQUAL = "The employee has had the same text today; the provider delivers it once."
FORBIDDEN: dict[str, tuple[Literal["delivered", "failed"], str]] = {
    "143103": ("failed", _MINUTE),
    "143104": ("failed", _MINUTE),
    "143105": ("failed", _DAY),
    "143106": ("delivered", _EQUAL),
    "143203": ("failed", _MINUTE),
    "143204": ("failed", _MINUTE),
    "143205": ("failed", _DAY),
    "143206": ("delivered", _EQUAL),
    "1430000": ("failed", "The provider found nobody to deliver to."),
    "1430002": ("failed", "The content is forbidden."),
    "1430003": ("failed", "The provider protects itself and dropped the message."),
    "1430004": ("failed", "The employee is protected from messages of applications."),
}
# lists of getsendresult and `readStatus` of a robot's message
STATES: dict[str, Literal["delivered", "failed", "read"]] = {
    "read_user_id_list": "read",
    "unread_user_id_list": "delivered",
    "failed_user_id_list": "failed",
    "invalid_user_id_list": "failed",
    "READ": "read",
    "UNREAD": "delivered",
}
