"""When a recurring rule happens: a cron expression as local wall time in an IANA zone. Pure.

croniter gives the wall times (and knows `L`, the month's last day, and leap days); what they mean as moments is decided
here, since croniter runs a rule twice in the hour that clocks repeat:

    a wall time that a clock skips      -> the first moment after the gap
    a wall time that a clock repeats    -> the first of the two, once
    several that become one moment      -> one occurrence

An occurrence is named by the wall time that clocks show at its moment, so that a name stands for one moment and the
other way round. The next one is found from the one before, never from now.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from croniter import croniter

OnDayOff = Literal["send", "skip", "next", "previous"]
CatchUp = Literal["none", "latest", "all"]
ON_TIME = timedelta(minutes=1)  # what starts within it is on time; beat looks every second
LONGEST_REST = 60  # days without a working day after which a moved occurrence is given up
MOST_DUE = 500  # looked at in one go; what is left comes with the next
FARTHEST = timedelta(days=366 * 50)  # what does not happen within fifty years never does
FIELDS = re.compile(r"(?:[0-9*,/\-#?L]|[A-Za-z]{3})+")
RANDOM = re.compile(r"(?i)(?<![a-z])[hr](?![a-z])")


class BadRule(ValueError):
    """The rule cannot be followed. `field` is cron, zone or days; `code` one of fields, unreadable, never, zone."""

    def __init__(self, field: str, code: str) -> None:
        super().__init__(f"{field}: {code}")
        self.field, self.code = field, code


@dataclass(frozen=True)
class WorkingDays:
    """Weekdays off (Monday is 0), days off besides (holidays), and days worked all the same (make-up days, 调休)."""

    weekend: frozenset[int] = frozenset({5, 6})
    off: frozenset[date] = frozenset()
    worked: frozenset[date] = frozenset()

    def working(self, day: date) -> bool:
        return day in self.worked or (day.weekday() not in self.weekend and day not in self.off)

    def nearest(self, day: date, step: int) -> date | None:
        """The day itself if it is worked, else the next (step 1) or the one before (step -1); None in a long rest."""
        for distance in range(LONGEST_REST):
            found = day + timedelta(days=distance * step)
            if self.working(found):
                return found
        return None


@dataclass(frozen=True)
class Rule:
    """A cron expression of five fields, its zone, and what happens on days off where a calendar is given."""

    cron: str
    zone: str
    days: WorkingDays | None = field(default=None, compare=False)
    on_day_off: OnDayOff = "send"


class Occurrence(NamedTuple):
    """One occurrence: its name, its moment (UTC), and why that is not the wall time of the rule: gap, overlap, moved."""

    local: datetime
    at: datetime
    note: str = ""


def instant(local: datetime, zone: ZoneInfo) -> tuple[datetime, str]:
    """The moment (UTC) of a naive wall time, and gap or overlap where clocks skip or repeat it."""
    first = local.replace(tzinfo=zone, fold=0)
    second = local.replace(tzinfo=zone, fold=1)
    early, late = first.utcoffset(), second.utcoffset()
    assert early is not None and late is not None
    if early == late:
        return first.astimezone(UTC), ""
    if early > late:
        return first.astimezone(UTC), "overlap"
    return _end_of_gap(local - late, local - early, zone), "gap"


def _end_of_gap(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The moment between two (naive, UTC) at which the clock jumps, to the second."""
    target = after.replace(tzinfo=UTC).astimezone(zone).utcoffset()
    low, high = before.replace(microsecond=0), after.replace(microsecond=0)
    while high - low > timedelta(seconds=1):
        middle = (low + (high - low) / 2).replace(microsecond=0)
        if middle.replace(tzinfo=UTC).astimezone(zone).utcoffset() == target:
            high = middle
        else:
            low = middle
    return high.replace(tzinfo=UTC)


def zone_of(name: str) -> ZoneInfo:
    """Raises BadRule for a name that the IANA database does not have."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as unknown:
        raise BadRule("zone", "zone") from unknown


def check(rule: Rule) -> None:
    """Raises BadRule for what cannot be read and for what never happens."""
    zone_of(rule.zone)
    parts = rule.cron.split()
    if len(parts) != 5:
        raise BadRule("cron", "fields")
    if RANDOM.search(rule.cron) or not all(FIELDS.fullmatch(part) for part in parts):
        raise BadRule("cron", "unreadable")
    try:
        reader = croniter(rule.cron, datetime(2026, 1, 1))
    except ValueError as unreadable:
        raise BadRule("cron", "unreadable") from unreadable
    try:
        reader.get_next(datetime)
    except ValueError as never:
        raise BadRule("cron", "never") from never
    if rule.on_day_off != "send" and rule.days is not None and len(rule.days.weekend) == 7 and not rule.days.worked:
        raise BadRule("days", "never")


def occurrences(rule: Rule, after: datetime) -> Iterator[Occurrence]:
    """Every occurrence strictly after a moment (aware) and within FARTHEST of it, in order. A valid rule."""
    zone, last = ZoneInfo(rule.zone), after
    for nominal, moved in _wall_times(rule, after.astimezone(zone).replace(tzinfo=None, fold=0)):
        at, note = instant(moved, zone)
        if at > last:
            last = at
            shown = at.astimezone(zone).replace(tzinfo=None, fold=0)
            yield Occurrence(shown, at, "moved" if moved != nominal else note)


def _wall_times(rule: Rule, start: datetime) -> Iterator[tuple[datetime, datetime]]:
    """(wall time of the rule, wall time after moving), ordered by the second, from the day of `start` on."""
    days = rule.days if rule.on_day_off != "send" else None
    if days is None:
        yield from ((one, one) for one in _cron(rule.cron, start - timedelta(minutes=1)))
    elif rule.on_day_off == "skip":
        yield from ((one, one) for one in _worked(rule.cron, days, start - timedelta(minutes=1)))
    else:
        step = 1 if rule.on_day_off == "next" else -1
        begin = _rest_before(days, start.date()) if step == 1 else start.date()
        nominal = _cron(rule.cron, datetime.combine(begin, time()) - timedelta(minutes=1))
        for day, held in groupby(nominal, lambda one: days.nearest(one.date(), step)):
            if day is not None:
                moves = ((one, datetime.combine(day, one.time())) for one in held)
                # Several days move onto this one: by time of day, those that belong there first.
                yield from sorted(moves, key=lambda pair: (pair[1], pair[0] != pair[1]))


def _rest_before(days: WorkingDays, day: date) -> date:
    """The first day of the rest that ends on the day before `day`, or `day`."""
    for _distance in range(LONGEST_REST):
        if days.working(day - timedelta(days=1)):
            break
        day -= timedelta(days=1)
    return day


def _worked(expression: str, days: WorkingDays, start: datetime) -> Iterator[datetime]:
    """Those of working days. A day off is passed over whole: every minute of every Saturday would take hours to leave out."""
    end, at = start + FARTHEST, start
    while at < end:
        for one in _cron(expression, at, end):
            if not days.working(one.date()):
                at = datetime.combine(one.date(), time(23, 59))
                break
            yield one
        else:
            return


def _cron(expression: str, start: datetime, end: datetime | None = None) -> Iterator[datetime]:
    """Wall times after `start`, none after `end`."""
    reader = croniter(expression, start.replace(second=0, microsecond=0))
    last = end or start + FARTHEST
    while True:
        try:
            one = reader.get_next(datetime)
        except ValueError:  # nothing within fifty years
            return
        if one > last:
            return
        yield one


class Judged(NamedTuple):
    """What becomes of an occurrence that is due: it starts, or was `skipped` for a later one, or is `missed`."""

    occurrence: Occurrence
    verdict: Literal["start", "skipped", "missed"]
    why: str = ""


def judge(due: Sequence[Occurrence], now: datetime, catch_up: CatchUp, grace: timedelta) -> list[Judged]:
    """Misfires: what is on time starts; of what is late, none, the latest or all within `grace` do."""
    judged = []
    for number, one in enumerate(due):
        late, is_last = now - one.at, number == len(due) - 1
        if late <= ON_TIME and (catch_up != "latest" or is_last):
            judged.append(Judged(one, "start"))
        elif catch_up == "none":
            judged.append(Judged(one, "missed", "no_catch_up"))
        elif late > max(grace, ON_TIME):
            judged.append(Judged(one, "missed", "too_late"))
        elif catch_up == "latest" and not is_last:
            judged.append(Judged(one, "skipped", "later_one_due"))
        else:
            judged.append(Judged(one, "start"))
    return judged
