"""Working-day calendars: read as plain facts, changed by services, filled from a list that people paste or upload."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from django.db import transaction
from django.utils.translation import gettext as _

from apps.campaigns.errors import CampaignError
from apps.campaigns.models import Calendar, CalendarDay, Schedule
from apps.campaigns.recurrence import WorkingDays
from apps.operators import audit
from ums_site.clock import database_now

WORKED = frozenset({"work", "working", "workday", "make-up", "makeup", "班", "上班", "补班", "调休上班", "工作日"})
OFF = frozenset({"off", "holiday", "rest", "休", "休息", "放假", "节假日", "假"})
MOST_DAYS = 5000
LONGEST_EVENT = 60


class SpecialDay(NamedTuple):
    """One line of a list: a day, whether it is worked, and its name."""

    day: date
    working: bool
    name: str = ""


def working_days(calendar: Calendar) -> WorkingDays:
    """The calendar as the pure modules take it."""
    days = [(one.day, one.working) for one in calendar.days.all()]  # whoever reads many calendars has prefetched them
    return WorkingDays(
        frozenset(calendar.weekend),
        frozenset(day for day, working in days if not working),
        frozenset(day for day, working in days if working),
    )


def read_days(text: str) -> list[SpecialDay]:
    """The days of a list: `2026-10-01,off,国庆节` a line, or an iCalendar file. Raises CampaignError naming the line.

    In an iCalendar file an event whose name says 班 or work is a working day; every other event is a day off.
    """
    text = text.lstrip("\ufeff")
    days = _of_events(text) if "BEGIN:VEVENT" in text.upper() else list(_of_lines(text))
    if not days:
        raise CampaignError(_("There is no day in it: write a line such as 2026-10-01,off,National Day."), "days")
    if len(days) > MOST_DAYS:
        raise CampaignError(_("At most %(most)s days fit into one list.") % {"most": MOST_DAYS}, "days")
    return days


def _of_lines(text: str) -> Iterable[SpecialDay]:
    for number, line in enumerate(text.splitlines(), 1):
        parts = [part.strip() for part in line.replace("，", ",").replace(";", ",").replace("\t", ",").split(",")]
        if not any(parts) or line.lstrip().startswith("#") or (number == 1 and not parts[0][:1].isdigit()):
            continue  # an empty line, a remark, the names of the columns
        day = _day(parts[0])
        word = parts[1].lower() if len(parts) > 1 else "off"
        if day is None or word not in WORKED | OFF:
            said = _(
                "Line %(line)s: write the day as 2026-10-01 and then “off” or “work”: 2026-10-10,work,make-up day."
            )
            raise CampaignError(said % {"line": number}, "days")
        yield SpecialDay(day, word in WORKED, parts[2][:100] if len(parts) > 2 else "")


def _day(text: str) -> date | None:
    for form in ("%Y-%m-%d", "%Y/%m/%d", "%Y%m%d", "%Y.%m.%d"):
        try:
            return datetime.strptime(text, form).date()
        except ValueError:
            continue
    return None


def _of_events(text: str) -> list[SpecialDay]:
    found: list[SpecialDay] = []
    held: dict[str, str] = {}
    unfolded = text.replace("\r\n", "\n").replace("\n ", "").replace("\n\t", "")
    for line in unfolded.split("\n"):
        name, _colon, value = line.partition(":")
        key = name.split(";")[0].upper()
        if key == "BEGIN" and value.strip().upper() == "VEVENT":
            held = {}
        elif key == "END" and value.strip().upper() == "VEVENT":
            found += _days_of_event(held)
        else:
            held[key] = value.strip()
    return found


def _days_of_event(held: dict[str, str]) -> list[SpecialDay]:
    name = held.get("SUMMARY", "").replace("\\,", ",")
    first = _day(held.get("DTSTART", "")[:8])
    last = _day(held.get("DTEND", "")[:8])
    if first is None:
        raise CampaignError(_("The event “%(name)s” has no day that can be read.") % {"name": name}, "days")
    count = max(1, min((last - first).days, LONGEST_EVENT)) if last else 1
    working = any(word in name.lower() for word in ("班", "work", "make-up"))
    return [SpecialDay(first + timedelta(days=number), working, name[:100]) for number in range(count)]


@transaction.atomic
def save_calendar(
    *, actor: object, calendar: Calendar, days: Sequence[SpecialDay] = (), removed: Sequence[date] = ()
) -> Calendar:
    """Saves a calendar, adds these days (a day that it has is replaced) and takes others out. Raises CampaignError.

    Schedules follow it from now on, quiet hours with the next window.
    """
    if len(set(calendar.weekend)) == 7:
        raise CampaignError(_("A week needs a working day: leave at least one weekday unmarked."), "weekend")
    verb = "change_calendar" if calendar.pk else "add_calendar"
    calendar.weekend = sorted(set(calendar.weekend))
    calendar.save()
    calendar.days.filter(day__in=list(removed)).delete()
    newest = {one.day: one for one in days}
    CalendarDay.objects.bulk_create(
        [CalendarDay(calendar=calendar, day=one.day, working=one.working, name=one.name) for one in newest.values()],
        update_conflicts=True, unique_fields=["calendar", "day"], update_fields=["working", "name"],
    )  # fmt: skip
    # Beat finds their next occurrence anew; what is due already stays as it was.
    now = database_now()
    Schedule.objects.filter(calendar=calendar, state=Schedule.State.ACTIVE, next_at__gt=now).update(
        after_at=now, next_at=now
    )
    detail = {"name": calendar.name, "weekend": calendar.weekend, "days": len(newest), "removed": len(removed)}
    audit.record(actor=actor, verb=verb, what=calendar, detail=detail)
    return calendar
