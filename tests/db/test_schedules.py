"""Schedules against real Postgres: one run for each occurrence, whoever looks, dies or comes late."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connections
from django.db.models import Sum

from apps.campaigns.calendars import SpecialDay, read_days, save_calendar, working_days
from apps.campaigns.drafting import save_policy
from apps.campaigns.errors import CampaignError
from apps.campaigns.models import ApprovalRule, Calendar, Campaign, Delivery, Policy, Schedule, ScheduleRun
from apps.campaigns.pipeline.reap import tick
from apps.campaigns.scheduling import launch_due, save_schedule, set_schedule_state
from apps.campaigns.services import create_campaign
from apps.operators.models import AuditEvent, Operator
from apps.templates.models import MessageTemplate
from apps.templates.services import publish_version
from tests.conftest import ROOT
from tests.db.conftest import SMS, World
from ums_site.clock import database_now


@pytest.fixture
def policy(world: World) -> Policy:
    return save_policy(actor="test", policy=Policy(code="sms", name="SMS", plan={**SMS, "expires_seconds": 3600}))


def schedule(world: World, policy: Policy, **changes: Any) -> Schedule:
    given: dict[str, Any] = {
        "name": "Daily", "business_line": world.line, "cron": "* * * * *", "message_class": "marketing",
        "template": world.version.template, "policy": policy, "audience": {"kind": "filter"},
    }  # fmt: skip
    return save_schedule(actor=changes.pop("actor", "test"), schedule=Schedule(**(given | changes)))


def late(held: Schedule, by: timedelta) -> None:
    """As if nobody had looked for so long."""
    at = database_now() - by
    Schedule.objects.filter(pk=held.pk).update(after_at=at, next_at=at)


def runs(held: Schedule) -> list[str]:
    return list(ScheduleRun.objects.filter(schedule=held).order_by("nominal_at").values_list("state", flat=True))


def test_many_beats_and_dead_ones_make_one_run_of_each_occurrence(world: World, policy: Policy) -> None:
    """F6, I10."""
    world.people(3)
    held = schedule(world, policy)
    late(held, timedelta(minutes=4))
    for point in ("schedule_before_commit", "schedule_after_commit"):
        beat = subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), "beat", "--once"],
            env={**os.environ, "UMS_FAILPOINT": f"{point}:kill9"}, check=False, capture_output=True, timeout=60,
        )  # fmt: skip
        assert beat.returncode == -9, beat.stderr[-500:]
        assert Campaign.objects.count() == (0 if point == "schedule_before_commit" else 1)
    threads = [threading.Thread(target=_launch) for _number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tick()
    before = runs(held).index("started")
    assert runs(held)[:before] == ["skipped"] * before
    assert before in (3, 4), "one more where a minute begins while the first beats die"
    campaign = Campaign.objects.earliest("id")
    run = ScheduleRun.objects.get(campaign=campaign)
    assert campaign.scheduled_at == run.nominal_at and campaign.source == "schedule"
    assert run.lateness is not None and run.lateness < timedelta(minutes=2)
    world.run(campaign)
    assert world.messages(campaign) == {"SUCCEEDED": 3}


def _launch() -> None:
    try:
        launch_due()
    finally:
        connections.close_all()


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
def test_a_year_of_runs_over_days_that_clocks_jump(world: World, policy: Policy, zone: str) -> None:
    """F33: nobody looked for a year; every day in it, both jumps included, has exactly one run."""
    held = schedule(world, policy, cron="30 2 * * *", zone=zone)
    begin = datetime(2025, 3, 1, 12, tzinfo=UTC)
    Schedule.objects.filter(pk=held.pk).update(after_at=begin, next_at=begin)
    assert launch_due() >= 1
    named = list(ScheduleRun.objects.filter(schedule=held).order_by("id").values_list("occurrence_local", "state"))
    days = [name[:10] for name, _state in named]
    held.refresh_from_db()
    assert held.next_at is not None and held.next_at > database_now()
    span = datetime.fromisoformat(days[-1]) - datetime.fromisoformat(days[0])
    assert len(days) == len(set(days)) == span.days + 1
    assert {state for _name, state in named[:-1]} == {"missed"}
    assert launch_due() == 0


def test_catching_up(world: World, policy: Policy) -> None:
    each = schedule(world, policy, name="Each", catch_up="all", misfire_grace=timedelta(minutes=3))
    none = schedule(world, policy, name="None", catch_up="none")
    late(each, timedelta(minutes=5))
    late(none, timedelta(minutes=5))
    assert launch_due() == 2
    assert set(runs(each)[:2]) == {"missed"} and set(runs(each)[3:]) == {"started"}
    assert set(runs(none)[:4]) == {"missed"}


def test_a_schedule_that_fails_says_why_and_keeps_no_other_waiting(world: World, policy: Policy) -> None:
    bad, good = schedule(world, policy, name="Bad"), schedule(world, policy, name="Good")
    Schedule.objects.filter(pk=bad.pk).update(audience={"kind": "filter", "attributes": {"undeclared": "x"}})
    late(bad, timedelta(minutes=2))
    late(good, timedelta(minutes=1))
    tick()
    failed = ScheduleRun.objects.get(schedule=bad, state="failed")
    assert "undeclared" in failed.why and failed.campaign is None
    assert "started" in runs(good)
    bad.refresh_from_db()
    assert bad.state == "ACTIVE" and bad.next_at is not None


def test_each_run_sends_the_latest_version_and_expires_by_its_own_time(world: World, policy: Policy) -> None:
    latest = schedule(world, policy, name="Latest", expires_after=timedelta(minutes=20))
    fixed = schedule(world, policy, name="Fixed", template_version=world.version)
    template = MessageTemplate.objects.get(pk=world.version.template_id)
    template.bodies["sms_aliyun"]["text"] += "。"
    template.save()
    newer = publish_version(actor="test", template=template)
    for one in (latest, fixed):
        late(one, timedelta(minutes=1))
    launch_due()
    of_latest = Campaign.objects.filter(name__startswith="Latest").earliest("id")
    of_fixed = Campaign.objects.filter(name__startswith="Fixed").earliest("id")
    assert (of_latest.template_version_id, of_fixed.template_version_id) == (newer.pk, world.version.pk)
    assert of_latest.scheduled_at is not None and of_fixed.expires_at is not None
    assert of_latest.expires_at == of_latest.scheduled_at + timedelta(minutes=20)
    assert timedelta(minutes=58) < of_fixed.expires_at - database_now() <= timedelta(hours=1), "the policy's hour"


def test_a_policy_expires_from_the_scheduled_time_on(world: World, policy: Policy) -> None:
    later = database_now() + timedelta(days=2)
    given = {
        "actor": "test", "name": "One", "business_line": world.line, "message_class": "marketing", "policy": policy,
        "template_version": world.version, "audience": {"kind": "filter"}, "scheduled_at": later,
    }  # fmt: skip
    assert create_campaign(**given).expires_at == later + timedelta(hours=1)
    with pytest.raises(CampaignError) as refused:
        create_campaign(**given, expires_at=later - timedelta(minutes=1))
    assert refused.value.field == "expires_at"


def test_a_run_that_needs_approval_waits_for_it(world: World, policy: Policy) -> None:
    author = Operator.objects.create_user("author")
    ApprovalRule.objects.create(name="API marketing", message_class="marketing", source="api")
    held = schedule(world, policy, actor=author)
    late(held, timedelta(minutes=1))
    launch_due()
    campaign = Campaign.objects.earliest("id")
    assert campaign.state == "AWAITING_APPROVAL"
    assert campaign.created_by == author, "who made the schedule may not approve what it sends"


def test_a_calendar_that_leaves_nothing_of_it_pauses_a_schedule_and_stops_no_other(
    world: World, policy: Policy
) -> None:
    calendar = save_calendar(actor="test", calendar=Calendar(name="Week", weekend=[6]))
    held = schedule(world, policy, cron="0 9 * * 6", calendar=calendar, on_day_off="skip")
    other = schedule(world, policy, name="Other")
    calendar.weekend = [5, 6]
    save_calendar(actor="test", calendar=calendar)
    for one in (held, other):
        late(one, timedelta(minutes=2))
    assert launch_due() == 2
    held.refresh_from_db()
    assert (held.state, held.next_at, runs(other)[-1]) == ("PAUSED", None, "started")
    assert "pause_schedule" in AuditEvent.objects.values_list("verb", flat=True)
    with pytest.raises(CampaignError) as refused:
        schedule(world, policy, cron="0 9 * * 6", calendar=calendar, on_day_off="skip")
    assert refused.value.field == "cron"


def test_each_campaign_of_a_schedule_obeys_a_ceiling_of_its_own(world: World, policy: Policy) -> None:
    """Four messages at 0.045, a ceiling for two, and a beat that dies on the way: each run spends that much and pauses."""
    world.people(4)
    held = schedule(world, policy, cost_ceiling=Decimal("0.1"), catch_up="all")
    late(held, timedelta(minutes=2, seconds=1))
    dying = [sys.executable, str(ROOT / "manage.py"), "beat", "--once"]
    died = subprocess.run(
        dying,
        env={**os.environ, "UMS_FAILPOINT": "schedule_before_commit:kill9"},
        check=False,
        capture_output=True,
        timeout=60,
    )
    assert died.returncode == -9 and launch_due() == 1
    first, second = Campaign.objects.order_by("id")[:2]
    for one in (first, second):
        assert one.cost_ceiling == Decimal("0.1")
        world.run(one, until=lambda one=one: Campaign.objects.get(pk=one.pk).state == "PAUSED")
        spent = Delivery.objects.filter(campaign_id=one.pk).aggregate(cost=Sum("cost"))["cost"]
        assert 0 < spent <= Decimal("0.1")
    with pytest.raises(CampaignError) as refused:
        schedule(world, policy, cost_ceiling=Decimal(-1))
    assert refused.value.field == "cost_ceiling"


def test_pausing_and_ending(world: World, policy: Policy) -> None:
    held = schedule(world, policy, cron="0 9 * * *")
    late(held, timedelta(days=1))
    set_schedule_state(actor="test", schedule=held, state="PAUSED")
    assert launch_due() == 0
    resumed = set_schedule_state(actor="test", schedule=held, state="ACTIVE")
    assert resumed.next_at is not None and resumed.next_at > database_now(), "the pause is not made up for"
    assert launch_due() == 0 and runs(held) == []
    set_schedule_state(actor="test", schedule=held, state="ENDED")
    with pytest.raises(CampaignError):
        set_schedule_state(actor="test", schedule=held, state="ACTIVE")
    with pytest.raises(CampaignError):
        save_schedule(actor="test", schedule=held)


def test_the_last_occurrence_ends_it(world: World, policy: Policy) -> None:
    held = schedule(world, policy, ends_at=database_now() + timedelta(hours=1))
    late(held, timedelta(minutes=1))
    Schedule.objects.filter(pk=held.pk).update(ends_at=database_now())
    launch_due()
    held.refresh_from_db()
    assert held.state == "ENDED" and held.next_at is None and runs(held)[-1] == "started"


def test_a_schedule_follows_its_calendar(world: World, policy: Policy) -> None:
    calendar = save_calendar(actor="test", calendar=Calendar(name="CN", weekend=[]))
    held = schedule(world, policy, cron="0 9 * * *", calendar=calendar, on_day_off="skip")
    first = held.next_at
    assert first is not None
    holiday = first.astimezone(ZoneInfo("Asia/Shanghai")).date()
    save_calendar(actor="test", calendar=calendar, days=[SpecialDay(holiday, False)])
    assert launch_due() == 1 and runs(held) == []
    held.refresh_from_db()
    assert held.next_at == first + timedelta(days=1)
    save_calendar(actor="test", calendar=calendar, removed=[holiday])
    launch_due()
    held.refresh_from_db()
    assert held.next_at == first and runs(held) == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"cron": "0 9 * *"}, "cron"),
        ({"zone": "Mars/Olympus"}, "zone"),
        ({"name": " "}, "name"),
        ({"on_day_off": "skip"}, "calendar"),
        ({"misfire_grace": timedelta(days=8)}, "misfire_grace"),
        ({"ends_at": datetime(2026, 1, 1, tzinfo=UTC)}, "ends_at"),
        ({"audience": {"kind": "filter", "nothing": 1}}, "audience"),
        ({"expires_after": timedelta(0)}, "expires_after"),
    ],
)
def test_what_cannot_be_followed_is_refused_by_field(
    world: World, policy: Policy, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(CampaignError) as refused:
        schedule(world, policy, **changes)
    assert refused.value.field == field
    assert not Schedule.objects.exists()


LIST = "day,kind,name\n2026-10-01,off,国庆节\n2026/10/10,补班,国庆节\n"
ICS = (
    "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20261001\r\nDTEND;VALUE=DATE:20261008\r\nSUMMARY:国庆节\r\n"
    "END:VEVENT\r\nBEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20261010\r\nSUMMARY:国庆节 \r\n 补班\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
)


@pytest.mark.django_db
def test_calendars_are_read_from_lists_and_calendar_files_again_and_again() -> None:
    calendar = save_calendar(actor="test", calendar=Calendar(name="CN", weekend=[5, 6]), days=read_days(LIST))
    for text in (LIST, ICS, ICS):
        save_calendar(actor="test", calendar=calendar, days=read_days(text))
    days = working_days(calendar)
    assert len(days.off) == 7 and [day.isoformat() for day in days.worked] == ["2026-10-10"]
    for unreadable in ("2026-10-01,off\n2026-13-01,off", "\n"):
        with pytest.raises(CampaignError) as refused:
            read_days(unreadable)
        assert refused.value.field == "days"
    with pytest.raises(CampaignError):
        save_calendar(actor="test", calendar=Calendar(name="None", weekend=list(range(7))))
