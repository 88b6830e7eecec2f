"""Taking back: from the order to the person's phone, with everything that may stand between."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.db.models import F
from django.utils import timezone

from apps.campaigns.accepting import NewMessage, accept_messages
from apps.campaigns.errors import CampaignError
from apps.campaigns.models import Batch, Campaign, Delivery, Message, Recall, RecallOrder, Receipt
from apps.campaigns.pipeline.reap import LANES_WITH_WORK, tick
from apps.campaigns.recalling import foreseen, recall_campaign, recall_message, recall_progress
from apps.campaigns.tasks import drain
from apps.campaigns.timeline import message_timeline
from apps.channels.models import ChannelAccount, SharedToken
from apps.channels.registry import session_kinds
from apps.operators.models import AuditEvent
from apps.reports.figures import campaign_figures
from demo import every_channel
from tests.channels.peers import HttpPeer, http_answer, wait_for
from tests.channels.simulated.senders import arrived
from tests.db.conftest import SMS, World

WHOLE_CALLS = ["wecom_app", "feishu_announcement", "dingtalk_work", "push_jpush"]
ONE_BY_ONE = ["feishu_app"]


def addresses(kind: str, count: int) -> list[str]:
    """Fresh addresses of a kind."""
    patterns = {
        "wecom": "back{}",
        "dingtalk": "back{}",
        "feishu": "ou_back{}",
        "push": "1507bfd3f7c9{:07d}",
        "rcs": "1391200{:04d}",
    }
    addresses.start += count  # type: ignore[attr-defined]
    pattern = patterns[kind.partition("_")[0]]
    return [pattern.format(addresses.start + number) for number in range(count)]  # type: ignore[attr-defined]


addresses.start = 0  # type: ignore[attr-defined]


def accepted(world: World, kind: str, count: int = 3) -> Campaign:
    """A campaign that the simulated provider of this kind has taken."""
    return sent_to(world, kind, addresses(kind, count))


def sent_to(world: World, kind: str, people: list[str]) -> Campaign:
    """Equal messages to these addresses."""
    stages = every_channel.kinds(world.outside.ready, [kind])
    for one in stages:
        world.outside.control(one.simulator)
    every_channel.accounts(stages, timedelta(seconds=60), timedelta(seconds=2))
    SharedToken.objects.all().delete()
    values = {"name": secrets.token_hex(4), "balance": 1}
    campaign, _ids = accept_messages(
        actor="test",
        business_line=world.line,
        template_version=every_channel.template(stages),
        policy={"steps": [{"channels": [{"account": stages[0].code}], "until": "accepted"}]},
        message_class="transactional",
        items=[NewMessage(address_kind=stages[0].address_kind, address=one, variables=values) for one in people],
    )
    return world.run(campaign)


def recalls(campaign: Campaign) -> Any:
    return Recall.objects.filter(campaign_id=campaign.pk)


def carry_out(campaign: Campaign) -> dict[str, int]:
    """Takes back what is due now, whenever the next try would be; recalls by state and code."""
    Batch.objects.filter(campaign=campaign, recall_at__isnull=False).update(recall_at=timezone.now())
    drain("receipts", 5)
    found: dict[str, int] = {}
    for state, code in recalls(campaign).values_list("state", "code"):
        found[f"{state} {code}".strip()] = found.get(f"{state} {code}".strip(), 0) + 1
    return found


def receipts(campaign: Campaign) -> list[str]:
    ids = list(Delivery.objects.filter(campaign_id=campaign.pk).values_list("id", flat=True))
    return sorted(Receipt.objects.filter(delivery_id__in=ids).values_list("state", flat=True))


@pytest.mark.parametrize("kind", WHOLE_CALLS + ONE_BY_ONE)
def test_what_was_accepted_is_taken_back_and_stays_accepted(world: World, kind: str) -> None:
    campaign = accepted(world, kind)
    before, figures = world.states(campaign), campaign_figures(campaign.pk)
    (said,) = foreseen(campaign)
    assert (said.account.kind, said.code, said.deliveries) == (kind, "", 3)
    recall_campaign(actor="boss", campaign=campaign, reason="wrong price")
    assert carry_out(campaign) == {"RECALLED": 3}
    assert receipts(campaign).count("RECALLED") == 3
    assert recall_progress(campaign.pk) is not None and recall_progress(campaign.pk).recalled == 3  # type: ignore[union-attr]
    after = campaign_figures(campaign.pk)
    assert (after.accepted, after.delivered, after.recalled) == (figures.accepted, figures.delivered, 0)
    assert after.identities_hold and world.states(campaign) == before
    assert not Batch.objects.filter(campaign=campaign, recall_at__isnull=False).exists(), "nothing is left to be done"
    told = AuditEvent.objects.filter(verb="recall").get()
    assert (told.actor, told.detail["reason"]) == ("boss", "wrong price")


def test_the_phone_shows_it_as_recalled(world: World) -> None:
    (member,) = addresses("wecom_app", 1)
    world.outside.call("PUT", "/_sim/people", json.dumps([{"id": "Back", "wecom": member}]))
    campaign = sent_to(world, "wecom_app", [member])
    phone = lambda: world.outside.call("GET", "/_sim/phones/Back").body.decode()  # noqa: E731
    assert "撤回" not in phone()
    recall_campaign(actor="boss", campaign=campaign, reason="x")
    assert "receipts" in lanes_with_work(), "a lost ring costs one beat"
    assert carry_out(campaign) == {"RECALLED": 1}
    assert "撤回" in phone() and "receipts" not in lanes_with_work()


def lanes_with_work() -> set[str]:
    """What beat would ring now."""
    with connection.cursor() as cursor:
        cursor.execute(LANES_WITH_WORK, [list(session_kinds())])
        return {lane for (lane,) in cursor.fetchall()}


def test_twice_changes_nothing(world: World) -> None:
    campaign = accepted(world, "wecom_app")
    for _time in range(2):
        recall_campaign(actor="boss", campaign=campaign, reason="wrong price")
        assert carry_out(campaign) == {"RECALLED": 3}
    assert receipts(campaign).count("RECALLED") == 3 and RecallOrder.objects.count() == 1
    (said,) = foreseen(campaign)
    assert said.code == "asked_already"


def test_too_late_is_refused_with_its_reason_and_nobody_is_asked(world: World) -> None:
    campaign = accepted(world, "wecom_app")
    Delivery.objects.filter(campaign_id=campaign.pk).update(accepted_at=F("accepted_at") - timedelta(hours=25))
    assert [one.code for one in foreseen(campaign)] == ["too_late"]
    recall_campaign(actor="boss", campaign=campaign, reason="late")
    assert carry_out(campaign) == {"REFUSED too_late": 3}
    story = message_timeline(Message.objects.filter(campaign_id=campaign.pk).values_list("id", flat=True)[0])
    assert any(one.kind == "recall" and one.tone == "bad" for one in story)
    assert any("boss" in one.words and "late" in one.detail for one in story)
    assert set(recalls(campaign).values_list("tries", flat=True)) == {0}


def test_the_provider_s_own_refusal_is_final_and_said(world: World) -> None:
    campaign = accepted(world, "wecom_app")
    Delivery.objects.filter(campaign_id=campaign.pk).update(provider_id="made-up")
    recall_campaign(actor="boss", campaign=campaign, reason="x")
    assert carry_out(campaign) == {"REFUSED 40058": 3}
    assert carry_out(campaign) == {"REFUSED 40058": 3}
    assert "RECALLED" not in receipts(campaign)


@pytest.mark.parametrize("fault", ["reset_after", "busy", "token_error"])
def test_a_fault_is_tried_again_until_it_is_done(world: World, fault: Any) -> None:
    campaign = accepted(world, "wecom_app")
    world.script("wecom", *FAULTS[fault], times=1, operation="recall")
    recall_campaign(actor="boss", campaign=campaign, reason="x")
    first = carry_out(campaign)
    assert sum(count for state, count in first.items() if state.startswith("WAITING")) == 3, first
    due = Batch.objects.get(campaign=campaign).recall_at
    assert due is not None and due > timezone.now(), "the next try is not at once"
    assert carry_out(campaign) == {"RECALLED": 3}


FAULTS: dict[str, list[Any]] = {
    "reset_after": ["reset_after"],
    "busy": [{"refuse": "-1"}],
    "token_error": ["token_error"],
}


def test_it_is_given_up_when_the_provider_s_time_is_over(world: World) -> None:
    campaign = accepted(world, "wecom_app")
    world.script("wecom", "reset_before", operation="recall")
    recall_campaign(actor="boss", campaign=campaign, reason="x")
    assert carry_out(campaign) == {"WAITING": 3}
    recalls(campaign).update(until=timezone.now())
    assert carry_out(campaign) == {"REFUSED too_late": 3}
    assert not Batch.objects.filter(campaign=campaign, recall_at__isnull=False).exists()


def test_an_open_breaker_is_respected(world: World) -> None:
    campaign = accepted(world, "wecom_app")
    ChannelAccount.objects.filter(kind="wecom_app").update(open_until=timezone.now() + timedelta(minutes=5))
    recall_campaign(actor="boss", campaign=campaign, reason="x")
    assert carry_out(campaign) == {}
    ChannelAccount.objects.filter(kind="wecom_app").update(open_until=None)
    assert carry_out(campaign) == {"RECALLED": 3}


@pytest.mark.parametrize("place", ["before_recall", "after_recall"])
def test_killed_in_the_middle_it_goes_on(world: World, place: str) -> None:
    campaign = accepted(world, "feishu_app")
    recall_campaign(actor="boss", campaign=campaign, reason="x")
    command = [sys.executable, "manage.py", "work", "receipts", "--direct"]
    environment = {**os.environ, "UMS_FAILPOINT": f"{place}:kill9"}
    victim = subprocess.Popen(command, env=environment, cwd=settings.BASE_DIR)
    assert victim.wait(60) == -signal.SIGKILL
    assert set(recalls(campaign).values_list("state", "tries")) == {("WAITING", 1)}
    assert Batch.objects.get(campaign=campaign).recall_at > timezone.now(), "its claim runs out by itself"  # type: ignore[operator]
    assert carry_out(campaign) == {"RECALLED": 3}
    assert receipts(campaign).count("RECALLED") == 3


def test_one_message_of_a_call_cannot_be_taken_back_alone(world: World) -> None:
    campaign = accepted(world, "wecom_app")
    first, *others = Message.objects.filter(campaign_id=campaign.pk).order_by("pk").values_list("pk", flat=True)
    (said,) = foreseen(campaign, first)
    assert (said.code, said.deliveries) == ("shared_call", 1)
    recall_message(actor="boss", message_id=first, reason="x")
    assert carry_out(campaign) == {"REFUSED shared_call": 1}
    for other in others:
        recall_message(actor="boss", message_id=other, reason="x")
    assert carry_out(campaign) == {"RECALLED": 3}, "now it is everybody's"


def test_one_message_that_went_alone_is_taken_back_and_the_others_stay(world: World) -> None:
    campaign = accepted(world, "feishu_app")
    one = Message.objects.filter(campaign_id=campaign.pk).order_by("pk").values_list("pk", flat=True)[0]
    assert recall_message(actor="boss", message_id=one, reason="x") == 0
    assert carry_out(campaign) == {"RECALLED": 1}
    assert recalls(campaign).get().message_id == one
    recall_campaign(actor="boss", campaign=campaign, reason="all of it")
    assert carry_out(campaign) == {"RECALLED": 3}


def test_what_was_not_sent_yet_is_called_off(world: World) -> None:
    world.people(3)
    campaign = world.campaign()
    ChannelAccount.objects.filter(code="sms-main").update(state="PAUSED")
    world.run(campaign, until=lambda: world.states(campaign) == {"PENDING": 3})
    one = Message.objects.filter(campaign_id=campaign.pk).order_by("pk")[0]
    assert recall_message(actor="boss", message_id=one.pk, reason="x") == 1
    one.refresh_from_db()
    assert (one.state, one.reason) == ("CANCELLED", "recalled")
    recall_campaign(actor="boss", campaign=campaign, reason="x")
    ChannelAccount.objects.filter(code="sms-main").update(state="ACTIVE")
    world.run(campaign, until=lambda: world.states(campaign) == {"CANCELLED": 3})
    assert world.ledger() == [] and campaign_figures(campaign.pk).recalled == 3
    assert campaign_figures(campaign.pk).identities_hold


def test_the_next_step_does_not_follow_what_was_recalled(world: World) -> None:
    world.people(1, kinds=("phone",))
    steps = [{"channels": [{"account": "sms-main"}], "wait_seconds": 1}, {"channels": [{"account": "push-main"}]}]
    world.outside.control({"receipts": {"urls": {}}})
    campaign = world.campaign({"steps": steps})
    world.run(campaign, until=lambda: world.states(campaign) == {"ACCEPTED": 1})
    message = Message.objects.get(campaign_id=campaign.pk)
    recall_message(actor="boss", message_id=message.pk, reason="x")
    assert recalls(campaign).get().code == "no_recall"
    message.refresh_from_db()
    assert message.step == 2, "no step is left"


def test_kinds_without_recall_are_foreseen_as_such(world: World) -> None:
    world.people(2)
    campaign = world.run(world.campaign(SMS))
    assert [(one.code, one.deliveries) for one in foreseen(campaign)] == [("no_recall", 2)]
    recall_campaign(actor="boss", campaign=campaign, reason="x")
    assert carry_out(campaign) == {}
    tick()


def test_what_is_accepted_after_the_order_is_taken_back_too(world: World) -> None:
    campaign = accepted(world, "feishu_app")
    late = Delivery.objects.filter(campaign_id=campaign.pk).order_by("pk")[0]
    Delivery.objects.filter(pk=late.pk).update(state="SENDING")
    recall_campaign(actor="boss", campaign=campaign, reason="x")
    assert carry_out(campaign) == {"RECALLED": 2}
    Delivery.objects.filter(pk=late.pk).update(state="ACCEPTED")
    assert carry_out(campaign) == {"RECALLED": 3}


def verdict(world: World, client: Any, peer: HttpPeer, word: str) -> None:
    """Hands on to the hook what the platform tells of a recall."""
    wait_for(lambda: any(word.encode() in body for body in peer.bodies))
    account = ChannelAccount.objects.get(kind="rcs_maap")
    for request in arrived(peer):
        if word.encode() in request.body:
            headers = {name: request.headers[name] for name in ("signature", "timestamp", "nonce")}
            path = f"/hooks/{account.code}/{account.hook_token}"
            answer = client.post(path, request.body, content_type="application/json", headers=headers)
            assert answer.status_code == 200


@pytest.mark.parametrize(
    ("fate", "word", "end"),
    [("offline", "revokeOk", {"RECALLED": 1}), ("", "revokeFail", {"REFUSED revokeFail": 1})],
)
def test_a_verdict_that_comes_later_is_waited_for(
    world: World, client: Any, fate: str, word: str, end: dict[str, int]
) -> None:
    peer = HttpPeer(lambda *_: http_answer(b'{"errorCode":0,"errorMessage":"success"}'))
    (phone,) = addresses("rcs_maap", 1)
    people = [{"id": f"r{phone}", "phone": phone, "states": {"rcs": fate}}] if fate else []
    world.outside.call("PUT", "/_sim/people", json.dumps(people))
    world.outside.control({"receipts": {"urls": {"rcs": peer.url("/h")}, "delay": [0.0, 0.0]}})
    try:
        campaign = sent_to(world, "rcs_maap", [phone])
        recall_campaign(actor="boss", campaign=campaign, reason="x")
        assert carry_out(campaign) == {"ASKED": 1}
        verdict(world, client, peer, word)
        assert carry_out(campaign) == end
        assert {"RECALLED": "RECALLED", "REFUSED revokeFail": "RECALL_REFUSED"}[next(iter(end))] in receipts(campaign)
    finally:
        peer.close()


def test_a_reason_is_required_and_a_draft_has_nothing_to_take_back(world: World) -> None:
    campaign = accepted(world, "wecom_app")
    refusals: list[Callable[[], object]] = [
        lambda: recall_campaign(actor="boss", campaign=campaign, reason=" "),
        lambda: recall_message(actor="boss", message_id=1, reason="x"),
        lambda: recall_message(actor="boss", message_id=1, reason="x" * 201),
    ]
    for refused in refusals:
        with pytest.raises(CampaignError):
            refused()
    Campaign.objects.filter(pk=campaign.pk).update(state="DRAFT")
    with pytest.raises(CampaignError):
        recall_campaign(actor="boss", campaign=campaign, reason="x")
    assert not RecallOrder.objects.exists()
