"""Webhooks through the pipeline: the subscriber's answer ends a delivery; addresses that are gone or inside end it as well."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import override_settings

from apps.campaigns.models import Campaign, Delivery, Receipt
from apps.channels.models import ChannelAccount
from apps.users.models import Binding
from apps.users.services import add_binding
from demo import every_channel
from tests.db.conftest import World

SendTo = Callable[..., Campaign]


@pytest.fixture
def send_to(world: World) -> SendTo:
    stages = every_channel.kinds(world.outside.ready, ["webhook"])
    every_channel.accounts(stages, timedelta(seconds=30), timedelta(seconds=5))
    code = ChannelAccount.objects.get(kind="webhook").code
    policy = {"steps": [{"channels": [{"account": code}], "until": "delivered", "wait_seconds": 20}]}

    def send(*names: str) -> Campaign:
        for number, name in enumerate(names):
            recipient = world.person(number, ())
            url = f"{world.outside.http}/hooks/{name}"
            add_binding(actor="test", recipient=recipient, kind="webhook", address=url)
        return world.run(world.campaign(policy, template_version=every_channel.template(stages)))

    return send


def test_a_good_answer_is_delivered_at_once_with_a_receipt(world: World, send_to: SendTo) -> None:
    campaign = send_to(*(f"s{number}" for number in range(30)))
    assert world.messages(campaign) == {"SUCCEEDED": 30} and world.states(campaign) == {"DELIVERED": 30}
    deliveries = Delivery.objects.filter(campaign_id=campaign.pk)
    assert all(one.accepted_at and one.receipt_at and one.receipt_at >= one.accepted_at for one in deliveries)
    receipts = Receipt.objects.filter(delivery_id__in=[one.pk for one in deliveries])
    assert [(one.state, one.code) for one in receipts] == [("DELIVERED", "answer")] * 30
    assert len(world.ledger()) == 30


def test_an_answer_that_was_lost_is_delivered_once(world: World, send_to: SendTo) -> None:
    world.script("webhook", "reset_after", times=1)
    campaign = send_to("lost")
    assert world.states(campaign) == {"DELIVERED": 1} and len(world.ledger()) == 1


def test_an_address_that_is_gone_is_not_tried_again_by_anybody(world: World, send_to: SendTo) -> None:
    world.outside.call("POST", "/_sim/webhook/close", json.dumps({"name": "gone"}))
    campaign = send_to("gone", "stays")
    assert world.states(campaign) == {"DELIVERED": 1, "REJECTED": 1}
    assert sorted(Binding.objects.filter(address_kind="webhook").values_list("state", flat=True)) == [
        "ACTIVE",
        "INVALID",
    ]
    assert ChannelAccount.objects.get(kind="webhook").faults == 0


@override_settings(UMS_EGRESS_ALLOW=[])
def test_an_address_inside_is_refused_and_nothing_is_sent(world: World, send_to: SendTo) -> None:
    calls = world.outside.stats()["webhook"]["calls"]
    campaign = send_to("inside")
    (delivery,) = Delivery.objects.filter(campaign_id=campaign.pk)
    assert (delivery.state, delivery.reason) == ("REJECTED", "egress_refused")
    assert world.outside.stats()["webhook"]["calls"] == calls
    assert ChannelAccount.objects.get(kind="webhook").faults == 0


def test_a_failing_subscriber_stops_nobody_else(world: World, send_to: SendTo) -> None:
    world.script("webhook", "500", times=60)
    campaign = send_to(*(f"f{number}" for number in range(40)))
    assert ChannelAccount.objects.get(kind="webhook").faults == 0
    assert world.states(campaign) == {"DELIVERED": 40} and len(world.ledger()) == 40


def test_apprise_goes_out_over_its_own_processes(world: World) -> None:
    stages = every_channel.kinds(world.outside.ready, ["apprise"])
    every_channel.accounts(stages, timedelta(seconds=30), timedelta(seconds=5))
    every_channel.people(stages, 5)
    policy = every_channel.policy(stages)
    campaign = world.run(world.campaign(policy, template_version=every_channel.template(stages)))
    assert world.states(campaign) == {"ACCEPTED": 5} and len(world.ledger()) == 5
