"""Budgets and quotas while sending: never beyond the limit, up to it where there is demand, through deaths and retries."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, connections, transaction
from django.utils import timezone

from apps.campaigns.approving import decide_approval, save_rule
from apps.campaigns.errors import CampaignError
from apps.campaigns.forecast import forecast_now
from apps.campaigns.models import Approval, ApprovalRule, Attempt, Batch, Campaign, Decision, Delivery
from apps.campaigns.pipeline.expand import expand_next
from apps.campaigns.pipeline.reap import tick
from apps.campaigns.pipeline.receipts import merge_events
from apps.campaigns.raising import set_cost_ceiling
from apps.campaigns.services import create_campaign, resume_campaign, submit_campaign
from apps.campaigns.tasks import drain
from apps.channels.contract import ReceiptEvent
from apps.channels.models import ChannelAccount
from apps.channels.prices import set_price
from apps.operators.models import AuditEvent, Operator
from apps.partners.allowances import remaining, save_allowance
from apps.partners.models import Allowance, AllowanceUse
from apps.partners.periods import next_begins
from tests.db.conftest import PUSH_THEN_SMS, SMS, World
from tests.waiting import until
from ums_site.clock import transaction_now
from ums_site.ids import to_base36

PRICE = Decimal("0.045")


def allow(world: World, most: str, **changes: Any) -> Allowance:
    values: dict[str, Any] = {"name": "line", "unit": "pieces", "period": "day", "business_line": world.line}
    return save_allowance(actor="test", allowance=Allowance(most=Decimal(most), **values | changes))


def used(allowance: Allowance) -> Decimal:
    return sum(AllowanceUse.objects.filter(allowance=allowance).values_list("used", flat=True), Decimal(0))


def reasons(campaign: Campaign) -> Counter[str]:
    held = Delivery.objects.filter(campaign_id=campaign.pk).values_list("state", "reason")
    return Counter(f"{state} {reason}".strip() for state, reason in held)


def settled(world: World, campaign: Campaign) -> Any:
    """Nothing more can go now."""
    return lambda: not {"PENDING", "SENDING"} & set(world.states(campaign)) and bool(world.states(campaign))


def test_what_fits_goes_and_the_rest_waits_for_the_next_period_or_for_more_room(world: World) -> None:
    pieces, money = allow(world, "7"), allow(world, "100", unit="money", period="month", name="money")
    allow(world, "0", channel_kind="push_jpush")  # counts nothing here
    world.people(10)
    campaign = world.campaign()
    world.run(campaign, until=settled(world, campaign))
    assert reasons(campaign) == {"ACCEPTED": 7, "HELD quota": 3}
    assert len(world.ledger()) == 7 and (used(pieces), used(money)) == (7, 7 * PRICE)
    midnight = next_begins("day", pieces.zone, timezone.now())
    held = Delivery.objects.filter(campaign_id=campaign.pk, state="HELD")
    assert set(held.values_list("held_until", flat=True)) == {midnight + timedelta(seconds=1)}  # type: ignore[operator]
    assert Decision.objects.filter(rule="quota", verdict="hold").count() == 3
    told = AuditEvent.objects.filter(object_type="allowance", verb__in=["allowance_nearly_used", "allowance_used_up"])
    assert Counter(told.values_list("verb", flat=True)) == {"allowance_nearly_used": 1, "allowance_used_up": 1}
    tick()
    assert told.count() == 2, "once a period"

    pieces.most = Decimal(9)
    save_allowance(actor="test", allowance=pieces)
    world.run(campaign, until=lambda: len(world.ledger()) == 9)
    pieces.wall = "refuse"
    save_allowance(actor="test", allowance=pieces)
    world.run(campaign)
    assert reasons(campaign) == {"ACCEPTED": 9, f"CANCELLED quota: allowance {pieces.pk}": 1}
    assert world.messages(campaign) == {"SUCCEEDED": 9, f"BLOCKED quota: allowance {pieces.pk}": 1}
    assert used(pieces) == 9


def test_what_surely_cost_nothing_is_given_back_and_a_retry_takes_again(world: World) -> None:
    pieces = allow(world, "100")
    world.people(6)
    refuse = {"provider": "aliyun", "operation": "send", "match": "all"}
    too_fast = {**refuse, "do": [{"refuse": "isv.BUSINESS_LIMIT_CONTROL"}], "times": 2}
    no_phone = {**refuse, "do": [{"refuse": "isv.MOBILE_NUMBER_ILLEGAL"}], "times": 1}
    world.outside.control({"scripts": [too_fast, no_phone]})
    campaign = world.campaign()
    world.run(campaign, until=settled(world, campaign))
    Delivery.objects.filter(campaign_id=campaign.pk, state="HELD").update(held_until=timezone.now())
    Batch.objects.filter(campaign=campaign).update(not_before=timezone.now())
    world.run(campaign)
    outcomes = Counter(Attempt.objects.values_list("outcome", flat=True))
    assert outcomes == {"accepted": 5, "rejected": 1, "throttled": 2}
    assert used(pieces) == len(world.ledger()) == Delivery.objects.filter(cost__isnull=False).count() == 5


def test_a_repeat_that_the_provider_knows_takes_nothing_again(world: World) -> None:
    pieces = allow(world, "5")
    world.people(5, ("jpush",))
    world.script("jpush", "reset_after", times=2, operation="send")
    campaign = world.run(world.campaign({"steps": [{"channels": [{"account": "push-main"}], "until": "accepted"}]}))
    assert Attempt.objects.filter(outcome="unknown").count() == 2
    assert world.messages(campaign) == {"SUCCEEDED": 5}, "the limit has room for each of them once"
    assert used(pieces) == len(world.ledger()) == 5


def test_a_message_of_the_console_counts_once_over_all_its_steps(world: World) -> None:
    quota = allow(world, "4", unit="messages")
    world.people(6, ("phone", "jpush"))
    world.script("jpush", "refuse(1011)")
    campaign = world.campaign(PUSH_THEN_SMS)
    world.run(
        campaign,
        until=lambda: world.states(campaign).get("ACCEPTED", 0) + world.states(campaign).get("DELIVERED", 0) == 4,
    )
    assert used(quota) == 4
    assert Counter(line["provider"] for line in world.ledger()) == {"aliyun": 4}
    assert reasons(campaign)["HELD quota"] == 2, "those of the first step that found no room"


@pytest.mark.parametrize("place", ["after_intent_commit", "after_send", "mid_result"])
def test_killed_between_intent_and_result_it_never_overruns(world: World, place: str) -> None:
    pieces = allow(world, "8")
    world.people(12)
    ChannelAccount.objects.update(max_in_flight=4)
    campaign = world.campaign()
    while expand_next(campaign.lane):
        pass
    command = [sys.executable, "manage.py", "work", campaign.lane, "--direct"]
    environment = {**os.environ, "UMS_FAILPOINT": f"{place}:kill9@1"}
    assert subprocess.Popen(command, env=environment, cwd=settings.BASE_DIR).wait(60) == -signal.SIGKILL
    assert used(pieces) == Delivery.objects.filter(attempts__gt=0).count() > 0
    with connection.cursor() as cursor:
        cursor.execute("UPDATE campaigns_batch SET lease_until = now() - interval '1 hour' WHERE state = 'LEASED'")
        tick()
        cursor.execute("UPDATE campaigns_batch SET suspect_at = now() - interval '1 s' WHERE suspect_at IS NOT NULL")
    world.run(campaign, until=settled(world, campaign))
    assert used(pieces) == 8, "up to the limit"
    assert len(world.ledger()) <= 8 and reasons(campaign)["HELD quota"] == 4


def test_two_dispatchers_on_one_counter_grant_the_limit_exactly(world: World) -> None:
    one, other = allow(world, "61"), allow(world, "3.0", unit="money", name="money")  # 66 of 0.045
    world.people(100)
    ChannelAccount.objects.update(max_in_flight=9)
    campaigns = [world.campaign(), world.campaign(message_class="transactional")]
    for campaign in campaigns:
        while expand_next(campaign.lane):
            pass
    threads = [threading.Thread(target=_drain, args=(campaign.lane,)) for campaign in campaigns for _twice in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(world.ledger()) == used(one) == 61
    assert used(other) == 61 * PRICE
    assert sum(reasons(campaign)["HELD quota"] for campaign in campaigns) == 200 - 61


def test_one_that_is_switched_off_holds_nobody_who_is_leased_already(world: World) -> None:
    month = allow(world, "2", period="month")
    ChannelAccount.objects.update(max_in_flight=1)
    world.script("aliyun", "accept", {"hang": 0.4})
    world.people(6)
    campaign = world.campaign()
    while expand_next(campaign.lane):
        pass
    worker = threading.Thread(target=_drain, args=(campaign.lane,))
    worker.start()
    until(lambda: world.ledger())
    month.active = False
    save_allowance(actor="test", allowance=month)
    tick()  # whoever waits is woken; from now on nobody would be until next month
    worker.join()
    world.outside.call("DELETE", "/_sim/ctl")
    world.run(campaign)
    assert world.messages(campaign) == {"SUCCEEDED": 6}


def _drain(lane: str) -> None:
    try:
        drain(lane, 3)
    finally:
        connections.close_all()


def test_a_campaign_pauses_itself_at_its_ceiling_and_goes_on_with_a_higher_one(world: World) -> None:
    world.people(6)
    campaign = world.campaign(cost_ceiling=4 * PRICE + Decimal("0.01"))
    world.run(campaign, until=lambda: campaign.state == "PAUSED")
    assert len(world.ledger()) == 4 and reasons(campaign) == {"ACCEPTED": 4, "HELD campaign_ceiling": 2}
    assert AuditEvent.objects.get(verb="pause").actor == "UMS" and campaign.pause_reason == "campaign_ceiling"
    (left,) = remaining(None, campaign.pk)
    assert (left.used, left.full) == (4 * PRICE, True)
    resume_campaign(actor="test", campaign=campaign)
    world.run(campaign, until=lambda: campaign.state == "PAUSED")
    assert len(world.ledger()) == 4, "resumed without more room it only pauses again"
    set_cost_ceiling(actor="test", campaign=campaign, amount=Decimal(1))
    resume_campaign(actor="test", campaign=campaign)
    world.run(campaign)
    assert world.messages(campaign) == {"SUCCEEDED": 6}
    with pytest.raises(CampaignError):
        set_cost_ceiling(actor="test", campaign=campaign, amount=Decimal(2))


def test_a_higher_ceiling_is_agreed_to_as_the_campaign_was(world: World) -> None:
    author, approver = (Operator.objects.create_superuser(name, password="x") for name in ("author", "approver"))
    save_rule(actor="test", rule=ApprovalRule(name="all", message_class="marketing", approvers=1))
    allow(world, "100", unit="messages", name="daily")
    world.people(4)
    campaign = create_campaign(
        actor=author, name="c", business_line=world.line, message_class="marketing", template_version=world.version,
        policy=SMS, audience={"kind": "filter"}, cost_ceiling=Decimal("0.1"),
    )  # fmt: skip
    forecast_now(actor=author, campaign=campaign)
    campaign.refresh_from_db()
    effects = {one["name"]: (one["after"], one["over"]) for one in (campaign.forecast or {})["effects"]}
    assert effects == {"daily": ("4", False), "c": ("0.18", True)}
    submit_campaign(actor=author, campaign=campaign)
    campaign.refresh_from_db()
    waiting = Approval.objects.get(campaign=campaign)
    assert waiting.bound["cost_ceiling"] == "0.10000"
    set_cost_ceiling(actor=author, campaign=campaign, amount=Decimal("0.12"))
    waiting.refresh_from_db()
    assert waiting.state == "VOID", "before it begins, another ceiling is another campaign"
    campaign.refresh_from_db()
    submit_campaign(actor=author, campaign=campaign)
    again = Approval.objects.get(campaign=campaign, state="PENDING")
    decide_approval(actor=approver, approval=again, verdict="approve", seen_hash=again.bound_hash)
    world.run(campaign, until=lambda: campaign.state == "PAUSED")
    assert len(world.ledger()) == 2
    for nobody in (author, "test"):
        with pytest.raises(CampaignError):
            set_cost_ceiling(actor=nobody, campaign=campaign, amount=Decimal(5))
    set_cost_ceiling(actor=author, campaign=campaign, amount=Decimal("0.11"))  # lower: nobody need agree
    set_cost_ceiling(actor=approver, campaign=campaign, amount=Decimal(5))
    resume_campaign(actor=author, campaign=campaign)
    world.run(campaign)
    assert world.messages(campaign) == {"SUCCEEDED": 4}
    assert AuditEvent.objects.filter(verb="approve_ceiling").count() == 1


def test_the_price_of_the_class_at_the_moment_of_sending_is_what_it_costs(world: World) -> None:
    sms = ChannelAccount.objects.get(code="sms-main")
    set_price(actor="test", account=sms, price=Decimal("0.031"), message_class="marketing")
    set_price(actor="test", account=sms, price=Decimal("9"), valid_from=timezone.now() + timedelta(hours=1))
    budget = allow(world, "100", unit="money")
    world.people(2)
    marketing, notice = world.run(world.campaign()), world.run(world.campaign(message_class="transactional"))
    costs = [
        set(Delivery.objects.filter(campaign_id=one.pk).values_list("cost", flat=True)) for one in (marketing, notice)
    ]
    assert costs == [{Decimal("0.03100")}, {Decimal("0.04500")}]
    assert used(budget) == 2 * (Decimal("0.031") + PRICE)


@pytest.mark.parametrize("bills", [True, False])
def test_what_is_reported_as_failed_costs_where_the_account_bills_it(world: World, bills: bool) -> None:
    ChannelAccount.objects.filter(code="sms-main").update(bills_failed=bills)
    world.outside.control({"receipts": {"auto": False}})
    world.people(2)
    campaign = world.campaign({"steps": [{"channels": [{"account": "sms-main"}], "until": "delivered"}]})
    world.run(campaign, until=lambda: world.states(campaign).get("ACCEPTED") == 2)
    sms = ChannelAccount.objects.get(code="sms-main")
    set_price(actor="test", account=sms, price=Decimal(9), message_class="marketing")
    first, second = Delivery.objects.filter(campaign_id=campaign.pk).order_by("id")
    _tell(sms, first, "failed"), _tell(sms, second, "failed")
    costs = Delivery.objects.filter(campaign_id=campaign.pk).order_by("id").values_list("cost", flat=True)
    assert list(costs) == [PRICE if bills else Decimal(0)] * 2
    _tell(sms, second, "delivered")
    assert list(costs.all()) == [PRICE if bills else Decimal(0), PRICE], "at the price of its time"


def _tell(account: ChannelAccount, delivery: Delivery, state: Any) -> None:
    with transaction.atomic():
        now = transaction_now()
        assert merge_events(account, [ReceiptEvent(state, state, now, to_base36(delivery.pk))], now) == []
