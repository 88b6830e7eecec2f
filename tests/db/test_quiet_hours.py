"""Quiet hours and pace against real Postgres, workers as processes, and the ledger of the simulated providers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from apps.campaigns.models import Batch, BatchWait, Campaign, Decision, Delivery, QuietHours
from apps.campaigns.pipeline import gate, plan
from apps.campaigns.pipeline.dispatch import _order
from apps.campaigns.pipeline.expand import expand_next
from apps.campaigns.pipeline.lease import give_back, lease
from apps.campaigns.pipeline.reap import tick
from apps.campaigns.quieting import remove_quiet_hours, save_quiet_hours
from apps.campaigns.services import pause_campaign, resume_campaign
from apps.campaigns.tasks import drain
from apps.campaigns.timeline import message_timeline
from apps.channels.models import ChannelAccount
from apps.users.lists import add_blacklist
from apps.users.models import Attribute
from apps.users.services import set_attributes
from tests.conftest import ROOT
from tests.db.conftest import World
from tests.waiting import until
from ums_site.clock import database_now

ZONE = "Etc/UTC"


def quiet(begin: timedelta, length: timedelta = timedelta(hours=2), **changes: Any) -> QuietHours:
    """Quiet hours from so long after now on, every day."""
    since = (database_now() + begin).replace(microsecond=0)
    given: dict[str, Any] = {
        "name": "Night", "classes": ["marketing"], "since": since.time(), "until": (since + length).time(), "zone": ZONE,
        "weekdays": list(range(7)),
    }  # fmt: skip
    return save_quiet_hours(actor="test", hours=QuietHours(**(given | changes)))


def now_quiet(**changes: Any) -> QuietHours:
    return quiet(timedelta(minutes=-5), **changes)


def drained(world: World, campaign: Campaign) -> None:
    while expand_next(campaign.lane):
        pass
    drain(campaign.lane, 1)


def test_an_order_for_everybody_waits_whole_and_says_so(world: World) -> None:
    world.people(20)
    hours = now_quiet()
    campaign = world.campaign()
    drained(world, campaign)
    assert world.states(campaign) == {"PENDING": 20}, "no row was written"
    batch, wait = Batch.objects.get(campaign=campaign), BatchWait.objects.get()
    assert wait.code == "quiet_hours" and batch.not_before >= wait.until > database_now() + timedelta(minutes=100)
    message = Delivery.objects.filter(campaign_id=campaign.pk).values_list("message_id", flat=True)[0]
    assert [one for one in message_timeline(message) if one.at == wait.at and one.tone == "warn"]
    assert world.ledger() == []
    pause_campaign(actor="test", campaign=campaign)
    resume_campaign(actor="test", campaign=campaign)
    Batch.objects.update(not_before=database_now())  # as if it were ready for some other reason
    drained(world, campaign)
    assert world.ledger() == []
    remove_quiet_hours(actor="test", hours=hours)
    world.run(campaign)
    assert world.messages(campaign) == {"SUCCEEDED": 20} and len(world.ledger()) == 20


def test_hours_that_are_taken_away_hold_up_nobody_who_is_paused_or_leased(world: World) -> None:
    world.people(3)
    hours = now_quiet()
    campaign = world.campaign()
    drained(world, campaign)
    pause_campaign(actor="test", campaign=campaign)
    remove_quiet_hours(actor="test", hours=hours)
    resume_campaign(actor="test", campaign=campaign)
    again = now_quiet()
    order = _order(lease("bulk"), lambda: None)  # type: ignore[arg-type]
    assert gate.waits_whole(order)
    Delivery.objects.filter(campaign_id=campaign.pk).update(state="HELD", reason="quiet_hours", held_until=again_at())
    remove_quiet_hours(actor="test", hours=again)
    assert gate.waits_whole(order) is None
    give_back(order.batch)
    world.run(campaign)
    assert world.messages(campaign) == {"SUCCEEDED": 3}


def again_at() -> datetime:
    return database_now() + timedelta(hours=2)


def test_regions_and_the_whitelist_are_told_apart(world: World) -> None:
    people = world.people(6)
    Attribute.objects.create(key="region", label="Region")
    for number in (0, 1):
        set_attributes(actor="test", recipient=people[number], values={"region": "Xinjiang"})
    add_blacklist(actor="test", recipient=people[1], effect="allow", reason="tester", source="test")
    hours = now_quiet(region="Xinjiang")
    campaign = world.campaign()
    drained(world, campaign)
    assert Delivery.objects.get(campaign_id=campaign.pk, state="HELD").recipient_id == people[0].pk
    assert len(world.ledger()) == 5
    assert Decision.objects.get(rule="quiet_hours").verdict == "hold"
    hours.active = False
    save_quiet_hours(actor="test", hours=hours)
    world.run(campaign)
    assert world.messages(campaign) == {"SUCCEEDED": 6}


def test_classes_lines_dropping_and_expiry(world: World) -> None:
    world.people(3)
    hours = now_quiet(action="drop")
    notice = world.run(world.campaign(message_class="transactional"))
    assert world.messages(notice) == {"SUCCEEDED": 3}
    dropped = world.run(world.campaign())
    assert world.messages(dropped) == {"BLOCKED quiet_hours": 3}
    remove_quiet_hours(actor="test", hours=hours)
    now_quiet(business_line=world.line)
    short = world.campaign(expires_at=database_now() + timedelta(seconds=2))
    drained(world, short)
    assert BatchWait.objects.get().code == "quiet_until_expiry"
    world.run(short)
    assert world.messages(short) == {"EXPIRED expired": 3}
    assert len(world.ledger()) == 3


@contextmanager
def workers(count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    command = [sys.executable, str(ROOT / "manage.py"), "work", "bulk", "--direct"]
    started = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) for _number in range(count)]
    yield started
    for one in started:
        one.kill()
        one.wait()


def times(world: World) -> list[float]:
    return sorted(float(line["t"]) for line in world.ledger())


RATE = 20
ON_THE_WAY = 2


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "BATCH_SIZE", 10)


def test_two_workers_one_killed_keep_the_pace_and_stop_before_the_night(world: World, small_batches: None) -> None:
    """I8, I9: any second takes the rate and the burst at most; no line of the ledger lies in the quiet hours."""
    world.people(220)
    campaign = world.campaign(pace_per_second=Decimal(RATE))
    while expand_next(campaign.lane):
        pass
    with workers(2) as (first, second):
        until(lambda: len(world.ledger()) > RATE, what="a second of sending")
        hours = quiet(timedelta(seconds=8))
        begins = datetime.combine(database_now().date(), hours.since, database_now().tzinfo).timestamp()
        first.send_signal(signal.SIGKILL)
        until(lambda: BatchWait.objects.exists(), what="the night")
        until(lambda: database_now().timestamp() > begins + 1, what="its first second")
        pause_campaign(actor="test", campaign=campaign)
        resume_campaign(actor="test", campaign=campaign)
        with connection.cursor() as cursor:  # as if the dead worker's lease were over: beat gives its batch back
            cursor.execute("UPDATE campaigns_batch SET lease_until = now() WHERE state = 'LEASED'")
        world.run(campaign, until=lambda: not Batch.objects.filter(state="LEASED").exists())
        assert second.poll() is None
    sent = times(world)
    assert RATE < len(sent) < 220
    assert max(sent) < begins
    assert len({line["delivery_ref"] for line in world.ledger()}) == len(sent)
    keeps_pace(sent, RATE)


def keeps_pace(sent: list[float], rate: int) -> None:
    """What the provider saw; the call between a token and the wire may be held up where another is not: one each way."""
    for span, most in ((1.0, rate + max(1, rate * 0.1)), (10.0, 10 * rate + max(1, rate * 0.1))):
        for number, at in enumerate(sent):
            assert sum(at <= other < at + span for other in sent[number:]) <= most + ON_THE_WAY


def test_a_provider_that_stands_still_is_not_paid_back_in_a_crowd(world: World, small_batches: None) -> None:
    """What waits for a line takes its tokens when it gets one."""
    world.people(60)
    ChannelAccount.objects.filter(code="sms-main").update(max_in_flight=10)
    world.script("aliyun", "accept", "hang(1.5)", match="every:7", times=4, operation="send")
    campaign = world.campaign(pace_per_second=Decimal(RATE))
    world.run(campaign)
    sent = times(world)
    assert len(sent) == 60
    keeps_pace(sent, RATE)


def test_who_dies_between_a_token_and_its_call_costs_the_token_and_no_message(
    world: World, small_batches: None
) -> None:
    world.people(20)
    campaign = world.campaign(pace_per_second=Decimal(RATE))
    while expand_next(campaign.lane):
        pass
    command = [sys.executable, str(ROOT / "manage.py"), "work", "bulk", "--direct"]
    place = {**os.environ, "UMS_FAILPOINT": "after_tokens:kill9@3"}
    assert subprocess.Popen(command, cwd=ROOT, env=place).wait(60) == -signal.SIGKILL
    doubtful = Delivery.objects.filter(state="SENDING").count()
    assert 1 <= doubtful <= 4, "two windows of what the bucket holds at once"
    with connection.cursor() as cursor:
        cursor.execute("UPDATE campaigns_batch SET lease_until = now() - interval '1 hour' WHERE state = 'LEASED'")
        tick()
        cursor.execute("UPDATE campaigns_batch SET suspect_at = now() - interval '1 s' WHERE suspect_at IS NOT NULL")
    world.run(campaign)
    sent = times(world)
    assert len({line["delivery_ref"] for line in world.ledger()}) == len(sent) >= 20 - doubtful
    assert sum(world.messages(campaign).values()) == 20
    keeps_pace(sent, RATE)


def test_a_pace_below_one_a_second_is_kept_too(world: World) -> None:
    world.people(3)
    campaign = world.campaign(pace_per_second=Decimal(30) / 60)
    world.run(campaign)
    sent = times(world)
    assert len(sent) == 3
    assert all(later - former > 1.8 for former, later in zip(sent, sent[1:], strict=False))
