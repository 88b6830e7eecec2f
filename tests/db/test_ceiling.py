"""The most that one person may cost: of the text itself, of all channels of a step at once, and of all steps together."""

from __future__ import annotations

import threading
from decimal import Decimal

import pytest
from django.db import connections
from django.db.models import Sum

from apps.campaigns.errors import CampaignError
from apps.campaigns.models import Campaign, Decision, Delivery
from apps.campaigns.pipeline.expand import expand_next
from apps.campaigns.tasks import drain
from apps.channels.models import ChannelAccount
from apps.channels.prices import set_price
from tests.db.conftest import World

SMS = {"channels": [{"account": "sms-main"}], "until": "accepted"}
MAIL = {"channels": [{"account": "mail-main"}], "until": "accepted"}
BOTH = {"channels": [*SMS["channels"], *MAIL["channels"]], "mode": "all", "until": "delivered"}


@pytest.fixture
def prices(world: World) -> None:
    """One piece of a short message costs 0.05, a mail 0.03."""
    for code, price in (("sms-main", "0.05"), ("mail-main", "0.03")):
        account = ChannelAccount.objects.get(code=code)
        set_price(actor="test", account=account, price=Decimal(price))


def test_the_rendered_text_decides_and_a_cheaper_step_may_follow(world: World, prices: None) -> None:
    world.people(2, ("phone", "email"))
    world.person(2, ("phone",))
    campaign = world.run(world.campaign({"steps": [SMS, MAIL], "ceiling_per_person": "0.04"}))
    assert {line["provider"] for line in world.ledger()} == {"smtp"}
    assert world.messages(campaign) == {"SUCCEEDED": 2, "BLOCKED over_ceiling": 1}
    line = Decision.objects.filter(rule="over_ceiling").first()
    assert line is not None and (line.verdict, line.detail) == ("stop", "cost=0.05 before=0 ceiling=0.04")
    exact = world.run(world.campaign({"steps": [SMS], "ceiling_per_person": "0.05"}))
    assert world.messages(exact)["SUCCEEDED"] == 3, "the ceiling itself may be spent"


def test_what_failed_after_it_was_billed_counts(world: World, prices: None) -> None:
    world.people(2, ("phone", "email"))
    first = SMS | {"until": "delivered"}
    campaign = world.campaign({"steps": [first, MAIL], "ceiling_per_person": "0.07"})
    world.run(campaign, until=lambda: world.states(campaign) == {"ACCEPTED": 2})
    for delivery in Delivery.objects.filter(campaign_id=campaign.pk):
        world.told(delivery, "failed")
    world.run(campaign)
    assert world.states(campaign) == {"UNDELIVERED": 2, "CANCELLED": 2}
    assert world.messages(campaign) == {"FAILED every_step_failed": 2}


def test_two_senders_at_once_spend_no_more_than_the_ceiling(world: World, prices: None) -> None:
    world.people(60, ("phone", "email"))
    campaign = world.campaign({"steps": [BOTH], "ceiling_per_person": "0.07"})
    while expand_next(campaign.lane):
        pass
    threads = [threading.Thread(target=_send, args=(campaign.lane,)) for _number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    world.run(campaign, until=lambda: world.states(campaign) == {"ACCEPTED": 60, "CANCELLED": 60})
    assert _dearest(campaign) <= Decimal("0.07")
    assert Delivery.objects.filter(campaign_id=campaign.pk, reason__startswith="over_ceiling").count() == 60


def _send(lane: str) -> None:
    try:
        drain(lane, 2)
    finally:
        connections.close_all()


def _dearest(campaign: Campaign) -> Decimal:
    sums = Delivery.objects.filter(campaign_id=campaign.pk).values("message_id").annotate(all=Sum("cost"))
    return max(one["all"] or Decimal(0) for one in sums)


def test_accounts_of_two_currencies_have_no_common_ceiling(world: World, prices: None) -> None:
    ChannelAccount.objects.filter(code="mail-main").update(currency="USD")
    with pytest.raises(CampaignError, match="one currency|同一币种"):
        world.campaign({"steps": [SMS, MAIL], "ceiling_per_person": "0.07"})
