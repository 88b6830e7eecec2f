"""Periods of budgets and quotas: which one a moment belongs to, and when the next one begins. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

Period = Literal["day", "month", "total"]
TOTAL = "total"


def period_key(period: str, zone: str, now: datetime) -> str:
    """`2026-11-29`, `2026-11` or `total`: the period that `now` (aware) belongs to in `zone`."""
    if period == TOTAL:
        return TOTAL
    local = now.astimezone(ZoneInfo(zone))
    return local.strftime("%Y-%m-%d" if period == "day" else "%Y-%m")


def next_begins(period: str, zone: str, now: datetime) -> datetime | None:
    """When the next period begins, in UTC: midnight there, or the first moment after it where a clock jumps over it."""
    if period == TOTAL:
        return None
    there = ZoneInfo(zone)
    local = now.astimezone(there)
    if period == "day":
        day = (local.replace(tzinfo=None) + timedelta(days=1)).date()
    else:
        day = (local.date().replace(day=1) + timedelta(days=32)).replace(day=1)
    return datetime(day.year, day.month, day.day, tzinfo=there).astimezone(UTC)
