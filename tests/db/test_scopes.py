"""Entries for one way and for regions: planned around, stopped at the gate where they come later, foreseen, and told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import translation

from apps.campaigns.drafting import save_policy, store_forecast
from apps.campaigns.models import Campaign, Decision, Delivery, Message, Policy
from apps.campaigns.pipeline.expand import expand_next
from apps.campaigns.services import create_campaign, submit_campaign
from apps.campaigns.what_if import ask_what_if
from apps.channels.models import ChannelAccount
from apps.partners.services import save_business_line
from apps.users.errors import PeopleError
from apps.users.models import Attribute, BlacklistEntry, Recipient
from apps.users.services import add_blacklist, delete_recipient, remove_blacklist, set_attributes
from tests.db.conftest import SMS, World

ROOT = Path(__file__).resolve().parents[2]
PUSH_THEN_SMS = {"steps": [{"channels": [{"account": "push-main"}], "until": "accepted"}, *SMS["steps"]]}


@pytest.fixture
def people(world: World) -> list[Recipient]:
    """Five people with a device and a phone; the last two live in Xinjiang."""
    found = world.people(5, ("jpush", "phone"))
    Attribute.objects.create(key="region", label="Region")
    for person in found[3:]:
        set_attributes(actor="test", recipient=person, values={"region": "Xinjiang"})
    return found


def block(**what: Any) -> BlacklistEntry:
    return add_blacklist(actor="test", reason="asked", source="test", **what)


def went(campaign: Campaign) -> dict[str, list[str]]:
    """user id -> accounts that took a message, in order."""
    codes = dict(ChannelAccount.objects.values_list("pk", "code"))
    names = dict(Recipient.objects.values_list("pk", "user_id"))
    found: dict[str, list[str]] = {}
    for one in Delivery.objects.filter(campaign_id=campaign.pk, accepted_at__isnull=False).order_by("id"):
        found.setdefault(names[one.recipient_id], []).append(codes[one.account_id])
    return found


def test_a_forbidden_way_is_planned_around_and_foreseen(world: World, people: list[Recipient]) -> None:
    no_push, no_sms, neither, _north, mail_only = people
    block(recipient=no_push, channel="push")
    block(recipient=no_sms, channel="sms_aliyun")
    block(recipient=neither, scope="account", scope_id=ChannelAccount.objects.get(code="push-main").pk)
    block(recipient=neither, channel="SMS")
    block(region="Xinjiang", channel="push_jpush", classes=["marketing"])
    block(recipient=mail_only, channel="email")
    draft = create_campaign(
        actor="test", name="F", business_line=world.line, template_version=world.version, policy=PUSH_THEN_SMS,
        audience={"kind": "filter"}, message_class="marketing",
    )  # fmt: skip
    said = store_forecast(actor="test", campaign=draft)
    assert said["blocked"] == {"way_blacklisted": 1} and said["invalid"] == 0
    assert said["reachable"] == {"push-main": 1, "sms-main": 3} and said["first"] == {"push-main": 1, "sms-main": 3}
    policy = save_policy(actor="test", policy=Policy(code="p", name="p", plan=PUSH_THEN_SMS))
    asked = {"policy": policy, "business_line": world.line, "message_class": "marketing", "version": world.version}
    ways = [way for step in ask_what_if(person=people[3], **asked).steps for way in step.ways]
    assert [(way.channel.account, way.why_not) for way in ways] == [
        ("push-main", ["way_blacklisted"]),
        ("sms-main", []),
    ]
    assert ask_what_if(person=neither, **asked).reason == "way_blacklisted"

    campaign = world.run(submit_campaign(actor="test", campaign=draft))
    assert world.messages(campaign) == {"SUCCEEDED": 4, "BLOCKED way_blacklisted": 1}
    assert went(campaign) == {
        "P000000": ["sms-main"], "P000001": ["push-main"], "P000003": ["sms-main"], "P000004": ["sms-main"],
    }  # fmt: skip
    codes = world.run(world.campaign(PUSH_THEN_SMS, message_class="otp"))
    assert went(codes)["P000003"] == ["push-main"], "the region's entry is for marketing"


def expanded(world: World, policy: Any = PUSH_THEN_SMS) -> Campaign:
    campaign = world.campaign(policy)
    while expand_next(campaign.lane):
        pass
    return campaign


def test_what_is_forbidden_after_planning_is_stopped_once_whoever_dies(world: World, people: list[Recipient]) -> None:
    campaign = expanded(world)
    block(recipient=people[0], channel="push")
    block(recipient=people[1])
    block(region="Xinjiang")
    place = {**os.environ, "UMS_FAILPOINT": "intent_before_commit:kill9"}
    command = [sys.executable, str(ROOT / "manage.py"), "work", campaign.lane, "--direct"]
    assert subprocess.run(command, cwd=ROOT, env=place, capture_output=True, timeout=60).returncode == -9
    assert not Decision.objects.filter(verdict="stop").exists(), "the stops live and die with the intent"
    with connection.cursor() as cursor:
        cursor.execute("UPDATE campaigns_batch SET lease_until = now() - interval '1 h' WHERE state = 'LEASED'")
    world.run(campaign)
    assert world.messages(campaign) == {"SUCCEEDED": 2, "BLOCKED blacklisted": 3}
    assert went(campaign) == {"P000000": ["sms-main"], "P000002": ["push-main"]}, "nobody twice, nobody on a closed way"
    assert len(world.ledger()) == 2
    message = Message.objects.get(campaign_id=campaign.pk, recipient_id=people[0].pk)
    lines = Decision.objects.filter(message_id=message.pk).order_by("at").values_list("rule", "verdict", "step")
    assert list(lines) == [("target", "go", 0), ("way_blacklisted", "stop", 0), ("reissue", "go", 1)]


def test_a_whitelist_of_one_way_opens_that_way_only(world: World, people: list[Recipient]) -> None:
    late = expanded(world)
    world.line.whitelist_only = True
    save_business_line(actor="test", business_line=world.line)
    by_sms = block(recipient=people[0], channel="sms", effect="allow")
    block(region="Xinjiang", effect="allow")
    for campaign in (late, world.campaign(PUSH_THEN_SMS)):
        world.run(campaign)
        assert world.messages(campaign) == {"SUCCEEDED": 3, "BLOCKED not_whitelisted": 2}
        assert went(campaign) == {"P000000": ["sms-main"], "P000003": ["push-main"], "P000004": ["push-main"]}
    push_only = world.run(world.campaign({"steps": PUSH_THEN_SMS["steps"][:1]}))
    assert world.messages(push_only) == {
        "SUCCEEDED": 2, "BLOCKED not_whitelisted": 2, "BLOCKED way_not_whitelisted": 1,
    }  # fmt: skip
    remove_blacklist(actor="test", entry=by_sms, reason="the trial is over")
    assert world.messages(world.run(world.campaign())) == {"SUCCEEDED": 2, "BLOCKED not_whitelisted": 3}


def test_an_address_loses_one_way_and_keeps_it_when_its_person_is_deleted(
    world: World, people: list[Recipient]
) -> None:
    block(kind="phone", address="13900000000", channel="sms_tencent")
    block(kind="phone", address="13900000001", channel="sms")
    assert world.messages(world.run(world.campaign(SMS))) == {"SUCCEEDED": 4, "BLOCKED address_blacklisted": 1}
    block(recipient=people[2], channel="sms")
    delete_recipient(actor="test", recipient=people[2])
    kept = BlacklistEntry.objects.get(address_masked="139****0002")
    assert (kept.channel, kept.recipient_id) == ("sms", None)
    for wrong, why in (
        ({"recipient": people[0], "region": "Xinjiang"}, "one of them"),
        ({"recipient": people[0], "channel": "pigeon"}, "no kind of channel pigeon"),
    ):
        with translation.override("en"), pytest.raises(PeopleError, match=why):
            block(**wrong)
    Attribute.objects.all().delete()
    with translation.override("en"), pytest.raises(PeopleError, match="declare it under Attributes"):
        block(region="Xinjiang")
