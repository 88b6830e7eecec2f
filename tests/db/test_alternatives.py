"""Steps with alternatives: vendors of one channel by weight and health, channels of a smart step, one after another."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.campaigns.accepting import NewMessage, accept_messages
from apps.campaigns.errors import CampaignError
from apps.campaigns.models import Campaign, Decision, Delivery, Message
from apps.channels.models import ChannelAccount
from apps.templates.services import publish_version, save_draft
from apps.users.services import tag
from tests.db.conftest import World

VENDORS = ("sms-main", "sms-b", "sms-c")


def vendors(world: World) -> None:
    """Three accounts of one provider for short messages."""
    for code in VENDORS[1:]:
        account = ChannelAccount.objects.get(code="sms-main")
        account.pk, account.code, account.name, account.hook_token = None, code, code, code
        account._state.adding = True
        account.save(force_insert=True)


def group(*weights: int, **extra: Any) -> dict[str, Any]:
    named = [{"account": code, "weight": weight} for code, weight in zip(VENDORS, weights, strict=False)]
    return {"vendors": named, **extra}


def by_account(campaign: Campaign, **only: Any) -> dict[str, int]:
    codes = dict(ChannelAccount.objects.values_list("pk", "code"))
    rows = Delivery.objects.filter(campaign_id=campaign.pk, **only).values_list("account_id", flat=True)
    return dict(Counter(codes[one] for one in rows))


def test_vendors_share_by_weight_and_the_unhealthy_gets_nothing(world: World) -> None:
    vendors(world)
    world.people(120)
    policy = {"steps": [{"channels": [group(3, 1, 0)], "until": "accepted"}]}
    campaign = world.run(world.campaign(policy))
    shares = by_account(campaign)
    assert set(shares) == {"sms-main", "sms-b"} and 70 <= shares["sms-main"] <= 108, shares
    assert world.messages(campaign) == {"SUCCEEDED": 120}
    line = Decision.objects.filter(rule="route").first()
    assert line is not None and line.detail.startswith("by=weight of=sms-main,sms-b,sms-c chosen=sms-")

    again = world.campaign(policy)
    ChannelAccount.objects.filter(code="sms-main").update(state="PAUSED")
    ChannelAccount.objects.filter(code="sms-b").update(open_until=timezone.now() + timedelta(hours=1))
    assert by_account(world.run(again)) == {"sms-c": 120}, "weight 0 is for when no other can"


def test_a_vendor_that_fails_is_followed_by_the_others_and_then_the_next_step(world: World) -> None:
    vendors(world)
    world.people(2, ("phone", "email"))
    world.script("aliyun", "refuse(isv.BLACK_KEY_CONTROL_LIMIT)")
    policy = {
        "steps": [
            {"channels": [group(1, 1)], "until": "accepted"},
            {"channels": [{"account": "mail-main"}], "until": "accepted"},
        ]
    }
    campaign = world.run(world.campaign(policy))
    assert by_account(campaign) == {"sms-main": 2, "sms-b": 2, "mail-main": 2}
    assert world.messages(campaign) == {"SUCCEEDED": 2}
    message = Message.objects.filter(campaign_id=campaign.pk).first()
    rules = [one.rule for one in Decision.objects.filter(message_id=message.pk).order_by("at")]
    assert Counter(rules) == Counter(["target", "route", "alternative", "route", "reissue"])


def test_a_smart_step_tries_its_channels_one_at_a_time(world: World) -> None:
    world.people(3, ("phone", "jpush", "email"))
    world.script("jpush", "refuse(1011)")
    channels = [{"account": "push-main"}, {"account": "mail-main"}, {"account": "sms-main"}]
    policy = {"steps": [{"channels": channels, "mode": "smart", "until": "accepted"}]}
    campaign = world.run(world.campaign(policy))
    assert by_account(campaign) == {"push-main": 3, "mail-main": 3}, "in order, and no further than the first success"
    assert world.messages(campaign) == {"SUCCEEDED": 3}


def test_conditions_limit_a_channel_and_an_address_without_a_person_meets_none(world: World) -> None:
    people = world.people(4, ("phone",))
    tag(actor="test", recipients=people[:2], tags=["gold"])
    tag(actor="test", recipients=people[1:2], tags=["silent"])
    only = {"tags_any": ["gold"], "tags_none": ["silent"], "attributes": {"balance": {"max": 2}}}
    named = [{"account": "sms-main", "only_if": only}]
    campaign = world.run(world.campaign({"steps": [{"channels": named, "until": "accepted"}]}))
    assert world.messages(campaign) == {"SUCCEEDED": 1, "INVALID no_usable_address": 3}

    none = [{"account": "sms-main", "only_if": {"tags_none": ["silent"]}}]
    for channels, expected in ((named, "INVALID"), (none, "SUCCEEDED")):
        made, ids = accept_messages(
            actor="test", business_line=world.line, template_version=world.version, message_class="transactional",
            policy={"steps": [{"channels": channels, "until": "accepted"}]},
            items=[NewMessage(address_kind="phone", address="13900088888", variables={"name": "a", "balance": 1})],
        )  # fmt: skip
        world.run(made)
        assert Message.objects.get(pk=ids[0]).state == expected


def test_a_channel_sends_the_variant_of_the_text_that_it_names(world: World) -> None:
    world.people(2)
    own, long = (
        {"channels": [{"account": "sms-main", **more}], "until": "accepted"} for more in ({}, {"body": "long"})
    )
    with pytest.raises(CampaignError, match="sms_aliyun/long"):
        world.campaign({"steps": [long]})
    template = world.version.template
    bodies = template.bodies | {"sms_aliyun/long": template.bodies["sms_aliyun"] | {"text": "长" * 80}}
    said = {"code": template.code, "name": template.name, "variables": template.variables, "bodies": bodies}
    save_draft(actor="test", template=template, **said)
    version = publish_version(actor="test", template=template)
    for step, pieces in ((own, {1}), (long, {2})):
        campaign = world.run(world.campaign({"steps": [step]}, template_version=version))
        assert set(Delivery.objects.filter(campaign_id=campaign.pk).values_list("pieces", flat=True)) == pieces
