"""What short message gateways agree on: spellings of numbers, words of receipts, times without a zone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

State = Literal["accepted", "delivered", "failed"]
# UNKNOWN is no news: the gateway does not know either. The kinds let an account decide otherwise.
STATES: dict[str, State | None] = {
    "DELIVRD": "delivered",
    "EXPIRED": "failed",
    "DELETED": "failed",
    "UNDELIV": "failed",
    "REJECTD": "failed",
    "ACCEPTD": "accepted",
    "ENROUTE": "accepted",
    "UNKNOWN": None,
}
_CHANGED: dict[str, State | None] = {
    "delivered": "delivered",
    "failed": "failed",
    "accepted": "accepted",
    "ignore": None,
}
CHANGED_STATES = tuple(_CHANGED)
_mainland = re.compile(r"1[3-9][0-9]{9}").fullmatch


def national(address: str) -> str:
    """A mainland mobile number as 11 digits, any other as country code and number, without plus sign or 00."""
    digits = address.removeprefix("+").removeprefix("00")
    return digits[2:] if len(digits) == 13 and digits.startswith("861") else digits


def kept_phone(number: str) -> str:
    """A number as a provider writes it, the way addresses are kept: mainland 11 digits, others with a plus sign."""
    digits = national(number)
    return digits if len(digits) == 11 and digits.startswith("1") else f"+{digits}"


def international(address: str) -> str:
    """Country code and number without plus sign: a bare mainland mobile number gets its 86."""
    if address.startswith(("+", "00")):
        return address.removeprefix("+").removeprefix("00")  # +1 312 555 0100 is no mainland number that lacks its 86
    digits = national(address)
    return f"86{digits}" if len(digits) == 11 and digits.startswith("1") else digits


def dialled(address: str) -> str:
    """`national` for a number to send to. Raises ValueError for a foreign one that would then be read as a mainland one."""
    digits = national(address)
    if _mainland(digits) and international(address) != f"86{digits}":
        raise ValueError("A foreign number reads as one of the mainland without its plus sign.")
    return digits


def is_number(digits: str, most: int = 20) -> bool:
    return digits.isascii() and digits.isdecimal() and 3 <= len(digits) <= most


def state_of(word: str, changed: Mapping[str, Any]) -> State | None:
    """What a word means by the account's own table, else by the usual one; words of no table are failures (MK:0001)."""
    if word in changed:
        return _CHANGED.get(str(changed[word]))
    return STATES.get(word, "failed") if word else None


def moment(text: str, offset_hours: int, otherwise: datetime) -> datetime:
    """YYMMDDhhmm[ss] on a clock so many hours from UTC; `otherwise` where that is no time."""
    for form in ("%y%m%d%H%M%S", "%y%m%d%H%M"):
        if len(text) == (12 if "S" in form else 10):
            try:
                return datetime.strptime(text, form).replace(tzinfo=timezone(timedelta(hours=offset_hours)))
            except ValueError:
                break
    return otherwise
