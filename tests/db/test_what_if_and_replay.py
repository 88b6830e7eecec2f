"""What a policy would do for a person is what it does; a past campaign is replayed once, whoever dies; versions stay."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import translation

from apps.campaigns import replays
from apps.campaigns.drafting import restore_policy_version, save_policy
from apps.campaigns.errors import CampaignError, PolicyRefused
from apps.campaigns.models import Campaign, Delivery, Policy, PolicyVersion, Replay
from apps.campaigns.replays import make_replay, replay_due
from apps.campaigns.what_if import ask_what_if
from apps.channels.models import ChannelAccount
from apps.operators.models import AuditEvent
from apps.users.models import Recipient
from apps.users.services import add_blacklist
from tests.db.conftest import World

SMART = {
    "steps": [
        {
            "channels": [{"account": "sms-main"}, {"account": "push-main"}, {"account": "mail-main"}],
            "mode": "smart",
            "until": "delivered",
            "wait_seconds": 2,
        }
    ]
}


def _policy(plan: dict[str, Any], code: str = "smart") -> Policy:
    return save_policy(actor="test", policy=Policy(code=code, name=code, plan=plan))


def _history(person: Recipient, code: str, tried: float, delivered: float) -> None:
    account = ChannelAccount.objects.get(code=code)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO campaigns_personexperience VALUES (%s, %s, %s, %s, 0, 0, now())",
            [person.pk, account.pk, tried, delivered],
        )


@pytest.fixture(autouse=True)
def in_english() -> Iterator[None]:
    with translation.override("en"):
        yield


@pytest.fixture
def unknown(world: World) -> World:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE campaigns_personexperience, campaigns_classexperience, campaigns_experiencedue")
    return world


def test_what_if_is_what_happens(unknown: World) -> None:
    world = unknown
    lame, plain, only_sms = (
        world.person(0, ("jpush", "phone")),
        world.person(1, ("jpush", "phone")),
        world.person(2, ("phone",)),
    )
    for person in (lame, plain, only_sms):
        person.refresh_from_db()
    _history(lame, "push-main", 40, 0)
    policy = _policy(SMART)
    asked = {"policy": policy, "business_line": world.line, "message_class": "marketing", "version": world.version}
    answers = {person.pk: ask_what_if(person=person, **asked) for person in (lame, plain, only_sms)}
    assert not Delivery.objects.exists() and not Campaign.objects.exists(), "nothing was kept"
    orders = {pk: _order(found) for pk, found in answers.items()}
    assert orders == {
        lame.pk: ["sms-main", "push-main"],
        plain.pk: ["push-main", "sms-main"],
        only_sms.pk: ["sms-main"],
    }
    ways = {way.channel.account: way for way in answers[lame.pk].steps[0].ways}
    assert ways["mail-main"].why_not == ["no_address"] and "*" in ways["sms-main"].address
    assert ways["push-main"].person.tried == pytest.approx(40) and ways["push-main"].scored.rate < 0.1
    assert ways["sms-main"].price == ways["sms-main"].pieces * ways["sms-main"].account.price

    campaign = world.campaign(policy)
    world.run(campaign, until=lambda: Delivery.objects.filter(campaign_id=campaign.pk, state="PENDING").count() == 0)
    codes = dict(ChannelAccount.objects.values_list("pk", "code"))
    first = {
        one.recipient_id: codes[one.account_id]
        for one in Delivery.objects.filter(campaign_id=campaign.pk).order_by("-id")
    }
    assert first == {pk: order[0] for pk, order in orders.items()}

    add_blacklist(actor="test", recipient=lame, reason="asked", source="test")
    stopped = ask_what_if(person=lame, **asked)
    assert stopped.stopped_by == ["blacklisted"] and _order(stopped) == ["sms-main", "push-main"]


def _order(found: Any) -> list[str]:
    ways = [way for step in found.steps for way in step.ways if way.place]
    return [way.channel.account for way in sorted(ways, key=lambda way: way.place)]


class Died(Exception):
    pass


def test_a_past_campaign_is_replayed_once_whoever_dies(unknown: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world = unknown
    people = world.people(6, ("jpush", "phone")) + world.people(3, ("phone",), start=6)
    add_blacklist(actor="test", recipient=people[0], reason="asked", source="test")
    before = {"steps": [
        {"channels": [{"account": "push-main"}], "until": "delivered", "wait_seconds": 20},
        {"channels": [{"account": "sms-main"}], "until": "accepted"},
    ]}  # fmt: skip
    campaign = world.campaign(before)
    with pytest.raises(CampaignError, match="finished"):
        make_replay(actor="test", campaign=campaign, policy=_policy(SMART))
    world.run(campaign)
    sms_only = _policy({"steps": [{"channels": [{"account": "sms-main"}], "until": "accepted"}]}, "sms")
    same = make_replay(actor="test", campaign=campaign, policy=_policy(before, "before"))
    other = make_replay(actor="test", campaign=campaign, policy=sms_only)
    monkeypatch.setattr(replays, "CHUNK", 4)

    passes = iter(range(100))

    def die(name: str) -> None:
        if next(passes) == 1:
            raise Died(name)

    with monkeypatch.context() as patched:
        patched.setattr(replays, "failpoint", die)
        with pytest.raises(Died):
            replay_due()
    same.refresh_from_db()
    assert (same.state, same.seen) == ("RUNNING", 4)
    replay_due()
    same.refresh_from_db()
    other.refresh_from_db()
    assert same.state == other.state == "DONE" and same.seen == 9

    groups = same.figures["groups"]
    assert same.figures["left_out"] == 1
    assert groups["observed"]["people"] == 5, "whom the push reached is observed for the same policy"
    assert (groups["observed"]["reach"], groups["observed"]["cost"]) == (5, groups["observed"]["actual_cost"])
    assert sum(one["people"] for one in groups.values()) == 8
    away = other.figures["groups"]
    assert away["assumed"]["people"] == 8 and "observed" not in away, "SMS gave no receipts: nothing of it was observed"
    assert away["assumed"]["cost"] > groups["observed"]["cost"]
    assert AuditEvent.objects.filter(verb="replay").count() == 2
    assert Replay.objects.count() == 2


def test_each_save_is_a_version_that_nothing_changes(unknown: World) -> None:
    policy = _policy(SMART)
    first = Policy.objects.get(pk=policy.pk)
    policy.plan = {"steps": [{"channels": [{"account": "sms-main"}]}], "expires_seconds": 60}
    save_policy(actor="test", policy=policy, note="cheaper", based_on=1)
    assert save_policy(actor="test", policy=policy).number == 2, "nothing new makes no version"
    first.name = "mine"
    with pytest.raises(CampaignError, match="somebody else"):
        save_policy(actor="other", policy=first, based_on=1)
    with pytest.raises(PolicyRefused) as refused:
        save_policy(actor="test", policy=Policy(code="bad", name="bad", plan={"steps": [{"channels": [{}]}]}))
    assert list(refused.value.problems) == ["steps[0].channels[0].account"]

    campaign = unknown.campaign(Policy.objects.get(pk=policy.pk))
    assert (campaign.policy_code, campaign.policy_number) == ("smart", 2)
    restored = restore_policy_version(actor="test", version=PolicyVersion.objects.get(policy=policy, number=1))
    assert (restored.number, restored.plan) == (3, PolicyVersion.objects.get(policy=policy, number=1).plan)
    for statement in ("UPDATE campaigns_policyversion SET name = 'x'", "DELETE FROM campaigns_policyversion"):
        with pytest.raises(DatabaseError, match="never changed"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
