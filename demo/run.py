"""The demo campaign, from the export of people to the account of every single one.

It talks to a running installation the way people do: files through the import service, a campaign through the campaign
services, receipts over HTTP. Nothing in here sends, merges or counts by itself.
"""

from __future__ import annotations

import csv
import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from django.db import connection

from apps.campaigns.drafting import store_forecast
from apps.campaigns.models import Campaign
from apps.campaigns.services import create_campaign, submit_campaign
from apps.channels.models import ChannelAccount
from apps.reports.figures import Figures
from apps.reports.services import finish_figures
from apps.users.attributes import ensure_default_attributes
from apps.users.importing.orders import start_import
from apps.users.models import PeopleImport, Recipient
from apps.users.services import add_blacklist
from demo import stage
from ums_site.ids import to_base36

DATA = Path(__file__).resolve().parent / "data"
FILES = ("people.csv", "people_excel_gb18030.csv")
WAIT = timedelta(seconds=8)
RECEIPT_WINDOW = timedelta(seconds=45)
UNKNOWN_WINDOW = timedelta(seconds=20)
EXPIRES = timedelta(seconds=100)
LONGEST = 200.0
BLACKLISTED = 25

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Outside:
    """Where the simulated providers listen."""

    http: str
    smtp_host: str
    smtp_port: int

    @classmethod
    def read(cls, ready_file: Path) -> Outside:
        held = json.loads(ready_file.read_text())
        return cls(held["http"], held["smtp"]["host"], int(held["smtp"]["port"]))

    def put(self, path: str, document: object) -> None:
        body = json.dumps(document).encode()
        request = urllib.request.Request(f"{self.http}{path}", data=body, method="PUT")
        urllib.request.urlopen(request, timeout=30).read()


def prepare(outside: Outside, web: str) -> None:
    """Accounts on the simulated providers, their receipts pointed at our hooks, the cast of the phone page."""
    ensure_default_attributes()
    stage.accounts(outside.http, outside.smtp_host, outside.smtp_port, RECEIPT_WINDOW, UNKNOWN_WINDOW)
    hooks = {one.kind: f"{web}/hooks/{one.code}/{one.hook_token}" for one in ChannelAccount.objects.all()}
    receipts = {"sms_report_url": hooks["sms_aliyun"], "bounce_url": hooks["email_smtp"], "retry_scale": 0.01}
    outside.put("/_sim/ctl", {"receipts": receipts})
    outside.put("/_sim/people", list(_cast()))


def _cast() -> Iterator[dict[str, Any]]:
    with (DATA / FILES[0]).open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            devices = [one for one in (row["jpush"] or "").split("|") if one]
            person = {"id": row["user_id"], "name": row["name"], "phone": row["phone"], "email": row["email"]}
            yield {**person, "jpush": devices}


def import_people(say: Say) -> None:
    """Imports both exports in the background lane and shows the progress."""
    for name in FILES:
        with (DATA / name).open("rb") as file:
            order = start_import(actor=stage.ACTOR, file=file, file_name=name)
        wait_until(partial(_is_over, order), 120, f"the import of {name}")
        if order.state == PeopleImport.State.FAILED:
            raise RuntimeError(f"The import of {name} failed: {order.error}")
        say(
            f"  {name}: {order.rows_read} rows, {order.recipients_added} people added, "
            f"{order.recipients_unchanged} unchanged, {order.bindings_added} addresses, {order.rows_rejected} rejected"
        )


def _is_over(order: PeopleImport) -> bool:
    order.refresh_from_db()
    return order.state in (PeopleImport.State.DONE, PeopleImport.State.FAILED)


def blacklist_some() -> None:
    """Some people once asked not to be written to."""
    for recipient in Recipient.objects.filter(user_id__gte="U0000100").order_by("user_id")[:BLACKLISTED]:
        if not recipient.blacklistentry_set.exists():
            add_blacklist(actor=stage.ACTOR, recipient=recipient, reason="asked not to be written to", source="demo")


def make_campaign() -> Campaign:
    policy = stage.policy(WAIT)
    campaign = create_campaign(
        actor=stage.ACTOR,
        name="月度账单 · Monthly statement",
        business_line=stage.business_line(),
        message_class="marketing",
        template_version=stage.template(),
        policy={**policy.plan, "expires_seconds": EXPIRES.total_seconds()},
        audience={"kind": "filter"},
    )
    campaign.policy_code = policy.code
    campaign.save(update_fields=["policy_code"])
    store_forecast(actor=stage.ACTOR, campaign=campaign)
    return campaign


def send(campaign: Campaign, say: Say) -> float:
    """Submits the campaign and waits until it is finished; returns the seconds that took."""
    began = time.monotonic()
    submit_campaign(actor=stage.ACTOR, campaign=campaign)
    shown = 0.0
    while _reload(campaign).state != "FINISHED":
        if time.monotonic() - began > LONGEST:
            raise RuntimeError(f"The campaign was not finished within {LONGEST:.0f} s; it is {campaign.state}.")
        if time.monotonic() - shown > 3:
            shown = time.monotonic()
            say(f"  {time.monotonic() - began:5.1f} s  {_progress(campaign.pk)}")
        time.sleep(0.3)
    say(f"  {time.monotonic() - began:5.1f} s  {_progress(campaign.pk)}")
    return time.monotonic() - began


def _progress(campaign_id: int) -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT state, count(*) FROM campaigns_message WHERE campaign_id = %s AND id >= %s GROUP BY state ORDER BY 1",
            [campaign_id, campaign_id],
        )
        return "  ".join(f"{state.lower()} {count}" for state, count in cursor.fetchall()) or "expanding"


def _reload(row: Any) -> Any:
    row.refresh_from_db()
    return row


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Waits for a condition. Raises RuntimeError naming what did not come."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"Waited {seconds:.0f} s in vain for {what}.")
        time.sleep(0.2)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Our rows against the providers' ledger."""

    ledger_accepted: int
    ledger_duplicates: int
    unexplained: int


def compare(campaign: Campaign, ledger: Path) -> Comparison:
    """Every acceptance in the ledger must belong to one of our deliveries that says so or says that it cannot know.

    unexplained: acceptances without such a delivery, and deliveries that claim an acceptance which no ledger line shows.
    """
    accepted: dict[str, int] = {}
    for line in ledger.read_text().splitlines():
        entry = json.loads(line)
        if entry["ev"] == "accept":
            ref = entry["delivery_ref"].partition(".")[0]  # of a mail: the part of its Message-ID that is ours
            accepted[ref] = accepted.get(ref, 0) + 1
    everything = _said()
    said = {ref: state for ref, (campaign_id, state) in everything.items() if campaign_id == campaign.pk}
    mine = {ref: count for ref, count in accepted.items() if ref in said}
    foreign = sum(1 for ref in accepted if ref not in everything)
    denied = sum(1 for ref in mine if said[ref] not in CAN_BE_ACCEPTED)
    ghosts = sum(1 for ref, state in said.items() if state in MUST_BE_ACCEPTED and ref not in accepted)
    doubled = sum(count - 1 for count in mine.values())
    return Comparison(sum(mine.values()), doubled, foreign + denied + ghosts)


MUST_BE_ACCEPTED = frozenset({"ACCEPTED", "DELIVERED", "READ", "UNDELIVERED", "CLOSED"})
CAN_BE_ACCEPTED = MUST_BE_ACCEPTED | {"UNKNOWN", "UNKNOWN_FINAL"}


def _said() -> dict[str, tuple[int, str]]:
    """Reference -> (campaign, state) of every delivery here: the ledger may hold earlier demos of this installation."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, campaign_id, state FROM campaigns_delivery")
        return {to_base36(row[0]): (row[1], row[2]) for row in cursor.fetchall()}


def account(campaign: Campaign, seconds: float, ledger: Path) -> tuple[Figures, dict[str, Any]]:
    """The figures, and the document that is written to var/demo.json."""
    figures = finish_figures(campaign.pk)
    compared = compare(campaign, ledger)
    document = {
        "campaign": str(campaign.pk),
        "targets": figures.targets,
        "invalid": figures.invalid,
        "blocked": figures.blocked,
        "blocked_reasons": figures.blocked_reasons,
        "valid": figures.valid,
        "accepted": figures.accepted,
        "refused": figures.refused,
        "delivered": figures.delivered,
        "undelivered": figures.undelivered,
        "unknown": figures.unknown,
        "in_window": figures.in_window,
        "in_progress": figures.in_progress,
        "recalled": figures.recalled,
        "identities": figures.identities(),
        "identities_hold": figures.identities_hold,
        "unexplained": compared.unexplained,
        "ledger_accepted": compared.ledger_accepted,
        "ledger_duplicates": compared.ledger_duplicates,
        "reissued": figures.reissued,
        "rescued": figures.rescued,
        "pieces": figures.pieces,
        "cost": figures.cost,
        "baseline_cost": figures.baseline_cost,
        "saved": figures.saved,
        "currency": figures.currency,
        "by_channel": figures.by_channel,
        "by_route": figures.by_route,
        "seconds": round(seconds, 1),
    }
    return figures, document
