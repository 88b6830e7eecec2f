"""Schedules over the API: made, read, changed, paused, ended, each by its own line only."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from apps.campaigns.models import Campaign, Schedule
from apps.campaigns.scheduling import launch_due
from apps.operators.models import AuditEvent
from tests.api.conftest import Caller
from ums_site.clock import database_now

pytestmark = pytest.mark.django_db
PATH = "/api/v1/schedules"


def body(**changes: Any) -> dict[str, Any]:
    given = {
        "name": "Daily",
        "cron": "0 9 * * 1-5",
        "template": "balance",
        "class": "transactional",
        "policy": "sms-only",
    }
    return {name: value for name, value in (given | changes).items() if value is not None}


def call(caller: Caller, method: str, path: str, sent: Any = None) -> Any:
    return caller.client.generic(
        method, path, json.dumps(sent), content_type="application/json", headers=caller.headers()
    )


def test_a_schedule_from_its_making_to_its_end(bank: Caller, callers: Callable[[str], Caller]) -> None:
    made = call(bank, "POST", PATH, body(pace_per_second="0.5", version=1, cost_ceiling="12.5"))
    assert made.status_code == 201, made.content
    told = made.json()
    assert told["state"] == "ACTIVE" and len(told["next"]) == 5 and told["zone"] == "Asia/Shanghai"
    assert told["cost_ceiling"] == 12.5
    one = f"{PATH}/{told['id']}"
    changed = call(bank, "PUT", one, body(cron="* * * * *"))
    assert changed.json()["cron"] == "* * * * *" and changed.json()["version"] is None
    at = database_now() - timedelta(minutes=1)
    Schedule.objects.update(after_at=at, next_at=at)
    assert launch_due() == 1
    run = call(bank, "GET", one).json()["runs"][0]
    campaign = Campaign.objects.get(pk=int(run["campaign_id"]))
    assert run["state"] == "started" and campaign.business_line == bank.line
    assert campaign.state == "EXPANDING"
    assert call(bank, "PATCH", one, {"state": "PAUSED"}).json()["next"] == []
    assert call(bank, "PATCH", one, {"state": "PAUSED"}).status_code == 400
    assert call(bank, "PATCH", one, {"state": "ACTIVE"}).json()["state"] == "ACTIVE"
    other = callers("other")
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        assert call(other, method, one, body()).status_code == 404
    assert call(other, "GET", PATH).json() == []
    assert [held["id"] for held in call(bank, "GET", PATH).json()] == [told["id"]]
    assert call(bank, "DELETE", one).json()["state"] == "ENDED"
    assert call(bank, "PUT", one, body()).status_code == 400
    verbs = set(AuditEvent.objects.values_list("verb", flat=True))
    assert {"add_schedule", "change_schedule", "pause_schedule", "resume_schedule", "end_schedule"} <= verbs


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"cron": "0 25 * * *"}, "cron"),
        ({"zone": "Mars/Olympus"}, "zone"),
        ({"template": "none"}, "template"),
        ({"version": 9}, "version"),
        ({"policy": "none"}, "policy"),
        ({"class": "spam"}, "class"),
        ({"calendar": "none"}, "calendar"),
        ({"on_day_off": "skip"}, "calendar"),
        ({"audience": {"tags": ["x"]}}, "audience"),
        ({"name": None}, "name"),
        ({"misfire_grace_seconds": -1}, "misfire_grace_seconds"),
        ({"cost_ceiling": "-1"}, "cost_ceiling"),
        ({"expires_after_seconds": 10**18}, "expires_after_seconds"),
        ({"starts_at": "9999-12-31T00:00:00Z"}, "starts_at"),
        ({"audience": {"tags_any": ["a\0"]}}, "audience"),
        ({"audience": {"tags_any": ["\ud800"]}}, "audience"),
        ({"audience": {"attributes": {"a\0": 1}}}, "audience"),
        ({"audience": {"kind": "list", "list": 1}}, "audience"),
        ({"audience": {"kind": ["filter"]}}, "audience"),
    ],
)
def test_what_is_wrong_is_named(bank: Caller, changes: dict[str, Any], field: str) -> None:
    refused = call(bank, "POST", PATH, body(**changes))
    assert refused.status_code == 400
    assert [one["field"] for one in refused.json()["errors"]] == [field]
    assert not Schedule.objects.exists()
