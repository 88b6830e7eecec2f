"""The account of the rehearsal: identities, our rows against the providers' ledger, rules, forecast, decision ledger."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.db import connection
from django.utils import translation

from apps.campaigns.models import SavedMessage
from apps.campaigns.timeline import message_timeline
from apps.reports.figures import Figures
from apps.reports.services import finish_figures
from demo.run import CAN_BE_ACCEPTED, MUST_BE_ACCEPTED, Comparison
from tests.chaos.checker import address_hashes
from tests.rehearsal.installation import Installation
from tests.rehearsal.story import Told, _one

ONE_WINDOW = timedelta(
    seconds=6
)  # what had its intent when a rule came may still go: start-by deadline and a clock's step
LEDGER_TABLES = ("campaigns_decision",)
Say = Callable[[str], None]


def of(place: Installation, told: Told, say: Say) -> dict[str, Any]:
    """Everything that must hold, with what does not in `problems`."""
    figures = finish_figures(told.campaign.pk)
    compared = compare([told.earlier.pk, told.campaign.pk], place.ledger)
    problems = [name for name, holds in figures.identities().items() if not holds]
    problems += [f"{compared.unexplained} acceptances unexplained"] if compared.unexplained else []
    problems += [f"{compared.ledger_duplicates} accepted twice"] if compared.ledger_duplicates else []
    problems += list(_broken_rules(place, told))
    sizes = _ledger_sizes(told)
    _say_figures(figures, told, say)
    say(f"the providers' ledger: {compared.ledger_accepted:,} acceptances, {compared.unexplained} unexplained, "
        f"{compared.ledger_duplicates} twice; {len(told.kills)} kills at {told.kills} s")  # fmt: skip
    say(f"decision ledger: {sizes['lines']:,} lines, {sizes['bytes_a_message']:.0f} bytes a message = "
        f"{sizes['bytes_a_message']:.0f} MB per million messages, index included")  # fmt: skip
    versus = _versus(told, figures)
    say(
        "forecast against actual: "
        + "; ".join(f"{name} {one['forecast']} / {one['actual']}" for name, one in versus.items())
    )
    stories = _stories(told)
    for title, lines in stories.items():
        say(f"\n--- {title}")
        for line in lines:
            say(f"    {line}")
    return {
        "problems": problems, "figures": {name: getattr(figures, name) for name in figures.__dataclass_fields__},
        "identities": figures.identities(), "ledger": vars_of(compared), "kills": told.kills, "seconds_sending": told.seconds,
        "blacklisted_meanwhile": len(told.blacklisted), "decision_ledger": sizes, "forecast_against_actual": versus,
        "stories": stories,
    }  # fmt: skip


PROVIDERS = {
    "push_jpush": "jpush",
    "sms_aliyun": "aliyun",
    "sms_tencent": "tencent",
    "feishu_app": "feishu",
    "email_smtp": "smtp",
}


def compare(campaigns: list[int], ledger: Path) -> Comparison:
    """Acceptances against rows by provider and address: a call for a thousand carries one reference for all of them."""
    accepted = Counter(
        (one["provider"], one["addr_hash"])
        for one in map(json.loads, ledger.read_text().splitlines())
        if one["ev"] == "accept"
    )
    may, must = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for campaign in campaigns:
        hashes = address_hashes(campaign)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT d.id, a.kind, d.state FROM campaigns_delivery d "
                "JOIN ums_channels_channelaccount a ON a.id = d.account_id WHERE d.campaign_id = %s",
                [campaign],
            )
            for delivery, kind, state in cursor.fetchall():
                place = PROVIDERS[kind], hashes[delivery]
                may[place] += state in CAN_BE_ACCEPTED
                must[place] += state in MUST_BE_ACCEPTED
    twice = sum(max(0, count - may[place]) for place, count in accepted.items() if may[place])
    denied = sum(count for place, count in accepted.items() if not may[place])
    ghosts = sum(max(0, count - accepted[place]) for place, count in must.items())
    return Comparison(sum(accepted.values()), twice, denied + ghosts)


def vars_of(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__dataclass_fields__}


def _say_figures(figures: Figures, told: Told, say: Say) -> None:
    shown = {
        "T": figures.targets, "I": figures.invalid, "X": figures.blocked, "V": figures.valid, "S": figures.accepted,
        "SF": figures.refused, "P": figures.in_progress, "R": figures.recalled, "D": figures.delivered,
        "DF": figures.undelivered, "U": figures.unknown, "in window": figures.in_window,
    }  # fmt: skip
    counts = "  ".join(f"{symbol} {count:,}" for symbol, count in shown.items())
    say(f"\n{counts}  in {told.seconds:.0f} s")
    say("X by reason: " + "  ".join(f"{reason} {count:,}" for reason, count in sorted(figures.blocked_reasons.items())))
    say("routes: " + "  ".join(f"{route} {one['people']:,}" for route, one in figures.by_route.items()))
    say(f"cost {figures.cost} {figures.currency}, baseline {figures.baseline_cost}, saved {figures.saved}; identities "
        + ("hold" if figures.identities_hold else "BROKEN"))  # fmt: skip


def _broken_rules(place: Installation, told: Told) -> Iterator[str]:
    """Sentences about messages that a rule should have stopped."""
    lines = [json.loads(line) for line in place.ledger.read_text().splitlines()]
    accepted = [(one["addr_hash"], one["t"]) for one in lines if one["ev"] == "accept"]
    people = _people_of_addresses(told)
    first_at = told.campaign.started_at.timestamp() if told.campaign.started_at else 0.0
    late = quiet = 0
    for address, at in accepted:
        person = people.get(address)
        if person is None or at < first_at:
            continue
        when = told.blacklisted.get(person["id"])
        late += bool(when and at > (when + ONE_WINDOW).timestamp())
        quiet += person["west"] and at < told.quiet_until.timestamp()
    if late:
        yield f"{late} messages to people who were on the blacklist before the intent"
    if quiet:
        yield f"{quiet} messages in quiet hours"
    capped = _one(
        "SELECT count(*) FROM campaigns_message m WHERE m.campaign_id = %s AND m.id >= %s AND EXISTS "
        "(SELECT 1 FROM campaigns_delivery d WHERE d.message_id = m.id AND d.accepted_at IS NOT NULL) AND EXISTS "
        "(SELECT 1 FROM campaigns_message e JOIN campaigns_delivery x ON x.message_id = e.id AND x.accepted_at IS NOT NULL "
        " WHERE e.campaign_id = %s AND e.recipient_id = m.recipient_id)",
        told.campaign.pk, told.campaign.pk, told.earlier.pk,
    )  # fmt: skip
    if capped:
        yield f"{capped} people written to over their cap"
    lost = _one(
        "SELECT count(*) FROM campaigns_message m WHERE m.campaign_id = %s AND m.id >= %s AND NOT EXISTS "
        "(SELECT 1 FROM campaigns_decision d WHERE d.message_id = m.id)", told.campaign.pk, told.campaign.pk,
    )  # fmt: skip
    if lost:
        yield f"{lost} targets without a line in the decision ledger"
    over = _one(
        "SELECT count(*) FROM (SELECT message_id FROM campaigns_delivery WHERE campaign_id = %s "
        "GROUP BY 1 HAVING sum(cost) > 0.10) x",
        told.campaign.pk,
    )
    if over:
        yield f"{over} people over the ceiling"


def _people_of_addresses(told: Told) -> dict[str, dict[str, Any]]:
    hashes = address_hashes(told.campaign.pk)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT d.id, r.id, r.attributes ->> 'region' = 'west' FROM campaigns_delivery d "
            "JOIN users_recipient r ON r.id = d.recipient_id WHERE d.campaign_id = %s",
            [told.campaign.pk],
        )
        return {hashes[delivery]: {"id": person, "west": bool(west)} for delivery, person, west in cursor.fetchall()}


def _ledger_sizes(told: Told) -> dict[str, float]:
    messages = _one("SELECT count(*) FROM campaigns_message")
    lines = _one("SELECT count(*) FROM campaigns_decision")
    size = sum(
        _one(
            "SELECT coalesce(sum(pg_total_relation_size(inhrelid)), 0) FROM pg_inherits WHERE inhparent = %s::regclass",
            name,
        )
        for name in LEDGER_TABLES
    )
    return {
        "lines": lines,
        "messages": messages,
        "bytes": float(size),
        "bytes_a_message": float(size) / max(1, messages),
    }


def _versus(told: Told, figures: Figures) -> dict[str, dict[str, Any]]:
    said = told.campaign.forecast or {}
    pairs = {
        "targets": (said.get("targets"), figures.targets),
        "blocked": (sum((said.get("blocked") or {}).values()), figures.blocked),
        "invalid": (said.get("invalid"), figures.invalid),
        "kept": (said.get("kept"), SavedMessage.objects.filter(campaign_id=told.campaign.pk).count()),
        "delivered": (said.get("delivered"), figures.delivered),
        "cost": (said.get("expected_price") or said.get("price"), figures.cost),
    }
    ranges = {"cost" if name == "expected_price" else name: ends for name, ends in (said.get("range") or {}).items()}
    return {
        name: {"forecast": f"{before} ({ranges[name][0]} to {ranges[name][1]})" if name in ranges else str(before),
               "actual": str(after)}
        for name, (before, after) in pairs.items()
    }  # fmt: skip


def _stories(told: Told) -> dict[str, list[str]]:
    """The ledger page of one person for each outcome, in words."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT state || CASE reason WHEN '' THEN '' ELSE ' · ' || split_part(reason, ':', 1) END, "
            "(array_agg(id ORDER BY step DESC, id DESC))[1], count(*) "
            "FROM campaigns_message WHERE campaign_id = %s AND id >= %s GROUP BY 1 ORDER BY 3 DESC",
            [told.campaign.pk, told.campaign.pk],
        )
        found = cursor.fetchall()
    with translation.override("en"):
        return {
            f"{title} ({count:,} people), message {message}": [_line(entry) for entry in message_timeline(message)]
            for title, message, count in found
        }


def _line(entry: Any) -> str:
    at: datetime = entry.at
    return (
        f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}  {entry.words}{'  [' + entry.detail + ']' if entry.detail else ''}"
    )
