"""Forecast: what a campaign would do if it were sent now – who is reached where, who is blocked and why, pieces and money.

Reach and blocks are counted exactly over the whole audience, set-based, with the same SQL that expand uses. Pieces come
from each person's own rendered text, measured on everybody up to SAMPLE people and on a random sample above.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from django.db import connection, transaction

from apps.campaigns.models import Campaign
from apps.campaigns.pipeline.choice import taken
from apps.campaigns.pipeline.expand import CHUNK, fill_from_audience
from apps.campaigns.pipeline.plan import clear_planning, loaded_plan
from apps.campaigns.pipeline.window import values_of
from apps.campaigns.policy import Step, StepChannel
from apps.channels.models import ChannelAccount
from apps.channels.registry import adapter
from apps.templates.render import RenderError
from apps.templates.selectors import compiled
from apps.users.audience import condition
from apps.users.models import Recipient

SAMPLE = 20_000


def forecast(campaign: Campaign) -> dict[str, Any]:
    """The forecast as it is stored in `campaign.forecast`; changes nothing else. Money is written as decimal text.

    {"targets", "invalid", "blocked": {reason: people}, "reachable": {account: people}, "first": {account: people},
     "missing_values": people whose text lacks a value, "pieces": {account: if everybody reachable were sent to},
     "price": first step only, "worst_price": every step for everybody, "baseline_price": SMS to everybody it reaches,
     "currency", "duration_seconds": at the pace, null without one, "sampled", "as_of"}
    """
    totals: dict[str, Any] = {"targets": 0, "invalid": 0, "blocked": {}, "reachable": {}, "first": {}}
    for _chunk in _chunks(campaign):
        _count(campaign, totals)
    measured = _measure(campaign, totals)
    duration = _duration(campaign, sum(totals["first"].values()))
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        as_of = cursor.fetchone()[0].isoformat()
    return {**totals, **measured, "duration_seconds": duration, "as_of": as_of}


def _chunks(campaign: Campaign) -> Iterator[None]:
    """Fills `planning` with one chunk of the audience after another, each in a transaction of its own."""
    last = 0
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT max(id) FROM (SELECT id FROM users_recipient WHERE id > %s ORDER BY id LIMIT %s) c",
                [last, CHUNK],
            )
            end = cursor.fetchone()[0]
            if end is None:
                return
            clear_planning()
            fill_from_audience(campaign, last + 1, end)
            last = end
            yield


def _count(campaign: Campaign, totals: dict[str, Any]) -> None:
    plan = loaded_plan(campaign)
    with connection.cursor() as cursor:
        cursor.execute("SELECT state, reason, count(*) FROM planning GROUP BY 1, 2")
        for state, reason, people in cursor.fetchall():
            totals["targets"] += people
            if state == "INVALID":
                totals["invalid"] += people
            elif state == "BLOCKED":
                totals["blocked"][reason] = totals["blocked"].get(reason, 0) + people
        for step in plan.steps:
            for channel in step.channels:
                reached, first = _reach(cursor, step, channel)
                totals["reachable"][channel.account] = totals["reachable"].get(channel.account, 0) + reached
                totals["first"][channel.account] = totals["first"].get(channel.account, 0) + first


def _reach(cursor: Any, step: Step, channel: StepChannel) -> tuple[int, int]:
    cursor.execute(
        f"SELECT count(*), count(*) FILTER (WHERE step = %s AND {taken(step, channel)}) FROM planning "
        "WHERE state = 'ACTIVE' AND bindings[%s] IS NOT NULL",
        [step.number, channel.slot + 1],
    )
    reached, first = cursor.fetchone()
    return reached, first


def _measure(campaign: Campaign, totals: dict[str, Any]) -> dict[str, Any]:
    """Pieces and money from rendered texts of the audience, scaled up where only a sample was rendered."""
    accounts = {one.code: one for one in ChannelAccount.objects.filter(pk__in=loaded_plan(campaign).account_ids())}
    people = _sample(campaign, totals["targets"])
    average, missing = {}, 0
    for code, account in accounts.items():
        pieces, lacking = _pieces(campaign, account, people)
        average[code] = Decimal(pieces) / max(1, len(people) - lacking)
        missing = max(missing, lacking)
    scale = Decimal(totals["targets"]) / len(people) if people else Decimal(0)
    pieces = {code: int((average[code] * totals["reachable"][code]).to_integral_value()) for code in accounts}
    first = sum((average[code] * totals["first"][code] * accounts[code].price for code in accounts), Decimal(0))
    worst = sum((Decimal(pieces[code]) * accounts[code].price for code in accounts), Decimal(0))
    baseline = next((code for code, one in accounts.items() if one.kind.startswith("sms_")), None)
    return {
        "missing_values": int(missing * scale),
        "pieces": pieces,
        "price": str(first.quantize(Decimal("0.01"))),
        "worst_price": str(worst.quantize(Decimal("0.01"))),
        "baseline_price": str((Decimal(pieces[baseline]) * accounts[baseline].price).quantize(Decimal("0.01")))
        if baseline
        else None,
        "currency": next((one.currency for one in accounts.values()), "CNY"),
        "sampled": len(people) if len(people) < totals["targets"] else None,
    }


def _sample(campaign: Campaign, targets: int) -> list[tuple[Any, ...]]:
    from_audience, values = audience_people(campaign)
    order = "ORDER BY random()" if targets > SAMPLE else "ORDER BY r.id"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT r.user_id, r.attributes, r.sealed_attributes {from_audience} {order} LIMIT %s", [*values, SAMPLE]
        )
        return cursor.fetchall()


def audience_people(campaign: Campaign) -> tuple[str, list[Any]]:
    """`FROM … WHERE …` over alias r for the campaign's audience."""
    sql, values = condition(campaign.audience)
    return f"FROM users_recipient r WHERE {sql}", values


def _pieces(campaign: Campaign, account: ChannelAccount, people: list[tuple[Any, ...]]) -> tuple[int, int]:
    """(pieces of all texts that can be written, how many cannot)."""
    body, kind = compiled(campaign.template_version_id, account.kind), adapter(account.kind)
    total = lacking = 0
    for user_id, attributes, sealed in people:
        try:
            total += kind.pieces(body.render(values_of(body, user_id, attributes, sealed, None)))
        except RenderError:
            lacking += 1
    return total, lacking


def _duration(campaign: Campaign, first: int) -> float | None:
    """Seconds that the first step takes at the slowest of pace and account limits; None where nothing limits it."""
    rates = [one.rate_per_second for one in ChannelAccount.objects.filter(pk__in=loaded_plan(campaign).account_ids())]
    limits = [float(rate) for rate in [campaign.pace_per_second, *rates] if rate]
    return round(first / min(limits), 1) if limits else None


def one_person(campaign: Campaign) -> Recipient | None:
    """Somebody of the audience, for a preview."""
    from_audience, values = audience_people(campaign)
    return next(iter(Recipient.objects.raw(f"SELECT r.* {from_audience} ORDER BY r.id LIMIT 1", values)), None)
