"""Stopping: switches, pause and pace, canaries, campaigns that pause themselves. Nobody is lost, nobody hears twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.db import connection, connections
from django.utils import timezone

from apps.campaigns.errors import CampaignError
from apps.campaigns.models import Attempt, Batch, Campaign, Delivery, PauseRule, StopSwitch
from apps.campaigns.pipeline.dispatch import _order
from apps.campaigns.pipeline.expand import expand_next
from apps.campaigns.pipeline.lease import lease
from apps.campaigns.pipeline.reap import tick
from apps.campaigns.pipeline.sending import Sending
from apps.campaigns.pipeline.transports import Tally
from apps.campaigns.services import cancel_campaign, change_pace, pass_canary, pause_campaign, resume_campaign
from apps.campaigns.stopping import release_switch, set_switch, switches_set, would_stop
from apps.campaigns.tasks import drain
from apps.channels.models import ChannelAccount, RateBucket
from apps.operators.models import AuditEvent
from apps.partners.allowances import save_allowance
from apps.partners.models import Allowance
from tests.db.conftest import PUSH_THEN_SMS, SMS, World
from ums_site.clock import boottime

ROOT = Path(__file__).resolve().parents[2]


def planned(world: World, people: int, **extra: object) -> Campaign:
    world.people(people)
    campaign = world.campaign(extra.pop("policy", SMS), **extra)
    while expand_next(campaign.lane):
        pass
    return campaign


@pytest.mark.parametrize("scope", list(StopSwitch.Scope))
def test_a_switch_stops_what_it_names_and_lets_go(world: World, scope: StopSwitch.Scope) -> None:
    campaign = planned(world, 3)
    sms = ChannelAccount.objects.get(code="sms-main")
    keys = {
        "business_line": campaign.business_line_id, "class": "marketing", "channel": "sms_aliyun", "account": sms.pk,
        "template": campaign.template_version.template_id,
    }  # fmt: skip
    key = str(keys.get(scope, ""))
    assert (would_stop(scope, key).campaigns, would_stop(scope, key).deliveries) == (1, 3)
    switch = set_switch(actor="boss", scope=scope, key=key, reason="wrong price")
    drain("bulk", 1)
    tick()
    assert world.ledger() == [] and Batch.objects.get().state == "READY"
    assert [one.pk for one in switches_set()] == [switch.pk]
    release_switch(actor="boss", switch=switch, reason="mended")
    world.run(campaign)
    assert len(world.ledger()) == 3 and switches_set() == []
    assert list(AuditEvent.objects.filter(verb__contains="stop").values_list("verb", flat=True)) == [
        "stop",
        "release_stop",
    ]


def test_a_switch_stops_nothing_else_needs_a_reason_and_may_end_by_itself(world: World) -> None:
    campaign = planned(world, 2)
    push = ChannelAccount.objects.get(code="push-main")
    for wrong in ({"scope": "account", "key": "999999"}, {"scope": "planet"}, {"scope": "class", "key": "x"}):
        with pytest.raises(CampaignError):
            set_switch(actor="boss", reason="x", **wrong)
    with pytest.raises(CampaignError):
        set_switch(actor="boss", scope="everything", reason=" ")
    set_switch(actor="boss", scope="account", key=str(push.pk), reason="x")
    ended = set_switch(actor="boss", scope="everything", reason="x", until=timezone.now() + timedelta(minutes=1))
    StopSwitch.objects.filter(pk=ended.pk).update(until=timezone.now())
    world.run(campaign)
    assert len(world.ledger()) == 2


def test_a_switch_that_is_set_between_lease_and_intent_stops_the_window(world: World) -> None:
    """Effective within one window: whoever holds the lease already opens no further one."""
    ChannelAccount.objects.filter(code="sms-main").update(max_in_flight=2)
    world.script("aliyun", "accept", {"hang": 0.3})
    campaign = planned(world, 30)
    worker = threading.Thread(target=_drain, args=("bulk", 4))
    worker.start()
    while not world.ledger():
        pass
    set_switch(actor="boss", scope="everything", reason="x")
    when = timezone.now()
    worker.join()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM campaigns_attempt WHERE intent_at > %s", [when])
        assert cursor.fetchone()[0] == 0
    assert 0 < len(world.ledger()) < 30
    cancel_campaign(actor="boss", campaign=campaign)  # also what is stopped can be called off
    world.outside.call("DELETE", "/_sim/ctl")
    before = len(world.ledger())
    world.run(campaign)
    assert len(world.ledger()) == before


def _drain(lane: str, seconds: float) -> None:
    try:
        drain(lane, seconds)
    finally:
        connections.close_all()


def test_paused_while_people_are_collected_it_goes_on_where_it_was(world: World) -> None:
    world.people(5)
    campaign = world.campaign()
    pause_campaign(actor="boss", campaign=campaign, reason="look first")
    assert not expand_next("bulk")
    held = Campaign.objects.get(pk=campaign.pk)
    assert (held.state, held.resume_to, held.pause_reason, held.paused_by) == (
        "PAUSED",
        "EXPANDING",
        "look first",
        "boss",
    )
    resume_campaign(actor="boss", campaign=campaign)
    world.run(campaign)
    assert len(world.ledger()) == 5


def test_pause_change_of_pace_resume_with_a_worker_killed_loses_nobody(world: World) -> None:
    """The trap that caught others, at random moments, with two workers of which one dies again and again."""
    luck = random.Random(7)
    world.script("aliyun", "accept", {"hang": 0.05})
    campaign = planned(world, 60, pace_per_second=Decimal(40), policy=SMS)
    place = {**os.environ, "UMS_FAILPOINT": f"after_lease:kill9@{luck.randint(2, 4)}"}
    command = [sys.executable, "manage.py", "work", "bulk", "--direct"]
    doomed = subprocess.Popen(command, cwd=ROOT, env=place)
    for pace in (Decimal(25), None, Decimal(60)):
        worker = threading.Thread(target=_drain, args=("bulk", 1))
        worker.start()
        pause_campaign(actor="boss", campaign=campaign)
        change_pace(actor="boss", campaign=campaign, pace_per_second=pace)
        resume_campaign(actor="boss", campaign=campaign)
        worker.join()
    if doomed.poll() is None:
        doomed.send_signal(signal.SIGKILL)
    doomed.wait()
    Batch.objects.filter(state="LEASED").update(lease_until=timezone.now())  # the dead one's lease is over
    assert RateBucket.objects.get(key=f"campaign:{campaign.pk}").rate == 60
    world.run(campaign, seconds=60)
    accepted = [line["addr_hash"] for line in world.ledger()]
    assert len(set(accepted)) == len(accepted) == 60


def test_a_batch_that_is_planned_while_its_campaign_is_paused_goes_after_the_resume(world: World) -> None:
    world.script("jpush", "refuse(1011)")
    world.people(2, ("jpush", "phone"))
    campaign = world.campaign(PUSH_THEN_SMS)
    while expand_next("bulk"):
        pass
    pause_campaign(actor="boss", campaign=campaign)
    Batch.objects.filter(state="DONE").update(follow_up_at=timezone.now())
    drain("bulk", 1)
    resume_campaign(actor="boss", campaign=campaign)
    assert not Batch.objects.filter(state="WAITING").exists()
    world.run(campaign)
    assert world.messages(campaign) == {"SUCCEEDED": 2}


def test_never_more_than_the_canary_before_its_verdict(world: World) -> None:
    ChannelAccount.objects.filter(code="sms-main").update(max_in_flight=3)
    campaign = planned(world, 40, canary_size=10)
    threads = [threading.Thread(target=_drain, args=("bulk", 2)) for _number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tick()
    assert len(world.ledger()) == 10
    held = Campaign.objects.get(pk=campaign.pk)
    assert held.canary_left == 0 and held.canary_judge_at is not None
    Campaign.objects.filter(pk=campaign.pk).update(canary_judge_at=timezone.now())
    tick()
    assert Campaign.objects.get(pk=campaign.pk).canary_left is None
    assert AuditEvent.objects.get(verb="pass_canary").detail["verdict"] == "tried=10 failed=0 unknown=0"
    world.run(campaign)
    assert len(world.ledger()) == 40


@pytest.mark.parametrize("held_by", ["pace", "budget", "switch after the lease"])
def test_what_does_not_go_uses_no_share_of_the_canary(world: World, held_by: str) -> None:
    """Else a slow campaign would be judged by its first message alone."""
    pace = Decimal(2) if held_by == "pace" else None
    if held_by == "budget":
        room = Allowance(name="l", unit="pieces", period="day", business_line=world.line, most=Decimal(3))
        save_allowance(actor="boss", allowance=room)
    campaign = planned(world, 40, canary_size=10, pace_per_second=pace)
    if held_by == "switch after the lease":
        sending = Sending(_order(lease("bulk"), lambda: None), None, Tally(), boottime() + 60)  # type: ignore[arg-type]
        set_switch(actor="boss", scope="everything", reason="x")
        sending.open_window()
        assert sending.leave_as == "READY"
    else:
        drain("bulk", 2)
    gone = Attempt.objects.filter(delivery_id__gte=campaign.pk).count()
    held = Campaign.objects.get(pk=campaign.pk)
    assert gone < 10 and (held.canary_left, held.canary_judge_at) == (10 - gone, None)


def test_who_dies_after_an_intent_has_used_up_a_share_of_the_canary(world: World) -> None:
    ChannelAccount.objects.filter(code="sms-main").update(max_in_flight=3)
    campaign = planned(world, 40, canary_size=10)
    place = {**os.environ, "UMS_FAILPOINT": "after_intent_commit:kill9@2"}
    command = [sys.executable, "manage.py", "work", "bulk", "--direct"]
    assert subprocess.Popen(command, cwd=ROOT, env=place).wait(60) == -signal.SIGKILL
    Batch.objects.filter(state="LEASED").update(lease_until=timezone.now())
    tick()
    drain("bulk", 2)
    assert Attempt.objects.filter(delivery_id__gte=campaign.pk).count() == 10
    assert len(world.ledger()) <= 10
    assert Campaign.objects.get(pk=campaign.pk).canary_left == 0


def test_a_bad_canary_pauses_until_somebody_decides(world: World) -> None:
    world.script("aliyun", "refuse(isv.MOBILE_NUMBER_ILLEGAL)", times=3)
    campaign = planned(world, 20, canary_size=8)
    drain("bulk", 2)
    Campaign.objects.filter(pk=campaign.pk).update(canary_judge_at=timezone.now())
    tick()
    held = Campaign.objects.get(pk=campaign.pk)
    assert (held.state, held.paused_by) == ("PAUSED", "system")
    assert held.pause_reason == "canary: tried=8 failed=3 unknown=0 unwritable=0"
    resume_campaign(actor="boss", campaign=campaign)  # the operator looked, and goes on
    world.run(campaign)
    assert len(world.ledger()) == 17
    pass_canary(actor="boss", campaign=campaign)  # nothing is left to pass
    assert not AuditEvent.objects.filter(verb="pass_canary").exists()


def test_too_many_failures_pause_a_campaign_once(world: World) -> None:
    limits = {"at_least": 10, "failed_percent": 20}
    PauseRule.objects.update_or_create(message_class="marketing", defaults=limits)
    ChannelAccount.objects.filter(code="sms-main").update(max_in_flight=5)
    world.script("aliyun", "refuse(isv.MOBILE_NUMBER_ILLEGAL)", match="every:2@1")
    campaign = planned(world, 60, pace_per_second=Decimal(8))
    world.run(campaign, until=lambda: campaign.state == "PAUSED")
    assert 0 < Delivery.objects.filter(state="PENDING").count() <= 50
    assert campaign.pause_reason.startswith("auto: failed=")
    resume_campaign(actor="boss", campaign=campaign)
    world.outside.call("DELETE", "/_sim/ctl")
    change_pace(actor="boss", campaign=campaign, pace_per_second=None)
    world.run(campaign)  # what failed before does not pause it again
    assert AuditEvent.objects.filter(verb="pause").count() == 1
