"""Schedules in words for people: when they happen, what became of their runs, the moments in their own zone."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from apps.campaigns.models import Schedule, ScheduleRun
from apps.campaigns.models.times import WEEKDAYS
from apps.campaigns.recurrence import Occurrence
from apps.campaigns.words import seconds_in_words

NOTES = {
    "gap": gettext_lazy("clocks skip the time of the rule that day: the first moment after"),
    "overlap": gettext_lazy("clocks repeat this hour that day: the first time only"),
    "moved": gettext_lazy("moved from a day off"),
}
WHYS = {
    "no_catch_up": gettext_lazy("late, and nothing that is late is made up for"),
    "too_late": gettext_lazy("too late to be made up for"),
    "later_one_due": gettext_lazy("a later one was due as well and was sent"),
}
EVERY_MINUTES = "*/"


def rule_in_words(cron: str, on_day_off: str = "send") -> str:
    """The common rules as a sentence; a rarer one as it is written."""
    minute, hour, day, month, weekday = (cron.split() + [""] * 5)[:5]
    if (hour, day, month, weekday) == ("*", "*", "*", "*"):
        return _hourly(minute) or cron
    if not (minute.isdigit() and hour.isdigit()) or month != "*":
        return cron
    at = f"{int(hour):02}:{int(minute):02}"
    if (day, weekday) == ("*", "*"):
        working = on_day_off == "skip"
        return (_("every working day at %(time)s") if working else _("every day at %(time)s")) % {"time": at}
    if day == "*":
        names = weekdays_in_words(weekday)
        return _("%(days)s at %(time)s") % {"days": names, "time": at} if names else cron
    if weekday != "*":
        return cron
    if day.upper() == "L":
        return _("on the last day of the month at %(time)s") % {"time": at}
    return _("on day %(day)s of the month at %(time)s") % {"day": day, "time": at} if day.isdigit() else cron


def _hourly(minute: str) -> str:
    if minute == "*":
        return _minutes(1)
    if minute.isdigit():
        return _("every hour at minute %(minute)s") % {"minute": minute}
    step = minute.removeprefix(EVERY_MINUTES)
    if minute.startswith(EVERY_MINUTES) and step.isdigit():
        return _minutes(int(step))
    return ""


def _minutes(count: int) -> str:
    return ngettext("every minute", "every %(count)s minutes", count) % {"count": count}


def weekdays_in_words(field: str) -> str:
    """`1-5` or `1,3` of cron (Sunday is 0 or 7) as names; empty for anything else."""
    names = [str(WEEKDAYS[number][1]) for number in (6, 0, 1, 2, 3, 4, 5, 6)]
    first, dash, last = field.partition("-")
    if dash and first.isdigit() and last.isdigit() and int(first) < int(last) <= 7:
        return _("%(first)s to %(last)s") % {"first": names[int(first)], "last": names[int(last)]}
    parts = field.split(",")
    return ", ".join(names[int(one)] for one in parts) if all(one in list("01234567") for one in parts) else ""


def when_in_words(schedule: Schedule) -> str:
    """The rule, with its calendar where that moves occurrences."""
    said = rule_in_words(" ".join(schedule.cron.split()), schedule.on_day_off)
    if schedule.on_day_off in (Schedule.OnDayOff.NEXT, Schedule.OnDayOff.PREVIOUS):
        said = _("%(rule)s; on a day off: %(move)s") % {"rule": said, "move": schedule.get_on_day_off_display()}
    return said


def moment_in_words(moment: datetime | None, zone: str) -> str:
    """The wall time in a zone, with its weekday and offset."""
    if moment is None:
        return "—"
    local = moment.astimezone(ZoneInfo(zone))
    return f"{day_in_words(local.date())} {local:%H:%M} (UTC{local:%z})"


def day_in_words(day: date) -> str:
    """A day with the name of its weekday."""
    return f"{day:%Y-%m-%d} {date_format(day, 'D')}"


def occurrence_rows(found: list[Occurrence], zone: str) -> list[dict[str, Any]]:
    """Occurrences as the pages show them."""
    return [{"when": moment_in_words(one.at, zone), "note": NOTES.get(one.note, "")} for one in found]


def run_why(run: ScheduleRun) -> str:
    """Why a run did not start, or what is to be known of one that did."""
    return str(WHYS.get(run.why, run.why) or NOTES.get(run.note, ""))


def lateness_in_words(run: ScheduleRun) -> str:
    """How late it began; less than a second is not late."""
    if run.lateness is None or run.state != ScheduleRun.State.STARTED:
        return "—"
    return seconds_in_words(run.lateness.total_seconds())
