"""Offline save: kept while nobody can be reached, sent once when they can, in order, or ended with its reason."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from django.db import connections, transaction
from django.test import Client
from django.utils import timezone

from apps.campaigns.models import Campaign, Decision, Delivery, Message, SavedMessage
from apps.campaigns.pipeline.offline import release_next
from apps.campaigns.pipeline.reap import tick
from apps.campaigns.pipeline.receipts import merge_events
from apps.campaigns.recalling import recall_message
from apps.campaigns.saving import came_online, discard_saved, release_saved
from apps.campaigns.services import cancel_campaign
from apps.campaigns.tasks import drain
from apps.channels.contract import OFFLINE, ReceiptEvent
from apps.channels.models import ChannelAccount
from apps.operators.models import AuditEvent
from apps.partners.services import issue_api_key
from apps.reports.figures import campaign_figures
from apps.users.models import Recipient
from apps.users.services import add_binding, ensure_recipient
from tests.db.conftest import World
from ums_site.ids import to_base36

ROOT = Path(__file__).resolve().parents[2]


def policy(key: str = "", account: str = "sms-main", seconds: int = 3600) -> dict[str, Any]:
    return {
        "steps": [{"channels": [{"account": account}], "until": "accepted" if account == "sms-main" else "delivered"}],
        "offline_save": {"seconds": seconds, "collapse_key": key},
    }


def away(number: int = 1) -> Recipient:
    return ensure_recipient(actor="test", user_id=f"AWAY{number}")


def kept(world: World, **extra: Any) -> Campaign:
    """A campaign to whoever there is, planned, with those kept whom no address reaches."""
    campaign = world.campaign(policy(**extra))
    drain(campaign.lane, 3)
    campaign.refresh_from_db()
    return campaign


def state_of(campaign: Campaign) -> list[str]:
    saved = SavedMessage.objects.filter(campaign=campaign).order_by("message_id")
    return list(saved.values_list("state", flat=True))


def test_a_new_address_releases_what_was_kept(world: World) -> None:
    world.people(2)
    person = away()
    campaign = world.run(kept(world), until=lambda: len(world.ledger()) == 2)
    tick()
    figures = campaign_figures(campaign.pk)
    assert campaign.state == "RUNNING" and figures.identities_hold
    assert (figures.targets, figures.invalid, figures.in_progress) == (3, 0, 1)

    Recipient.objects.filter(pk=person.pk).update(attributes={"name": "王", "balance": 1})
    add_binding(actor="test", recipient=person, kind="phone", address="13900077777")
    world.run(campaign)
    assert len(world.ledger()) == 3 and state_of(campaign) == ["RELEASED"]
    message = Message.objects.get(campaign_id=campaign.pk, recipient_id=person.pk)
    told = Decision.objects.filter(message_id=message.pk).order_by("at").values_list("rule", "verdict")
    assert message.state == "SUCCEEDED"
    assert list(told) == [("offline_saved", "hold"), ("offline_released", "go")]
    figures = campaign_figures(campaign.pk)
    assert figures.identities_hold and figures.in_progress == 0


def test_two_at_once_and_a_death_before_the_commit_plan_once(world: World) -> None:
    people = [away(number) for number in range(6)]
    campaign = kept(world)
    Recipient.objects.update(attributes={"name": "王", "balance": 1})
    for number, person in enumerate(people):
        add_binding(actor="test", recipient=person, kind="phone", address=f"1390007{number:04d}")
    command = [sys.executable, "manage.py", "work", campaign.lane, "--direct"]
    environment = {**os.environ, "UMS_FAILPOINT": "offline_before_commit:kill9"}
    died = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=60, check=False)
    assert died.returncode == -9
    assert state_of(campaign) == ["SAVED"] * 6 and not Delivery.objects.filter(campaign_id=campaign.pk).exists()

    threads = [threading.Thread(target=_release, args=(campaign.lane,)) for _number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    world.run(campaign)
    assert Delivery.objects.filter(campaign_id=campaign.pk).count() == len(world.ledger()) == 6
    assert set(state_of(campaign)) == {"RELEASED"}


def _release(lane: str) -> None:
    try:
        while release_next(lane):
            pass
    finally:
        connections.close_all()


def test_of_several_with_one_key_only_the_newest_goes(world: World) -> None:
    person = away()
    first, second, other = kept(world, key="balance"), kept(world, key="balance"), kept(world, key="")
    Recipient.objects.filter(pk=person.pk).update(attributes={"name": "王", "balance": 1})
    add_binding(actor="test", recipient=person, kind="phone", address="13900077777")
    for campaign in (first, second, other):
        world.run(campaign)
    assert (state_of(first), state_of(second), state_of(other)) == (["MERGED"], ["RELEASED"], ["RELEASED"])
    assert world.messages(first) == {"CANCELLED merged": 1}
    assert len(world.ledger()) == 2


def test_kept_messages_end_by_time_by_hand_and_with_their_campaign(world: World) -> None:
    away()
    expired, discarded, cancelled, recalled = (kept(world) for _number in range(4))
    SavedMessage.objects.filter(campaign=expired).update(expires_at=timezone.now())
    tick()
    ids = list(SavedMessage.objects.filter(campaign=discarded).values_list("pk", flat=True))
    assert discard_saved(actor="test", messages=ids, reason="wrong text") == 1
    assert discard_saved(actor="test", messages=ids, reason="wrong text") == 0
    assert AuditEvent.objects.filter(verb="discard_saved").count() == 2
    cancel_campaign(actor="test", campaign=cancelled)
    message = Message.objects.get(campaign_id=recalled.pk)
    recall_message(actor="test", message_id=message.pk, reason="wrong")
    for campaign in (expired, discarded, cancelled, recalled):
        world.run(campaign)
        assert campaign_figures(campaign.pk).identities_hold
    assert [state_of(one) for one in (expired, discarded, cancelled, recalled)] == [
        ["EXPIRED"],
        ["DISCARDED"],
        ["OVER"],
        ["DISCARDED"],
    ]
    ended = [*world.messages(expired), *world.messages(discarded), *world.messages(cancelled)]
    assert ended == ["EXPIRED offline_expired", "CANCELLED discarded", "CANCELLED campaign_cancelled"]


@pytest.fixture
def push_line(world: World) -> Client:
    _key, text = issue_api_key(actor="test", business_line=world.line, label="app")
    return Client(headers={"Authorization": f"Bearer {text}", "Accept-Language": "en"})


def test_a_device_that_was_offline_gets_it_when_its_app_says_so(world: World, push_line: Client) -> None:
    person = world.person(1, ("jpush",))
    world.script("jpush", "reset_before", operation="query")
    campaign = world.campaign(policy(account="push-main"))
    world.run(campaign, until=lambda: Delivery.objects.filter(campaign_id=campaign.pk, state="ACCEPTED").exists())
    _tell(campaign, OFFLINE)
    assert state_of(campaign) == ["SAVED"]
    _tell(campaign, OFFLINE)  # told again, it changes nothing
    assert SavedMessage.objects.get(campaign=campaign).why == "offline"

    place = "/api/v1/presence"
    assert push_line.post(place, {}, content_type="application/json").status_code == 400
    assert push_line.post(place, {"user_id": "NOBODY"}, content_type="application/json").json() == {"released": 0}
    said = push_line.post(place, {"user_id": person.user_id}, content_type="application/json")
    assert (said.status_code, said.json()) == (200, {"released": 1})
    assert push_line.post(place, {"user_id": person.user_id}, content_type="application/json").json() == {"released": 0}
    world.outside.call("DELETE", "/_sim/ctl")
    world.run(campaign)
    assert state_of(campaign) == ["RELEASED"] and world.messages(campaign) == {"SUCCEEDED": 1}
    assert len(world.ledger()) == 2  # the second try after the first surely did not arrive
    assert SavedMessage.objects.get(campaign=campaign).released_by.startswith("presence: ")


def test_good_news_ends_the_waiting(world: World) -> None:
    person = world.person(1, ("jpush",))
    campaign = world.campaign(policy(account="push-main"))
    world.run(campaign, until=lambda: Delivery.objects.filter(campaign_id=campaign.pk, state="ACCEPTED").exists())
    _tell(campaign, OFFLINE)
    _tell(campaign, "0", "delivered")
    assert world.messages(campaign) == {"SUCCEEDED": 1}
    assert came_online(actor="test", people=[person.pk]) == 1
    world.run(campaign)
    assert state_of(campaign) == ["OVER"] and len(world.ledger()) == 1


def _tell(campaign: Campaign, code: str, state: Any = "failed") -> None:
    """The provider's word on the campaign's only delivery, merged as the hook and the poll do."""
    delivery = Delivery.objects.get(campaign_id=campaign.pk)
    account = ChannelAccount.objects.get(pk=delivery.account_id)
    with transaction.atomic():
        now = timezone.now()
        merge_events(account, [ReceiptEvent(state, code, now, reference=to_base36(delivery.pk))], now)


def test_what_no_address_reaches_stays_kept_when_an_operator_tries(world: World) -> None:
    away()
    campaign = kept(world)
    assert release_saved(actor="test", messages=list(SavedMessage.objects.values_list("pk", flat=True))) == 1
    drain(campaign.lane, 2)
    assert state_of(campaign) == ["SAVED"] and SavedMessage.objects.get().due_at is None
    assert AuditEvent.objects.filter(verb="release_saved").count() == 1
