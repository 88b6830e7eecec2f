"""Alibaba's SMS with own texts, and 5G messages, through the whole pipeline."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.http import HttpResponse
from django.test import Client

from apps.campaigns.models import Campaign, Delivery, ReceiptInbox
from apps.campaigns.pipeline.receipts import merge_next
from apps.channels.models import ChannelAccount, SharedToken
from apps.channels.services import save_account
from apps.users.services import add_binding
from demo import every_channel
from tests.channels.peers import HttpPeer, http_answer, wait_for
from tests.channels.simulated.senders import arrived
from tests.db.conftest import World
from tests.simulator.clients import Simulator

PROOF = ("signature", "timestamp", "nonce", "echostr", "chatbotid")


@pytest.fixture
def own(world: World) -> World:
    account = ChannelAccount.objects.get(code="sms-main")
    save_account(actor="test", account=account, settings={"texts_of_call": "own", "recipients_per_call": 50})
    return world


@pytest.fixture
def ear(outside: Simulator, world: World) -> Iterator[HttpPeer]:
    """Takes what the platform pushes, for the tests to hand on to the real hook."""
    peer = HttpPeer(lambda *_: http_answer(b""))
    outside.control({"receipts": {"urls": {"rcs": peer.url("/h")}, "delay": [0.0, 0.0]}})
    yield peer
    peer.close()


def rcs(world: World, count: int) -> Campaign:
    """A campaign of 5G messages to so many people, run until it rests."""
    stages = every_channel.kinds(world.outside.ready, ["rcs_maap"])
    every_channel.accounts(stages, timedelta(seconds=60), timedelta(seconds=2))
    SharedToken.objects.all().delete()
    world.people(count, ("phone",))
    policy = {"steps": [{"channels": [{"account": "rcs-maap"}], "until": "accepted"}]}
    return world.run(world.campaign(policy, template_version=every_channel.template(stages)))


def hand_on(client: Client, peer: HttpPeer, number: int = -1) -> HttpResponse:
    """A request that came, made to the account's hook as it was, the words behind the address included."""
    account = ChannelAccount.objects.get(code="rcs-maap")
    request = arrived(peer)[number]
    behind = peer.heads[number].split(b" ")[1].decode().removeprefix("/h")
    path = f"/hooks/{account.code}/{account.hook_token}{behind}"
    headers = {name: value for name, value in request.headers.items() if name in PROOF}
    if request.method == "GET":
        return client.get(path, headers=headers)
    return client.post(path, request.body, content_type="application/json", headers=headers)


def test_people_of_one_call_get_texts_of_their_own(own: World) -> None:
    own.people(120)
    campaign = own.run(own.campaign())
    assert own.messages(campaign) == {"SUCCEEDED": 120}
    assert len({line["body_hash"] for line in own.ledger()}) == len(own.ledger()) == 120
    assert len({line["call"] for line in own.ledger()}) == 3, "50 to a call"


def test_a_call_that_is_refused_for_one_text_is_sent_one_by_one(own: World) -> None:
    own.script("aliyun", {"refuse": "isv.PARAM_NOT_SUPPORT_URL"}, times=1)
    own.people(5)
    campaign = own.run(own.campaign())
    assert own.messages(campaign) == {"SUCCEEDED": 5} and len({line["call"] for line in own.ledger()}) == 5


def test_an_address_that_cannot_be_written_costs_nobody_else_the_message(own: World) -> None:
    own.people(3)
    (foreign,) = own.people(1, kinds=(), start=3)
    add_binding(actor="test", recipient=foreign, kind="phone", address="+13125550100")
    campaign = own.run(own.campaign())
    assert own.states(campaign) == {"ACCEPTED": 3, "REJECTED": 1}
    assert Delivery.objects.get(campaign_id=campaign.pk, state="REJECTED").reason == "cannot_be_written"


def test_a_lost_call_with_own_texts_is_asked_for_and_not_repeated(own: World) -> None:
    own.outside.control({"receipts": {"delay": [0.0, 0.0]}})
    own.script("aliyun", "reset_after", times=1)
    own.people(6)
    campaign = own.campaign()
    own.run(campaign, until=lambda: own.states(campaign) == {"DELIVERED": 6})
    assert len(own.ledger()) == 6 and len({line["call"] for line in own.ledger()}) == 1


def test_5g_messages_arrive_and_are_read(world: World, client: Client, ear: HttpPeer) -> None:
    world.outside.control({"world": {"rcs": {"read": 1.0}}})
    campaign = rcs(world, 3)
    wait_for(lambda: len(ear.bodies) == 9)
    for number in range(9):
        answer = hand_on(client, ear, number)
        assert (answer.status_code, json.loads(answer.content)["errorCode"]) == (200, 0)
    merge_next()
    assert set(ReceiptInbox.objects.values_list("state", flat=True)) == {"MERGED"}
    assert world.states(campaign) == {"READ": 3}


def test_a_token_that_ended_early_costs_nobody_a_message(world: World) -> None:
    world.script("rcs", "token_error", times=1)
    campaign = rcs(world, 4)
    assert world.states(campaign) == {"ACCEPTED": 4} and len(world.ledger()) == 4
    assert world.outside.stats()["rcs"]["tokens"]["issued"]["106500000001"] >= 2


def test_a_lost_5g_message_is_settled_by_its_receipt(world: World, client: Client, ear: HttpPeer) -> None:
    world.script("rcs", "reset_after", times=1)
    campaign = rcs(world, 1)
    wait_for(lambda: len(ear.bodies) == 2)
    for number in range(2):
        assert hand_on(client, ear, number).status_code == 200
    merge_next()
    assert world.states(campaign) == {"DELIVERED": 1} and len(world.ledger()) == 1
    assert Delivery.objects.get(campaign_id=campaign.pk).provider_id in ("", world.ledger()[0]["pid"])


def test_the_trial_is_answered_in_headers_and_strangers_are_refused(
    world: World, client: Client, ear: HttpPeer
) -> None:
    rcs(world, 1)
    world.outside.call("POST", "/_sim/rcs/verify", b"{}")
    wait_for(lambda: len(ear.heads) == 3)
    place = next(number for number, head in enumerate(ear.heads) if head.startswith(b"GET"))
    answer = hand_on(client, ear, place)
    given = arrived(ear)[place].headers["echostr"]
    assert (answer.status_code, answer.headers["echoStr"], answer.headers["appId"]) == (200, given, "app0001")
    world.outside.control({"receipts": {"bad_sig": 1.0}})
    seen = len(ear.heads)
    world.outside.call("POST", "/_sim/rcs/write", json.dumps({"phone": "13900000000", "text": "TD"}))
    wait_for(lambda: len(ear.heads) == seen + 2)
    assert [hand_on(client, ear, number).status_code for number in (seen, seen + 1)] == [403, 200]
