"""Quiet hours: whether something must wait now, and until when. Pure; `now` is passed in.

A rule names the classes that it holds, a business line and a region (or all), and a stretch of local time on some days.
A region's rules stand in place of those without one for people of that region. Of several rules that hold at once all
must have ended; where one of them drops, the message is dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from apps.campaigns.recurrence import WorkingDays, instant

MOST_IN_A_ROW = 400  # stretches that follow one another without a gap; then it is looked at again
DAY = timedelta(days=1)


@dataclass(frozen=True)
class QuietRule:
    """`weekdays` (Monday is 0) are those on which it begins; `days` narrows them by a calendar."""

    classes: frozenset[str]
    since: time
    until: time
    zone: str
    line: int | None = None
    region: str = ""
    weekdays: frozenset[int] = frozenset(range(7))
    days: Literal["every", "working", "off"] = "every"
    calendar: WorkingDays | None = None
    drops: bool = False

    def concerns(self, message_class: str, line: int) -> bool:
        return message_class in self.classes and self.line in (None, line)

    def begins_on(self, day: date) -> bool:
        if self.days == "every" or self.calendar is None:
            return day.weekday() in self.weekdays
        return self.calendar.working(day) == (self.days == "working")

    def end_of(self, now: datetime) -> datetime | None:
        """When the stretch ends in which `now` (aware) lies; None outside of one."""
        zone = ZoneInfo(self.zone)
        today = now.astimezone(zone).date()
        ends = [end for day in (today - DAY, today) if (end := self._end(day, now, zone)) is not None]
        return max(ends, default=None)

    def _end(self, day: date, now: datetime, zone: ZoneInfo) -> datetime | None:
        if not self.begins_on(day):
            return None
        last = day if self.until > self.since else day + DAY
        begin, _note = instant(datetime.combine(day, self.since), zone)
        end, _note = instant(datetime.combine(last, self.until), zone)
        return end if begin <= now < end else None


class Quiet(NamedTuple):
    """Nothing goes before `until`; `drops`: not then either."""

    until: datetime
    drops: bool = False


def concerning(rules: Iterable[QuietRule], region: str) -> list[QuietRule]:
    """The rules for people of a region ("" where it is not known)."""
    held = list(rules)
    own = [one for one in held if region and one.region == region]
    return own or [one for one in held if not one.region]


def quiet_until(rules: Sequence[QuietRule], message_class: str, line: int, region: str, now: datetime) -> Quiet | None:
    """Whether something of this class and line must wait now, and until when; None where it may go."""
    meant = concerning((one for one in rules if one.concerns(message_class, line)), region)
    moment, drops = now, False
    for _stretch in range(MOST_IN_A_ROW):
        ends = [(end, one.drops) for one in meant if (end := one.end_of(moment)) is not None]
        if not ends:
            break
        drops = drops or (moment == now and any(dropping for _end, dropping in ends))
        moment = max(end for end, _dropping in ends)
    return Quiet(moment, drops) if moment > now else None


STEP = timedelta(minutes=5)
MOST_STEPS = 12 * 24 * 31


def quiet_seconds(rules: Sequence[QuietRule], message_class: str, line: int, begin: datetime, seconds: float) -> float:
    """How long quiet hours hold up what takes `seconds` of sending from `begin` on, counted in steps of five minutes."""
    moment, left, waited = begin, timedelta(seconds=seconds), timedelta()
    for _step in range(MOST_STEPS):
        quiet = quiet_until(rules, message_class, line, "", moment)
        if quiet is not None:
            waited += quiet.until - moment
            moment = quiet.until
        if left <= STEP:
            break
        moment, left = moment + STEP, left - STEP
    return waited.total_seconds()
