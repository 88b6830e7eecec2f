"""What a forecast counts in each chunk (`planning`), and the figures that come of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from django.db import connection

from apps.campaigns import forecast_figures as work_out
from apps.campaigns.foresight import DELAYS, EFFECTS, STOPS
from apps.campaigns.models import Campaign, Forecast
from apps.campaigns.pipeline.choice import taken
from apps.campaigns.pipeline.plan import loaded_plan
from apps.campaigns.pipeline.window import values_of
from apps.campaigns.policy import Plan
from apps.campaigns.rates import delivered_rates
from apps.channels.models import ChannelAccount
from apps.channels.prices import prices_of_class
from apps.channels.registry import adapter
from apps.templates.errors import NoBody
from apps.templates.render import RenderError
from apps.templates.selectors import compiled
from apps.templates.words import Words, words_for
from ums_site.crypto import SealBroken
from ums_site.ids import first_row_id

LACKING, WORD = "!", "#"  # in place of pieces
COUNT = "SELECT state, reason, {pattern}, count(*) FROM planning GROUP BY 1, 2, 3"
PATTERN = "CASE state WHEN 'ACTIVE' THEN step || '|' || {reached} || '|' || {taken} ELSE '' END"
STOPPED = """
UPDATE planning p SET state = 'BLOCKED', reason = %s FROM users_recipient r
WHERE r.id = p.recipient_id AND p.state = 'ACTIVE' AND ({stop})
"""
SAMPLED = """
SELECT {pattern}, r.user_id, r.attributes, r.sealed_attributes, {payload}
FROM planning LEFT JOIN users_recipient r ON r.id = planning.recipient_id {payload_join}
WHERE planning.state = 'ACTIVE' AND random() < %s
"""
PAYLOAD = "LEFT JOIN campaigns_messagepayload y ON y.message_id = planning.message_id AND y.message_id >= {first}"


def add_chunk(campaign: Campaign, totals: Mapping[str, Any], share: float) -> tuple[dict[str, Any], int]:
    """`totals` with the chunk in `planning` added, and how many people it had; `share` of them are rendered."""
    held = {name: Counter(totals.get(name, {})) for name in ("invalid", "blocked", "foreseen", "patterns", "sampled")}
    plan = loaded_plan(campaign)
    stopped = _stop_foreseen(campaign)
    seen = 0
    with connection.cursor() as cursor:
        cursor.execute(COUNT.format(pattern=_pattern(plan)))
        for state, reason, pattern, people in cursor.fetchall():
            seen += people
            if state == "ACTIVE":
                held["patterns"][pattern] += people
            else:
                held["invalid" if state == "INVALID" else "blocked"][reason] += people
    held["foreseen"].update(stopped)
    _add_sample(campaign, plan, share, held["sampled"])
    return {name: dict(counter) for name, counter in held.items()}, seen


def _stop_foreseen(campaign: Campaign) -> dict[str, int]:
    """Marks whom the rules of the gate would stop now; returns how many each."""
    found = {}
    for code, stop in STOPS.items():
        said = stop(campaign)
        if said is not None:
            with connection.cursor() as cursor:
                cursor.execute(STOPPED.format(stop=said[0]), [code, *said[1]])
                if cursor.rowcount:
                    found[code] = cursor.rowcount
    return found


def _pattern(plan: Plan) -> str:
    """SQL over `planning`: the pattern of forecast_figures.py."""
    reached = [f"CASE WHEN bindings[{one.slot + 1}] IS NULL THEN '-' ELSE '+' END" for one in plan.channels()]
    first = [
        f"CASE WHEN step = {step.number} AND ({taken(step, one)}) THEN '+' ELSE '-' END"
        for step in plan.steps
        for one in step.channels
    ]
    return PATTERN.format(reached=" || ".join(reached), taken=" || ".join(first))


def _add_sample(campaign: Campaign, plan: Plan, share: float, sampled: Counter[str]) -> None:
    """Renders a share of the chunk; counts texts as `pattern;account=pieces,…`, `!` where a value is missing, `#` where a
    sensitive word stops it."""
    given = campaign.audience["kind"] != "filter"
    join = PAYLOAD.format(first=first_row_id(campaign.pk)) if given else ""
    sql = SAMPLED.format(pattern=_pattern(plan), payload="y.sealed" if given else "NULL", payload_join=join)
    bodies = _bodies(campaign, plan)
    with connection.cursor() as cursor:
        cursor.execute(sql, [share if share < 1 else 2.0])
        for pattern, *values in cursor.fetchall():
            sampled[f"{pattern};{_pieces(plan, bodies, pattern, values)}"] += 1


def _bodies(campaign: Campaign, plan: Plan) -> dict[str, tuple[Any, Any, Words | None]]:
    found = {}
    for one in plan.channels():
        try:
            words = words_for(message_class=campaign.message_class, line=campaign.business_line_id, kind=one.kind)
            found[one.body_key] = compiled(campaign.template_version_id, one.body_key), adapter(one.kind), words
        except NoBody:
            continue
    return found


def _pieces(
    plan: Plan, bodies: Mapping[str, tuple[Any, Any, Words | None]], pattern: str, values: Sequence[Any]
) -> str:
    """`slot=pieces` of every slot that reaches this person, from their own text."""
    reached = pattern.split("|")[1]
    made: dict[str, str] = {}
    for one in plan.channels():
        if reached[one.slot] == "+" and one.body_key in bodies and one.body_key not in made:
            body, kind, words = bodies[one.body_key]
            try:
                content = body.render(values_of(body, *values))
                made[one.body_key] = WORD if words and words.refuses(content) else str(kind.pieces(content))
            except (RenderError, SealBroken):
                made[one.body_key] = LACKING
    slots = [one for one in plan.channels() if reached[one.slot] == "+" and one.body_key in made]
    return ",".join(f"{one.slot}={made[one.body_key]}" for one in slots)


def figures_of(campaign: Campaign, forecast: Forecast) -> dict[str, Any]:
    """The finished forecast as JSON; money is decimal text, counts are people.

    {"targets", "invalid", "invalid_reasons", "blocked": {reason: people}, "foreseen": those of them by rules of the gate,
     "reachable", "first", "expected": {account: people}, "delivered": people, "routes": {route: people},
     "rates": {account: {"rate", "good", "tried"}}, "missing_values", "sensitive_words",
     "pieces": {account: if everybody were sent to},
     "price": first step, "expected_price", "worst_price": every step for everybody, "baseline_price": SMS to all,
     "costs": {"first" | "expected" | "worst": {"p50", "p90", "max", "mean"}} a person, "currency", "effects",
     "duration_seconds": of the first step at pace and limits, null where nothing limits it, "slowest", "delays",
     "last_step_seconds": when the last step may begin at the latest, "sampled", "as_of"}
    """
    plan, totals = loaded_plan(campaign), forecast.totals
    patterns, sampled = totals.get("patterns", {}), _parsed(totals.get("sampled", {}))
    accounts = {one.code: one for one in ChannelAccount.objects.filter(pk__in=plan.account_ids())}
    prices = prices_of_class([one.pk for one in accounts.values()], campaign.message_class, campaign.scheduled_at)
    for one in accounts.values():
        one.price = prices[one.pk]  # of the class, when it is due
    rates = delivered_rates(campaign, list(accounts))
    reachable, first = work_out.reach(plan, patterns)
    blocked, invalid = totals.get("blocked", {}), totals.get("invalid", {})
    people = sum(patterns.values())
    figures: dict[str, Any] = {
        "targets": people + sum(blocked.values()) + sum(invalid.values()),
        "invalid": sum(invalid.values()),
        "invalid_reasons": invalid,
        "blocked": blocked,
        "foreseen": totals.get("foreseen", {}),
        "reachable": reachable,
        "first": first,
        "expected": {code: round(count) for code, count in work_out.tried(plan, patterns, rates).items()},
        "delivered": round(work_out.delivered(plan, patterns, rates)),
        "routes": {name: round(count) for name, count in work_out.routes(plan, patterns, rates).items()},
        "rates": {
            code: {"rate": round(one.rate, 4), "good": one.good, "tried": one.tried} for code, one in rates.items()
        },
        "as_of": forecast.as_of.isoformat() if forecast.as_of else None,
    }
    figures |= _money(plan, sampled, people, reachable, accounts, rates)
    figures |= _time(campaign, plan, first, accounts, people)
    figures["effects"] = [effect for effect_of in EFFECTS for effect in effect_of(campaign, figures)]
    return figures


def _parsed(sampled: Mapping[str, int]) -> list[tuple[str, dict[int, str], int]]:
    """(pattern, {slot: pieces, `!` or `#`}, people)."""
    found = []
    for key, people in sampled.items():
        pattern, _mark, texts = key.partition(";")
        pairs = (text.split("=") for text in texts.split(",") if text)
        found.append((pattern, {int(slot): pieces for slot, pieces in pairs}, people))
    return found


def _money(
    plan: Plan,
    sampled: Sequence[tuple[str, dict[int, str], int]],
    people: int,
    reachable: Mapping[str, int],
    accounts: Mapping[str, ChannelAccount],
    rates: Mapping[str, work_out.Rate],
) -> dict[str, Any]:
    """Pieces, money and its spread over people, from the rendered sample; scaled up to everybody."""
    counted = sum(count for _pattern, _pieces, count in sampled)
    texts: dict[str, Counter[str]] = {code: Counter() for code in accounts}
    costs: dict[str, Counter[str]] = {"first": Counter(), "expected": Counter(), "worst": Counter()}
    baseline: Counter[str] = Counter()
    lacking = worded = 0
    base = next((code for code, one in accounts.items() if one.kind.startswith("sms_")), None)
    for pattern, pieces, count in sampled:
        lacking += count if LACKING in pieces.values() else 0
        worded += count if WORD in pieces.values() else 0
        prices: dict[str, Decimal] = {}
        for slot in plan.channels():
            if pieces.get(slot.slot, LACKING) not in (LACKING, WORD) and slot.account in accounts:
                texts[slot.account][pieces[slot.slot]] += count
                prices[slot.account] = int(pieces[slot.slot]) * accounts[slot.account].price
        said = work_out.cost(plan, pattern, work_out.way(plan, pattern, rates), prices)
        for name, amount in (("first", said.first), ("expected", said.expected), ("worst", said.worst)):
            costs[name][str(amount.normalize())] += count
        baseline[str(prices.get(base or "", Decimal(0)).normalize())] += count
    return {
        "missing_values": round(lacking * people / counted) if counted else 0,
        "sensitive_words": round(worded * people / counted) if counted else 0,
        "pieces": {code: round(_mean(texts[code]) * reachable.get(code, 0)) for code in accounts},
        "price": str(work_out.total_of(costs["first"], people)),
        "expected_price": str(work_out.total_of(costs["expected"], people)),
        "worst_price": str(work_out.total_of(costs["worst"], people)),
        "baseline_price": str(work_out.total_of(baseline, people)) if base else None,
        "costs": {name: work_out.spread(histogram) for name, histogram in costs.items()},
        "currency": next((one.currency for one in accounts.values()), "CNY"),
        "sampled": counted if counted < people else None,
    }


def _mean(texts: Mapping[str, int]) -> float:
    counted = sum(texts.values())
    return sum(int(pieces) * count for pieces, count in texts.items()) / counted if counted else 0.0


def _time(
    campaign: Campaign, plan: Plan, first: Mapping[str, int], accounts: Mapping[str, ChannelAccount], people: int
) -> dict[str, Any]:
    limits = [
        work_out.Limit(code, first.get(code, 0), float(one.rate_per_second))
        for code, one in accounts.items()
        if one.rate_per_second
    ]
    if campaign.pace_per_second:
        limits.append(work_out.Limit("pace", sum(first.values()), float(campaign.pace_per_second)))
    limit = work_out.slowest(limits)
    seconds = limit.seconds if limit else 0.0
    delays = [said for said in (delay(campaign, seconds) for delay in DELAYS) if said is not None]
    waits = sum(step.wait.total_seconds() for step in plan.steps[:-1] if step.wait)
    more = sum(held for _code, held in delays)
    return {
        "duration_seconds": round(seconds + more, 1) if limit or delays else None,
        "slowest": limit.name if limit else "",
        "delays": [{"code": code, "seconds": round(held, 1)} for code, held in delays],
        "last_step_seconds": round(seconds + more + waits, 1) if people else 0.0,
    }
