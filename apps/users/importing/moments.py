"""A day or a moment as people and spreadsheets write it. Pure, but for the time zone that is passed in."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime, timedelta, timezone, tzinfo

_MOMENT = re.compile(
    r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?(?:[ T](\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?)?\s*(Z|[+-]\d{2}:?\d{2})?"
).fullmatch


def read_moment(text: str, zone: tzinfo) -> tuple[datetime, bool]:
    """(the moment, aware; whether a day was given without a time: then it is the day's begin). Raises ValueError.

    2026-11-29, 2026/11/9 8:30, 2026年11月29日 and ISO with an offset; without an offset it is the time of `zone`.
    """
    found = _MOMENT(unicodedata.normalize("NFKC", text).strip())
    if found is None:
        raise ValueError("neither a day nor a moment")
    *parts, offset = found.groups()
    year, month, day, hour, minute, second = (int(part or 0) for part in parts)
    return datetime(year, month, day, hour, minute, second, tzinfo=_zone(offset) or zone), parts[3] is None


def _zone(offset: str | None) -> tzinfo | None:
    if offset is None:
        return None
    if offset == "Z":
        return UTC
    apart = timedelta(hours=int(offset[1:3]), minutes=int(offset[-2:]))
    return timezone(-apart if offset[0] == "-" else apart)
