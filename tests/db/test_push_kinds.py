"""FCM and APNs on the whole way of a message: tokens, HTTP/2, devices that are gone."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from apps.campaigns.models import Attempt, Campaign, Delivery
from apps.channels.models import ChannelAccount, SharedToken
from apps.channels.testing import test_send as try_out
from apps.templates.models import TemplateVersion
from apps.users.models import Binding
from demo import every_channel
from tests.db.conftest import World

KINDS = ["push_fcm", "push_apns"]


@pytest.fixture(params=KINDS)
def app(request: pytest.FixtureRequest, world: World) -> every_channel.KindStage:
    """One of the two on its simulator, with 30 people who have a device."""
    world.outside.control({"apns": {"token_update_s": 0}})
    (stage,) = every_channel.kinds(world.outside.ready, [request.param])
    every_channel.accounts([stage], timedelta(seconds=30), timedelta(seconds=2))
    every_channel.people([stage], 30)
    SharedToken.objects.all().delete()
    return stage


def send(world: World, app: every_channel.KindStage, version: TemplateVersion) -> Campaign:
    policy = {"steps": [{"channels": [{"account": app.code}], "until": "accepted"}]}
    return world.run(world.campaign(policy, template_version=version))


def attempts(campaign: Campaign) -> set[str]:
    ids = Delivery.objects.filter(campaign_id=campaign.pk).values("id")
    return set(Attempt.objects.filter(delivery_id__in=ids).values_list("outcome", flat=True))


def test_everybody_gets_it_and_the_token_is_made_once(world: World, app: every_channel.KindStage) -> None:
    campaign = send(world, app, every_channel.template([app]))
    assert world.messages(campaign) == {"SUCCEEDED": 30}
    ids = set(Delivery.objects.filter(campaign_id=campaign.pk).values_list("provider_id", flat=True))
    assert {line["pid"] for line in world.ledger()} == ids and len(ids) == 30
    assert SharedToken.objects.get().version == 1


def test_a_token_that_is_refused_is_made_anew(world: World, app: every_channel.KindStage) -> None:
    version = every_channel.template([app])
    first = send(world, app, version)
    world.script(app.kind.removeprefix("push_"), "token_error", times=30)
    second = send(world, app, version)
    assert world.messages(first) == world.messages(second) == {"SUCCEEDED": 30}
    assert "staletoken" in attempts(second) and len(world.ledger()) == 60
    assert SharedToken.objects.get().version == 2
    assert not ChannelAccount.objects.filter(faults__gt=0).exists()


def test_a_device_that_is_gone_is_not_tried_again(world: World, app: every_channel.KindStage) -> None:
    gone, version = app.address.format(n=7), every_channel.template([app])
    field = app.kind.removeprefix("push_")
    people = [{"id": "G", field: [gone], "states": {field: "unknown"}}]
    assert world.outside.call("PUT", "/_sim/people", json.dumps(people)).status == 200
    try:
        first, second = send(world, app, version), send(world, app, version)
    finally:
        people[0]["states"] = {field: "ok"}
        world.outside.call("PUT", "/_sim/people", json.dumps(people))
    assert world.states(first) == {"ACCEPTED": 29, "REJECTED": 1}
    assert Binding.objects.filter(state="INVALID").count() == 1
    assert world.states(second).get("ACCEPTED") == 29 and len(world.ledger()) == 58


def test_a_test_message_shows_no_secret(world: World, app: every_channel.KindStage) -> None:
    account = ChannelAccount.objects.get(code=app.code)
    tried = try_out(actor="test", account=account, address=app.address.format(n=1), content={"alert": "Probe"})
    assert tried.accepted and "Probe" in tried.exchanges[-1].asked
    shown = "".join(one.asked + one.answered for one in tried.exchanges)
    assert "●" in shown and app.address.format(n=1) not in shown and "eyJ" not in shown and "assertion=ey" not in shown
