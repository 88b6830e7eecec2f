"""The story of the rehearsal: people come in, some hear of us before, then everybody is written to with every rule on.

While the great campaign runs, people are blacklisted one after another, and everything that sends is killed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection, connections

from apps.campaigns.caps import save_cap
from apps.campaigns.drafting import store_forecast
from apps.campaigns.models import Campaign, FrequencyCap, QuietHours
from apps.campaigns.services import create_campaign, submit_campaign
from apps.channels.models import ChannelAccount
from apps.partners.allowances import save_allowance
from apps.partners.models import Allowance
from apps.templates.models import TemplateVersion
from apps.templates.services import publish_version, save_draft
from apps.users.attributes import ensure_default_attributes
from apps.users.importing.orders import start_import
from apps.users.models import Attribute, PeopleImport, Recipient
from apps.users.services import add_blacklist
from demo import every_channel, stage
from tests.rehearsal import people as them
from tests.rehearsal.installation import Installation, wait

ACTOR = "rehearsal"
ZONE = "Asia/Shanghai"
RECEIPT_WINDOW, UNKNOWN_WINDOW = timedelta(seconds=120), timedelta(seconds=20)
LONGEST = 1500.0
KILL_AT = (0.2, 0.5, 0.7)  # shares of the first tries that were made
BLACKLIST_EVERY = 0.05
Say = Callable[[str], None]

EARLIER: dict[str, Any] = {"steps": [{"channels": [{"account": "push-main"}], "until": "accepted"}]}
POLICY: dict[str, Any] = {
    "steps": [
        {"channels": [{"account": "push-main"}], "until": "delivered", "wait_seconds": 30},
        {
            "channels": [{"account": "feishu-app", "only_if": {"tags_any": ["staff"]}}],
            "until": "read",
            "wait_seconds": 20,
        },
        {
            "channels": [
                {"vendors": [{"account": "sms-main", "weight": 70}, {"account": "sms-tencent", "weight": 30}]}
            ],
            "until": "delivered",
            "wait_seconds": 60,
        },
        {"channels": [{"account": "mail-main"}], "until": "accepted"},
    ],
    "ceiling_per_person": "0.10",
    "offline_save": {"seconds": 240},
    "expires_seconds": 600,
}


@dataclass
class Told:
    """What the account needs to know of the story. Moments are the database's."""

    campaign: Campaign
    earlier: Campaign
    version: TemplateVersion
    quiet_until: datetime
    seconds: float = 0.0
    kills: list[float] = field(default_factory=list)
    blacklisted: dict[int, datetime] = field(default_factory=dict)  # person -> when it was committed


def play(place: Installation, people: int, kills: int, say: Say) -> Told:
    """All of it, until the great campaign is finished."""
    _accounts(place)
    _import(place, people, say)
    version = _template(place)
    quiet_until = _rules()
    earlier = _campaign("The earlier campaign", version, {"tags_any": ["regular"]}, EARLIER)
    submit_campaign(actor=ACTOR, campaign=earlier)
    _finished(earlier, 300, say)
    campaign = _campaign("The great campaign", version, {}, POLICY)
    began = time.monotonic()
    store_forecast(actor=ACTOR, campaign=campaign)
    say(f"forecast of {people:,} people in {time.monotonic() - began:.1f} s")
    told = Told(campaign, earlier, version, quiet_until)
    _send(place, told, kills, say)
    return told


def _accounts(place: Installation) -> None:
    ensure_default_attributes()
    Attribute.objects.get_or_create(key="region", defaults={"label": "地区"})
    outside = place.outside
    stage.accounts(outside.http, outside.smtp_host, outside.smtp_port, RECEIPT_WINDOW, UNKNOWN_WINDOW)
    every_channel.accounts(_further(place), RECEIPT_WINDOW, UNKNOWN_WINDOW)
    held = {one.code: f"{place.web}/hooks/{one.code}/{one.hook_token}" for one in ChannelAccount.objects.all()}
    urls = {"feishu": held["feishu-app"], "tencent": held["sms-tencent"]}
    receipts = {
        "urls": urls, "sms_report_url": held["sms-main"], "bounce_url": held["mail-main"], "retry_scale": 0.01, "dup": 0.05,
        "shuffle": True,
    }  # fmt: skip
    place.put("/_sim/ctl", {"receipts": receipts, "jpush": {"quota": {"push": 1_000_000, "report": 1_000_000}}})


def _further(place: Installation) -> list[every_channel.KindStage]:
    return every_channel.kinds(place.places, ["feishu_app", "sms_tencent"])


def _import(place: Installation, people: int, say: Say) -> None:
    path = Path(place.state) / "people.csv"
    them.write(path, people)
    began = time.monotonic()
    with path.open("rb") as file:
        order = start_import(actor=ACTOR, file=file, file_name="people.csv")
    wait(lambda: _reload(order).state in (PeopleImport.State.DONE, PeopleImport.State.FAILED), 600, "the import")
    if order.recipients_added != people:
        raise RuntimeError(f"{order.recipients_added} of {people} people came in: {order.state} {order.error}")
    say(f"import of {people:,} people with {order.bindings_added:,} addresses in {time.monotonic() - began:.1f} s")


def _template(place: Installation) -> TemplateVersion:
    push = {
        "title": "优选银行",
        "alert": "您的账户余额有变动，请打开 App 查看。",
    }  # equal for everybody: a thousand a call
    bodies = {**stage.BODIES, "push_jpush": push, **{one.kind: one.body for one in _further(place)}}
    draft = save_draft(actor=ACTOR, code="great", name="余额提醒", variables=stage.VARIABLES, bodies=bodies)
    return publish_version(actor=ACTOR, template=draft)


def _campaign(name: str, version: TemplateVersion, audience: dict[str, Any], policy: dict[str, Any]) -> Campaign:
    return create_campaign(
        actor=ACTOR,
        name=name,
        business_line=stage.business_line(),
        message_class="marketing",
        template_version=version,
        policy=policy,
        audience={"kind": "filter", **audience},
    )


def _rules() -> datetime:
    """A cap, a budget, quiet hours in the west that end soon; returns when they do. The guard against repetition is on anyway."""
    save_cap(actor=ACTOR, cap=FrequencyCap(code="one-a-day", name="一天一条", most=1, span_count=1, span_unit="days"))
    budget = Allowance(
        name="一日预算",
        business_line=stage.business_line(),
        unit="money",
        period="day",
        most=Decimal(100_000),
        warn_at=80,
    )
    save_allowance(actor=ACTOR, allowance=budget)
    now = _now().astimezone(ZoneInfo(ZONE))
    until = (now + timedelta(minutes=4)).replace(second=0, microsecond=0)
    since = (now - timedelta(hours=2)).time().replace(second=0, microsecond=0)
    QuietHours.objects.create(
        name="西部夜间", classes=["marketing"], region="west", since=since,
        until=until.time(), zone=ZONE, weekdays=list(range(7)),
    )  # fmt: skip
    return until


def _send(place: Installation, told: Told, kills: int, say: Say) -> None:
    began = time.monotonic()
    over = threading.Event()
    blacklister = threading.Thread(target=_blacklist, args=(told, over), daemon=True)
    submit_campaign(actor=ACTOR, campaign=told.campaign)
    blacklister.start()
    try:
        for share in KILL_AT[:kills]:
            wait(lambda share=share: _tried(told.campaign) >= share, LONGEST, f"{share:.0%} tried", 0.1)
            told.kills.append(round(time.monotonic() - began, 1))
            say(f"{told.kills[-1]:6.1f} s  killed {place.kill_senders()} processes that send")
        _finished(told.campaign, LONGEST, say)
    finally:
        over.set()
        blacklister.join()
    told.seconds = round(time.monotonic() - began, 1)


def _blacklist(told: Told, over: threading.Event) -> None:
    """One person after another, from the end of the list, who would be written to late."""
    people = list(Recipient.objects.order_by("-id").values_list("id", flat=True)[:4000:4])
    try:
        while people and not over.wait(BLACKLIST_EVERY):
            person = people.pop(0)
            add_blacklist(actor=ACTOR, recipient=Recipient(pk=person), reason="asked just now", source=ACTOR)
            told.blacklisted[person] = _now()
    finally:
        connections.close_all()


def _finished(campaign: Campaign, seconds: float, say: Say) -> None:
    began, shown = time.monotonic(), 0.0
    while _reload(campaign).state != "FINISHED":
        if campaign.state == "PAUSED":
            raise RuntimeError(f"{campaign.name} is paused: {campaign.pause_reason}")
        if time.monotonic() - began > seconds:
            raise RuntimeError(f"{campaign.name} is {campaign.state} after {seconds:.0f} s: {_states(campaign)}")
        if time.monotonic() - shown > 10:
            shown = time.monotonic()
            say(f"{time.monotonic() - began:6.1f} s  {_states(campaign)}")
        time.sleep(0.5)
    say(f"{time.monotonic() - began:6.1f} s  {_states(campaign)}")


def _tried(campaign: Campaign) -> float:
    """The share of the first deliveries that have had a try."""
    row = _one(
        "SELECT count(*) FILTER (WHERE attempts > 0)::float / greatest(1, count(*)) FROM campaigns_delivery "
        "WHERE campaign_id = %s",
        campaign.pk,
    )
    return float(row) if Campaign.objects.get(pk=campaign.pk).state != "EXPANDING" else 0.0


def _states(campaign: Campaign) -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT state, count(*) FROM campaigns_message WHERE campaign_id = %s AND id >= %s GROUP BY 1 ORDER BY 1",
            [campaign.pk, campaign.pk],
        )
        return "  ".join(f"{state.lower()} {count:,}" for state, count in cursor.fetchall()) or "collecting people"


def _reload(row: Any) -> Any:
    row.refresh_from_db()
    return row


def _now() -> datetime:
    return _one("SELECT clock_timestamp()")  # type: ignore[no-any-return]


def _one(sql: str, *values: Any) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchone()[0]
