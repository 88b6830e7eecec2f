"""Error numbers of WeCom's group robots in our words. Marks of confidence stand in README.md."""

from __future__ import annotations

from datetime import timedelta

from apps.channels.outcomes import Outcome, Rejected, Throttled, Unknown

_OUTCOMES: tuple[Rejected | Throttled | Unknown, ...] = (
    Unknown("-1", "The provider was busy."),  # nothing keeps a repeat from being a second message
    Throttled("45009", "This robot has had its share of messages for this minute.", timedelta(minutes=1), "recipient"),
    Throttled("45033", "Too many calls at once.", timedelta(seconds=3)),
    Rejected("93000", "There is no robot with this key."),
    Rejected("93008", "The robot is not in the group any more."),
    Rejected("40008", "The provider does not know this type of message.", "content"),
    Rejected("40058", "A parameter is not valid.", "content"),
    Rejected("44004", "The text is empty.", "content"),
    Rejected("45002", "The text is too long.", "content"),
    Rejected("85002", "The text holds a forbidden word.", "content"),
)
CODES: dict[str, Outcome] = {one.code: one for one in _OUTCOMES}
