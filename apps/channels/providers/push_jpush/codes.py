"""JPush's codes in our words. Source: docs.jiguang.cn, push API v3, "HTTP return codes"; marks stand in README.md."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from apps.channels.outcomes import Misconfigured, Outcome, Rejected, Throttled, Unknown

_OUTCOMES: tuple[Rejected | Misconfigured | Throttled | Unknown, ...] = (
    Unknown("1000", "The provider had an error of its own."),
    Unknown("1030", "The provider timed out or is being upgraded."),
    Throttled("2002", "Too many calls of this app in this minute."),
    Throttled("2005", "More goes to this target than the provider thinks reasonable.", timedelta(hours=2)),
    Throttled("1012", "Too many paced pushes are under way.", timedelta(minutes=10)),
    Rejected("1011", "No device of this app has this registration id."),
    Rejected("1003", "The registration id or another value is malformed."),
    Rejected("1001", "The provider takes POST only.", "content"),
    Rejected("1002", "A required parameter is missing.", "content"),
    Rejected("1005", "The message is too big.", "content"),
    Rejected("1009", "The message holds a key that the provider does not know.", "content"),
    Rejected("1035", "The message is not in the provider's form.", "content"),
    Misconfigured("1020", "The provider takes HTTPS only."),
    Misconfigured("1004", "AppKey and master secret do not belong together."),
    Misconfigured("1008", "The AppKey is not valid."),
    Misconfigured("2003", "The app is on the provider's blacklist."),
    Misconfigured("2004", "The address of this machine is not on the app's allow-list."),
    Misconfigured("2006", "The app has no permission for this call."),
    Misconfigured("2007", "The app has no permission for this call."),
)
CODES: dict[str, Outcome] = {one.code: one for one in _OUTCOMES}

# `status` of /v3/status/message; None is no news: not delivered so far (1), or the provider wants to be asked again (4)
STATES: dict[str, Literal["delivered", "failed"] | None] = {
    "0": "delivered",
    "1": None,
    "2": "failed",
    "3": "failed",
    "4": None,
}
