"""Error codes and states of the Telecom/Unicom platform in our words. Marks of confidence stand in README.md."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from apps.channels.outcomes import Misconfigured, Outcome, Rejected, StaleToken, Throttled, Unknown

_BUTTON = "The platform does not take a button of the message."
_FILE = "The platform does not take a file of the message."
_STALE = "The access token is not valid any more."
_A_WHILE = timedelta(hours=1)  # a share of a day, month or year: asked again now and then until it ends

_OUTCOMES: tuple[Rejected | Misconfigured | StaleToken | Throttled | Unknown, ...] = (
    Throttled("-1", "The platform is busy.", timedelta(seconds=2)),
    Throttled("30003", "Too many messages in this second.", timedelta(seconds=1)),
    Throttled("45001", "Too many calls of this interface.", timedelta(seconds=5)),
    Throttled("30001", "The chatbot has used up its messages of the day.", _A_WHILE),
    Throttled("30002", "The chatbot has used up its messages of the month.", _A_WHILE),
    Throttled("30004", "The chatbot has used up its messages of the year.", _A_WHILE),
    Unknown("-2", "The platform had an error of its own."),
    StaleToken("40001", _STALE),
    StaleToken("40014", _STALE),
    StaleToken("41001", "The call carried no access token."),
    StaleToken("42001", "The access token has expired."),
    Rejected("46001", "There is no such person."),
    Rejected("46002", "There is no such person."),
    Rejected("46003", "The person has been restricted."),
    Rejected("60002", "The person must subscribe to the chatbot first."),
    Rejected("20002", "A parameter is not valid.", "content"),
    Rejected("20003", "The request is not valid.", "content"),
    Rejected("40005", _FILE, "content"),
    Rejected("40006", _FILE, "content"),
    Rejected("40007", _FILE, "content"),
    Rejected("40008", "The platform does not know this type of message.", "content"),
    Rejected("40016", _BUTTON, "content"),
    Rejected("40017", _BUTTON, "content"),
    Rejected("40018", _BUTTON, "content"),
    Rejected("40019", _BUTTON, "content"),
    Rejected("40020", _BUTTON, "content"),
    Rejected("40021", "The text is too long.", "content"),
    Rejected("40022", "A temporary file of the message has ended.", "content"),
    Rejected("40040", "The message has too many files.", "content"),
    Rejected("40052", _BUTTON, "content"),
    Rejected("44002", "The call was empty.", "content"),
    Rejected("45010", "The time to answer this person is over.", "content"),
    Rejected("47001", "The platform cannot read the message.", "content"),
    Rejected("47002", "The platform cannot read the menu of the message.", "content"),
    Rejected("60001", "The text holds forbidden content.", "content"),
    Rejected("60003", "The platform does not know this type of message.", "content"),
    Rejected("70001", "The message is held back by the platform's control.", "content"),
    Misconfigured("30006", "The platform could not prove the hook's address."),
    Misconfigured("30008", "Chatbot id and sender address do not belong together."),
    Misconfigured("40002", "The kind of credential is not valid."),
    Misconfigured("41002", "The app id is missing."),
    Misconfigured("41004", "The app key is missing."),
    Misconfigured("48001", "The chatbot has no permission for this interface."),
)
CODES: dict[str, Outcome] = {one.code: one for one in _OUTCOMES}

# Words of deliveryNotification. deliveredToNetwork: see README.md.
STATES: dict[str, Literal["accepted", "delivered", "failed", "read", "recalled", "recall_refused"]] = {
    "sent": "accepted",
    "delivered": "delivered",
    "deliveredToNetwork": "delivered",
    "displayed": "read",
    "failed": "failed",
    "revokeOk": "recalled",
    "revokeFail": "recall_refused",
}
AS_SMS = "deliveredToNetwork"

FAILURES: dict[str, str] = {
    "1": "The terminal was not found.",
    "2": "The terminal gets no 5G messages.",
    "3": "The message holds forbidden content.",
    "4": "The terminal is not reachable.",
    "5": "The person refused the message.",
    "6": "The content does not meet the platform's rules.",
}
