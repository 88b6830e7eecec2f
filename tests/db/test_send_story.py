"""The send story against real Postgres and the simulated providers: one test for each promise."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection, connections
from django.utils import timezone

from apps.campaigns.accepting import NewMessage, accept_messages
from apps.campaigns.errors import CampaignError
from apps.campaigns.models import Attempt, Batch, Campaign, Delivery, Message
from apps.campaigns.pipeline import plan
from apps.campaigns.pipeline.expand import expand_next
from apps.campaigns.pipeline.pace import take_calls
from apps.campaigns.services import (
    cancel_campaign,
    pause_campaign,
    resume_campaign,
    submit_campaign,
)
from apps.campaigns.tasks import drain
from apps.channels.models import ChannelAccount, RateBucket
from apps.templates.services import publish_version, save_draft
from apps.users.models import Recipient
from apps.users.services import add_binding, add_blacklist, ensure_recipient
from demo import stage
from tests.db.conftest import PUSH_THEN_SMS, SMS, World


def test_everybody_is_accounted_for(world: World) -> None:
    people = world.people(30)
    ensure_recipient(actor="test", user_id="NOBODY")
    add_blacklist(actor="test", recipient=people[0], reason="asked", source="test")
    campaign = world.run(world.campaign())
    assert campaign.state == "FINISHED"
    assert world.messages(campaign) == {"SUCCEEDED": 29, "BLOCKED blacklisted": 1, "INVALID no_usable_address": 1}
    assert len(world.ledger()) == 29
    assert Attempt.objects.filter(delivery_id__in=_ids(campaign), outcome="accepted").count() == 29


def test_submitting_twice_sends_once(world: World) -> None:
    world.people(3)
    campaign = world.campaign()
    with pytest.raises(CampaignError):
        submit_campaign(actor="test", campaign=campaign)
    world.run(campaign)
    assert len(world.ledger()) == 3


def test_two_expanders_at_once_add_nothing(world: World) -> None:
    world.people(40)
    campaign = world.campaign()
    threads = [threading.Thread(target=_expand_all, args=(campaign.lane,)) for _number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Message.objects.filter(campaign_id=campaign.pk).count() == 40
    assert Delivery.objects.filter(campaign_id=campaign.pk).count() == 40


def _expand_all(lane: str) -> None:
    try:
        while expand_next(lane):
            pass
    finally:
        connections.close_all()


def test_a_missing_value_refuses_that_person_by_name(world: World) -> None:
    world.people(2)
    lacking = ensure_recipient(actor="test", user_id="LACKING")
    add_binding(actor="test", recipient=lacking, kind="phone", address="13900099999")
    campaign = world.run(world.campaign())
    refused = Delivery.objects.get(campaign_id=campaign.pk, state="REJECTED")
    assert refused.recipient_id == lacking.pk
    assert "name" in refused.reason and "balance" in refused.reason
    assert len(world.ledger()) == 2


def test_the_next_step_follows_when_time_is_up_and_not_before(world: World) -> None:
    world.outside.control({"world": {"jpush": {"offline": 1.0}}})
    world.people(4, ("phone", "jpush"))
    campaign = world.campaign(PUSH_THEN_SMS)
    world.run(campaign, until=lambda: world.states(campaign).get("ACCEPTED") == 4)
    assert not Delivery.objects.filter(campaign_id=campaign.pk, step=1).exists()
    world.run(campaign, until=lambda: Delivery.objects.filter(campaign_id=campaign.pk, step=1).count() == 4)
    first = {one.message_id: one.accepted_at for one in Delivery.objects.filter(campaign_id=campaign.pk, step=0)}
    world.run(campaign)
    for second in Delivery.objects.filter(campaign_id=campaign.pk, step=1):
        assert second.first_intent_at - first[second.message_id] >= timedelta(seconds=2)
    assert world.messages(campaign) == {"SUCCEEDED": 4}


def test_who_got_the_push_gets_no_short_message(world: World) -> None:
    world.people(5, ("phone", "jpush"))
    campaign = world.run(world.campaign(PUSH_THEN_SMS))
    assert {line["provider"] for line in world.ledger()} == {"jpush"}
    assert world.states(campaign) == {"DELIVERED": 5}


def test_who_has_no_device_goes_straight_to_the_second_step(world: World) -> None:
    world.people(3, ("phone",))
    campaign = world.run(world.campaign(PUSH_THEN_SMS))
    assert {line["provider"] for line in world.ledger()} == {"aliyun"}
    assert set(Message.objects.filter(campaign_id=campaign.pk).values_list("step", flat=True)) == {1}


def test_the_blacklist_counts_at_intent(world: World) -> None:
    people = world.people(3)
    campaign = world.campaign()
    while expand_next(campaign.lane):
        pass
    add_blacklist(actor="test", recipient=people[1], reason="asked just now", source="test")
    world.run(campaign)
    assert len(world.ledger()) == 2
    assert world.messages(campaign) == {"SUCCEEDED": 2, "BLOCKED blacklisted": 1}


def test_pause_stops_and_resume_loses_nobody(world: World) -> None:
    world.people(6)
    campaign = world.campaign()
    while expand_next(campaign.lane):
        pass
    pause_campaign(actor="test", campaign=campaign)
    drain(campaign.lane, 1)
    assert world.ledger() == []
    resume_campaign(actor="test", campaign=campaign)
    world.run(campaign)
    assert len(world.ledger()) == 6


def test_cancel_calls_off_what_was_not_sent(world: World) -> None:
    world.people(6)
    campaign = world.campaign()
    while expand_next(campaign.lane):
        pass
    cancel_campaign(actor="test", campaign=campaign)
    world.run(campaign, until=lambda: not Message.objects.filter(campaign_id=campaign.pk, state="ACTIVE").exists())
    assert world.ledger() == []
    assert world.messages(campaign) == {"CANCELLED campaign_cancelled": 6}


def test_nothing_goes_out_after_it_expired(world: World) -> None:
    world.people(3)
    campaign = world.campaign()
    Campaign.objects.filter(pk=campaign.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    world.run(campaign)
    assert world.ledger() == []
    assert world.messages(campaign) == {"EXPIRED expired": 3}


def test_a_scheduled_campaign_waits_for_its_time(world: World) -> None:
    world.people(2)
    campaign = world.campaign(scheduled_at=timezone.now() + timedelta(hours=1))
    drain(campaign.lane, 1)
    assert campaign.state == "SCHEDULED" and world.ledger() == []
    Campaign.objects.filter(pk=campaign.pk).update(scheduled_at=timezone.now())
    world.run(campaign)
    assert len(world.ledger()) == 2


def test_pace_is_kept(world: World) -> None:
    world.people(12)
    campaign = world.run(world.campaign(pace_per_second=Decimal(8)))
    times = sorted(line["t"] for line in world.ledger())
    assert len(times) == 12 and campaign.state == "FINISHED"
    assert times[-1] - times[0] >= (12 - 1 - 1) / 8  # a burst of one, then eight a second
    assert all(sum(1 for other in times if start <= other < start + 1) <= 8 + 1 for start in times)


def test_the_bucket_grants_no_more_than_its_rate(world: World) -> None:
    now = bucket("test", rate=50, burst=5)
    granted = 0
    while timezone.now() < now + timedelta(seconds=1):
        granted += take_calls(["test"], [1, 1, 1])
    assert 40 <= granted <= 50 * (timezone.now() - now).total_seconds() + 5


def bucket(key: str, rate: float, burst: int, tokens: float | None = None) -> datetime:
    now = timezone.now()
    full = burst if tokens is None else tokens
    RateBucket.objects.create(key=key, rate=rate, burst=burst, tokens=full, refilled_at=now)
    return now


def test_calls_take_from_both_buckets_or_from_none(world: World) -> None:
    bucket("a", rate=0.001, burst=10)
    bucket("b", rate=0.001, burst=6)
    assert take_calls(["a", "b"], [2, 2, 3], taking=False) == 2
    assert take_calls(["a", "b"], [2, 2, 3]) == 2
    assert {one.key: round(one.tokens) for one in RateBucket.objects.all()} == {"a": 6, "b": 2}
    assert take_calls(["a", "b"], [3]) == 0, "the second has two left"
    assert {one.key: round(one.tokens) for one in RateBucket.objects.all()} == {"a": 6, "b": 2}
    assert take_calls(["a", "c"], [3], spare=4) == 0
    assert take_calls(["a", "c"], [2], spare=4) == 1


def test_a_call_larger_than_a_bucket_goes_when_it_is_full_and_leaves_a_debt(world: World) -> None:
    bucket("a", rate=0.001, burst=5)
    assert take_calls(["a"], [20, 1]) == 1
    assert round(RateBucket.objects.get(key="a").tokens) == -15
    assert take_calls(["a"], [1]) == 0
    bucket("b", rate=0.001, burst=5, tokens=4)
    assert take_calls(["b"], [20]) == 0


def test_a_pace_holds_for_calls_that_carry_many(world: World) -> None:
    """Equal texts go together, however slow the campaign: nobody waits for a bucket that never holds so many."""
    same = save_draft(
        actor="test", code="same", name="same", variables=[], bodies={"push_jpush": {"alert": "开业大吉"}}
    )
    world.people(30, ("jpush",))
    policy = {"steps": [{"channels": [{"account": "push-main"}], "until": "accepted"}]}
    version = publish_version(actor="test", template=same)
    campaign = world.run(world.campaign(policy, template_version=version, pace_per_second=Decimal(20)))
    assert campaign.state == "FINISHED"
    times = sorted(line["t"] for line in world.ledger())
    assert len(times) == 30
    assert all(sum(1 for other in times if start <= other < start + 1) <= 20 + 2 + 2 for start in times)


def test_one_call_shows_whether_an_account_works_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many may be in flight, however small the windows, and however many batches are due."""
    monkeypatch.setattr(plan, "BATCH_SIZE", 10)
    world.people(30)
    world.script("aliyun", "500")
    account = ChannelAccount.objects.filter(code="sms-main")
    account.update(max_in_flight=10, faults=1, open_until=timezone.now() - timedelta(seconds=1))
    campaign = world.campaign()
    while expand_next(campaign.lane):
        pass
    drain(campaign.lane, 2)
    assert Attempt.objects.count() == 1
    assert account.get().faults == 2 and account.get().open_until > timezone.now()
    world.outside.call("DELETE", "/_sim/ctl")
    world.script("aliyun", "accept", "garbage", match="every:5@2", operation="send")  # not the next probe
    account.update(open_until=timezone.now())
    drain(campaign.lane, 3)
    assert account.get().faults == 0
    assert len(world.ledger()) == 29, "what the first probe came to is unknown, and not repeated"


def test_a_refused_person_of_a_group_does_not_cost_the_others(world: World) -> None:
    same = save_draft(
        actor="test", code="same", name="same", variables=[], bodies={"push_jpush": {"alert": "开业大吉"}}
    )
    version = publish_version(actor="test", template=same)
    people = world.people(6, ("jpush",))
    world.outside.control({"world": {"jpush": {"unknown": 0.0}}})
    policy = {"steps": [{"channels": [{"account": "push-main"}], "until": "accepted"}]}
    world.script("jpush", {"refuse": "1011"}, times=1, operation="send")
    campaign = world.run(world.campaign(policy, template_version=version))
    assert world.messages(campaign) == {"SUCCEEDED": 6}
    assert len({line["addr_hash"] for line in world.ledger()}) == len(people) == len(world.ledger())


def test_equal_content_goes_in_one_call(world: World) -> None:
    same = save_draft(
        actor="test", code="same", name="same", variables=[], bodies={"push_jpush": {"alert": "开业大吉"}}
    )
    world.people(8, ("jpush",))
    policy = {"steps": [{"channels": [{"account": "push-main"}], "until": "delivered"}]}
    campaign = world.run(world.campaign(policy, template_version=publish_version(actor="test", template=same)))
    assert len({line["pid"] for line in world.ledger()}) == 1
    assert world.states(campaign) == {"DELIVERED": 8}


@pytest.mark.parametrize("action", ["500_after_accept", "reset_after", "garbage_after_accept"])
def test_an_unclear_answer_is_never_sent_again_without_a_key(world: World, action: str) -> None:
    world.people(6)
    world.script("aliyun", action, match="every:2", times=3, operation="send")
    campaign = world.run(world.campaign())
    assert len(world.ledger()) == 6
    assert world.messages(campaign).get("SUCCEEDED") == 6  # the query found those whose answer was lost


def test_an_unclear_answer_is_repeated_under_the_same_key(world: World) -> None:
    world.people(6, ("jpush",))
    world.script("jpush", "500_after_accept", match="every:2", times=3, operation="send")
    policy = {"steps": [{"channels": [{"account": "push-main"}], "until": "accepted"}]}
    campaign = world.run(world.campaign(policy), seconds=60)
    assert len(world.ledger()) == 6
    assert world.messages(campaign) == {"SUCCEEDED": 6}
    assert Attempt.objects.filter(delivery_id__in=_ids(campaign)).count() == 9


def test_a_wrong_key_opens_the_breaker_and_burns_no_try(world: World) -> None:
    world.people(3)
    ChannelAccount.objects.filter(code="sms-main").update(
        config={**_config("sms-main"), "access_key_id": "LTAI5tWrongKey"}
    )
    campaign = world.campaign()
    drain(campaign.lane, 2)
    account = ChannelAccount.objects.get(code="sms-main")
    assert account.faults and account.open_until > timezone.now()
    assert set(Delivery.objects.filter(campaign_id=campaign.pk).values_list("burnt", flat=True)) == {0}
    stage.accounts(world.outside.http, "127.0.0.1", 1, timedelta(seconds=30), timedelta(seconds=2))
    ChannelAccount.objects.filter(code="sms-main").update(open_until=None)
    Delivery.objects.filter(campaign_id=campaign.pk).update(held_until=timezone.now())
    Batch.objects.filter(campaign=campaign).update(not_before=timezone.now())
    world.run(campaign)
    assert len(world.ledger()) == 3


def test_messages_of_the_api_are_rows_at_once(world: World) -> None:
    person = world.people(1)[0]
    campaign, ids = accept_messages(
        actor="API retail",
        business_line=world.line,
        template_version=world.version,
        policy=SMS,
        message_class="transactional",
        items=[
            NewMessage(user_id=person.user_id),
            NewMessage(user_id="STRANGER"),
            NewMessage(address_kind="phone", address="13700000001", variables={"name": "李", "balance": 1}),
            NewMessage(address_kind="phone", address="137"),
        ],
    )
    states = dict(Message.objects.filter(campaign_id=campaign.pk).values_list("id", "state"))
    assert [states[one] for one in ids] == ["PLANNED", "INVALID", "PLANNED", "INVALID"]
    world.run(campaign)
    assert world.messages(campaign)["SUCCEEDED"] == 2
    assert len(world.ledger()) == 2


def _ids(campaign: Campaign) -> list[int]:
    return list(Delivery.objects.filter(campaign_id=campaign.pk).values_list("id", flat=True))


def _config(code: str) -> dict[str, object]:
    held: dict[str, object] = ChannelAccount.objects.get(code=code).config
    return held


def test_no_address_is_readable_in_the_rows(world: World) -> None:
    world.people(2)
    world.run(world.campaign())
    with connection.cursor() as cursor:
        for table in (
            "users_binding",
            "users_recipient",
            "campaigns_delivery",
            "campaigns_attempt",
            "campaigns_message",
        ):
            cursor.execute(f"SELECT count(*) FROM {table} t WHERE t::text LIKE '%%1390000000%%'")
            assert cursor.fetchone()[0] == 0, table
    assert Recipient.objects.count() == 2
