"""Calls that carry a text and a reserved key for each recipient, against the simulated JPush."""

from __future__ import annotations

import json
from typing import Any

import pytest

from apps.campaigns.models import Attempt, Campaign, Delivery
from apps.channels.models import ChannelAccount
from apps.channels.services import save_account
from apps.templates.models import TemplateVersion
from apps.templates.services import publish_version, save_draft
from tests.db.conftest import World

PUSH = {"steps": [{"channels": [{"account": "push-main"}], "until": "accepted"}]}


def own_texts(count: int) -> None:
    account = ChannelAccount.objects.get(code="push-main")
    save_account(actor="test", account=account, settings={"own_texts_per_call": count})


@pytest.fixture
def push(world: World) -> World:
    own_texts(50)
    return world


def lines(world: World, event: str = "accept") -> list[dict[str, Any]]:
    return [line for line in world.outside.ledger()[world.seen :] if line["ev"] == event]


def keys(campaign: Campaign) -> set[str]:
    return set(Delivery.objects.filter(campaign_id=campaign.pk).values_list("provider_key", flat=True))


def test_everybody_gets_the_text_that_is_theirs_under_a_key_of_their_own(push: World) -> None:
    push.people(120, ("jpush",))
    campaign = push.run(push.campaign(PUSH))
    assert push.messages(campaign) == {"SUCCEEDED": 120}
    accepted = lines(push)
    assert len({line["body_hash"] for line in accepted}) == 120, "names and balances differ"
    assert len({line["call"] for line in accepted}) == 3, "50 to a call"
    assert {line["key"] for line in accepted} == keys(campaign) and len(keys(campaign)) == 120
    ids = Delivery.objects.filter(campaign_id=campaign.pk).values_list("provider_id", flat=True)
    assert {line["pid"] for line in accepted} == set(ids) and len(set(ids)) == 120
    assert set(Attempt.objects.filter(delivery_id__in=_ids(campaign)).values_list("key", flat=True)) == keys(campaign)


def _ids(campaign: Campaign) -> list[int]:
    return list(Delivery.objects.filter(campaign_id=campaign.pk).values_list("id", flat=True))


@pytest.mark.parametrize("fault", ["reset_after", "reset_before", "500_after_accept", "500"])
def test_a_lost_call_is_repeated_with_everybodys_key(push: World, fault: str) -> None:
    push.script("jpush", fault, times=1)
    push.people(20, ("jpush",))
    campaign = push.run(push.campaign(PUSH))
    assert push.messages(campaign) == {"SUCCEEDED": 20}
    assert len(lines(push)) == 20 and {line["key"] for line in lines(push)} == keys(campaign)
    assert len(lines(push, "dedup")) == (20 if "after" in fault else 0)
    assert Attempt.objects.filter(delivery_id__in=_ids(campaign)).count() == 40


def test_one_that_is_refused_takes_no_other_with_it(push: World) -> None:
    push.people(7, ("jpush",))
    gone = push.person(4242, ("jpush",))
    states = [{"id": "X", "jpush": [f"1507bfd3f7c4{4242:07d}"], "states": {"jpush": "unknown"}}]
    assert push.outside.call("PUT", "/_sim/people", json.dumps(states)).status == 200
    campaign = push.run(push.campaign(PUSH))
    assert push.states(campaign) == {"ACCEPTED": 7, "REJECTED": 1}
    refused = Delivery.objects.get(campaign_id=campaign.pk, state="REJECTED")
    assert (refused.recipient_id, refused.reason) == (gone.pk, "1011")
    assert Attempt.objects.filter(delivery_id__in=_ids(campaign)).count() == 8, "nobody was asked twice"


def test_a_call_that_is_refused_as_a_whole_is_sent_one_by_one(push: World) -> None:
    push.script("jpush", {"refuse": "1003"}, times=1)
    push.people(5, ("jpush",))
    campaign = push.run(push.campaign(PUSH))
    assert push.messages(campaign) == {"SUCCEEDED": 5}
    assert len({line["call"] for line in lines(push)}) == 5 and {line["key"] for line in lines(push)} == keys(campaign)


def test_who_shared_a_key_shares_it_after_the_account_was_changed(world: World) -> None:
    own_texts(0)
    version = equal_text(world)
    world.script("jpush", "reset_after", times=1)
    world.people(6, ("jpush",))
    campaign = world.campaign(PUSH, template_version=version)
    world.run(campaign, until=lambda: len(lines(world)) == 6)
    own_texts(50)
    world.run(campaign)
    assert world.messages(campaign) == {"SUCCEEDED": 6}
    assert len(lines(world)) == 6 and len(lines(world, "dedup")) == 6 and len(keys(campaign)) == 1


@pytest.mark.parametrize("fault", ["reset_after", "reset_before"])
def test_who_shares_a_key_is_tried_together_while_the_account_is_in_doubt(world: World, fault: str) -> None:
    own_texts(0)
    version = equal_text(world)
    world.script("jpush", fault)
    world.people(6, ("jpush",))
    campaign = world.campaign(PUSH, template_version=version)
    tried = Attempt.objects.exclude(outcome="")
    world.run(campaign, until=lambda: tried.filter(delivery_id__in=_ids(campaign)).exists())
    ChannelAccount.objects.filter(code="push-main").update(faults=1, open_until=None)
    world.outside.control({"scripts": []})
    world.run(campaign)
    assert world.messages(campaign) == {"SUCCEEDED": 6}
    assert len(lines(world)) == 6 and len(keys(campaign)) == 1, "everybody got it, once"


def equal_text(world: World) -> TemplateVersion:
    held = save_draft(
        actor="test", code="equal", name="gleich", variables=[], bodies={"push_jpush": {"alert": "本月账单已出"}}
    )
    return publish_version(actor="test", template=held)
