"""F33: schedules over days that clocks jump, leap days and ends of months, while beats die: one run of each occurrence."""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from apps.campaigns.drafting import save_policy
from apps.campaigns.models import Policy, Schedule, ScheduleRun
from apps.campaigns.scheduling import save_schedule
from demo import stage
from tests.chaos.expected import Expected
from tests.chaos.field import Field, send_signal
from ums_site.clock import database_now

BEGIN = datetime(2024, 2, 1, 12, tzinfo=UTC)
ZONES = ("Asia/Shanghai", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe")
RULES = {
    "every day in the hour that clocks jump": "30 2 * * *",
    "last day of the month": "30 2 L * *",
    "leap day": "0 9 29 2 *",
}
KILLS = 4


def days_that_clocks_jump(ground: Field) -> Expected:
    """Nobody looked since February 2024; then three beats look at once, and die one after another."""
    ground.prepare()
    held = {(zone, rule): _schedule(ground, zone, cron) for zone in ZONES for rule, cron in RULES.items()}
    Schedule.objects.filter(pk__in=[one.pk for one in held.values()]).update(after_at=BEGIN, next_at=BEGIN)
    crew = ground.start_crew(beats=3)
    for number in range(KILLS):
        before = ScheduleRun.objects.count()
        ground.wait(lambda before=before: ScheduleRun.objects.count() > before or _rest(held), 40, "a further run")
        if pid := crew.pid(f"beat-{number % 3}"):
            send_signal([pid])
    ground.wait(lambda: _rest(held), 90, "every occurrence handled")
    ground.rest(90)

    out = Expected(0)
    for (zone, rule), one in held.items():
        names = list(ScheduleRun.objects.filter(schedule=one).values_list("occurrence_local", flat=True))
        expected = _days(rule, one)
        out.hold(len(names) == len(set(names)), f"{zone}, {rule}: an occurrence twice")
        out.hold(
            {name[:10] for name in names} == expected, f"{zone}, {rule}: {len(names)} runs, {len(expected)} expected"
        )
    started = ScheduleRun.objects.filter(state="started").count()
    out.note = f"{ScheduleRun.objects.count()} runs of {len(held)} schedules, {started} started"
    return out


def _schedule(ground: Field, zone: str, cron: str) -> Schedule:
    plan = {"steps": [{"channels": [{"account": ground.profile.account}], "until": "accepted"}]}
    policy = Policy.objects.filter(code="chaos").first() or save_policy(
        actor="chaos", policy=Policy(code="chaos", name="c", plan=plan)
    )
    return save_schedule(
        actor="chaos",
        schedule=Schedule(
            name=f"{zone} {cron}", business_line=stage.business_line(), cron=cron, zone=zone, message_class="marketing",
            template=ground.campaign.template_version.template, policy=policy,
            audience={"kind": "filter", "tags_any": ["nobody"]},
        ),
    )  # fmt: skip


def _rest(held: dict[tuple[str, str], Schedule]) -> bool:
    due = Schedule.objects.filter(pk__in=[one.pk for one in held.values()], state="ACTIVE", next_at__lte=database_now())
    return not due.exists()


def _days(rule: str, schedule: Schedule) -> set[str]:
    """The local days that must have a run, from the calendar alone."""
    schedule.refresh_from_db()
    last = ScheduleRun.objects.filter(schedule=schedule).latest("nominal_at").occurrence_local[:10]
    day, found = date(2024, 2, 1), set()
    while str(day) <= last:
        of_month = calendar.monthrange(day.year, day.month)[1]
        wanted = {"last day of the month": day.day == of_month, "leap day": (day.month, day.day) == (2, 29)}.get(
            rule, True
        )
        if wanted and _after(day, schedule):
            found.add(str(day))
        day += timedelta(days=1)
    return found


def _after(day: date, schedule: Schedule) -> bool:
    """Whether the occurrence of that day comes behind the moment that nobody looked since."""
    hour = 9 if schedule.cron.startswith("0 9") else 2
    return datetime(day.year, day.month, day.day, hour, 30, tzinfo=ZoneInfo(schedule.zone)) > BEGIN
