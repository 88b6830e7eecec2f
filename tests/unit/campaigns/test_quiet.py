"""Quiet hours: over midnight, by weekday, calendar, class, line and region, on days clocks jump, and against a model."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from apps.campaigns.quiet import Quiet, QuietRule, quiet_until
from apps.campaigns.recurrence import WorkingDays

MARKETING = frozenset({"marketing"})
SHANGHAI = ZoneInfo("Asia/Shanghai")
NIGHT = QuietRule(MARKETING, time(22), time(8), "Asia/Shanghai")


def at(*parts: int, zone: ZoneInfo = SHANGHAI) -> datetime:
    return datetime(*parts, tzinfo=zone)  # type: ignore[misc, arg-type]


def asked(rules: list[QuietRule], now: datetime, region: str = "", line: int = 1, kind: str = "marketing") -> object:
    found = quiet_until(rules, kind, line, region, now)
    return found and found.until


def test_a_night_over_midnight_begins_and_ends_to_the_second() -> None:
    assert asked([NIGHT], at(2026, 5, 1, 21, 59, 59)) is None
    assert asked([NIGHT], at(2026, 5, 1, 22)) == at(2026, 5, 2, 8)
    assert asked([NIGHT], at(2026, 5, 2, 7, 59, 59)) == at(2026, 5, 2, 8)
    assert asked([NIGHT], at(2026, 5, 2, 8)) is None
    assert asked([NIGHT], at(2026, 5, 2, 3), kind="otp") is None


def test_lines_and_regions() -> None:
    of_line = QuietRule(MARKETING, time(12), time(14), "Asia/Shanghai", line=2)
    west = QuietRule(MARKETING, time(0), time(10), "Asia/Shanghai", region="Xinjiang")
    noon = at(2026, 5, 1, 13)
    assert asked([of_line], noon) is None and asked([of_line], noon, line=2) == at(2026, 5, 1, 14)
    rules = [NIGHT, west]
    assert asked(rules, at(2026, 5, 1, 9), "Xinjiang") == at(2026, 5, 1, 10)
    assert asked(rules, at(2026, 5, 1, 23), "Xinjiang") is None, "its own rule stands in place of the general one"
    assert asked(rules, at(2026, 5, 1, 9), "Hebei") is None


def test_weekdays_calendars_and_whole_days() -> None:
    holidays = WorkingDays(off=frozenset({date(2026, 10, 1)}), worked=frozenset({date(2026, 10, 10)}))
    sundays = QuietRule(MARKETING, time(0), time(0), "Asia/Shanghai", weekdays=frozenset({6}))
    off = QuietRule(MARKETING, time(0), time(0), "Asia/Shanghai", days="off", calendar=holidays)
    assert asked([sundays], at(2026, 5, 3, 12)) == at(2026, 5, 4)
    assert asked([sundays], at(2026, 5, 4)) is None
    assert asked([off], at(2026, 10, 1, 9)) == at(2026, 10, 2)
    assert asked([off], at(2026, 10, 3, 9)) == at(2026, 10, 5), "two days off in a row are one rest"
    assert asked([off], at(2026, 10, 10, 9)) is None
    assert asked([off, NIGHT], at(2026, 10, 4, 12)) == at(2026, 10, 5, 8), "the night follows the day off"


def test_what_drops_now_drops_and_what_would_drop_later_does_not() -> None:
    dropping = QuietRule(MARKETING, time(8), time(9), "Asia/Shanghai", drops=True)
    night = quiet_until([NIGHT, dropping], "marketing", 1, "", at(2026, 5, 1, 23))
    assert night == Quiet(at(2026, 5, 2, 9), False)
    assert quiet_until([NIGHT, dropping], "marketing", 1, "", at(2026, 5, 2, 8, 30)) == Quiet(at(2026, 5, 2, 9), True)


def test_days_on_which_clocks_jump() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    rule = QuietRule(MARKETING, time(22), time(2, 30), "Europe/Berlin")
    spring = asked([rule], at(2026, 3, 29, 1, zone=berlin))
    assert spring == datetime(2026, 3, 29, 1, tzinfo=UTC), "02:30 is skipped: it ends with the gap"
    autumn = asked([rule], at(2026, 10, 25, 1, zone=berlin))
    assert autumn == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


@given(
    since=st.integers(0, 23), length=st.integers(1, 24), weekdays=st.frozensets(st.integers(0, 6)),
    hour=st.integers(0, 24 * 14),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_the_end_is_the_first_hour_that_is_not_quiet(
    since: int, length: int, weekdays: frozenset[int], hour: int
) -> None:
    rule = QuietRule(MARKETING, time(since), time((since + length) % 24), "Asia/Shanghai", weekdays=weekdays)
    quiet = set()
    for day in range(-2, 30):
        begin = at(2026, 5, 4) + day * timedelta(days=1)
        if begin.weekday() in weekdays:
            quiet |= {begin + timedelta(hours=since + number) for number in range(length)}
    now = at(2026, 5, 4) + timedelta(hours=hour)
    end = now
    while end in quiet and end < now + timedelta(days=10):
        end += timedelta(hours=1)
    found = asked([rule], now)
    if end < now + timedelta(days=10):
        assert found == (end if end > now else None)
    else:
        assert found is not None and found >= end, "every day, without a gap"
