"""Recurrences against a model that walks every minute of the clock, and the days on which clocks jump."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import islice, takewhile
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.campaigns.recurrence import BadRule, Occurrence, Rule, WorkingDays, check, judge, occurrences

ZONES = ["Asia/Shanghai", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/St_Johns"]
DAY = timedelta(days=1)


def between(rule: Rule, start: datetime, end: datetime) -> list[Occurrence]:
    return list(takewhile(lambda one: one.at < end, occurrences(rule, start)))


def jumps(zone: str, first_year: int, last_year: int) -> list[date]:
    """The days on which clocks of the zone jump."""
    found, held = [], ZoneInfo(zone)
    day = datetime(first_year, 1, 1, tzinfo=UTC)
    while day.year <= last_year:
        if day.astimezone(held).utcoffset() != (day + DAY).astimezone(held).utcoffset():
            found.append((day + DAY).astimezone(held).date())
        day += DAY
    return found


@pytest.mark.parametrize("on_day_off", ["skip", "next", "previous"])
@pytest.mark.parametrize("cron", ["0 9 * * 6", "* * * * 6"])
def test_what_days_off_leave_nothing_of_ends(cron: str, on_day_off: Any) -> None:
    """Saturdays are off: left out, nothing is left, and whoever asks is told so soon. Moved, there is always a next one."""
    found = occurrences(Rule(cron, "Asia/Shanghai", WorkingDays(), on_day_off), datetime(2026, 1, 1, tzinfo=UTC))
    assert (next(found, None) is None) == (on_day_off == "skip")
    rare = Rule("0 9 29 2 *", "Asia/Shanghai", WorkingDays(), "skip")
    assert [one.local.year for one in occurrences(rare, datetime(2026, 1, 1, tzinfo=UTC))][:3] == [2028, 2036, 2040]


# --- the independent model: each minute of UTC is looked at on the wall

Times = tuple[frozenset[int], frozenset[int]]


def walked(minutes: frozenset[int], hours: frozenset[int], zone: str, start: datetime, end: datetime) -> list[datetime]:
    """Moments after `start` at which the wall shows a wanted time for the first time, or has just skipped one."""
    held, found, moment = ZoneInfo(zone), [], start + timedelta(minutes=1)
    before = start.astimezone(held).replace(tzinfo=None)
    latest = before
    while moment < end:
        wall = moment.astimezone(held).replace(tzinfo=None)
        shown = list(_minutes(latest, wall))  # those skipped, and this one; none where the wall repeats itself
        if any(one.hour in hours and one.minute in minutes for one in shown):
            found.append(moment)
        latest = max(latest, wall)
        moment += timedelta(minutes=1)
    return found


def _minutes(after: datetime, until: datetime) -> Iterator[datetime]:
    while after < until:
        after += timedelta(minutes=1)
        yield after


JUMPS = [(zone, day) for zone in ZONES for day in jumps(zone, 2024, 2027)]


@given(
    place=st.sampled_from([*JUMPS, ("Asia/Shanghai", date(2026, 3, 1))]),
    minutes=st.frozensets(st.integers(0, 59), min_size=1, max_size=4),
    hours=st.frozensets(st.integers(0, 23), min_size=1, max_size=6),
)
@settings(max_examples=30, deadline=None)
def test_the_rule_agrees_with_walking_the_clock(
    place: tuple[str, date], minutes: frozenset[int], hours: frozenset[int]
) -> None:
    zone, day = place
    start = datetime(day.year, day.month, day.day, tzinfo=UTC) - DAY
    expression = f"{','.join(map(str, sorted(minutes)))} {','.join(map(str, sorted(hours)))} * * *"
    found = between(Rule(expression, zone), start, start + 3 * DAY)
    assert [one.at for one in found] == walked(minutes, hours, zone, start, start + 3 * DAY)


@pytest.mark.parametrize("zone", ZONES)
def test_daily_rules_run_once_each_day_of_many_years(zone: str) -> None:
    """F33: every wall time in the night, on each day clocks jump and its neighbours: once a day, never twice."""
    for day in jumps(zone, 2020, 2030) or [date(2026, 3, 1)]:
        for minute in range(0, 4 * 60, 30):
            start = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)) - DAY
            end = datetime(day.year, day.month, day.day, 23, 59, tzinfo=ZoneInfo(zone)) + DAY
            rule = Rule(f"{minute % 60} {minute // 60} * * *", zone)
            found = between(rule, start - timedelta(seconds=1), end)
            assert [one.local.date() for one in found] == [day - DAY, day, day + DAY], (day, minute)
            assert len({one.local for one in found}) == 3


def test_a_skipped_time_goes_at_the_first_moment_after_and_a_repeated_one_once() -> None:
    spring = next(occurrences(Rule("30 2 * * *", "Europe/Berlin"), datetime(2026, 3, 28, 12, tzinfo=UTC)))
    assert spring == Occurrence(datetime(2026, 3, 29, 3), datetime(2026, 3, 29, 1, tzinfo=UTC), "gap")
    autumn = list(islice(occurrences(Rule("30 2 * * *", "Europe/Berlin"), datetime(2026, 10, 24, 12, tzinfo=UTC)), 2))
    assert autumn[0] == Occurrence(datetime(2026, 10, 25, 2, 30), datetime(2026, 10, 25, 0, 30, tzinfo=UTC), "overlap")
    assert autumn[1].local == datetime(2026, 10, 26, 2, 30)
    samoa = between(
        Rule("0 9 * * *", "Pacific/Apia"), datetime(2011, 12, 29, tzinfo=UTC), datetime(2011, 12, 31, 12, tzinfo=UTC)
    )
    assert [one.local for one in samoa] == [
        datetime(2011, 12, 29, 9), datetime(2011, 12, 31), datetime(2011, 12, 31, 9)
    ]  # fmt: skip


def test_leap_days_and_the_ends_of_months() -> None:
    start, end = datetime(2024, 1, 1, tzinfo=UTC), datetime(2033, 1, 1, tzinfo=UTC)
    leap = between(Rule("0 9 29 2 *", "Asia/Shanghai"), start, end)
    assert [one.local.year for one in leap] == [2024, 2028, 2032]
    last = between(Rule("0 9 L * *", "Asia/Shanghai"), start, end)
    assert len(last) == 9 * 12
    assert all((one.local + DAY).day == 1 for one in last)
    assert len(between(Rule("0 9 31 * *", "Asia/Shanghai"), start, end)) == 9 * 7


GOLDEN_WEEK = WorkingDays(
    off=frozenset(date(2026, 10, day) for day in range(1, 8)), worked=frozenset({date(2026, 9, 27), date(2026, 10, 10)})
)


@pytest.mark.parametrize(
    ("on_day_off", "days"),
    [
        ("send", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
        ("skip", [8, 9, 10, 12]),
        ("next", [8, 9, 10, 12]),
        ("previous", [8, 9, 10, 12]),
    ],
)
def test_days_off_are_skipped_or_moved_and_make_up_days_are_worked(on_day_off: str, days: list[int]) -> None:
    rule = Rule("0 9 * * *", "Asia/Shanghai", GOLDEN_WEEK, on_day_off)  # type: ignore[arg-type]
    found = between(rule, datetime(2026, 9, 30, 8, tzinfo=UTC), datetime(2026, 10, 12, 8, tzinfo=UTC))
    assert [one.local.day for one in found] == days


def test_what_moves_onto_one_day_keeps_its_time_and_happens_once() -> None:
    begin, end = datetime(2026, 9, 30, 8, tzinfo=UTC), datetime(2026, 10, 9, tzinfo=UTC)
    later = between(Rule("0 9,18 1,3 * *", "Asia/Shanghai", GOLDEN_WEEK, "next"), begin, end)
    assert [(one.local, one.note) for one in later] == [
        (datetime(2026, 10, 8, 9), "moved"), (datetime(2026, 10, 8, 18), "moved")
    ]  # fmt: skip
    middle = between(Rule("0 9,18 1,3 * *", "Asia/Shanghai", GOLDEN_WEEK, "next"), later[0].at, end)
    assert middle == later[1:], "the next one follows from the one before"
    earlier = between(
        Rule("0 9 1 * *", "Asia/Shanghai", GOLDEN_WEEK, "previous"), datetime(2026, 9, 20, tzinfo=UTC), end
    )
    assert [one.local for one in earlier] == [datetime(2026, 9, 30, 9)]
    asked_on_the_day = between(
        Rule("0 9 1 * *", "Asia/Shanghai", GOLDEN_WEEK, "previous"), datetime(2026, 9, 30, tzinfo=UTC), end
    )
    assert asked_on_the_day == earlier


@given(step=st.integers(1, 200), on_day_off=st.sampled_from(["send", "skip", "next", "previous"]))
@settings(max_examples=20, deadline=None)
def test_going_on_from_any_occurrence_gives_the_same_rest(step: int, on_day_off: str) -> None:
    rule = Rule("*/45 8-20 * * *", "Europe/Berlin", GOLDEN_WEEK, on_day_off)  # type: ignore[arg-type]
    whole = list(islice(occurrences(rule, datetime(2026, 9, 25, tzinfo=UTC)), step + 3))
    assert list(islice(occurrences(rule, whole[step - 1].at), 3)) == whole[step:]
    assert [one.at for one in whole] == sorted({one.at for one in whole})


@pytest.mark.parametrize(
    ("cron", "zone", "field", "code"),
    [
        ("0 9 * *", "Asia/Shanghai", "cron", "fields"),
        ("0 0 9 * * *", "Asia/Shanghai", "cron", "fields"),
        ("0 25 * * *", "Asia/Shanghai", "cron", "unreadable"),
        ("r 9 * * *", "Asia/Shanghai", "cron", "unreadable"),
        ("R(1-5) 9 * * *", "Asia/Shanghai", "cron", "unreadable"),
        ("0 9 x;y * *", "Asia/Shanghai", "cron", "unreadable"),
        ("0 0 30 2 *", "Asia/Shanghai", "cron", "never"),
        ("0 9 * * *", "Asia/Atlantis", "zone", "zone"),
        ("0 9 * * *", "../../etc/passwd", "zone", "zone"),
        ("0 9 * * *", "", "zone", "zone"),
    ],
)
def test_bad_rules_say_what_is_wrong(cron: str, zone: str, field: str, code: str) -> None:
    with pytest.raises(BadRule) as refused:
        check(Rule(cron, zone))
    assert (refused.value.field, refused.value.code) == (field, code)


def test_misfires_by_rule_and_grace() -> None:
    now = datetime(2026, 11, 29, 12, tzinfo=UTC)
    late = [Occurrence(datetime(2026, 1, 1), now - timedelta(minutes=ago)) for ago in (130, 90, 50, 10, 0)]

    def verdicts(due: list[Occurrence], catch_up: str) -> list[str]:
        return [one.verdict for one in judge(due, now, catch_up, timedelta(hours=1))]  # type: ignore[arg-type]

    assert verdicts(late, "none") == ["missed"] * 4 + ["start"]
    assert verdicts(late, "latest") == ["missed", "missed", "skipped", "skipped", "start"]
    assert verdicts(late, "all") == ["missed", "missed", "start", "start", "start"]
    assert verdicts(late[:4], "latest") == ["missed", "missed", "skipped", "start"]
    assert verdicts(late[:2], "latest") == ["missed", "missed"]
    assert verdicts(late[:4], "none") == ["missed"] * 4
