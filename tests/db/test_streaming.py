"""Batches follow each other without the wire running dry, and a lost database does not stop listening."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, OperationalError

from apps.campaigns.models import Attempt, Batch, Campaign, Delivery
from apps.campaigns.pipeline.expand import expand_next
from apps.campaigns.pipeline.results import until_written
from apps.campaigns.tasks import drain
from apps.channels.models import ChannelAccount
from tests.db.conftest import World


def _attempts(campaign: Campaign) -> list[Attempt]:
    ids = list(Delivery.objects.filter(campaign_id=campaign.pk).values_list("id", flat=True))
    return list(Attempt.objects.filter(delivery_id__in=ids))


def test_the_next_batch_begins_while_the_former_is_in_flight(world: World) -> None:
    world.people(3)
    ChannelAccount.objects.filter(code="sms-main").update(max_in_flight=3)  # each fills a window
    world.script("aliyun", "accept", "hang(0.5)", operation="send")
    campaigns = [world.campaign() for _number in range(3)]
    while expand_next(campaigns[0].lane):
        pass
    drain(campaigns[0].lane, 10)
    first, second, third = (_attempts(campaign) for campaign in campaigns)
    assert max(one.intent_at for one in second) < min(one.finished_at for one in first)
    assert min(one.intent_at for one in third) > min(one.finished_at for one in first)  # two windows at most are open
    assert len(world.ledger()) == 9
    assert set(Batch.objects.values_list("state", "owner")) == {("DONE", "")}


def test_between_two_tries_to_write_there_is_time_to_listen() -> None:
    rests: list[float] = []

    def write() -> str:
        if len(rests) < 3:
            raise OperationalError("gone")
        return "written"

    assert until_written(write, rests.append) == "written"
    assert rests == sorted(rests) and 0 < rests[0] <= rests[-1] <= 2


@pytest.mark.django_db(transaction=True)
def test_a_fault_of_ours_is_not_tried_again() -> None:
    rests: list[float] = []

    def write() -> None:
        raise IntegrityError("ours")

    with pytest.raises(IntegrityError):
        until_written(write, rests.append)
    assert rests == []
