"""Limits per number that a provider's documents state: waited for where it is short, else the next vendor follows."""

from __future__ import annotations

from datetime import timedelta

from django.db import connection
from django.utils import timezone

from apps.campaigns.accepting import NewMessage, accept_messages
from apps.campaigns.models import Campaign, Delivery
from tests.db.conftest import SMS, World

SMS_THEN_PUSH = {
    "steps": [
        {"channels": [{"account": "sms-main"}], "until": "accepted"},
        {"channels": [{"account": "push-main"}], "until": "accepted"},
    ]
}


def send(world: World, policy: object = SMS, message_class: str = "otp") -> Campaign:
    item = NewMessage(user_id="P000001", variables={"name": "杜", "balance": 1})
    return accept_messages(
        actor=world.line, business_line=world.line, template_version=world.version, policy=policy,
        message_class=message_class, items=[item],
    )[0]  # fmt: skip


def age(seconds: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE campaigns_addressuse SET times = "
            "(SELECT array_agg(t - make_interval(secs => %s) ORDER BY t) FROM unnest(times) t)",
            [seconds],
        )


def test_codes_to_one_number_wait_a_minute_and_go_another_way_when_the_hour_is_full(world: World) -> None:
    world.person(1, ("phone", "jpush"))
    world.run(send(world))
    second = send(world)
    world.run(second, until=lambda: Delivery.objects.filter(campaign_id=second.pk, state="HELD").exists())
    held = Delivery.objects.get(campaign_id=second.pk)
    assert held.reason == "address_limit" and held.held_until - timezone.now() < timedelta(seconds=61)  # type: ignore[operator]
    world.run(send(world, message_class="transactional"))
    assert len(world.ledger()) == 2, "a notice is counted apart"
    for _number in range(4):
        age(61)
        world.run(send(world))
    age(61)
    sixth = world.run(send(world, SMS_THEN_PUSH))
    ways = Delivery.objects.filter(campaign_id=sixth.pk).order_by("step").values_list("state", "reason")
    assert [state for state, _reason in ways] == ["CANCELLED", "ACCEPTED"]
    assert ways[0][1].startswith("address_limit: until=")
    assert world.messages(world.run(send(world))) == {"BLOCKED address_limit": 1}, "where there is no other way"
