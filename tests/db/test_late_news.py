"""What providers say after a step: it succeeds, it lets the next one follow, or it comes late and calls the next one off."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from apps.campaigns.models import Campaign, Decision, Delivery, Message
from apps.channels.models import ChannelAccount
from tests.db.conftest import PUSH_THEN_SMS, World


def waiting_for(campaign: Campaign, until: str, seconds: float) -> None:
    """The first step waits for what no simulated kind of this world tells by itself."""
    campaign.plan["steps"][0] |= {"until": until, "wait_seconds": seconds}
    Campaign.objects.filter(pk=campaign.pk).update(plan=campaign.plan)


def first(campaign: Campaign, user_id: str) -> Delivery:
    message = Message.objects.raw(
        "SELECT m.* FROM campaigns_message m JOIN users_recipient r ON r.id = m.recipient_id "
        "WHERE m.campaign_id = %s AND r.user_id = %s", [campaign.pk, user_id],
    )[0]  # fmt: skip
    return Delivery.objects.get(message_id=message.pk, step=0)


def test_delivered_is_less_than_read_and_read_less_than_clicked(world: World) -> None:
    world.people(4, ("phone", "jpush"))
    campaign = world.campaign(PUSH_THEN_SMS)
    waiting_for(campaign, "clicked", 4)
    world.run(campaign, until=lambda: world.states(campaign).get("DELIVERED") == 4)
    world.told(first(campaign, "P000001"), "read")
    world.told(first(campaign, "P000002"), "clicked")
    world.told(first(campaign, "P000003"), "clicked")
    world.told(first(campaign, "P000003"), "read")  # says less than is known
    assert world.states(campaign) == {"DELIVERED": 1, "READ": 1, "CLICKED": 2}
    assert world.messages(campaign) == {"ACTIVE": 2, "SUCCEEDED": 2}
    world.run(campaign)
    followed = Delivery.objects.filter(campaign_id=campaign.pk, step=1).values_list("message_id", flat=True)
    assert set(followed) == {first(campaign, "P000000").message_id, first(campaign, "P000001").message_id}
    assert set(Decision.objects.filter(rule="reissue").values_list("detail", flat=True)) == {"not_clicked_in_time"}
    assert world.messages(campaign) == {"SUCCEEDED": 4}


def test_who_was_reached_but_never_read_is_no_failure(world: World) -> None:
    world.people(2, ("jpush",))
    campaign = world.campaign(PUSH_THEN_SMS)
    waiting_for(campaign, "read", 1)
    world.run(campaign)
    assert world.messages(campaign) == {"SUCCEEDED arrived": 2}


def test_news_that_comes_late_calls_off_the_step_that_waits(world: World) -> None:
    world.outside.control({"world": {"jpush": {"offline": 1.0}}})
    world.people(2, ("phone", "jpush"))
    campaign = world.campaign(PUSH_THEN_SMS)
    ChannelAccount.objects.filter(code="sms-main").update(open_until=timezone.now() + timedelta(hours=1))
    world.run(campaign, until=lambda: Delivery.objects.filter(campaign_id=campaign.pk, step=1).count() == 2)
    world.told(first(campaign, "P000000"), "delivered")
    world.told(first(campaign, "P000000"), "delivered")
    late = Delivery.objects.get(message_id=first(campaign, "P000000").message_id, step=1)
    assert (late.state, late.reason) == ("CANCELLED", "no_longer_needed")
    ChannelAccount.objects.filter(code="sms-main").update(open_until=None)
    world.run(campaign)
    assert [line["provider"] for line in world.ledger()].count("aliyun") == 1
    assert world.messages(campaign) == {"SUCCEEDED": 2}
