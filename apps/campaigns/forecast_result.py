"""The figures of a finished forecast, from what was counted (forecast_measures.py) and learnt (rates.py)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from apps.campaigns import forecast_figures as work_out
from apps.campaigns.forecast_figures import CENT, Group, Outlook
from apps.campaigns.forecast_measures import LACKING, WORD
from apps.campaigns.forecast_ways import Known, Text
from apps.campaigns.foresight import DELAYS, EFFECTS
from apps.campaigns.models import Campaign, Forecast
from apps.campaigns.pipeline.plan import loaded_plan
from apps.campaigns.pipeline.score_sql import class_experience, weights_for
from apps.campaigns.policy import Plan
from apps.campaigns.rates import chances_of
from apps.campaigns.scoring import NONE, Candidate, scored
from apps.campaigns.states import MessageClass
from apps.campaigns.strategy import unknown_goes_on
from apps.channels.models import ChannelAccount
from apps.channels.prices import prices_of_class


def figures_of(campaign: Campaign, forecast: Forecast) -> dict[str, Any]:
    """The finished forecast as JSON; money is decimal text, counts are people.

    {"targets", "invalid", "invalid_reasons", "blocked": {reason: people}, "foreseen": those of them by rules of the gate,
     "kept": by offline save, until they can be reached,
     "reachable", "first", "expected": {account: people}, "delivered": people, "routes": {route: people},
     "rates": [{"account", "step", "until", "wait_seconds", "rate", "low", "high", "good", "tried", "of_class", "assumed"}],
     "assumed": accounts in use of which too little was learnt,
     "range": {"delivered" | "expected_price": [low, high]} where they differ, "missing_values", "sensitive_words",
     "pieces": {account: if everybody were sent to}, "expected_pieces",
     "price": first step, "expected_price", "worst_price": every step for everybody, "baseline_price": SMS to all,
     "costs": {"first" | "expected" | "worst": {"p50", "p90", "max", "mean"}} a person, "currency", "effects",
     "duration_seconds": of the first step at pace and limits, null where nothing limits it, "slowest", "delays",
     "last_step_seconds": when the last step may begin at the latest, "sampled", "as_of"}
    """
    plan, totals = loaded_plan(campaign), forecast.totals
    patterns, sampled = totals.get("patterns", {}), _parsed(totals.get("sampled", {}))
    accounts = _priced_accounts(campaign, plan)
    groups = list(_groups(plan, patterns, sampled, accounts))
    known = _known(campaign, plan, groups)
    seen = work_out.outlook(plan, groups, known)
    reachable, first = work_out.reach(plan, patterns)
    blocked, invalid, kept = totals.get("blocked", {}), totals.get("invalid", {}), sum(totals.get("kept", {}).values())
    people = sum(patterns.values())
    figures: dict[str, Any] = {
        "targets": people + kept + sum(blocked.values()) + sum(invalid.values()),
        "invalid": sum(invalid.values()),
        "invalid_reasons": invalid,
        "blocked": blocked,
        "foreseen": totals.get("foreseen", {}),
        "kept": kept,
        "reachable": reachable,
        "first": first,
        "as_of": forecast.as_of.isoformat() if forecast.as_of else None,
    }
    figures |= _outlook(plan, seen, known)
    figures |= _money(plan, groups, seen, reachable, accounts)
    counted = sum(count for _pattern, _pieces, count in sampled)
    figures["sampled"] = counted if counted < people else None
    figures |= {
        name: round(sum(count for _pattern, pieces, count in sampled if mark in pieces.values()) * people / counted)
        if counted else 0
        for name, mark in (("missing_values", LACKING), ("sensitive_words", WORD))
    }  # fmt: skip
    figures |= _time(campaign, plan, first, accounts, people)
    figures["effects"] = [effect for effect_of in EFFECTS for effect in effect_of(campaign, figures)]
    return figures


def _priced_accounts(campaign: Campaign, plan: Plan) -> dict[str, ChannelAccount]:
    """By code, each with the price of the class when the campaign is due."""
    accounts = {one.code: one for one in ChannelAccount.objects.filter(pk__in=plan.account_ids())}
    prices = prices_of_class([one.pk for one in accounts.values()], campaign.message_class, campaign.scheduled_at)
    for one in accounts.values():
        one.price = prices[one.pk]
    return accounts


def _parsed(sampled: Mapping[str, int]) -> list[tuple[str, dict[int, str], int]]:
    """(pattern, {slot: pieces, `!` or `#`}, people)."""
    found = []
    for key, people in sampled.items():
        pattern, _mark, texts = key.partition(";")
        pairs = (text.split("=") for text in texts.split(",") if text)
        found.append((pattern, {int(slot): pieces for slot, pieces in pairs}, people))
    return found


def _groups(
    plan: Plan,
    patterns: Mapping[str, int],
    sampled: Sequence[tuple[str, dict[int, str], int]],
    accounts: Mapping[str, ChannelAccount],
) -> Iterator[Group]:
    """Everybody: the people of each pattern shared out as its sample says; one without a sample gets the mean texts."""
    price = {one.slot: accounts[one.account].price for one in plan.channels()}
    made: dict[str, list[tuple[dict[int, str], int]]] = {}
    texts: dict[int, Counter[str]] = {slot: Counter() for slot in price}
    for pattern, pieces, count in sampled:
        made.setdefault(pattern, []).append((pieces, count))
        for slot, held in pieces.items():
            texts[slot][held] += 0 if held in (LACKING, WORD) else count
    mean = {slot: str(max(1, round(_mean(counted)))) for slot, counted in texts.items()}
    for pattern, people in patterns.items():
        own = made.get(pattern, [(mean, 1)])
        counted = sum(count for _pieces, count in own)
        for pieces, count in own:
            held = {slot: int(said) for slot, said in pieces.items() if said not in (LACKING, WORD)}
            yield Group(
                pattern, {slot: Text(said, said * price[slot]) for slot, said in held.items()}, people * count / counted
            )  # fmt: skip


def _mean(texts: Mapping[str, int]) -> float:
    counted = sum(texts.values())
    return sum(int(pieces) * count for pieces, count in texts.items() if count) / counted if counted else 0.0


def _known(campaign: Campaign, plan: Plan, groups: Sequence[Group]) -> Known:
    goes_on = unknown_goes_on(plan, MessageClass(campaign.message_class))
    smart = [step for step in plan.steps if step.mode == "smart"]
    if not smart:
        return Known(chances_of(campaign), {}, goes_on)
    price = {
        slot: float(text.amount)
        for group in sorted(groups, key=lambda one: one.people)
        for slot, text in group.texts.items()
    }  # of the largest group
    experience = class_experience(campaign.message_class, plan.account_ids())
    weights = weights_for(campaign.message_class, plan.weights, plan.order)
    scores = {}
    for step in smart:
        candidates = [
            Candidate(one.slot, price.get(one.slot, 0.0), NONE, experience.get(one.account_id, NONE))
            for one in step.channels
        ]
        scores |= {one.slot: one.score for one in scored(candidates, weights)}
    return Known(chances_of(campaign), scores, goes_on)


def _outlook(plan: Plan, seen: Outlook, known: Known) -> dict[str, Any]:
    """What is expected of people, the rates behind it, and how far they may be off."""
    rates = [
        {
            "account": one.account, "step": step.number, "until": step.until,
            "wait_seconds": None if step.wait is None else step.wait.total_seconds(),
            "rate": round(chance.rate, 4), "low": round(chance.low, 4), "high": round(chance.high, 4),
            "good": chance.good, "tried": chance.tried, "of_class": chance.of_class, "assumed": chance.is_assumed,
        }
        for step in plan.steps for one in step.channels for chance in [known.chances[one.slot]]
    ]  # fmt: skip
    used = {one.slot for one in plan.channels() if seen.expected.tried[one.slot] >= 1}
    reached = [round(one) for one in seen.range_of("delivered")]
    price = [str(Decimal(one).quantize(CENT)) for one in seen.range_of("cost")]
    return {
        "expected": {code: round(count) for code, count in work_out.by_account(plan, seen.expected.tried).items()},
        "expected_pieces": round(sum(seen.expected.pieces.values())),
        "delivered": round(seen.expected.delivered),
        "routes": {
            name: round(count) for name, count in work_out.routes(plan, seen.expected.ways).items() if round(count)
        },
        "rates": rates,
        "assumed": sorted(
            {one.account for one in plan.channels() if one.slot in used and known.chances[one.slot].is_assumed}
        ),
        "range": {
            name: ends for name, ends in (("delivered", reached), ("expected_price", price)) if ends[0] != ends[1]
        },
    }


def _money(
    plan: Plan,
    groups: Sequence[Group],
    seen: Outlook,
    reachable: Mapping[str, int],
    accounts: Mapping[str, ChannelAccount],
) -> dict[str, Any]:
    """Pieces, money and its spread over people."""
    base = next((one.slot for one in plan.channels() if one.kind.startswith("sms_")), None)
    both = [work_out.first_and_worst(plan, group) for group in groups]
    amounts = {
        "first": [one for one, _worst in both],
        "expected": list(seen.costs),
        "worst": [one for _first, one in both],
    }
    costs = {
        name: [(one, group.people) for one, group in zip(held, groups, strict=True)] for name, held in amounts.items()
    }
    baseline = sum(
        (group.texts[base].amount * Decimal(group.people) for group in groups if base in group.texts), Decimal(0)
    )
    return {
        "pieces": {code: round(_pieces_of(plan, code, groups) * reachable.get(code, 0)) for code in accounts},
        "price": str(work_out.total_of(costs["first"]).quantize(CENT)),
        "expected_price": str(Decimal(seen.expected.cost).quantize(CENT)),
        "worst_price": str(work_out.total_of(costs["worst"]).quantize(CENT)),
        "baseline_price": None if base is None else str(baseline.quantize(CENT)),
        "costs": {name: work_out.spread(held) for name, held in costs.items()},
        "currency": next((one.currency for one in accounts.values()), "CNY"),
    }


def _pieces_of(plan: Plan, account: str, groups: Sequence[Group]) -> float:
    """Pieces of the text over an account, on average."""
    slots = [one.slot for one in plan.channels() if one.account == account]
    held = [(group.texts[slot].pieces, group.people) for group in groups for slot in slots if slot in group.texts]
    people = sum(count for _pieces, count in held)
    return sum(pieces * count for pieces, count in held) / people if people else 0.0


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
