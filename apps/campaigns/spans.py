"""Spans of frequency caps: from which moment on messages count. Pure."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

MOMENT = timedelta(microseconds=1)


class SpanUnit(StrEnum):
    """Rolling spans, and whole days of the calendar in a time zone."""

    MINUTES = "minutes"
    HOURS = "hours"
    DAYS = "days"
    WEEKS = "weeks"
    CALENDAR_DAYS = "calendar_days"


def counted_after(count: int, unit: str, zone: str, now: datetime) -> datetime:
    """What lies after this moment is in the span that ends with `now` (aware).

    Of a rolling span exactly `count` units lie behind `now`, so that no span of that length, wherever it begins, has more
    than what is counted. Of calendar days today is the first: 2 begin with yesterday's midnight in `zone`.
    """
    if unit == SpanUnit.CALENDAR_DAYS:
        today = now.astimezone(ZoneInfo(zone)).date()
        begin = datetime.combine(today - timedelta(days=count - 1), time(), ZoneInfo(zone))
        return begin.astimezone(now.tzinfo) - MOMENT
    return now - timedelta(**{unit: count})


def longest(count: int, unit: str) -> timedelta:
    """How far back such a span can ever look; an hour for clocks that are put back."""
    if unit == SpanUnit.CALENDAR_DAYS:
        return timedelta(days=count, hours=1)
    return timedelta(**{unit: count})
