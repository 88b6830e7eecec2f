"""Userids by mobile number, from the simulated WeCom: kept once, asked once, and stopped where the provider says so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from apps.channels.models import ChannelAccount
from apps.users.errors import PeopleError
from apps.users.lookup import look_up
from apps.users.models import Binding
from apps.users.services import add_binding, ensure_recipient, tag
from demo import every_channel
from tests.simulator.clients import Simulator

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    running = Simulator(Path(tmp_path_factory.mktemp("lookup")), "--world", "perfect")
    yield running
    running.stop()


@pytest.fixture
def wecom(outside: Simulator) -> ChannelAccount:
    outside.call("DELETE", "/_sim/ctl?settings=1")
    every_channel.accounts(every_channel.kinds(outside.ready, ["wecom_app"]), timedelta(hours=1), timedelta(hours=1))
    return ChannelAccount.objects.get(code="wecom-app")


def people(count: int) -> None:
    for number in range(count):
        person = ensure_recipient(actor="test", user_id=f"L{number}")
        add_binding(actor="test", recipient=person, kind="phone", address=f"1390000{number:04d}")
        if number % 2:
            tag(actor="test", recipients=[person], tags=["odd"])


def test_everybody_whom_the_provider_knows_gets_an_address(outside: Simulator, wecom: ChannelAccount) -> None:
    people(12)
    members = [{"id": f"M{n}", "phone": f"1390000{n:04d}", "wecom": f"staff{n:06d}"} for n in range(9)]
    outside.call("PUT", "/_sim/people", json.dumps(members))
    found = look_up(actor="test", account=wecom)
    assert (found.asked, found.found, found.unknown, found.failed, found.stopped) == (12, 9, 3, 0, "")
    assert Binding.objects.filter(address_kind="wecom").count() == 9
    assert look_up(actor="test", account=wecom).asked == 3, "only those without one are asked about again"


def test_a_tag_and_a_number_bound_it(outside: Simulator, wecom: ChannelAccount) -> None:
    people(10)
    assert look_up(actor="test", account=wecom, tag="odd", most=3).asked == 3
    assert look_up(actor="test", account=wecom, tag="nobody").asked == 0


def test_a_provider_that_has_enough_ends_it(outside: Simulator, wecom: ChannelAccount) -> None:
    people(40)
    outside.control({"scripts": [{"provider": "wecom", "operation": "query", "match": "all", "do": ["429"]}]})
    with pytest.raises(CommandError, match="stopped"):
        call_command("look_up_addresses", "wecom-app")
    assert not Binding.objects.filter(address_kind="wecom").exists()


def test_other_kinds_and_unknown_accounts_are_refused(wecom: ChannelAccount, outside: Simulator) -> None:
    every_channel.accounts(every_channel.kinds(outside.ready, ["sms_aliyun"]), timedelta(hours=1), timedelta(hours=1))
    with pytest.raises(PeopleError):
        look_up(actor="test", account=ChannelAccount.objects.get(code="sms-aliyun"))
    with pytest.raises(CommandError):
        call_command("look_up_addresses", "nobody")
