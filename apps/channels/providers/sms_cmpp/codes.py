"""Results of SUBMIT_RESP and statuses of CONNECT_RESP in our words. Marks of confidence stand in README.md."""

from __future__ import annotations

from datetime import timedelta

from apps.channels.outcomes import Misconfigured, Outcome, Rejected, Throttled, Unknown

_OURS = "The gateway does not take the request as we wrote it."

_OUTCOMES: tuple[Rejected | Misconfigured | Throttled | Unknown, ...] = (
    Rejected("1", _OURS, "content"),
    Rejected("2", _OURS, "content"),
    Unknown("3", "The gateway takes the request for a repeat; what became of the first is not told."),
    Rejected("4", _OURS, "content"),
    Misconfigured("5", "The fee code is not accepted."),
    Rejected("6", "The message is too long.", "content"),
    Misconfigured("7", "The service code is not accepted."),
    Throttled("8", "The link is faster than agreed.", timedelta(seconds=1)),
    Rejected("9", "This gateway does not serve the number."),
    Misconfigured("10", "The source number is not accepted."),
    Misconfigured("11", "The enterprise code of the message is not accepted."),
    Misconfigured("12", "The number that is billed is not accepted."),
    Rejected("13", "The number is not valid."),
    Misconfigured("connect:1", "The gateway does not take the login as we wrote it."),
    Misconfigured("connect:2", "The enterprise code is not known, or this machine's address is not allowed."),
    Misconfigured("connect:3", "The shared secret is wrong."),
    Misconfigured("connect:4", "The gateway does not speak this version of CMPP."),
    Misconfigured("connect:5", "The gateway refuses the login."),
    Misconfigured("connect:256", "The gateway does not know the shared secret itself."),
)
CODES: dict[str, Outcome] = {one.code: one for one in _OUTCOMES}
