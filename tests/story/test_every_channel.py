"""One campaign over every kind of channel: everybody hears once, and the providers' ledger says the same.

Real workers, gateways, beat, web and the simulated providers run as processes. The world is believable about calls – some
are throttled, some fail before and some after they were accepted – so every kind goes through its retries.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from apps.campaigns.models import Campaign
from apps.campaigns.services import create_campaign, submit_campaign
from apps.channels.models import ChannelAccount
from apps.channels.registry import KINDS, adapter
from demo import every_channel, stage
from demo.run import Outside
from tests.ports import some_port
from tests.waiting import until
from ums_site.launcher import Launcher
from ums_site.processes import beat, gateways, ready_file, simulator, web, workers

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
PEOPLE = 12
SURE = ("ACCEPTED", "DELIVERED", "READ", "CLICKED", "UNDELIVERED", "CLOSED")
OPEN = ("UNKNOWN", "UNKNOWN_FINAL")


@dataclass(frozen=True, slots=True)
class Told:
    """What it ended with: state and address hash of each delivery by kind, and the ledger."""

    campaign: Campaign
    deliveries: dict[str, list[tuple[str, str]]]
    ledger: list[dict[str, Any]]
    received: Counter[str]


@pytest.fixture
def told(tmp_path: Path, servers: None) -> Iterator[Told]:
    state, port = tmp_path / "outside", some_port()
    lines: list[str] = []
    with Launcher([simulator(state, options=["--seed", "11"])]) as world:
        world.wait_ready(30)
        ready = json.loads(ready_file(state).read_text())
        stages = every_channel.kinds(ready)
        every_channel.accounts(stages, timedelta(seconds=12), timedelta(seconds=6))
        document = every_channel.control(stages, f"http://127.0.0.1:{port}")
        document["receipts"] |= {
            "delay": [0.1, 1.0],
            "lost": 0,
            "late": 0,
            "dup": 0.2,
            "shuffle": True,
            "retry_scale": 0.01,
        }
        Outside.read(ready_file(state)).put("/_sim/ctl", document)
        crew = [web("127.0.0.1", port), *workers({"bulk": 2}), gateways(), beat()]
        with Launcher(crew, emit=lambda name, line: lines.append(f"{name}: {line}")) as launcher:
            launcher.wait_ready(60)
            campaign = _send(stages)
            yield _told(campaign, state / "ledger.jsonl")
    assert not [line for line in lines if "Traceback" in line], lines[-40:]


def _send(stages: list[every_channel.KindStage]) -> Campaign:
    every_channel.people(stages, PEOPLE)
    campaign = create_campaign(
        actor="story",
        name="every channel",
        business_line=stage.business_line(),
        message_class="marketing",
        template_version=every_channel.template(stages),
        policy=every_channel.policy(stages),
        audience={"kind": "filter"},
    )
    submit_campaign(actor="story", campaign=campaign)
    until(lambda: _rests(campaign.pk), 150, "the end of every delivery")
    return campaign


def _rests(campaign_id: int) -> bool:
    """No delivery waits or is under way, and no receipt window is open."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), count(*) FILTER (WHERE state IN ('PENDING', 'HELD', 'SENDING', 'ACCEPTED', 'UNKNOWN')) "
            "FROM campaigns_delivery WHERE campaign_id = %s",
            [campaign_id],
        )
        made, waiting = cursor.fetchone()
        return bool(made) and not waiting


def _told(campaign: Campaign, ledger: Path) -> Told:
    campaign.refresh_from_db()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT a.kind, d.state, d.reason, d.id FROM campaigns_delivery d "
            "JOIN ums_channels_channelaccount a ON a.id = d.account_id WHERE d.campaign_id = %s",
            [campaign.pk],
        )
        deliveries: dict[str, list[tuple[str, str]]] = {}
        for kind, state, reason, _id in cursor.fetchall():
            deliveries.setdefault(kind, []).append((state, reason))
        cursor.execute(
            "SELECT a.kind, count(*) FROM campaigns_receipt r JOIN campaigns_delivery d ON d.id = r.delivery_id "
            "JOIN ums_channels_channelaccount a ON a.id = d.account_id WHERE d.campaign_id = %s GROUP BY 1",
            [campaign.pk],
        )
        received = Counter(dict(cursor.fetchall()))
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    return Told(campaign, deliveries, lines, received)


def test_everybody_hears_once(told: Told) -> None:
    assert set(told.deliveries) == set(KINDS)
    heard = Counter((one["provider"], one["account"], one["addr_hash"]) for one in told.ledger if one["ev"] == "accept")
    doubled = {place: count for place, count in heard.items() if count > 1}
    assert not doubled, "nothing is sent twice"
    said = sum(len(rows) for rows in told.deliveries.values())
    assert said == PEOPLE * len(KINDS)
    sure = Counter(kind for kind, rows in told.deliveries.items() for state, _reason in rows if state in SURE)
    unsure = Counter(kind for kind, rows in told.deliveries.items() for state, _reason in rows if state in OPEN)
    assert sum(sure.values()) <= len(heard) <= sum(sure.values()) + sum(unsure.values()), (
        "every acceptance is explained"
    )
    for kind, rows in told.deliveries.items():
        assert sure[kind] + unsure[kind] >= PEOPLE * 0.6, (kind, Counter(rows))
    _who_gives_receipts_gave_them(told)


def _who_gives_receipts_gave_them(told: Told) -> None:
    for kind, rows in told.deliveries.items():
        can = adapter(kind).capabilities
        if can.receipts in ("push", "poll", "both"):
            assert told.received[kind] > 0, (kind, Counter(rows))
    with connection.cursor() as cursor:
        cursor.execute("SELECT state, note, count(*) FROM campaigns_receiptinbox WHERE state <> 'MERGED' GROUP BY 1, 2")
        assert cursor.fetchall() == []
    assert ChannelAccount.objects.filter(faults__gt=0).count() == 0
