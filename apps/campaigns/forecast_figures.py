"""From counts to a forecast: routes, money and time, worked out from who is reached over which slots. Pure.

A *pattern* is `step|reached|taken`: the step that somebody begins at, a mark (+ or -) for each slot of the plan that
reaches them, and one for each that is taken first. However large the audience, there are few patterns, and everything
about reach is exact. What happens after the first step rests on delivered rates: those observed, pulled towards PRIOR as
if PRIOR_WEIGHT deliveries had shown it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from apps.campaigns.policy import Plan, Step, StepChannel

PRIOR = 0.8
PRIOR_WEIGHT = 20
CENT = Decimal("0.01")
FINE = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class Rate:
    """How often what a step waits for came: `good` of `tried`; `rate` is that with the prior."""

    good: int = 0
    tried: int = 0

    @property
    def rate(self) -> float:
        return (self.good + PRIOR * PRIOR_WEIGHT) / (self.tried + PRIOR_WEIGHT)


@dataclass(frozen=True, slots=True)
class Leg:
    """One step of somebody's way: the slots tried, how likely it comes to it, how likely it ends there."""

    step: int
    slots: tuple[StepChannel, ...]
    probability: float
    success: float


@dataclass(frozen=True, slots=True)
class Cost:
    """What one person costs: the first step for certain, on average, and if every step is needed."""

    first: Decimal
    expected: Decimal
    worst: Decimal


def way(plan: Plan, pattern: str, rates: Mapping[str, Rate]) -> list[Leg]:
    """The steps that somebody of this pattern may come to, in order."""
    begin, reached, first = pattern.split("|")
    legs: list[Leg] = []
    probability = 1.0
    for step in plan.steps[int(begin) :]:
        slots = _marked(step, first) if step.number == int(begin) else _taken(step, reached)
        if not slots:
            continue
        lost = 1.0
        for slot in slots:
            lost *= 1 - rates.get(slot.account, Rate()).rate
        legs.append(Leg(step.number, slots, probability, 1 - lost))
        probability *= lost
    return legs


def _marked(step: Step, marks: str) -> tuple[StepChannel, ...]:
    return tuple(slot for slot in step.channels if marks[slot.slot] == "+")


def _taken(step: Step, reached: str) -> tuple[StepChannel, ...]:
    """What a later step would take: of alternatives the one of the greatest weight."""
    places = [[slot for slot in place if reached[slot.slot] == "+"] for place in step.places]
    picked = [max(place, key=lambda slot: slot.weight) for place in places if place]
    return tuple(picked if step.mode == "all" else picked[:1])


def route_name(slots_of_steps: Iterable[Sequence[StepChannel]]) -> str:
    """`push_jpush + email_smtp > sms_aliyun`, as the figures of a campaign name routes."""
    return " > ".join(" + ".join(dict.fromkeys(slot.kind for slot in slots)) for slots in slots_of_steps)


def routes(plan: Plan, patterns: Mapping[str, int], rates: Mapping[str, Rate]) -> dict[str, float]:
    """Route -> people expected on it, the most travelled first."""
    found: Counter[str] = Counter()
    for pattern, people in patterns.items():
        legs = way(plan, pattern, rates)
        for number, leg in enumerate(legs):
            ends = leg.success if number + 1 < len(legs) else 1.0
            found[route_name(one.slots for one in legs[: number + 1])] += people * leg.probability * ends  # type: ignore[assignment]
    return {name: float(people) for name, people in found.most_common()}


def tried(plan: Plan, patterns: Mapping[str, int], rates: Mapping[str, Rate]) -> dict[str, float]:
    """Account -> people expected to be written to over it."""
    found: dict[str, float] = {}
    for pattern, people in patterns.items():
        for leg in way(plan, pattern, rates):
            for slot in leg.slots:
                found[slot.account] = found.get(slot.account, 0.0) + people * leg.probability
    return found


def delivered(plan: Plan, patterns: Mapping[str, int], rates: Mapping[str, Rate]) -> float:
    """People expected to be reached by some step."""
    return sum(
        people * leg.probability * leg.success
        for pattern, people in patterns.items()
        for leg in way(plan, pattern, rates)
    )


def reach(plan: Plan, patterns: Mapping[str, int]) -> tuple[dict[str, int], dict[str, int]]:
    """Account -> people that it reaches at all, and that it is tried first for; both exact."""
    reachable = {slot.account: 0 for slot in plan.channels()}
    first = dict(reachable)
    for pattern, people in patterns.items():
        _begin, reached, marks = pattern.split("|")
        for account in {slot.account for slot in plan.channels() if reached[slot.slot] == "+"}:
            reachable[account] += people
        for slot in _marked(plan.steps[int(_begin)], marks):
            first[slot.account] += people
    return reachable, first


def cost(plan: Plan, pattern: str, legs: Sequence[Leg], prices: Mapping[str, Decimal]) -> Cost:
    """What somebody of this pattern costs; `prices` has, by account, the price of this person's own text."""
    first = sum((prices.get(slot.account, Decimal(0)) for slot in legs[0].slots), Decimal(0)) if legs else Decimal(0)
    expected = sum(
        (Decimal(leg.probability) * prices.get(slot.account, Decimal(0)) for leg in legs for slot in leg.slots),
        Decimal(0),
    )
    worst = _worst(plan, pattern, prices)
    return Cost(first, expected.quantize(FINE), worst if plan.ceiling is None else min(worst, max(plan.ceiling, first)))


def _worst(plan: Plan, pattern: str, prices: Mapping[str, Decimal]) -> Decimal:
    begin, reached, _first = pattern.split("|")
    total = Decimal(0)
    for step in plan.steps[int(begin) :]:
        slots = [slot for slot in step.channels if reached[slot.slot] == "+"]
        if step.mode == "first":
            slots = [slot for slot in slots if slot.slot in _of_first_place(step, reached)]
        total += sum((prices.get(slot.account, Decimal(0)) for slot in slots), Decimal(0))
    return total


def _of_first_place(step: Step, reached: str) -> set[int]:
    """The slots of the first channel that reaches somebody; its vendors may all come to their turn."""
    for place in step.places:
        if any(reached[slot.slot] == "+" for slot in place):
            return {slot.slot for slot in place}
    return set()


def spread(histogram: Mapping[str, int]) -> dict[str, str]:
    """Median, ninth tenth, most and mean of amounts counted as {amount: people}; empty for nobody."""
    rows = sorted((Decimal(amount), people) for amount, people in histogram.items())
    total = sum(people for _amount, people in rows)
    if not total:
        return {}
    mean = sum((amount * people for amount, people in rows), Decimal(0)) / total
    held = {"p50": _at(rows, total * 0.5), "p90": _at(rows, total * 0.9), "max": rows[-1][0], "mean": mean}
    return {name: str(amount.quantize(FINE)) for name, amount in held.items()}


def _at(rows: Sequence[tuple[Decimal, int]], place: float) -> Decimal:
    behind = 0
    for amount, people in rows:
        behind += people
        if behind >= place:
            return amount
    return rows[-1][0]


def total_of(histogram: Mapping[str, int], people: int) -> Decimal:
    """What `people` cost together, of whom the histogram counts a sample."""
    counted = sum(histogram.values())
    held = sum((Decimal(amount) * count for amount, count in histogram.items()), Decimal(0))
    return (held * people / counted).quantize(CENT) if counted else Decimal("0.00")


@dataclass(frozen=True, slots=True)
class Limit:
    """What makes a campaign take time: so many messages at so many a second; `name` is an account, or `pace`."""

    name: str
    messages: float
    per_second: float

    @property
    def seconds(self) -> float:
        return self.messages / self.per_second


def slowest(limits: Iterable[Limit]) -> Limit | None:
    """The limit that decides how long it takes; None where nothing limits it."""
    return max(limits, key=lambda one: one.seconds, default=None)
