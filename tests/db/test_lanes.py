"""A one-time password waits for nothing that others do: not their locks, their rates, their throttling, nor a worker's sleep."""

from __future__ import annotations

import threading
import time

import pytest
from django.db import connection, connections, transaction
from django.forms import model_to_dict

from apps.campaigns.accepting import NewMessage, accept_messages
from apps.campaigns.models import Batch, Campaign, Delivery
from apps.campaigns.pipeline.expand import expand_next
from apps.campaigns.pipeline.lease import OF_LANE, lease, slow_down
from apps.campaigns.pipeline.pace import take_calls
from apps.campaigns.tasks import drain
from apps.channels.models import ChannelAccount, RateBucket
from apps.channels.services import save_account
from tests.db.conftest import SMS, World
from ums_site.queues import heard, listen, ring_now


def passwords(world: World, count: int, start: int = 0) -> None:
    """So many calls of the API, one message each, to people of their own: an address takes one a minute."""
    for number in range(start, start + count):
        accept_messages(
            actor="test",
            business_line=world.line,
            template_version=world.version,
            policy=SMS,
            message_class="otp",
            items=[NewMessage(user_id=f"P{number:06d}")],
        )


def otp_accepted() -> int:
    ids = Campaign.objects.filter(lane="otp").values_list("id", flat=True)
    return Delivery.objects.filter(campaign_id__in=list(ids), state="ACCEPTED").count()


def test_what_throttles_the_others_does_not_throttle_passwords(world: World) -> None:
    world.people(2)
    world.campaign()
    passwords(world, 1)
    while expand_next("bulk"):
        pass
    account = ChannelAccount.objects.get(code="sms-main")
    slow_down(account, "too fast", None)
    assert lease("bulk") is None
    drain("otp", 5)
    assert otp_accepted() == 1
    ChannelAccount.objects.filter(pk=account.pk).update(faults=1)  # a breaker is for everybody
    passwords(world, 1, start=1)
    drain("otp", 0.2)
    assert otp_accepted() == 1
    assert Delivery.objects.get(campaign_id=Campaign.objects.latest("id").pk).state == "PENDING"


def test_a_busy_bucket_keeps_tokens_for_passwords(world: World) -> None:
    account = ChannelAccount.objects.get(code="sms-main")
    account.rate_per_second, account.burst = "0.05", 10
    save_account(actor="test", account=account, settings={})
    RateBucket.objects.filter(key=f"account:{account.pk}").update(tokens=10)
    world.people(20)
    campaign = world.campaign()
    world.people(1, start=50)
    drain("bulk", 1)
    assert world.states(campaign)["ACCEPTED"] == 8
    passwords(world, 1, start=50)
    drain("otp", 1)
    assert otp_accepted() == 1
    assert take_calls([f"account:{account.pk}"], [1] * 5) == 1
    assert take_calls(["no such"], [1] * 5, 3) == 5


def test_passwords_are_planned_while_a_chunk_of_others_is_written(world: World) -> None:
    world.people(3)
    world.campaign()
    world.people(1, start=50)
    passwords(world, 1, start=50)
    with transaction.atomic():
        assert expand_next("bulk")  # its rows and ids are written, its transaction stays open
        worker = threading.Thread(target=_drained, args=("otp",))
        worker.start()
        worker.join(10)
        assert not worker.is_alive()
    assert otp_accepted() == 1


def _drained(lane: str) -> None:
    try:
        drain(lane, 5)
    finally:
        connections.close_all()


def test_passwords_that_come_one_by_one_go_side_by_side(world: World) -> None:
    """Ten calls of the API do not wait for one another's answers."""
    world.people(10)
    world.script("aliyun", "accept", "hang(0.4)", operation="send")
    passwords(world, 10)
    began = time.monotonic()
    drain("otp", 10)
    assert otp_accepted() == 10
    assert time.monotonic() - began < 10 * 0.4 * 0.75


def test_a_lease_reads_one_batch_however_many_wait(world: World) -> None:
    world.people(1)
    world.campaign()
    while expand_next("bulk"):
        pass
    first = Batch.objects.get()
    Batch.objects.bulk_create(
        Batch(**{**model_to_dict(first, exclude=["id", "campaign"]), "campaign_id": first.campaign_id})
        for _number in range(5000)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE campaigns_batch")
        cursor.execute(f"EXPLAIN {OF_LANE}", ["me", 60, "bulk", []])
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "batch_ready" in plan and "Sort" not in plan
    held = lease("bulk")
    assert held is not None and held.pk == first.pk


@pytest.mark.usefixtures("world")
def test_a_ring_wakes_who_listens_at_once() -> None:
    heard("otp")
    woken: list[float] = []
    for _number in range(2):  # the second ring counts as the first did
        listener = threading.Thread(target=lambda: (listen("otp", 20), woken.append(time.monotonic())))
        listener.start()
        assert ring_now("otp")
        listener.join(10)
        assert not listener.is_alive()
    listen("otp", 0.01)  # nothing is left over: it only waits
    assert len(woken) == 2
