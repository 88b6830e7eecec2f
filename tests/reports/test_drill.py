"""Every figure leads to exactly the messages that it counts."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from apps.campaigns.models import Message
from apps.channels.models import ChannelAccount
from apps.reports.drill import SYMBOLS, behind
from apps.reports.figures import campaign_figures
from tests.reports.rows import Person, World
from tests.reports.test_figures import explained, people


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(crowd=st.lists(people, max_size=12))
def test_each_figure_counts_the_messages_behind_it(world: World, crowd: list[Person]) -> None:
    assume(all(explained(person) for person in crowd))
    campaign = world.campaign()
    world.write(campaign, crowd)
    messages = Message.objects.filter(campaign_id=campaign.pk)
    figures = asdict(campaign_figures(campaign.pk))
    assert {name: behind(name, messages).count() for name in SYMBOLS} == {name: figures[name] for name in SYMBOLS}
    accounts = {one.code: one.pk for one in ChannelAccount.objects.all()}
    for code, held in figures["by_channel"].items():
        names = ["tried", "accepted", "delivered", "undelivered", "unknown", "in_window"]
        found = {name: behind(f"{name}@{accounts[code]}", messages).count() for name in names}
        assert found == {name: held[name] for name in names}, code
    for name, route in figures["by_route"].items():
        assert behind(f"route:{name}", messages).count() == route["people"], name


def test_a_figure_that_nobody_knows_is_refused(world: World) -> None:
    for name in ("nonsense", "delivered@1 OR true", "delivered@x"):
        with pytest.raises(KeyError):
            behind(name, Message.objects.all())
