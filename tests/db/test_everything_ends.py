"""Every message ends, whatever is changed, deleted or out of order meanwhile: nothing waits that nobody looks at again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import timedelta

import pytest
from django.utils import timezone

from apps.campaigns.models import Attempt, Batch, Campaign, Decision, Delivery, QuietHours
from apps.campaigns.pipeline.expand import expand_next
from apps.campaigns.pipeline.reap import OFTEN, tick
from apps.campaigns.quieting import save_quiet_hours
from apps.campaigns.services import cancel_campaign, pause_campaign
from apps.campaigns.stopping import set_switch
from apps.campaigns.tasks import drain
from apps.channels.models import ChannelAccount
from apps.users.lists import add_blacklist
from apps.users.models import Binding, Recipient
from apps.users.services import delete_binding, delete_recipient
from tests.conftest import ROOT
from tests.db.conftest import SMS, World
from tests.waiting import until

PUSH = {"steps": [{"channels": [{"account": "push-main"}], "until": "accepted"}]}


def planned(world: World, people: int, policy: object = SMS, kind: str = "phone") -> Campaign:
    world.people(people, (kind,))
    campaign = world.campaign(policy, expires_at=timezone.now() + timedelta(hours=1))
    while expand_next(campaign.lane):
        pass
    return campaign


def test_who_waits_for_a_deleted_address_is_called_off(world: World) -> None:
    campaign = planned(world, 3)
    delete_binding(actor="test", binding=Binding.objects.get(recipient__user_id="P000001"))
    delete_recipient(actor="test", recipient=Recipient.objects.get(user_id="P000002"))
    world.run(campaign)
    assert world.states(campaign) == {"ACCEPTED": 1, "CANCELLED": 2}
    assert world.messages(campaign) == {"SUCCEEDED": 1, "FAILED address_invalid": 2}
    assert Batch.objects.get().epoch == 1, "leased once, not again and again for rows that nobody reads"


def died(place: str, *command: str) -> bool:
    """Runs a command of manage.py as a process that is killed at this place; whether it was."""
    environment = {**os.environ, "UMS_FAILPOINT": f"{place}:kill9"}
    return (
        subprocess.Popen([sys.executable, "manage.py", *command], cwd=ROOT, env=environment).wait(60) == -signal.SIGKILL
    )


def out_of_order(how: str, campaign: Campaign) -> None:
    sms = ChannelAccount.objects.filter(code="sms-main")
    if how == "paused account":
        sms.update(state="PAUSED")
    elif how == "open breaker":
        sms.update(open_until=timezone.now() + timedelta(hours=1), faults=3)
    elif how == "switch":
        set_switch(actor="test", scope="everything", reason="x")
    elif how == "paused campaign":
        pause_campaign(actor="test", campaign=campaign)
    else:
        Delivery.objects.update(state="HELD", reason="quota", held_until=timezone.now() + timedelta(days=9))
        Batch.objects.update(not_before=timezone.now() + timedelta(days=9))


@pytest.mark.parametrize("how", ["paused account", "open breaker", "switch", "paused campaign", "budget"])
def test_what_cannot_be_sent_ends_when_its_campaign_is_over(world: World, how: str) -> None:
    expired, cancelled = planned(world, 3), planned(world, 0)
    out_of_order(how, expired)
    Campaign.objects.filter(pk=expired.pk).update(expires_at=timezone.now())
    cancel_campaign(actor="test", campaign=cancelled)
    tick()
    assert world.messages(expired) == {"EXPIRED expired": 3}
    assert world.messages(cancelled) == {"CANCELLED campaign_cancelled": 3}
    assert world.states(expired) == world.states(cancelled) == {"CANCELLED": 3}
    drain("bulk", 1)
    assert world.ledger() == [] and not Attempt.objects.exists()


def test_what_may_have_been_sent_is_unknown_and_a_beat_that_dies_ends_nothing_by_halves(world: World) -> None:
    campaign = planned(world, 3)
    out_of_order("paused account", campaign)
    tried = Delivery.objects.order_by("id")[0]
    Delivery.objects.filter(pk=tried.pk).update(
        state="HELD", attempts=1, first_intent_at=timezone.now(), reason="same_key: timeout"
    )
    Attempt.objects.create(
        delivery_id=tried.pk, number=1, epoch=1, key="x", intent_at=timezone.now(), outcome="unknown"
    )
    Campaign.objects.filter(pk=campaign.pk).update(expires_at=timezone.now())
    assert died("over_before_commit", "shell", "-c", "from apps.campaigns.pipeline.reap import tick; tick()")
    assert world.messages(campaign) == {"ACTIVE": 3} and Batch.objects.get().state == "READY"
    tick()
    assert world.messages(campaign) == {"EXPIRED expired": 2, "UNKNOWN no_receipt": 1}
    assert world.states(campaign) == {"CANCELLED": 2, "UNKNOWN_FINAL": 1}


def test_a_repeat_does_not_wait_for_the_others_of_its_batch(world: World) -> None:
    """What a dead worker left is repeated while the provider knows its key, though the rest waits until tomorrow."""
    campaign = planned(world, 2, PUSH, "jpush")
    lost, waits = Delivery.objects.order_by("id")
    Delivery.objects.filter(pk=waits.pk).update(state="HELD", held_until=timezone.now() + timedelta(hours=20))
    assert died("after_intent_commit", "work", "bulk", "--direct")
    Batch.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    tick()
    drain("bulk", 1)
    assert Batch.objects.get().not_before > timezone.now() + timedelta(hours=19)
    Batch.objects.update(suspect_at=timezone.now())
    world.run(campaign, until=lambda: len(world.ledger()) == 1)
    lost.refresh_from_db()
    assert lost.state in ("ACCEPTED", "DELIVERED") and lost.attempts == 2
    assert not Attempt.objects.filter(delivery_id=waits.pk).exists()


def test_a_large_campaign_is_finished_a_little_later(world: World) -> None:
    """It is looked through the more seldom the larger it is, and found all the same."""
    campaign = planned(world, 2)
    Campaign.objects.filter(pk=campaign.pk).update(planned_count=3 * OFTEN)  # every fourth second
    drain("bulk", 1)
    until(lambda: tick() or Campaign.objects.get(pk=campaign.pk).state == "FINISHED", 20)
    finished_at = Campaign.objects.get(pk=campaign.pk).finished_at
    assert finished_at is not None and int(finished_at.timestamp()) % 4 == 0


def test_the_ledger_does_not_say_of_what_expired_that_it_waits(world: World) -> None:
    campaign = planned(world, 2)
    begin = timezone.now() - timedelta(minutes=5)
    hours = {"since": begin.time(), "until": (begin + timedelta(hours=2)).time(), "zone": "Etc/UTC"}
    save_quiet_hours(
        actor="test", hours=QuietHours(name="Now", classes=["marketing"], weekdays=list(range(7)), **hours)
    )
    somebody = world.person(9, ())
    add_blacklist(
        actor="test", recipient=somebody, effect="allow", reason="tester", source="test"
    )  # so rows are judged
    Campaign.objects.filter(pk=campaign.pk).update(expires_at=timezone.now())
    drain("bulk", 1)
    assert world.messages(campaign) == {"EXPIRED expired": 2}
    assert set(Decision.objects.values_list("rule", flat=True)) == {"target"}
