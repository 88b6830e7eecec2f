"""Periods of budgets: which one a moment belongs to, and when the next begins, also where clocks jump."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from apps.partners.periods import next_begins, period_key


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("period", "zone", "now", "key", "ends"),
    [
        ("day", "Asia/Shanghai", "2026-11-29T15:59:59", "2026-11-29", "2026-11-29T16:00:00"),
        ("day", "Asia/Shanghai", "2026-11-29T16:00:00", "2026-11-30", "2026-11-30T16:00:00"),
        ("month", "Asia/Shanghai", "2026-12-31T15:59:59", "2026-12", "2026-12-31T16:00:00"),
        ("month", "Asia/Shanghai", "2027-01-31T10:00:00", "2027-01", "2027-01-31T16:00:00"),
        ("day", "Europe/Berlin", "2026-10-24T23:00:00", "2026-10-25", "2026-10-25T23:00:00"),  # a day of 25 hours
        ("day", "America/Santiago", "2026-09-05T12:00:00", "2026-09-05", "2026-09-06T04:00:00"),  # no midnight that day
    ],
)
def test_a_moment_belongs_to_one_period_and_the_next_begins_there(
    period: str, zone: str, now: str, key: str, ends: str
) -> None:
    assert period_key(period, zone, at(now)) == key
    begins = next_begins(period, zone, at(now))
    assert begins == at(ends)
    assert period_key(period, zone, begins) != key


def test_a_total_never_ends() -> None:
    assert (
        period_key("total", "UTC", at("2026-01-01T00:00:00")),
        next_begins("total", "UTC", at("2026-01-01T00:00:00")),
    ) == (
        "total",
        None,
    )
