"""A forecast says what happens: exact where it can be, kept, taken up after a death, and compared with what came."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db.models import F

from apps.campaigns import forecast
from apps.campaigns.drafting import store_forecast
from apps.campaigns.editing import change_campaign
from apps.campaigns.errors import CampaignError
from apps.campaigns.models import (
    Campaign,
    Delivery,
    DuplicateGuard,
    Forecast,
    FrequencyCap,
    Message,
    QuietHours,
    Receipt,
)
from apps.campaigns.rates import chances_of
from apps.campaigns.services import create_campaign, submit_campaign
from apps.campaigns.tasks import drain
from apps.channels.models import ChannelAccount
from apps.partners.allowances import save_allowance
from apps.partners.models import Allowance
from apps.reports.services import finish_figures
from apps.users.models import Binding
from apps.users.services import add_blacklist, ensure_recipient
from tests.db.conftest import SMS, World
from ums_site.clock import database_now

ROOT = Path(__file__).resolve().parents[2]
PUSH_SOON_THEN_SMS: dict[str, Any] = {
    "steps": [
        {"channels": [{"account": "push-main"}], "wait_seconds": 3},
        {"channels": [{"account": "sms-main"}], "until": "accepted"},
    ]
}
PUSH_THEN_SMS = {"steps": [{"channels": [{"account": "push-main"}], "wait_seconds": 60}, *SMS["steps"]]}


def draft(world: World, **extra: Any) -> Campaign:
    held = {"policy": PUSH_THEN_SMS, "audience": {"kind": "filter"}, "message_class": "marketing"} | extra
    return create_campaign(actor="test", name="F", business_line=world.line, template_version=world.version, **held)


def test_forecast_and_actual_of_one_campaign(world: World) -> None:
    both = world.people(20, ("phone", "jpush"))
    world.people(12, ("phone",), start=50)
    ensure_recipient(actor="test", user_id="NOBODY")
    add_blacklist(actor="test", recipient=both[0], reason="asked", source="test")
    campaign = draft(world, pace_per_second=Decimal(8))
    said = store_forecast(actor="test", campaign=campaign)
    assert (said["targets"], said["invalid_reasons"]) == (33, {"no_usable_address": 1})
    assert said["blocked"] == {"blacklisted": 1}
    assert said["reachable"] == {"push-main": 19, "sms-main": 31}
    assert said["first"] == {"push-main": 19, "sms-main": 12}
    assert said["routes"] == {"sms_aliyun": 12, "push_jpush": 10, "push_jpush > sms_aliyun": 9}, (
        "0.55 within a minute is assumed of App push without experience"
    )
    assert said["assumed"] == ["push-main", "sms-main"] and said["rates"][0]["tried"] == 0
    low, high = map(Decimal, said["range"]["expected_price"])
    assert low < Decimal(said["expected_price"]) < high
    assert said["price"] == "0.54" and said["worst_price"] == "1.40"  # 12 and 31 at 0.045
    assert Decimal(said["price"]) < Decimal(said["expected_price"]) < Decimal(said["worst_price"])
    assert said["costs"]["worst"]["max"] == "0.0450" and said["costs"]["first"]["p50"] == "0.0000"
    assert (said["duration_seconds"], said["slowest"]) == (3.9, "pace")

    add_blacklist(actor="test", recipient=both[1], reason="later", source="test")
    world.people(3, ("phone",), start=80)
    world.outside.control({"world": {"jpush": {"offline": 0.0}}})
    world.run(submit_campaign(actor="test", campaign=campaign))
    finish_figures(campaign.pk)
    kept = Forecast.objects.get().actual
    assert kept["same_people"] is True
    rows = {row["key"]: row for row in kept["rows"]}
    assert rows["targets"]["difference"] == 0 and rows["targets"]["why"] == ""
    assert (rows["blocked.blacklisted"]["actual"], rows["blocked.blacklisted"]["why"]) == (2, "asked_again")
    assert (rows["tried.push-main"]["actual"], rows["tried.sms-main"]["actual"]) == (18, 12)
    assert (rows["route.push_jpush > sms_aliyun"]["actual"], rows["cost"]["actual"]) == (0, "0.54000")
    assert (rows["cost"]["low"], rows["cost"]["high"]) == tuple(said["range"]["expected_price"])
    assert (rows["cost"]["why"], rows["targets"]["low"]) == ("assumed", None)
    push, _sms = store_forecast(actor="test", campaign=draft(world))["rates"]
    assert (push["good"], push["tried"]) == (18, 18), "the next forecast rests on what this one delivered"
    assert push["rate"] > 0.55 and push["assumed"], "eighteen are too few"


def test_a_learnt_rate_is_of_the_goal_within_the_wait_and_the_next_forecast_is_near(world: World) -> None:
    """App push to people of whom three in ten are away, then a text: first without a past, then with one."""
    world.people(160, ("phone", "jpush"))
    world.people(20, ("phone",), start=200)
    ensure_recipient(actor="test", user_id="NOBODY")
    world.outside.control({"world": {"jpush": {"offline": 0.3}}})
    policy = {**PUSH_SOON_THEN_SMS, "offline_save": {"seconds": 3600}}
    blind, first = played(world, policy)
    assert blind["kept"] == 1 and blind["invalid"] == 0
    assert [first[key]["actual"] for key in ("kept", "invalid", "valid")] == [1, 0, 181]
    low, high = map(Decimal, blind["range"]["expected_price"])
    assert low <= Decimal(first["cost"]["actual"]) <= high, "what rests on assumptions says so, and says how far"
    DuplicateGuard.objects.create(message_class="marketing", window_hours=0)
    learnt, second = played(world, policy)
    assert learnt["assumed"] == [] and {one["tried"] for one in learnt["rates"]} == {
        160,
        first["tried.sms-main"]["actual"],
    }
    for key in ("cost", "delivered", "tried.sms-main", "route.push_jpush"):
        assert float(second[key]["forecast"]) == pytest.approx(float(second[key]["actual"]), rel=0.05), key
    hour = timedelta(hours=1)
    Delivery.objects.update(accepted_at=F("accepted_at") - hour, receipt_at=F("receipt_at") - hour)
    late = Delivery.objects.filter(account_id=account("push-main"), state="DELIVERED").values_list("pk", flat=True)[
        :100
    ]
    Delivery.objects.filter(pk__in=list(late)).update(receipt_at=F("accepted_at") + timedelta(minutes=5))
    push = chances_of(draft(world, policy=policy))[0]
    assert push.good == learnt["rates"][0]["good"] * 2 - 100 and push.tried == 320, (
        "what came after the wait is no success"
    )
    patient = {"steps": [{**policy["steps"][0], "wait_seconds": 600}, *policy["steps"][1:]]}
    assert chances_of(draft(world, policy=patient))[0].good == push.good + 100
    other = chances_of(draft(world, policy=policy, message_class="transactional"))[0]
    assert (other.tried, other.of_class) == (320, False), "of another class where this one has no past"


def test_how_tries_ended_is_read_from_deliveries(world: World) -> None:
    world.people(60, ("phone", "jpush"))
    world.outside.control({"world": {"jpush": {"offline": 0.0}}})
    played(world, PUSH_SOON_THEN_SMS)
    hour = timedelta(hours=1)
    Delivery.objects.update(accepted_at=F("accepted_at") - hour, receipt_at=F("receipt_at") - hour)
    Receipt.objects.update(received_at=F("received_at") - hour)
    ids = list(Delivery.objects.filter(state="DELIVERED").values_list("pk", flat=True))
    read, bad, silent, unknown = ids[:5], ids[5:11], ids[11:18], ids[18:21]
    Delivery.objects.filter(pk__in=read).update(state="READ", receipt_at=F("accepted_at") + hour)  # delivered in time
    Delivery.objects.filter(pk__in=bad).update(state="UNDELIVERED")
    gone = Delivery.objects.filter(pk__in=bad[:2]).values_list("binding_id", flat=True)
    Binding.objects.filter(pk__in=list(gone)).update(state="INVALID")
    Delivery.objects.filter(pk__in=silent).update(state="CLOSED", receipt_at=None)
    Delivery.objects.filter(pk__in=unknown).update(state="UNKNOWN_FINAL", accepted_at=None, receipt_at=None)
    shares = chances_of(draft(world, policy=PUSH_SOON_THEN_SMS))[0].shares
    ended = {outcome: round(share * 60) for outcome, share in shares.items() if share}
    assert ended == {"reached": 44, "failed": 4, "dead": 2, "silent": 7, "unknown": 3}
    channels = [{"account": "push-main"}, {"account": "sms-main"}]
    smart = {"steps": [{"channels": channels, "mode": "smart", "until": "delivered", "wait_seconds": 3}]}
    said = store_forecast(actor="test", campaign=draft(world, policy=smart))
    assert said["first"] == {"push-main": 58, "sms-main": 2}, "whose app is gone gets a text"
    assert said["expected"] == {"push-main": 58, "sms-main": 15}, "13 of 60 go on: what is unknown does not"


def played(world: World, policy: dict[str, Any]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """A campaign to everybody: what was forecast, and the rows of the comparison."""
    campaign = draft(world, policy=policy)
    said = store_forecast(actor="test", campaign=campaign)
    submitted = submit_campaign(actor="test", campaign=campaign)
    world.run(submitted, lambda: not Message.objects.filter(campaign_id=campaign.pk, state="ACTIVE", reason="").exists()
              and submitted.expanded_at is not None)  # fmt: skip
    finish_figures(campaign.pk)
    actual = Forecast.objects.get(campaign=campaign, state="DONE").actual
    return said, {row["key"]: row for row in actual["rows"]}


def account(code: str) -> int:
    return ChannelAccount.objects.get(code=code).pk


def test_rules_of_the_gate_and_budgets_are_foreseen(world: World) -> None:
    world.people(4)
    save_allowance(
        actor="test",
        allowance=Allowance(
            name="three a day", business_line=world.line, unit="messages", period="day", zone="Asia/Shanghai", most=3, warn_at=80
        ),
    )  # fmt: skip
    said = store_forecast(actor="test", campaign=draft(world))
    (effect,) = [one for one in said["effects"] if one["name"] == "three a day"]
    assert (effect["before"], effect["after"], effect["over"]) == ("0", "4", True)
    hours = QuietHours.objects.create(
        name="night", classes=["marketing"], since=time(21), until=time(8), zone="Asia/Shanghai", weekdays=[*range(7)]
    )
    night = datetime(2030, 1, 1, 22, tzinfo=ZoneInfo("Asia/Shanghai"))
    said = store_forecast(actor="test", campaign=draft(world, scheduled_at=night))
    assert (said["delays"], said["duration_seconds"]) == ([{"code": "quiet_hours", "seconds": 36000.0}], 36000.0)
    hours.delete()
    FrequencyCap.objects.create(name="one a day", most=1)
    first = draft(world, audience={"kind": "filter", "user_ids": ["P000000"]})
    world.run(submit_campaign(actor="test", campaign=first))
    assert store_forecast(actor="test", campaign=draft(world))["blocked"] == {"frequency_cap": 1}


def test_a_large_audience_is_counted_in_the_background_and_survives_a_death(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.people(60)
    monkeypatch.setattr(forecast, "AT_ONCE", 10)
    monkeypatch.setattr(forecast, "CHUNK", 20)
    made = forecast.order_forecast(actor="test", campaign=draft(world))
    assert made.state == "WAITING" and forecast.progress_of_forecast(made.campaign_id)["over"] is False
    program = (
        "import django; django.setup(); from apps.campaigns import forecast; forecast.CHUNK = 20; forecast.run_due()"
    )
    environment = {**os.environ, "UMS_FAILPOINT": "forecast_after_chunk:kill9@2"}
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, check=False).returncode == -9
    made.refresh_from_db()
    assert (made.state, made.seen) == ("RUNNING", 40)
    assert forecast.run(made.pk).state == "RUNNING", "its runner is not known to be dead yet"
    Forecast.objects.update(heartbeat_at=database_now() - timedelta(minutes=1))
    drain("work", 5)
    made.refresh_from_db()
    assert (made.state, made.targets, made.parts.count()) == ("DONE", 60, 3)
    assert Campaign.objects.get(pk=made.campaign_id).forecast["targets"] == 60


def test_a_forecast_of_something_else_is_not_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.people(3)
    monkeypatch.setattr(forecast, "AT_ONCE", 1)
    campaign = draft(world)
    made = forecast.order_forecast(actor="test", campaign=campaign)
    change_campaign(actor="test", campaign=campaign, audience={"kind": "filter", "user_ids": ["P000000"]})
    assert forecast.run(made.pk).state == "FAILED"
    assert Campaign.objects.get(pk=campaign.pk).forecast is None
    submit_campaign(actor="test", campaign=Campaign.objects.get(pk=campaign.pk))
    with pytest.raises(CampaignError):
        store_forecast(actor="test", campaign=campaign)
