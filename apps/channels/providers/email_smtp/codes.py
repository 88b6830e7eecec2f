"""SMTP replies in our words: the enhanced code (RFC 3463) first, then its class, then the three digits (RFC 5321).

Times to wait are ours, the protocol gives none. Marks of confidence stand in README.md.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from apps.channels.outcomes import Misconfigured, Outcome, Rejected, Throttled

SOON = timedelta(minutes=5)
SLOW_DOWN = timedelta(minutes=10)
FULL = timedelta(hours=4)
_NO_MAILBOX = "There is no such mailbox."
_NO_DOMAIN = "The domain takes no mail."
_AUTHENTICATION = "The receiver does not accept mail of this sender domain (SPF, DKIM, DMARC or PTR)."
_LOGIN = "The server wants a login that it accepts."
_LATER = "The server asks to come back later."
_COMMAND = "The server did not understand what we sent."

_OUTCOMES: tuple[Rejected | Misconfigured | Throttled, ...] = (
    Rejected("5.1.1", _NO_MAILBOX),
    Rejected("5.1.2", _NO_DOMAIN),
    Rejected("5.1.3", "The address is not valid."),
    Rejected("5.1.6", "The mailbox has moved."),
    Rejected("5.1.10", _NO_DOMAIN),
    Rejected("5.2.1", "The mailbox is disabled."),
    Throttled("5.2.2", "The mailbox is full.", FULL, "recipient"),
    Throttled("4.2.2", "The mailbox is full.", FULL, "recipient"),
    Throttled("4.2.1", "This mailbox or domain gets too much mail now.", SLOW_DOWN, "recipient"),
    Throttled("4.7.0", "The receiver slows this sender down.", SLOW_DOWN, "recipient"),
    Throttled("4.7.1", "The receiver wants a second try (greylisting).", SOON, "recipient"),
    Throttled("4.7.28", "The receiver slows this sender down.", SLOW_DOWN, "recipient"),
    Throttled("4.x.x", _LATER, SOON, "recipient"),
    Rejected("5.2.3", "The message is too big for this mailbox.", "content"),
    Rejected("5.3.4", "The message is too big.", "content"),
    Rejected("5.6.7", "The server takes no addresses outside ASCII."),
    Rejected("5.6.x", "The server does not take the content.", "content"),
    Misconfigured("5.7.0", _LOGIN),
    Misconfigured("5.7.1", "The server does not relay for this sender, or a policy refuses it."),
    Misconfigured("5.7.8", _LOGIN),
    Misconfigured("5.7.9", _LOGIN),
    Misconfigured("5.7.25", _AUTHENTICATION),
    Misconfigured("5.7.26", _AUTHENTICATION),
    Misconfigured("5.7.27", _AUTHENTICATION),
    Misconfigured("5.7.28", "The receiver refuses this sender for too much mail."),
    Misconfigured("5.7.29", _AUTHENTICATION),
    Misconfigured("5.7.30", _AUTHENTICATION),
    Throttled("421", _LATER, SLOW_DOWN),
    Throttled("450", _LATER, SOON, "recipient"),
    Throttled("451", _LATER, SOON, "recipient"),
    Throttled("452", "The server has no room or takes no more recipients now.", SOON, "recipient"),
    Throttled("454", "The server cannot offer TLS or login now.", SOON),
    Misconfigured("500", _COMMAND),
    Misconfigured("501", _COMMAND),
    Misconfigured("502", _COMMAND),
    Misconfigured("503", _COMMAND),
    Misconfigured("504", _COMMAND),
    Misconfigured("530", _LOGIN),
    Misconfigured("534", _LOGIN),
    Misconfigured("535", "User name or password is wrong."),
    Misconfigured("538", "The login needs TLS."),
    Rejected("550", "The mailbox is not available."),
    Rejected("551", "The mailbox is elsewhere."),
    Rejected("552", "The message is too big or the mailbox is full.", "content"),
    Rejected("553", "The address is not valid."),
    Rejected("554", "The server refuses the message.", "content"),
    Misconfigured("555", "The server does not know a parameter that it had offered."),
)
CODES: dict[str, Outcome] = {one.code: one for one in _OUTCOMES}

BAD_MAILBOX = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"})

# Action of a delivery report (RFC 3464, 2.3.3); None is no final news
STATES: dict[str, Literal["accepted", "delivered", "failed"] | None] = {
    "failed": "failed",
    "delivered": "delivered",
    "relayed": "accepted",
    "expanded": "accepted",
    "delayed": None,
}
