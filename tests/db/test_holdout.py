"""Holdout groups: the same people whatever the campaign, nobody where the class or the line is another."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from hashlib import md5

import pytest
from django.utils import timezone, translation

from apps.campaigns.caps import end_holdout, save_holdout
from apps.campaigns.errors import CampaignError
from apps.campaigns.holdouts import LeftOut, figures
from apps.campaigns.models import Holdout, Message
from apps.users.lists import add_blacklist
from apps.users.models import Recipient
from apps.users.services import tag
from tests.db.conftest import World


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    """Sentences are compared in the language of the code."""
    with translation.override("en"):
        yield


def test_the_same_people_are_left_out_of_every_campaign(world: World) -> None:
    people = world.people(60)
    group = Holdout(name="h", percent=Decimal("20"), salt="s1", from_at=timezone.now() - timedelta(days=1))
    save_holdout(actor="test", holdout=group)
    chosen = {one.pk for one in people if int(md5(f"s1:{one.pk}".encode()).hexdigest()[:8], 16) % 10_000 < 2000}
    assert 3 <= len(chosen) <= 25
    vip, blocked = sorted(chosen)[:2]
    add_blacklist(actor="t", recipient=Recipient.objects.get(pk=vip), effect="allow", reason="tester", source="t")
    add_blacklist(actor="t", recipient=Recipient.objects.get(pk=blocked), reason="asked", source="t")
    campaigns = [world.run(world.campaign()) for _number in range(2)]
    for one in campaigns:
        left = set(Message.objects.filter(campaign_id=one.pk, reason="holdout").values_list("recipient_id", flat=True))
        assert left == chosen - {vip, blocked}
        assert world.messages(one)["BLOCKED blacklisted"] == 1
    shown = figures(group)
    assert shown == [LeftOut(one.pk, "test", 60, len(left), 60 - len(left) - 1) for one in reversed(campaigns)]
    notice = world.run(world.campaign(message_class="transactional"))
    assert world.messages(notice)["SUCCEEDED"] == 59, "a notice goes to everybody"
    end_holdout(actor="test", holdout=group)
    tag(actor="test", recipients=[one for one in people if one.pk not in (vip, blocked)][:5], tags=["quiet"])
    save_holdout(actor="test", holdout=Holdout(name="t", tag="quiet", from_at=timezone.now()))
    assert world.messages(world.run(world.campaign()))["BLOCKED holdout"] == 5
    with pytest.raises(CampaignError, match="either"):
        save_holdout(actor="test", holdout=Holdout(name="x", from_at=timezone.now()))
