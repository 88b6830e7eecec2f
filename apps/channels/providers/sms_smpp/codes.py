"""command_status of SMPP 3.4 in our words. Marks of confidence stand in README.md."""

from __future__ import annotations

from datetime import timedelta

from apps.channels.outcomes import Misconfigured, Outcome, Rejected, Throttled, Unavailable, Unknown

_OURS = "The gateway does not take the request as we wrote it."
_LATER = "The gateway could not take the message now."
_LOGIN = "System id or password is not accepted."

_OUTCOMES: tuple[Rejected | Misconfigured | Throttled | Unavailable | Unknown, ...] = (
    Throttled("0x58", "The link is faster than agreed.", timedelta(seconds=1)),
    Throttled("0x14", "The queue for this number is full.", timedelta(seconds=30), "recipient"),
    Unknown("0x08", "The gateway had an error of its own."),
    Unavailable("0x45", "The gateway could not submit the message."),
    Unavailable("0x64", _LATER),
    Unavailable("0x66", _LATER),
    Unavailable("0xFF", "The gateway refuses without a reason."),
    Rejected("0x0B", "The number is not valid."),
    Rejected("0x65", "The gateway refuses the message for good."),
    Rejected("0x01", "The message has a length that the gateway does not take.", "content"),
    Rejected("0x02", _OURS, "content"),
    Rejected("0x03", _OURS, "content"),
    Rejected("0x43", _OURS, "content"),
    Rejected("0x61", _OURS, "content"),
    Rejected("0x62", "The validity is not accepted.", "content"),
    Rejected("0xC0", _OURS, "content"),
    Rejected("0xC1", _OURS, "content"),
    Rejected("0xC2", _OURS, "content"),
    Rejected("0xC3", _OURS, "content"),
    Rejected("0xC4", _OURS, "content"),
    Misconfigured("0x04", "The session may not send: its bind is of another mode."),
    Misconfigured("0x05", "A session with this login is open already."),
    Misconfigured("0x0A", "The source address is not accepted."),
    Misconfigured("0x0D", "The gateway refuses the login."),
    Misconfigured("0x0E", _LOGIN),
    Misconfigured("0x0F", _LOGIN),
    Misconfigured("0x15", "The service type is not accepted."),
    Misconfigured("0x48", "The type of number of the source is not accepted."),
    Misconfigured("0x49", "The numbering plan of the source is not accepted."),
    Misconfigured("0x50", "The type of number of the recipient is not accepted."),
    Misconfigured("0x51", "The numbering plan of the recipient is not accepted."),
)
CODES: dict[str, Outcome] = {one.code: one for one in _OUTCOMES}


def code_of(status: int) -> str:
    """A status as it is written: two hexadecimal digits at least."""
    return f"0x{status:02X}"
