"""Failover between the vendors of a channel: only what surely was not sent, once, and whole or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import connections, transaction
from django.utils import timezone

from apps.campaigns.models import AccountTrouble, Attempt, Batch, Campaign, Decision, Delivery, StopSwitch
from apps.campaigns.pipeline.expand import expand_next
from apps.campaigns.pipeline.failover import fail_over
from apps.campaigns.stopping import release_switch, set_switch
from apps.channels.models import ChannelAccount
from tests.db.conftest import World
from tests.db.test_alternatives import by_account, group, vendors

AFTER = 60


@pytest.fixture
def broken(world: World) -> Campaign:
    """A campaign of 30, all planned over the first of two vendors, which then breaks down."""
    vendors(world)
    world.people(30)
    ChannelAccount.objects.filter(code="sms-b").update(open_until=timezone.now() + timedelta(hours=1))
    campaign = world.campaign({"steps": [{"channels": [group(1, 1, failover_seconds=AFTER)], "until": "accepted"}]})
    while expand_next(campaign.lane):
        pass
    assert by_account(campaign) == {"sms-main": 30}
    ChannelAccount.objects.filter(code="sms-b").update(open_until=None)
    ChannelAccount.objects.filter(code="sms-main").update(open_until=timezone.now() + timedelta(hours=1))
    return campaign


def in_trouble_for(seconds: float) -> None:
    fail_over()
    AccountTrouble.objects.update(since=timezone.now() - timedelta(seconds=seconds))


def test_it_waits_its_time_moves_everybody_once_and_the_campaign_ends(world: World, broken: Campaign) -> None:
    in_trouble_for(AFTER - 5)
    assert fail_over() == 0
    in_trouble_for(AFTER)
    threads = [threading.Thread(target=_beat) for _number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fail_over() == 0, "a second time there is nothing left"
    assert by_account(broken, state="CANCELLED", reason="failover") == {"sms-main": 30}
    assert by_account(broken, state="PENDING") == {"sms-b": 30}
    assert Counter(Decision.objects.filter(rule="failover").values_list("detail", flat=True)) == {"from=sms-main": 30}
    world.run(broken)
    assert len(world.ledger()) == 30
    assert world.messages(broken) == {"SUCCEEDED": 30}


def _beat() -> None:
    try:
        fail_over()
    finally:
        connections.close_all()


def test_a_vendor_under_a_stop_switch_is_passed_over_until_it_is_lifted(world: World, broken: Campaign) -> None:
    """Also where the beat that moves what waits is killed on the way; only account and kind are the vendor's own."""
    account = ChannelAccount.objects.get(code="sms-main")
    ChannelAccount.objects.update(open_until=None)
    set_switch(actor="test", scope="class", key="marketing", reason="x", until=timezone.now() + timedelta(hours=1))
    in_trouble_for(AFTER)
    assert fail_over() == 0, "what stops every vendor alike is no trouble of one"
    StopSwitch.objects.all().delete()
    switch = set_switch(actor="test", scope="account", key=str(account.pk), reason="bad route")
    in_trouble_for(AFTER)
    killed_on_the_way()
    assert fail_over() == 1 and fail_over() == 0
    assert by_account(broken, state="PENDING") == {"sms-b": 30}
    assert by_account(world.run(broken), reason="") == {"sms-b": 30} and len(world.ledger()) == 30

    policy = {"steps": [{"channels": [group(1, 1)], "until": "accepted"}]}
    assert by_account(planned(world, policy)) == {"sms-b": 30}
    release_switch(actor="test", switch=switch, reason="mended")
    fail_over()
    assert not AccountTrouble.objects.exists()
    assert set(by_account(planned(world, policy))) == {"sms-main", "sms-b"}


def planned(world: World, policy: dict[str, Any]) -> Campaign:
    campaign = world.campaign(policy)
    while expand_next(campaign.lane):
        pass
    return campaign


def test_what_may_have_been_sent_stays_where_it_is(world: World, broken: Campaign) -> None:
    rows = list(Delivery.objects.filter(campaign_id=broken.pk).order_by("id"))
    held = {"state": "HELD", "held_until": timezone.now() + timedelta(hours=1), "attempts": 1}
    doubtful, refused, reserved, quiet, wire = (Delivery.objects.filter(pk=row.pk) for row in rows[:5])
    doubtful.update(**held, reason="same_key: timeout")
    refused.update(**held, reason="unavailable: refused")
    reserved.update(provider_key="cid-1")
    quiet.update(**held | {"attempts": 0}, reason="quiet_hours")
    wire.update(state="SENDING", attempts=1)
    for row, outcome in ((rows[0], "unknown"), (rows[1], "unavailable"), (rows[4], "")):
        Attempt.objects.create(
            delivery_id=row.pk, number=1, epoch=1, key="k", intent_at=timezone.now(), outcome=outcome
        )
    in_trouble_for(AFTER)
    assert fail_over() == 1
    stay = set(
        Delivery.objects.filter(campaign_id=broken.pk)
        .exclude(reason="failover")
        .exclude(account_id=_b())
        .values_list("pk", flat=True)
    )
    assert stay == {rows[0].pk, rows[2].pk, rows[3].pk, rows[4].pk}
    assert by_account(broken, state="PENDING")["sms-b"] == 26


def _b() -> int:
    return ChannelAccount.objects.get(code="sms-b").pk


def test_a_batch_in_somebodys_hand_is_left_alone(world: World, broken: Campaign) -> None:
    in_trouble_for(AFTER)
    with transaction.atomic():
        list(Batch.objects.select_for_update().filter(campaign=broken))
        thread = threading.Thread(target=_beat)
        thread.start()
        thread.join()
    Batch.objects.filter(campaign=broken).update(state="LEASED", lease_until=timezone.now() + timedelta(hours=1))
    assert fail_over() == 0
    assert by_account(broken, state="PENDING") == {"sms-main": 30}


def test_nobody_takes_over_while_no_vendor_is_healthy(world: World, broken: Campaign) -> None:
    ChannelAccount.objects.filter(code="sms-b").update(state="PAUSED")
    in_trouble_for(AFTER)
    assert fail_over() == 0
    ChannelAccount.objects.update(state="ACTIVE", open_until=None)
    assert fail_over() == 0
    assert not AccountTrouble.objects.exists(), "they work again"


def killed_on_the_way() -> None:
    """A beat that dies before it has committed the first batch that it moves."""
    environment = {**os.environ, "UMS_FAILPOINT": "failover_before_commit:kill9"}
    command = [
        sys.executable,
        "manage.py",
        "shell",
        "--no-imports",
        "-c",
        "from apps.campaigns.pipeline.reap import tick; tick()",
    ]
    assert subprocess.Popen(command, env=environment, cwd=settings.BASE_DIR).wait(60) == -signal.SIGKILL


def test_killed_in_between_it_has_moved_nobody_and_the_next_beat_moves_all(world: World, broken: Campaign) -> None:
    in_trouble_for(AFTER)
    killed_on_the_way()
    assert by_account(broken) == {"sms-main": 30}
    assert fail_over() == 1
    world.run(broken)
    assert len(world.ledger()) == 30


def test_what_no_account_takes_in_time_gives_way_to_the_next_step(world: World) -> None:
    world.people(3, ("phone", "email"))
    sms = {"channels": [{"account": "sms-main"}], "until": "accepted", "wait_seconds": 1}
    mail = {"channels": [{"account": "mail-main"}], "until": "accepted", "wait_seconds": 1}
    campaign = world.campaign({"steps": [sms, mail]})
    while expand_next(campaign.lane):
        pass
    ChannelAccount.objects.update(open_until=timezone.now() + timedelta(hours=1))
    in_trouble_for(0.5)
    assert fail_over() == 0, "not yet"
    world.run(campaign, until=lambda: by_account(campaign).get("mail-main") == 3)
    assert by_account(campaign, reason="not_accepted_in_time") == {"sms-main": 3}
    in_trouble_for(AFTER)
    assert fail_over() == 0, "the last step waits on"
    assert set(Decision.objects.filter(rule="reissue").values_list("detail", flat=True)) == {"not_accepted_in_time"}
    ChannelAccount.objects.update(open_until=None)
    world.run(campaign)
    assert {line["provider"] for line in world.ledger()} == {"smtp"}
    assert world.messages(campaign) == {"SUCCEEDED": 3}
