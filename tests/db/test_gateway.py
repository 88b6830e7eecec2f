"""Gateways against real Postgres and the simulated carriers: who sends, who does not, and what a death costs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections

from apps.campaigns.models import Attempt, Batch, Campaign, Delivery, ReceiptInbox
from apps.campaigns.pipeline.gateway import NO_SESSION, Gateway
from apps.campaigns.pipeline.lease import lease_of
from apps.campaigns.pipeline.reap import tick
from apps.campaigns.tasks import drain
from apps.channels import testing
from apps.channels.models import ChannelAccount
from apps.channels.services import save_account
from apps.templates.models import MessageTemplate
from apps.templates.services import publish_version, save_draft
from demo import stage
from tests.db.conftest import World
from tests.waiting import until
from ums_site.ids import to_base36

ROOT = Path(__file__).resolve().parents[2]
SHORT = "${name}，您的余额为${balance}元。"
LONG = SHORT + "本行提醒您：请勿向任何人透露您的密码与验证码，谨防电信诈骗。" * 5
SETTINGS: dict[str, dict[str, Any]] = {
    "sms_smpp": {
        "system_id": "esme1",
        "password": "secret08",
        "source_address": "10690001",
        "response_id": "hex",
        "receipt_id": "decimal",
        "enquire_seconds": 5,
    },
    "sms_cmpp": {
        "sp_id": "sp0001",
        "shared_secret": "shared-secret",
        "source_number": "10690001",
        "service_id": "UMS",
        "version": "3.0",
    },
}
both = pytest.mark.parametrize("kind", list(SETTINGS))


def account(world: World, kind: str, **changes: Any) -> ChannelAccount:
    place = world.outside.ready[kind.removeprefix("sms_")]
    made = ChannelAccount.objects.filter(code="carrier").first() or ChannelAccount(code="carrier", kind=kind)
    made.name, made.price, made.max_in_flight = "carrier", Decimal("0.03"), 50
    made.receipt_window = made.receipt_window or timedelta(seconds=60)
    made.unknown_window = timedelta(seconds=2)
    save_account(actor="test", account=made, settings={**SETTINGS[kind], **place, **changes})
    return made


def campaign(world: World, kind: str, text: str = SHORT, wanted: str = "accepted", **extra: Any) -> Campaign:
    code = f"by-{kind}-{MessageTemplate.objects.count()}".replace("_", "-")
    draft = save_draft(actor="test", code=code, name="x", variables=stage.VARIABLES, bodies={kind: {"text": text}})
    version = publish_version(actor="test", template=draft)
    policy = {"steps": [{"channels": [{"account": "carrier"}], "until": wanted}]}
    return world.campaign(policy, template_version=version, **extra)


@contextmanager
def gateway(held: ChannelAccount) -> Iterator[Gateway]:
    """One gateway in a thread of this process."""
    stop, made = threading.Event(), Gateway(held.pk)
    faults: list[BaseException] = []

    def run() -> None:
        try:
            made.run(stop)
        except BaseException as fault:
            faults.append(fault)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield made
    finally:
        stop.set()
        thread.join(20)
    assert not faults and not thread.is_alive()


def once_each(world: World, count: int, parts: int = 1) -> None:
    taken = Counter(line["addr_hash"] for line in world.ledger())
    assert len(taken) == count and set(taken.values()) == {parts}


@both
@pytest.mark.parametrize("text", [SHORT, LONG], ids=["short", "long"])
def test_messages_go_out_and_are_delivered_part_by_part(world: World, kind: str, text: str) -> None:
    world.people(12)
    parts = 1 if text is SHORT else 3
    held = account(world, kind)
    sent = campaign(world, kind, text, "delivered")
    with gateway(held):
        world.run(sent)
    assert world.states(sent) == {"DELIVERED": 12} and world.messages(sent) == {"SUCCEEDED": 12}
    once_each(world, 12, parts)
    ids = Delivery.objects.filter(campaign_id=sent.pk).values_list("provider_id", "pieces", "cost")
    assert all(len(one.split(",")) == parts == pieces and cost == parts * held.price for one, pieces, cost in ids)
    assert not ReceiptInbox.objects.filter(account_id=held.pk, state="BAD").exists()
    stats = world.outside.stats()
    assert "garbled" in str(stats) and "'garbled': 0" in str(stats)


@both
def test_one_failed_part_fails_the_message(world: World, kind: str) -> None:
    world.outside.control({"world": {kind.removeprefix("sms_"): {"empty": 1.0}}})
    world.people(3)
    held = account(world, kind)
    sent = campaign(world, kind, LONG, "delivered")
    with gateway(held):
        world.run(sent)
    assert world.states(sent) == {"UNDELIVERED": 3}
    reasons = set(Delivery.objects.filter(campaign_id=sent.pk).values_list("reason", flat=True))
    assert reasons == {"MK:0001" if kind == "sms_cmpp" else "UNDELIV:001"}


def test_no_worker_sends_for_such_an_account(world: World) -> None:
    world.people(3)
    held = account(world, "sms_smpp")
    sent = campaign(world, "sms_smpp")
    for _round in range(3):
        drain(sent.lane, 1)
        tick()
    assert list(Batch.objects.filter(campaign_id=sent.pk).values_list("state", flat=True)) == ["READY"]
    assert not world.ledger()
    with gateway(held):
        world.run(sent)
    once_each(world, 3)


def test_one_time_passwords_go_first(world: World) -> None:
    world.people(2)
    held = account(world, "sms_smpp")
    bulk = campaign(world, "sms_smpp")
    drain(bulk.lane, 1)
    urgent = campaign(world, "sms_smpp", message_class="otp")
    drain(urgent.lane, 1)
    assert (bulk.lane, urgent.lane) == ("bulk", "otp")
    leased = [batch.lane for batch in (lease_of(held.pk), lease_of(held.pk)) if batch is not None]
    assert leased == ["otp", "bulk"] and lease_of(held.pk) is None


@both
def test_two_gateways_share_the_work(world: World, kind: str) -> None:
    world.people(40)
    held = account(world, kind)
    world.script(kind.removeprefix("sms_"), "accept", "hang(0.05)")
    first, second = campaign(world, kind), campaign(world, kind)
    with gateway(held) as one, gateway(held) as other:
        world.run(first)
        world.run(second)
        assert one.sessions.up and other.sessions.up
    once_each(world, 40, 2)


def test_receipts_that_nobody_stored_come_again(world: World) -> None:
    world.outside.control({"receipts": {"delay": 0.5}, "smpp": {"receipt_retry_s": 0.3}})
    world.people(5)
    held = account(world, "sms_smpp")
    sent = campaign(world, "sms_smpp", wanted="delivered")
    with gateway(held):
        world.run(sent, until=lambda: world.states(sent).get("ACCEPTED") == 5)
    assert world.states(sent) == {"ACCEPTED": 5}
    with gateway(held):
        world.run(sent)
    assert world.states(sent) == {"DELIVERED": 5}


def test_receipts_before_the_answer_and_twice(world: World) -> None:
    world.outside.control({"smpp": {"receipt_first": True, "latency_s": 0.3}, "receipts": {"dup": 1.0, "delay": 0}})
    world.people(4)
    held = account(world, "sms_smpp")
    sent = campaign(world, "sms_smpp", LONG, "delivered")
    with gateway(held):
        world.run(sent)
    assert world.states(sent) == {"DELIVERED": 4}
    once_each(world, 4, 3)


@both
def test_a_refused_login_shows_in_the_breaker_and_mends_itself(world: World, kind: str) -> None:
    world.people(2)
    secret = "password" if kind == "sms_smpp" else "shared_secret"
    held = account(world, kind, **{secret: "wrong"})
    sent = campaign(world, kind)
    with gateway(held):
        until(lambda: _reason(held).startswith(NO_SESSION), 10)
        assert not world.ledger() and world.states(sent).keys() <= {"PENDING"}
        account(world, kind)
        world.run(sent)
        until(lambda: not _reason(held), 10)
    once_each(world, 2)


def _reason(held: ChannelAccount) -> str:
    held.refresh_from_db()
    return held.open_reason


def test_a_carrier_that_is_too_busy_is_sent_to_more_slowly(world: World) -> None:
    world.outside.control({"smpp": {"per_second": 30}})
    world.people(60)
    held = account(world, "sms_smpp")
    sent = campaign(world, "sms_smpp")
    with gateway(held):
        world.run(sent)
    once_each(world, 60)
    assert world.messages(sent) == {"SUCCEEDED": 60}


def test_an_agreed_rate_is_kept_without_intents_in_vain(world: World) -> None:
    world.people(40)
    held = account(world, "sms_smpp", per_second=10)
    sent = campaign(world, "sms_smpp")
    with gateway(held):
        world.run(sent)
    once_each(world, 40)
    times = sorted(line["t"] for line in world.ledger())
    assert times[-1] - times[0] > 3.5
    assert (
        Attempt.objects.filter(delivery_id__in=Delivery.objects.filter(campaign_id=sent.pk).values("id")).count() == 40
    )


def test_an_answer_that_never_comes_is_unknown_and_not_sent_again(world: World, settings: Any) -> None:
    settings.UMS_TIMERS = type(settings.UMS_TIMERS)(t_http=1.0)
    world.script("smpp", "accept", "hang", times=2)
    world.people(6)
    held = account(world, "sms_smpp")
    sent = campaign(world, "sms_smpp")
    with gateway(held):
        world.run(sent, seconds=40)
    states = world.states(sent)
    assert (
        states.pop("UNKNOWN_FINAL") == 2 and sum(states.values()) == 4 and not states.keys() - {"ACCEPTED", "DELIVERED"}
    )
    once_each(world, 6)


class Killed:
    """A gateway in a process of its own that ends itself by kill -9 at a fail point."""

    def __init__(self, point: str) -> None:
        place = {**os.environ, "UMS_FAILPOINT": f"{point}:kill9@1"}
        command = [sys.executable, "manage.py", "gateway", "carrier"]
        self.process = subprocess.Popen(command, cwd=ROOT, env=place, stdout=subprocess.DEVNULL)

    def wait(self) -> None:
        assert self.process.wait(30) == -signal.SIGKILL


@pytest.mark.parametrize(
    ("kind", "point"),
    [
        ("sms_smpp", "after_lease"),
        ("sms_smpp", "after_intent_commit"),
        ("sms_smpp", "after_send"),
        ("sms_cmpp", "after_send"),
        ("sms_cmpp", "before_result_commit"),
    ],
)
def test_kill_9_in_the_middle_of_a_batch_loses_nothing_and_doubles_nothing(world: World, kind: str, point: str) -> None:
    world.script(kind.removeprefix("sms_"), "accept", "hang(0.05)")
    world.people(30)
    held = account(world, kind)
    sent = campaign(world, kind)
    drain(sent.lane, 1)
    Killed(point).wait()
    caught = set(Delivery.objects.filter(campaign_id=sent.pk, state="SENDING").values_list("id", flat=True))
    assert bool(caught) == (point != "after_lease")
    _let_time_pass(sent)
    with gateway(held):
        world.run(sent, until=lambda: _over(sent), seconds=40)
    states = world.states(sent)
    assert states.get("UNKNOWN_FINAL", 0) + states.get("DELIVERED", 0) + states.get("ACCEPTED", 0) == 30
    taken = Counter(line["addr_hash"] for line in world.ledger())
    assert set(taken.values()) <= {1} and len(taken) >= 30 - len(caught)
    never_sent = 30 - len(taken)
    unknown = set(Delivery.objects.filter(campaign_id=sent.pk, state="UNKNOWN_FINAL").values_list("id", flat=True))
    assert unknown <= caught and len(unknown) >= never_sent, to_base36(sent.pk)


def _over(sent: Campaign) -> bool:
    sent.refresh_from_db()
    open_states = ["PENDING", "HELD", "SENDING", "UNKNOWN"]
    return sent.state == "FINISHED" and not Delivery.objects.filter(campaign_id=sent.pk, state__in=open_states).exists()


def _let_time_pass(sent: Campaign) -> None:
    """The lease of the dead is over, and so is the reaper's patience."""
    with connection.cursor() as cursor:
        long_ago = "UPDATE campaigns_batch SET {} WHERE campaign_id = %s AND {}"
        cursor.execute(long_ago.format("lease_until = now() - interval '1 h'", "state = 'LEASED'"), [sent.pk])
        tick()
        cursor.execute(long_ago.format("suspect_at = now() - interval '1 s'", "suspect_at IS NOT NULL"), [sent.pk])


def test_a_gateway_is_for_accounts_that_keep_a_session(world: World) -> None:
    for code, words in (("nobody", "no account"), ("sms-main", "keeps no session")):
        with pytest.raises(CommandError, match=words):
            call_command("gateway", code)


@both
def test_an_account_is_tried_by_hand(world: World, kind: str) -> None:
    held = account(world, kind)
    assert testing.check_account(actor="test", account=held).outcome == "Accepted"
    tried = testing.test_send(
        actor="test", account=held, address="13900000001", content={"text": "验" * 100, "sign_name": ""}
    )
    assert (tried.outcome, tried.pieces) == ("Accepted", 2)
    secret = "password" if kind == "sms_smpp" else "shared_secret"
    assert (
        testing.check_account(actor="test", account=account(world, kind, **{secret: "wrong"})).outcome
        == "Misconfigured"
    )


def test_gateways_come_and_go_with_their_accounts(world: World) -> None:
    def stands() -> bool:
        return "'sessions': 1" in str(world.outside.stats())

    command = [sys.executable, "manage.py", "gateways"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        held = account(world, "sms_smpp")
        until(stands, 30)
        ChannelAccount.objects.filter(pk=held.pk).update(state="PAUSED")
        until(lambda: not stands(), 30)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
