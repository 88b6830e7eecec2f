"""DingTalk's words about group robots in ours. Marks of confidence stand in README.md."""

from __future__ import annotations

from datetime import timedelta

from apps.channels.outcomes import Misconfigured, Outcome, Rejected, Throttled
from apps.channels.wire.dingtalk import GLOBAL

PROTECTED = "310000"
_TEN_MINUTES = timedelta(minutes=10)
_GONE = "The webhook does not exist or its robot was removed."

_OUTCOMES: tuple[Rejected | Misconfigured | Throttled, ...] = (
    Misconfigured(
        PROTECTED, "The robot's protection refuses the message: signature, keyword or address of this machine."
    ),
    Throttled("130101", "More than 20 messages in a minute went to this group.", _TEN_MINUTES, "recipient"),
    Throttled("410100", "More than 20 messages in a minute went to this group.", _TEN_MINUTES, "recipient"),
    Throttled("90030", "The organisation's share of webhook calls is used up.", timedelta(hours=1)),
    Rejected("300001", _GONE, bad_address=True),
    Rejected("40014", _GONE),
    Rejected("400013", "The group was dissolved.", bad_address=True),
    Rejected("400101", _GONE, bad_address=True),
    Rejected("400102", "The robot was stopped."),
    Rejected("400106", _GONE, bad_address=True),
    Rejected("400105", "The robot does not take this type of message.", "content"),
    Rejected("430101", "The message holds an unsafe link.", "content"),
    Rejected("430102", "The message holds an unfit text.", "content"),
    Rejected("430104", "The message holds unfit content.", "content"),
)
CODES: dict[str, Outcome] = {**GLOBAL, **{one.code: one for one in _OUTCOMES}}
del CODES["40089"]  # there is no AppKey here
