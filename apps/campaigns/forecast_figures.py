"""From counts to a forecast: routes, money and time, worked out from who is reached over which slots. Pure.

A *pattern* is `step|reached|taken`: the step that somebody begins at, a mark (+ or -) for each slot of the plan that
reaches them, and one for each that is taken first. However large the audience, there are few patterns, and everything
about reach is exact. What follows the first step is worked out in forecast_ways.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from apps.campaigns.forecast_chances import Chance
from apps.campaigns.forecast_ways import Foreseen, Known, Text, foresee
from apps.campaigns.policy import Plan, Step, StepChannel

CENT = Decimal("0.01")
FINE = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class Group:
    """So many people of one pattern with equal texts; `texts` has those by slot that can be made."""

    pattern: str
    texts: Mapping[int, Text]
    people: float


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is expected of everybody, and what it would be if every rate were at its low or its high end."""

    expected: Foreseen
    ends: tuple[Foreseen, Foreseen]
    costs: tuple[Decimal, ...]  # of a person of each group, expected

    def range_of(self, name: str) -> tuple[float, float]:
        """The least and the most of `cost` or `delivered`."""
        held = [float(getattr(one, name)) for one in (self.expected, *self.ends)]
        return min(held), max(held)


def outlook(plan: Plan, groups: Sequence[Group], known: Known) -> Outlook:
    """Works the three out over all groups."""
    sums, costs = [], []
    for chances in (known.chances, _at_end(known.chances, "low"), _at_end(known.chances, "high")):
        total = Foreseen()
        for group in groups:
            one = foresee(plan, group.pattern, group.texts, Known(chances, known.scores, known.unknown_goes_on))
            total.add(one, group.people)
            costs.append(Decimal(one.cost).quantize(FINE))
        sums.append(total)
    return Outlook(sums[0], (sums[1], sums[2]), tuple(costs[: len(groups)]))


def _at_end(chances: Mapping[int, Chance], end: str) -> dict[int, Chance]:
    return {slot: one.at(getattr(one, end)) for slot, one in chances.items()}


def routes(plan: Plan, ways: Mapping[int, float]) -> dict[str, float]:
    """Route -> people expected on it, the most travelled first: `push_jpush > sms_aliyun`, as figures name routes."""
    found: dict[str, float] = {}
    for tried, people in ways.items():
        steps = [sorted({one.kind for one in step.channels if tried & one.bit}) for step in plan.steps]
        name = " > ".join(" + ".join(kinds) for kinds in steps if kinds)
        if name:
            found[name] = found.get(name, 0.0) + people
    return dict(sorted(found.items(), key=lambda one: -one[1]))


def by_account(plan: Plan, by_slot: Mapping[int, float]) -> dict[str, float]:
    """Account -> the sum over its slots."""
    found = {one.account: 0.0 for one in plan.channels()}
    for one in plan.channels():
        found[one.account] += by_slot.get(one.slot, 0.0)
    return found


def _marked(step: Step, marks: str) -> tuple[StepChannel, ...]:
    return tuple(slot for slot in step.channels if marks[slot.slot] == "+")


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


def first_and_worst(plan: Plan, group: Group) -> tuple[Decimal, Decimal]:
    """What somebody of the group costs if the first step is all, and if every step is needed."""
    begin, _reached, marks = group.pattern.split("|")
    prices = {slot: text.amount for slot, text in group.texts.items()}
    first = sum((prices.get(one.slot, Decimal(0)) for one in _marked(plan.steps[int(begin)], marks)), Decimal(0))
    worst = _worst(plan, group.pattern, prices)
    return first, worst if plan.ceiling is None else min(worst, max(plan.ceiling, first))


def _worst(plan: Plan, pattern: str, prices: Mapping[int, Decimal]) -> Decimal:
    begin, reached, _first = pattern.split("|")
    total = Decimal(0)
    for step in plan.steps[int(begin) :]:
        slots = [slot for slot in step.channels if reached[slot.slot] == "+"]
        if step.mode == "first":
            slots = [slot for slot in slots if slot.slot in _of_first_place(step, reached)]
        total += sum((prices.get(slot.slot, Decimal(0)) for slot in slots), Decimal(0))
    return total


def _of_first_place(step: Step, reached: str) -> set[int]:
    """The slots of the first channel that reaches somebody; its vendors may all come to their turn."""
    for place in step.places:
        if any(reached[slot.slot] == "+" for slot in place):
            return {slot.slot for slot in place}
    return set()


def spread(amounts: Iterable[tuple[Decimal, float]]) -> dict[str, str]:
    """Median, ninth tenth, most and mean of amounts, each with its people; empty for nobody."""
    rows = sorted(amounts)
    people = sum(count for _amount, count in rows)
    if not people:
        return {}
    held = {"p50": _at(rows, people * 0.5), "p90": _at(rows, people * 0.9), "max": rows[-1][0]}
    held["mean"] = total_of(rows) / Decimal(people)
    return {name: str(amount.quantize(FINE)) for name, amount in held.items()}


def _at(rows: Sequence[tuple[Decimal, float]], place: float) -> Decimal:
    behind = 0.0
    for amount, people in rows:
        behind += people
        if behind >= place:
            return amount
    return rows[-1][0]


def total_of(amounts: Iterable[tuple[Decimal, float]]) -> Decimal:
    """What all cost together."""
    return sum((amount * Decimal(people) for amount, people in amounts), Decimal(0))


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
