"""The whole of it, once: people come in from a file, a campaign goes out over three channels, and every one is accounted for.

Real workers, beat, web and the simulated providers run as processes; nothing in here sends, merges or decides.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from apps.campaigns.models import Campaign
from apps.campaigns.services import create_campaign, submit_campaign
from apps.channels.models import ChannelAccount
from apps.reports.figures import Figures, campaign_figures
from apps.users.importing.orders import start_import
from apps.users.models import PeopleImport, Recipient
from apps.users.services import add_blacklist
from demo import stage
from demo.run import DATA, Comparison, Outside, compare
from tests.ports import some_port
from tests.waiting import until
from ums_site.launcher import Launcher
from ums_site.processes import beat, ready_file, simulator, web, workers

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
PEOPLE = 300
WAIT = timedelta(seconds=3)
RECEIPT_WINDOW = timedelta(seconds=14)
UNKNOWN_WINDOW = timedelta(seconds=8)
BLACKLISTED = 7


@dataclass(frozen=True, slots=True)
class Told:
    """What the story ended with."""

    campaign: Campaign
    figures: Figures
    compared: Comparison
    ledger: list[dict[str, Any]]


@pytest.fixture
def outside(tmp_path: Path, servers: None) -> Iterator[Outside]:
    """The simulated providers, and an installation whose workers, beat and web run as processes."""
    state = tmp_path / "outside"
    port = some_port()
    lines: list[str] = []
    with Launcher([simulator(state, options=["--seed", "7"])]) as world:
        world.wait_ready(30)
        crew = [web("127.0.0.1", port), *workers({"bulk": 2}), beat()]
        with Launcher(crew, emit=lambda name, line: lines.append(f"{name}: {line}")) as launcher:
            launcher.wait_ready(60)
            yield _pointed(Outside.read(ready_file(state)), f"http://127.0.0.1:{port}")
    assert not [line for line in lines if "Traceback" in line], lines[-40:]


def _pointed(outside: Outside, own: str) -> Outside:
    """Accounts on the providers with short windows, and the providers' receipts on our hooks, quick and often twice."""
    stage.accounts(outside.http, outside.smtp_host, outside.smtp_port, RECEIPT_WINDOW, UNKNOWN_WINDOW)
    hooks = {one.kind: f"{own}/hooks/{one.code}/{one.hook_token}" for one in ChannelAccount.objects.all()}
    receipts = {
        "sms_report_url": hooks["sms_aliyun"], "bounce_url": hooks["email_smtp"], "retry_scale": 0.01, "dup": 0.3,
        "shuffle": True,
    }  # fmt: skip
    outside.put("/_sim/ctl", {"receipts": receipts})
    return outside


def _import_people() -> None:
    lines = (DATA / "people.csv").read_bytes().splitlines(keepends=True)[: PEOPLE + 1]
    order = start_import(actor="story", file=BytesIO(b"".join(lines)), file_name="people.csv")
    until(lambda: PeopleImport.objects.get(pk=order.pk).state in ("DONE", "FAILED"), 60, "the end of the import")
    order.refresh_from_db()
    assert (order.state, order.rows_read) == ("DONE", PEOPLE), order.error


def _send() -> Campaign:
    for recipient in Recipient.objects.order_by("user_id")[:BLACKLISTED]:
        add_blacklist(actor="story", recipient=recipient, reason="asked not to be written to", source="story")
    campaign = create_campaign(
        actor="story",
        name="story",
        business_line=stage.business_line(),
        message_class="marketing",
        template_version=stage.template(),
        policy=stage.policy(WAIT),
        audience={"kind": "filter"},
    )
    submit_campaign(actor="story", campaign=campaign)
    until(lambda: Campaign.objects.get(pk=campaign.pk).state == "FINISHED", 120, "the end of the campaign")
    campaign.refresh_from_db()
    return campaign


@pytest.fixture
def told(outside: Outside, tmp_path: Path) -> Told:
    stage.template()
    _import_people()
    campaign = _send()
    ledger = tmp_path / "outside" / "ledger.jsonl"
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    return Told(campaign, campaign_figures(campaign.pk), compare(campaign, ledger), lines)


def test_every_target_is_accounted_for(told: Told) -> None:
    figures = told.figures
    assert figures.targets == Recipient.objects.count() > PEOPLE * 0.9
    assert figures.identities_hold, figures.identities()
    assert (figures.in_progress, figures.in_window) == (0, 0)
    assert figures.blocked_reasons == {"blacklisted": BLACKLISTED}
    assert figures.invalid and figures.delivered and figures.undelivered + figures.unknown
    assert figures.delivered > figures.valid * 0.7

    assert (told.compared.unexplained, told.compared.ledger_duplicates) == (0, 0)
    accepted = Counter(one["delivery_ref"] for one in told.ledger if one["ev"] == "accept")
    assert told.compared.ledger_accepted == sum(accepted.values())
    assert {one["provider"] for one in told.ledger} == {"aliyun", "jpush", "smtp"}

    _no_row_is_left_behind(told.campaign)
    _the_second_step_rescued_some(told)
    _the_blacklisted_heard_nothing(told.campaign)


def _no_row_is_left_behind(campaign: Campaign) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT state, count(*) FROM campaigns_delivery WHERE campaign_id = %s "
            "AND state IN ('PENDING', 'HELD', 'SENDING', 'UNKNOWN') GROUP BY 1",
            [campaign.pk],
        )
        assert cursor.fetchall() == []
        cursor.execute(
            "SELECT count(*) FROM campaigns_delivery d WHERE d.campaign_id = %s AND attempts <> "
            "(SELECT count(*) FROM campaigns_attempt a WHERE a.delivery_id = d.id)",
            [campaign.pk],
        )
        assert cursor.fetchone() == (0,)
        cursor.execute("SELECT count(*) FROM campaigns_receiptinbox WHERE state <> 'MERGED'")
        assert cursor.fetchone() == (0,), "each receipt found its delivery"


def _the_second_step_rescued_some(told: Told) -> None:
    """Nobody whom the app push reached got an SMS before it was known that the push had not reached them in time."""
    assert told.figures.reissued >= told.figures.rescued > 0
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM campaigns_delivery late JOIN campaigns_delivery first USING (message_id) "
            "WHERE late.step = 1 AND first.step = 0 AND first.state IN ('DELIVERED', 'READ', 'CLICKED') "
            "AND first.receipt_at < late.first_intent_at - interval '2 s'"
        )
        assert cursor.fetchone() == (0,)


def _the_blacklisted_heard_nothing(campaign: Campaign) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM campaigns_delivery d JOIN users_blacklistentry b USING (recipient_id) "
            "WHERE d.campaign_id = %s",
            [campaign.pk],
        )
        assert cursor.fetchone() == (0,)
