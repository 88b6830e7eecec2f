"""Codes of Feishu's group robots in our words. Marks of confidence stand in README.md."""

from __future__ import annotations

from datetime import timedelta

from apps.channels.outcomes import Outcome, Rejected, Throttled

_OUTCOMES: tuple[Rejected | Throttled, ...] = (
    Throttled("11232", "This robot has had too many messages.", timedelta(seconds=5), "recipient"),
    Throttled("99991400", "This robot has had too many messages.", timedelta(seconds=5), "recipient"),
    Rejected("19001", "There is no robot with this key."),
    Rejected("19021", "The robot's signing secret is wrong, or this machine's clock is more than an hour off."),
    Rejected("19022", "The address of this machine is not on the robot's allow-list."),
    Rejected("19024", "The text has none of the robot's keywords."),
    Rejected("9499", "A parameter is not valid.", "content"),
    Rejected("230022", "The text holds sensitive words.", "content"),
    Rejected("230025", "The message is too long.", "content"),
)
CODES: dict[str, Outcome] = {one.code: one for one in _OUTCOMES}
