"""WeCom and Feishu through the whole pipeline: partial lists, members who leave, reads pushed to the hook."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from apps.campaigns.models import Delivery, ReceiptInbox
from apps.campaigns.pipeline.receipts import merge_next
from apps.channels.models import ChannelAccount
from apps.users.models import Binding
from apps.users.services import add_binding, ensure_recipient
from demo import every_channel
from tests.channels.peers import HttpPeer, http_answer, wait_for
from tests.channels.simulated.senders import arrived
from tests.db.conftest import World
from tests.db.test_receipts_of_kinds import ask, sent


@pytest.fixture
def ear(world: World) -> Iterator[HttpPeer]:
    """Takes what the simulated providers push, for the tests to hand on to the real hook."""
    peer = HttpPeer(lambda *_: http_answer(b""))
    urls = {"wecom": peer.url("/h"), "feishu": peer.url("/h")}
    world.outside.control({"receipts": {"urls": urls, "delay": [0.0, 0.0]}})
    yield peer
    peer.close()


def hand_on(client: Client, kind: str, peer: HttpPeer) -> HttpResponse:
    """The newest request that came, posted to the account's hook as it was."""
    account = ChannelAccount.objects.get(kind=kind)
    request = arrived(peer)[-1]
    headers = {name: value for name, value in request.headers.items() if name.startswith("x-lark")}
    path = f"/hooks/{account.code}/{account.hook_token}"
    if request.method == "GET":
        return client.get(path, request.query)  # type: ignore[return-value]
    query = "&".join(f"{name}={value}" for name, value in request.query.items())
    return client.post(f"{path}?{query}", request.body, content_type="text/xml", headers=headers)  # type: ignore[return-value]


def test_members_of_one_call_fare_differently(world: World) -> None:
    people = [{"id": "w", "wecom": "member2", "states": {"wecom": "unlicensed"}}]
    world.outside.call("PUT", "/_sim/people", json.dumps(people))
    campaign = sent(world, "wecom_app", ["Member1", "Member2", "Member3"])
    assert len({line["call"] for line in world.ledger()}) == 1 and len(world.ledger()) == 2
    refused = Delivery.objects.filter(campaign_id=campaign.pk, state="REJECTED")
    assert list(refused.values_list("reason", flat=True)) == ["unlicenseduser"]
    assert sum(world.states(campaign).values()) == 3


def test_a_token_that_ended_early_costs_nobody_a_message(world: World) -> None:
    world.script("wecom", "token_error", times=1)
    campaign = sent(world, "wecom_app", ["stale1", "stale2"])
    assert "REJECTED" not in world.states(campaign) and len(world.ledger()) == 2


def test_a_member_who_leaves_is_unreachable_until_the_return(world: World, client: Client, ear: HttpPeer) -> None:
    sent(world, "wecom_app", ["leaver"])
    person = ensure_recipient(actor="test", user_id="P-leaver")
    add_binding(actor="test", recipient=person, kind="wecom", address="leaver")
    for number, (act, state) in enumerate((("unfollow", "UNREACHABLE"), ("follow", "ACTIVE")), 1):
        world.outside.call("POST", f"/_sim/wecom/{act}", json.dumps({"userid": "Leaver"}))
        wait_for(lambda: len(ear.bodies) == number)  # noqa: B023
        assert (hand_on(client, "wecom_app", ear).status_code, merge_next() is not None) == (200, True)
        binding = Binding.objects.filter(recipient=person, address_kind="wecom")
        assert binding.get().state == state
        binding.update(state_at=timezone.now() - timedelta(hours=1))  # events are told apart by whole seconds
    world.outside.call("POST", "/_sim/wecom/verify", b"{}")
    trial = hand_on(client, "wecom_app", ear)
    assert trial.status_code == 200 and trial.content.isdigit()


def test_what_was_read_is_heard_of_by_push_and_by_asking(world: World, client: Client, ear: HttpPeer) -> None:
    campaign = sent(world, "feishu_app", ["ou_pushed1", "ou_polled1", "ou_silent1"])
    assert len(world.ledger()) == 3
    world.outside.call("POST", "/_sim/feishu/read", json.dumps({"id": "ou_pushed1"}))
    wait_for(lambda: len(ear.bodies) == 1)
    assert hand_on(client, "feishu_app", ear).status_code == 200
    merge_next()
    assert set(ReceiptInbox.objects.values_list("state", flat=True)) == {"MERGED"}
    assert world.states(campaign)["READ"] == 1
    world.outside.call("POST", "/_sim/feishu/read", json.dumps({"id": "ou_polled1"}))
    ask(campaign)
    assert world.states(campaign)["READ"] == 2
    wait_for(lambda: len(ear.bodies) == 2)
    assert hand_on(client, "feishu_app", ear).status_code == 200
    merge_next()
    assert world.states(campaign)["READ"] == 2, "the same read, told twice"
    world.outside.call("POST", "/_sim/feishu/verify", b"{}")
    assert json.loads(hand_on(client, "feishu_app", ear).content)["challenge"]


def test_a_feishu_message_of_unknown_outcome_is_sent_once(world: World) -> None:
    world.script("feishu", "reset_after", times=1)
    started = timezone.now()
    campaign = sent(world, "feishu_app", ["ou_once1", "ou_once2"])
    assert len(world.ledger()) == 2 and timezone.now() > started
    assert not set(world.states(campaign)) & {"REJECTED", "UNKNOWN", "UNKNOWN_FINAL"}


@pytest.mark.parametrize(("waited", "sent_again"), [(timedelta(minutes=50), True), (timedelta(minutes=61), False)])
def test_a_repeat_that_waited_until_its_key_was_forgotten_is_not_made(
    world: World, waited: timedelta, sent_again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever held it back: here the account is paused between the call that was lost and its repeat."""
    monkeypatch.setattr("random.random", lambda: 0.9)  # the repeat waits long enough for somebody to pause the account
    world.script("feishu", "reset_after", times=1)
    campaign = sent(world, "feishu_app", ["ou_late1"], until=lambda: paused_while_held("feishu_app"))
    due = {"first_intent_at": timezone.now() - waited, "held_until": timezone.now()}
    Delivery.objects.filter(campaign_id=campaign.pk).update(**due)
    ChannelAccount.objects.filter(kind="feishu_app").update(state="ACTIVE")
    world.run(campaign)
    one = Delivery.objects.get(campaign_id=campaign.pk)
    assert (one.attempts, len(world.ledger())) == (2 if sent_again else 1, 1)
    assert one.state == "ACCEPTED" if sent_again else (one.state, one.reason) == ("UNKNOWN_FINAL", "key_too_old")


def paused_while_held(kind: str) -> bool:
    """Pauses the account once the only delivery waits for its repeat."""
    held = Delivery.objects.filter(state="HELD", reason__startswith="same_key").exists()
    if held:
        ChannelAccount.objects.filter(kind=kind).update(state="PAUSED")
    return held


def test_an_announcement_of_unknown_outcome_is_not_repeated(world: World) -> None:
    (stage,) = every_channel.kinds(world.outside.ready, ["feishu_announcement"])
    world.outside.control(stage.simulator)
    world.script("feishu", "reset_after", times=1)
    campaign = sent(world, "feishu_announcement", ["ou_news1", "ou_news2"])
    assert len(world.ledger()) == 2
    assert set(world.states(campaign)) <= {"UNKNOWN", "UNKNOWN_FINAL"}


@pytest.mark.parametrize(("interval", "calls", "end"), [(1800, 2, {"ACCEPTED"}), (0, 1, {"UNKNOWN", "UNKNOWN_FINAL"})])
def test_a_call_to_a_member_is_repeated_only_where_the_provider_compares(
    world: World, interval: int, calls: int, end: set[str]
) -> None:
    world.script("wecom", "reset_after", times=1)
    campaign = sent(world, "wecom_app", ["guarded1"], duplicate_check_interval=interval)
    assert len(world.ledger()) == 1, "the person has it once"
    assert Delivery.objects.get(campaign_id=campaign.pk).attempts == calls
    assert set(world.states(campaign)) <= end | {"CLOSED"}


@pytest.mark.parametrize("fault", ["reset_after", {"refuse": "-1"}])
def test_a_template_message_of_unknown_outcome_is_sent_once(world: World, fault: object) -> None:
    world.script("wechat", fault, times=1)
    campaign = sent(world, "wechat_oa", ["oUMS_0000000000000000000091x", "oUMS_0000000000000000000092x"])
    assert len(world.ledger()) == 2
    assert not set(world.states(campaign)) & {"REJECTED", "UNKNOWN", "UNKNOWN_FINAL"}
