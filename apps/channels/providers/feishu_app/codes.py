"""Feishu's codes for single messages in our words. Marks of confidence stand in README.md."""

from __future__ import annotations

from datetime import timedelta

from apps.channels.outcomes import Misconfigured, Outcome, Rejected, Throttled, Unknown
from apps.channels.wire.feishu import GATEWAY

_CROSS_TENANT = "The app may not write across tenants."

_OUTCOMES: tuple[Rejected | Misconfigured | Throttled | Unknown, ...] = (
    Throttled("230020", "This person has had too many messages in this second.", timedelta(seconds=2), "recipient"),
    Unknown("230049", "The same message is being sent at this moment."),
    Rejected("230001", "A parameter is not valid.", "content"),
    Rejected("230002", "The bot is not in the group."),
    Rejected("230013", "The person is outside the app's availability."),
    Rejected("230017", "The bot may not speak there."),
    Rejected("230018", "The group does not let the bot speak."),
    Rejected("230029", "The person has left the company."),
    Rejected("230034", "The id is not valid."),
    Rejected("230035", "The app may not write there."),
    Rejected("230036", _CROSS_TENANT),
    Rejected("230038", _CROSS_TENANT),
    Rejected("230053", "The person has stopped receiving from this bot."),
    Rejected("232009", "The group does not exist any more."),
    Rejected("230022", "The text holds sensitive words.", "content"),
    Rejected("230025", "The message is too long.", "content"),
    Rejected("230028", "The message was held back by an audit.", "content"),
    Rejected("230054", "The provider does not take this type of message.", "content"),
    Rejected("230055", "The text may not be sent.", "content"),
    Rejected("230075", "The text may not be sent.", "content"),
    Rejected("230099", "The card could not be made.", "content"),
    Misconfigured("230006", "The app's bot is switched off."),
    Misconfigured("230027", "The app has not been granted the permission for this call."),
)
CODES: dict[str, Outcome] = {one.code: one for one in (*GATEWAY, *_OUTCOMES)}
