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

from apps.campaigns import forecast
from apps.campaigns.drafting import store_forecast
from apps.campaigns.editing import change_campaign
from apps.campaigns.errors import CampaignError
from apps.campaigns.models import Campaign, Forecast, FrequencyCap, QuietHours
from apps.campaigns.services import create_campaign, submit_campaign
from apps.campaigns.tasks import drain
from apps.partners.allowances import save_allowance
from apps.partners.models import Allowance
from apps.reports.services import finish_figures
from apps.users.services import add_blacklist, ensure_recipient
from tests.db.conftest import SMS, World
from ums_site.clock import database_now

ROOT = Path(__file__).resolve().parents[2]
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
    assert said["routes"] == {"push_jpush": 15, "sms_aliyun": 12, "push_jpush > sms_aliyun": 4}, (
        "0.8 without experience"
    )
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
    learnt = store_forecast(actor="test", campaign=draft(world))
    assert learnt["rates"]["push-main"]["tried"] == 18, "the next forecast rests on what this one delivered"
    assert learnt["rates"]["push-main"]["rate"] > 0.8


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
