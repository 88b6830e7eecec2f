"""Locks: whoever does two things at once waits for the other, sees what it did, and never stands in its way for good."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import connection, connections, transaction
from django.utils import timezone

from apps.campaigns.accepting import NewMessage, accept_messages
from apps.campaigns.models import Batch, Campaign, Delivery, Message, SavedMessage
from apps.campaigns.pipeline.expand import expand_next
from apps.campaigns.pipeline.offline import release_next
from apps.campaigns.pipeline.settle import settle_batch
from apps.campaigns.recalling import recall_message
from apps.campaigns.services import pause_campaign
from apps.campaigns.tasks import drain
from apps.partners.allowances import save_allowance
from apps.partners.counting import Counted, lock
from apps.partners.models import Allowance, AllowanceUse
from apps.users.models import Recipient
from apps.users.services import add_binding, ensure_recipient
from tests.db.conftest import PUSH_THEN_SMS, SMS, World
from tests.waiting import until


class Beside(threading.Thread):
    """Does something over a connection of its own; `came_to` is what it returned or raised."""

    def __init__(self, do: Callable[[], Any]) -> None:
        super().__init__()
        self.do, self.came_to = do, None
        self.start()

    def run(self) -> None:
        try:
            self.came_to = self.do()
        except Exception as fault:
            self.came_to = fault
        finally:
            connections.close_all()

    def end(self) -> Any:
        self.join()
        return self.came_to


def somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])


def test_a_pause_and_a_follow_up_that_plans_the_next_step(world: World) -> None:
    world.people(2, ("phone", "jpush"))
    world.outside.control({"world": {"jpush": {"offline": 1.0}}})
    campaign = world.campaign(PUSH_THEN_SMS)
    world.run(campaign, until=lambda: world.states(campaign).get("ACCEPTED") == 2)
    over, retried = Delivery.objects.order_by("id")
    Delivery.objects.filter(pk=over.pk).update(accepted_at=timezone.now() - timedelta(seconds=20))
    Delivery.objects.filter(pk=retried.pk).update(state="HELD", accepted_at=None, held_until=timezone.now())
    Batch.objects.update(state="READY", not_before=timezone.now() + timedelta(hours=1))
    with transaction.atomic():  # as follow_up_next does
        batch = Batch.objects.select_for_update(of=("self",)).select_related("campaign").get()
        pause = Beside(lambda: pause_campaign(actor="test", campaign=campaign).state)
        until(somebody_waits)
        settle_batch(batch)
    assert pause.end() == "PAUSED"
    assert Delivery.objects.filter(message_id=over.message_id, step=1, state="PENDING").exists()


def test_a_message_that_is_taken_back_while_it_is_planned(world: World) -> None:
    world.people(1)
    with transaction.atomic():
        campaign, (one,) = accept_messages(
            actor="test", business_line=world.line, template_version=world.version, policy=SMS,
            message_class="transactional", items=[NewMessage(user_id="P000000")],
        )  # fmt: skip
    with transaction.atomic():
        Message.objects.select_for_update().get(pk=one)  # as the recall does first
        planning = Beside(lambda: expand_next("notice"))
        until(somebody_waits)
        recall_message(actor="test", message_id=one, reason="wrong")
    assert planning.end() is True
    assert not Delivery.objects.exists()
    assert (Message.objects.get(pk=one).state, Campaign.objects.get(pk=campaign.pk).state) == ("CANCELLED", "RUNNING")


def budget(world: World, period: str, most: int = 100) -> Allowance:
    made = Allowance(name=period, unit="pieces", period=period, business_line=world.line, most=Decimal(most))
    return save_allowance(actor="test", allowance=made)


def locked(*allowances: Allowance) -> list[Decimal]:
    counted = [Counted(one.pk, "pieces", one.period, one.zone, False) for one in allowances]
    with transaction.atomic(), connection.cursor() as cursor:
        rooms = lock(cursor, counted, timezone.now())
    return [rooms[one.pk].left for one in allowances]


def test_many_dispatchers_when_a_new_day_begins(world: World) -> None:
    day, total = budget(world, "day"), budget(world, "total")
    locked(day, total)
    for _midnight in range(25):
        AllowanceUse.objects.filter(allowance=day).delete()
        dispatchers = [Beside(lambda: locked(day, total)) for _number in range(5)]
        assert [one.end() for one in dispatchers] == [[100, 100]] * 5


def test_a_limit_that_is_raised_while_its_counter_is_waited_for(world: World) -> None:
    """What was held by the old one after everybody was woken would wait for the next month."""
    total = budget(world, "total", most=1)
    locked(total)
    with transaction.atomic():
        total.most = Decimal(50)
        save_allowance(actor="test", allowance=total)
        dispatcher = Beside(lambda: locked(total))
        until(somebody_waits)
    assert dispatcher.end() == [50]


def test_an_address_that_is_not_committed_yet_while_what_is_kept_is_looked_at(world: World) -> None:
    person = ensure_recipient(actor="test", user_id="AWAY")
    Recipient.objects.update(attributes={"name": "王", "balance": 1})
    campaign = world.campaign({**SMS, "offline_save": {"seconds": 3600}})
    drain(campaign.lane, 1)
    SavedMessage.objects.update(due_at=timezone.now())
    with transaction.atomic():
        add_binding(actor="test", recipient=person, kind="phone", address="13900077777")
        Beside(lambda: release_next(campaign.lane)).end()
    world.run(campaign)
    assert world.messages(campaign) == {"SUCCEEDED": 1}
