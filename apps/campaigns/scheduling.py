"""Schedules: saved, paused, resumed, ended, and launched by beat when an occurrence is due."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, takewhile
from typing import Any

import structlog
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.utils.translation import gettext as _

from apps.campaigns.calendars import working_days
from apps.campaigns.ceiling import currency_of
from apps.campaigns.errors import CampaignError
from apps.campaigns.models import Campaign, Schedule, ScheduleRun
from apps.campaigns.policy import BadPolicy, freeze
from apps.campaigns.recurrence import (
    MOST_DUE,
    BadRule,
    Judged,
    Occurrence,
    Rule,
    check,
    judge,
    occurrences,
)
from apps.campaigns.services import checked_audience, checked_class, create_campaign, need_bodies, submit_campaign
from apps.channels.selectors import account_facts
from apps.operators import audit
from apps.operators.models import Operator
from apps.partners.models import ApiKey
from apps.templates.models import TemplateVersion
from ums_site.clock import database_now, transaction_now
from ums_site.database import connection_lost
from ums_site.failpoints import failpoint

log = structlog.get_logger(__name__)
LONGEST_GRACE = timedelta(days=7)
LONGEST_EXPIRY = timedelta(days=30)
FARTHEST_START = timedelta(days=3660)


@dataclass(frozen=True)
class OfSchedule:
    """Who orders a schedule's campaigns: the schedule, for the operator who made it or the key that gave it, whom approval
    takes for the author."""

    schedule: Schedule

    @property
    def pk(self) -> int | None:
        return self.schedule.created_by_id

    @property
    def key(self) -> ApiKey | None:
        return self.schedule.saved_key

    def __str__(self) -> str:
        return f"schedule {self.schedule.name}"


def rule_of(schedule: Schedule) -> Rule:
    """When it happens, as the pure module takes it."""
    days = working_days(schedule.calendar) if schedule.calendar_id and schedule.calendar else None
    return Rule(" ".join(schedule.cron.split()), schedule.zone, days, schedule.on_day_off)  # type: ignore[arg-type]


def bad_rule_in_words(bad: BadRule) -> str:
    """What is wrong with a rule, and the remedy."""
    return {
        "fields": _("Write five fields: minute, hour, day of the month, month, weekday. 0 9 * * 1-5 is 09:00 Monday to Friday."),
        "unreadable": _("This cannot be read: check each of the five fields; L stands for the last day of the month."),
        "never": _("This never happens: choose days that there are."),
        "zone": _("No such time zone: write one such as Asia/Shanghai or Europe/Berlin."),
    }[bad.code]  # fmt: skip


def coming(schedule: Schedule, count: int, *, until: datetime | None = None) -> list[Occurrence]:
    """The next occurrences, saved or not; those up to `until`, if given, and one more. Raises CampaignError where the
    rule cannot be followed."""
    rule = rule_of(schedule)
    try:
        check(rule)
    except BadRule as bad:
        raise CampaignError(bad_rule_in_words(bad), bad.field) from bad
    begin = schedule.after_at
    if schedule.starts_at is not None:
        begin = max(begin, schedule.starts_at - timedelta(microseconds=1))
    found = _until_end(schedule, occurrences(rule, begin))
    return list(islice(found if until is None else _and_one_more(found, until), count))


def _and_one_more(found: Iterable[Occurrence], until: datetime) -> Iterator[Occurrence]:
    for one in found:
        yield one
        if one.at > until:
            return


def _until_end(schedule: Schedule, found: Iterable[Occurrence]) -> Iterable[Occurrence]:
    end = schedule.ends_at
    return found if end is None else takewhile(lambda one: one.at <= end, found)


@transaction.atomic
def save_schedule(*, actor: object, schedule: Schedule) -> Schedule:
    """Saves a schedule whose every part can be followed as things stand. What is due from now on counts.

    Raises CampaignError naming the field at fault.
    """
    _check_what(schedule)
    if not timedelta(0) <= schedule.misfire_grace <= LONGEST_GRACE:
        raise CampaignError(_("Give a time from nothing to seven days."), "misfire_grace")
    if schedule.expires_after is not None and not timedelta(0) < schedule.expires_after <= LONGEST_EXPIRY:
        raise CampaignError(_("Give more than nothing and at most thirty days, or leave it empty."), "expires_after")
    if schedule.starts_at is not None and schedule.starts_at > database_now() + FARTHEST_START:
        raise CampaignError(_("Choose a time within the next ten years."), "starts_at")
    if schedule.on_day_off != Schedule.OnDayOff.SEND and schedule.calendar is None:
        raise CampaignError(_("Choose the calendar that says which days are off."), "calendar")
    if schedule.pk:
        before = Schedule.objects.select_for_update().get(pk=schedule.pk)
        if before.state == Schedule.State.ENDED:
            raise CampaignError(_("The schedule has ended: make a new one."))
        schedule.state = before.state
    _note_author(actor, schedule)
    _count_from(schedule, database_now())
    verb = "change_schedule" if schedule.pk else "add_schedule"
    schedule.save()
    audit.record(actor=actor, verb=verb, what=schedule, detail=_said(schedule))
    return schedule


def _note_author(actor: object, schedule: Schedule) -> None:
    """Whoever wrote it agrees to nothing that it sends."""
    if isinstance(key := getattr(actor, "key", None), ApiKey):
        schedule.saved_key_id = key.pk
    elif isinstance(actor, Operator) and schedule.pk:
        schedule.edited_by = actor
    elif isinstance(actor, Operator):
        schedule.created_by = actor


def _check_what(schedule: Schedule) -> None:
    """What it sends could be sent now: the name, class, audience, template, policy and pace fit each other."""
    if not schedule.name.strip():
        raise CampaignError(_("Give the schedule a name."), "name")
    checked_class(schedule.message_class)
    schedule.audience = checked_audience(schedule.audience)
    pace = schedule.pace_per_second
    if pace is not None and pace <= 0:
        raise CampaignError(_("Give a pace above zero, or none."), "pace_per_second")
    version = version_of(schedule)
    try:
        plan = freeze(schedule.policy.plan, account_facts(schedule.business_line))
    except BadPolicy as bad:
        raise CampaignError(str(bad), "policy") from bad
    need_bodies(plan, version)
    if schedule.cost_ceiling is not None:
        if schedule.cost_ceiling < 0:
            raise CampaignError(_("A limit is zero or more."), "cost_ceiling")
        currency_of(plan)


def version_of(schedule: Schedule) -> TemplateVersion:
    """The version that it sends now: the fixed one, or the latest published. Raises CampaignError where there is none."""
    if schedule.template_version_id is not None and schedule.template_version is not None:
        if schedule.template_version.template_id != schedule.template_id:
            raise CampaignError(_("This version belongs to another template."), "template_version")
        return schedule.template_version
    newest = TemplateVersion.objects.filter(template_id=schedule.template_id).order_by("-number").first()
    if newest is None:
        raise CampaignError(_("The template has no published version: publish it first."), "template")
    return newest


def _count_from(schedule: Schedule, now: datetime) -> None:
    """The next occurrence is the first after now: what was due under another rule or in a pause is not made up for."""
    schedule.after_at = now
    following = coming(schedule, 1)
    if not following and schedule.ends_at is None:
        raise CampaignError(bad_rule_in_words(BadRule("cron", "never")), "cron")
    if not following:
        raise CampaignError(_("It would never happen: the time from and until leaves no occurrence."), "ends_at")
    schedule.next_at = following[0].at


def _said(schedule: Schedule) -> dict[str, Any]:
    return {
        "name": schedule.name, "cron": schedule.cron, "zone": schedule.zone, "class": schedule.message_class,
        "audience": schedule.audience, "policy": schedule.policy.code, "template": schedule.template.code,
        "catch_up": schedule.catch_up, "on_day_off": schedule.on_day_off,
        "cost_ceiling": None if schedule.cost_ceiling is None else f"{schedule.cost_ceiling.normalize():f}",
    }  # fmt: skip


@transaction.atomic
def set_schedule_state(*, actor: object, schedule: Schedule, state: str) -> Schedule:
    """Pauses, resumes or ends a schedule; campaigns that it started go on. Raises CampaignError.

    Resumed, it goes on with the first occurrence after now.
    """
    held = Schedule.objects.select_for_update(of=("self",)).get(pk=schedule.pk)
    if held.state == Schedule.State.ENDED or held.state == state:
        words = _("The schedule is %(state)s already: nothing was changed.")
        raise CampaignError(words % {"state": held.get_state_display()})
    held.state = state
    held.next_at = None
    if state == Schedule.State.ACTIVE:
        _count_from(held, database_now())
    held.save(update_fields=["state", "next_at", "after_at"])
    verb = {"ACTIVE": "resume_schedule", "PAUSED": "pause_schedule", "ENDED": "end_schedule"}[state]
    audit.record(actor=actor, verb=verb, what=held, detail={"name": held.name})
    return held


def launch_due() -> int:
    """Handles every schedule with a due occurrence; returns how many. Any number of beats may do it at once.

    A schedule is one transaction: its runs, their campaigns and where it goes on, or nothing of it.
    """
    done = 0
    while _launch_one():
        done += 1
    return done


def _launch_one() -> bool:
    with transaction.atomic():
        schedule = (
            Schedule.objects.select_for_update(skip_locked=True, of=("self",))
            .select_related(
                "business_line", "template", "template_version", "policy", "calendar", "created_by", "saved_key"
            )
            .filter(state=Schedule.State.ACTIVE, next_at__lte=transaction_now())
            .order_by("next_at", "id")
            .first()
        )
        if schedule is None:
            return False
        now = transaction_now()
        try:
            found = coming(schedule, MOST_DUE, until=now)
        except CampaignError as refused:  # its calendar or the zones of this machine changed: it can go on no more
            _cannot_go_on(schedule, refused.message)
            found = []
        due = [one for one in found if one.at <= now]
        for judged in judge(due, now, schedule.catch_up, schedule.misfire_grace):  # type: ignore[arg-type]
            _run(schedule, judged, now)
        _go_on(schedule, due, found)
        failpoint("schedule_before_commit")
    failpoint("schedule_after_commit")
    return True


def _go_on(schedule: Schedule, due: list[Occurrence], found: list[Occurrence]) -> None:
    """The next occurrence follows from the last one that was due; without one the schedule has ended."""
    if due:
        schedule.after_at = due[-1].at
    if schedule.state == Schedule.State.ACTIVE:
        following = found[len(due) : len(due) + 1] or coming(schedule, 1)
        schedule.next_at = following[0].at if following else None
        if not following and schedule.ends_at is None:  # days off leave nothing of it
            _cannot_go_on(schedule, bad_rule_in_words(BadRule("cron", "never")))
        elif not following:
            schedule.state = Schedule.State.ENDED
    schedule.save(update_fields=["after_at", "next_at", "state"])


def _cannot_go_on(schedule: Schedule, why: str) -> None:
    schedule.state, schedule.next_at = Schedule.State.PAUSED, None
    audit.record(actor=OfSchedule(schedule), verb="pause_schedule", what=schedule, detail={"why": why})


CLAIM = """
INSERT INTO campaigns_schedulerun (schedule_id, occurrence_local, nominal_at, state, why, note, lateness, at)
VALUES (%s, %s, %s, %s, %s, %s, %s, now()) ON CONFLICT (schedule_id, occurrence_local) DO NOTHING RETURNING id
"""


def _run(schedule: Schedule, judged: Judged, now: datetime) -> None:
    """Writes the run of an occurrence, once, and starts its campaign where it starts."""
    one, starts = judged.occurrence, judged.verdict == "start"
    state = "started" if starts else judged.verdict
    name = one.local.isoformat(timespec="minutes")
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, [schedule.pk, name, one.at, state, judged.why, one.note, now - one.at])
        row = cursor.fetchone()
    if row is None or not starts:
        return
    campaign, why = _started(schedule, one)
    if campaign is None:
        ScheduleRun.objects.filter(pk=row[0]).update(state=ScheduleRun.State.FAILED, why=why[:300])
    else:
        ScheduleRun.objects.filter(pk=row[0]).update(campaign=campaign)


def _started(schedule: Schedule, one: Occurrence) -> tuple[Campaign | None, str]:
    """The campaign of an occurrence, submitted; or why there is none. One bad schedule must not keep others waiting."""
    try:
        with transaction.atomic():
            return _start(schedule, one), ""
    except CampaignError as refused:
        return None, refused.message
    except Exception as fault:
        if isinstance(fault, DatabaseError | InterfaceError) and connection_lost(fault):
            raise
        log.exception("schedule_failed", schedule=schedule.pk)
        return None, _("A fault of UMS itself: its log says more.")


def _start(schedule: Schedule, one: Occurrence) -> Campaign:
    actor = OfSchedule(schedule)
    if not schedule.business_line.active:
        raise CampaignError(_("The business line is closed."))
    campaign = create_campaign(
        actor=actor,
        name=f"{schedule.name} {one.local:%Y-%m-%d %H:%M}",
        business_line=schedule.business_line,
        message_class=schedule.message_class,
        template_version=version_of(schedule),
        policy=schedule.policy,
        audience=schedule.audience,
        pace_per_second=schedule.pace_per_second,
        cost_ceiling=schedule.cost_ceiling,
        expires_at=one.at + schedule.expires_after if schedule.expires_after else None,
    )
    written = {"source": "schedule", "scheduled_at": one.at, "edited_by": schedule.edited_by_id}
    Campaign.objects.filter(pk=campaign.pk).update(**written)
    return submit_campaign(actor=actor, campaign=Campaign.objects.get(pk=campaign.pk))
