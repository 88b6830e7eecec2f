"""A past campaign gone through once more with another plan, person by person. Pure.

Each slot that the plan would try has an outcome from one of three sources, the first that there is:
    observed  this campaign sent to this person over this account: it arrived or it did not, and cost what it cost
    history   the person's own tries over this account at other times: their rate
    assumed   nobody knows: the rate of the class
A person counts under the weakest source that was needed on the way. Only sums of `observed` happened; the others are
expected values and are never added to them.

A step that waits for acceptance, or whose channels give no receipts, is followed by no other. Reading and clicking are taken
for delivery: how often people read is not known by account.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

from apps.campaigns.policy import Plan, Step, StepChannel
from apps.campaigns.scoring import NONE, Candidate, Experience, Weights, rate, scored

OBSERVED, HISTORY, ASSUMED = "observed", "history", "assumed"
SOURCES = (OBSERVED, HISTORY, ASSUMED)
ENOUGH = 0.5  # faded tries from which on a person has a history over an account


@dataclass(frozen=True, slots=True)
class Seen:
    """What this campaign saw over one account: whether it arrived (None: not known), what it cost, whether it was refused."""

    arrived: bool | None
    cost: float
    refused: bool = False


@dataclass(frozen=True, slots=True)
class PersonFacts:
    """One person: the slots that reach them, what the campaign saw by account, their other experience by account."""

    slots: frozenset[int]
    seen: Mapping[int, Seen]
    own: Mapping[int, Experience]


@dataclass(frozen=True, slots=True)
class Prices:
    """By slot: what the text costs on average; by account: what is known of the class."""

    of_slot: Mapping[int, float]
    of_class: Mapping[int, Experience]


@dataclass(frozen=True, slots=True)
class Outcome:
    """`reach` is the chance that the plan reaches the person (0 or 1 where observed), `cost` what it costs on average."""

    source: str
    reach: float
    cost: float
    reachable: bool


@dataclass(frozen=True, slots=True)
class _Try:
    source: str
    chance: float
    cost: float


def replayed(plan: Plan, facts: PersonFacts, known: Prices, weights: Weights) -> Outcome:
    """What the plan would have done for a person."""
    left, cost, sources, reachable = 1.0, 0.0, [OBSERVED], False
    for step, together in _way(plan, facts, known, weights):
        reachable = True
        tries = [_try(channel, facts, known, weights) for channel in together]
        sources += [one.source for one in tries]
        cost += left * sum(one.cost for one in tries)
        left *= prod(1.0 - one.chance for one in tries)
        if left <= 0.0 or _nothing_follows(step, together, facts):
            break
    return Outcome(max(sources, key=SOURCES.index), 1.0 - left if reachable else 0.0, cost, reachable)


def _way(plan: Plan, facts: PersonFacts, known: Prices, weights: Weights) -> Iterator[tuple[Step, list[StepChannel]]]:
    for step in plan.steps:
        for together in turns(step, facts, known, weights):
            yield step, together


def _nothing_follows(step: Step, together: Sequence[StepChannel], facts: PersonFacts) -> bool:
    """Whether acceptance is all that can be waited for; what was refused then is followed all the same."""
    if step.until != "accepted" and any(one.measurable for one in together):
        return False
    seen = [facts.seen.get(one.account_id) for one in together]
    return not all(one is not None and one.refused for one in seen)


def turns(step: Step, facts: PersonFacts, known: Prices, weights: Weights) -> list[list[StepChannel]]:
    """The slots of a step in the order in which they are tried; those of one list go together."""
    if step.mode == "smart":
        reached = {one.slot: one for one in step.channels if one.slot in facts.slots}
        candidates = [_candidate(one, facts, known) for one in reached.values()]
        return [[reached[one.slot]] for one in scored(candidates, weights)]
    places = [_by_weight([one for one in place if one.slot in facts.slots]) for place in step.places]
    places = [place for place in places if place]
    if not places:
        return []
    if step.mode == "first":
        return [[one] for one in places[0]]
    return [[place[0] for place in places], *([one] for place in places for one in place[1:])]


def _by_weight(place: Sequence[StepChannel]) -> list[StepChannel]:
    return sorted(place, key=lambda one: (-one.weight, one.slot))


def _candidate(one: StepChannel, facts: PersonFacts, known: Prices) -> Candidate:
    own, of_class = facts.own.get(one.account_id, NONE), known.of_class.get(one.account_id, NONE)
    return Candidate(one.slot, known.of_slot[one.slot], own, of_class)


def _try(channel: StepChannel, facts: PersonFacts, known: Prices, weights: Weights) -> _Try:
    seen = facts.seen.get(channel.account_id)
    if seen is not None and seen.arrived is not None:
        return _Try(OBSERVED, 1.0 if seen.arrived else 0.0, seen.cost)
    own, of_class = facts.own.get(channel.account_id, NONE), known.of_class.get(channel.account_id, NONE)
    source = HISTORY if own.tried >= ENOUGH else ASSUMED
    return _Try(source, rate(own, of_class, weights), known.of_slot[channel.slot])


def without_hindsight(own: Experience, seen: Seen | None, left: float) -> Experience:
    """The experience as it would be had this campaign not been: what it saw, faded to `left`, is taken out again.

    Whoever chose then could not know how it would end.
    """
    if seen is None or seen.arrived is None:
        return own
    arrived = left if seen.arrived else 0.0
    return replace(own, tried=max(0.0, own.tried - left), delivered=max(0.0, min(own.delivered - arrived, own.tried)))


def add(figures: dict[str, dict[str, float]], outcome: Outcome, actual_reach: bool, actual_cost: float) -> None:
    """Adds a person to the sums of their source. Whom the plan cannot reach stands apart, under "unreachable"."""
    key = outcome.source if outcome.reachable else "unreachable"
    sums = figures.setdefault(key, dict.fromkeys(("people", "reach", "cost", "actual_reach", "actual_cost"), 0.0))
    sums["people"] += 1
    sums["reach"] += outcome.reach
    sums["cost"] += outcome.cost
    sums["actual_reach"] += actual_reach
    sums["actual_cost"] += actual_cost
