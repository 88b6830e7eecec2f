"""What a provider takes for one address, as accounts write it: `otp 1/1m 5/1h 10/1d; marketing 50/1d`, or `none`. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from apps.channels.fields import ConfigField

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_LIMIT = r"[1-9][0-9]{0,5}/[1-9][0-9]{0,3}[smhd]"
_CLASS = r"(?:otp|transactional|marketing)"
_RULE = rf"(?:{_CLASS} +)?{_LIMIT}(?: +{_LIMIT})*"
PATTERN = rf" *(?:none|{_RULE}(?: *; *{_RULE})*) *"
NAME = "address_limits"
HELP = (
    "Messages to one address, such as 5/1h 10/1d (s, m, h, d); by class: otp 1/1m; marketing 50/1d. none: no limit is kept. "
    "Empty: those of the provider's documents, where they say any."
)


@dataclass(frozen=True, slots=True)
class AddressLimit:
    """The provider takes `count` messages of one account for one address in a `per`, and loses or punishes the next.

    Where `message_class` is not empty, messages of that class are counted, and held back, apart from all others.
    """

    count: int
    per: timedelta
    message_class: str = ""


ADDRESS_LIMITS_FIELD = ConfigField(NAME, "Limits per address", required=False, pattern=PATTERN, help=HELP)


def limits_in(text: str) -> tuple[AddressLimit, ...]:
    """Reads what `PATTERN` matches. Raises ValueError for anything else."""
    if not re.fullmatch(PATTERN, text):
        raise ValueError("These are no limits per address.")
    return tuple(limit for rule in text.split(";") for limit in _rule(rule.split()))


def _rule(words: Sequence[str]) -> list[AddressLimit]:
    if words == ["none"]:
        return []
    message_class = "" if "/" in words[0] else words[0]
    found = []
    for word in words[1:] if message_class else words:
        count, _slash, per = word.partition("/")
        found.append(AddressLimit(int(count), timedelta(**{UNITS[per[-1]]: int(per[:-1])}), message_class))
    return found
