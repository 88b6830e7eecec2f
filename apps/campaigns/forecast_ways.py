"""The ways that people of one pattern take through a plan, with how likely each is: strategy.py's decisions, foreseen. Pure.

A step's channels are opened as planning opens them; a vendor or a smart channel that was lost is followed by the
alternatives that are left, then comes the next step. Nothing is sent over the ceiling of a person, after the message
expired, over an address that proved to be none, or where the text cannot be made. `forecast_chances.py` says how tries end.

Left out: rules that stop somebody in the middle, and accounts out of order. Of three vendors or more the second is taken
for the heaviest one left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import product
from math import prod
from typing import Any, NamedTuple

from apps.campaigns.forecast_chances import ARRIVED, GOOD, Chance
from apps.campaigns.policy import Plan, Step, StepChannel

LEAST = 5e-4  # what is less likely than this goes no further: it bounds the work, whatever the plan
MOST_OPENINGS = 64  # of a step, by the vendors it may begin with; beyond, each channel begins with its heaviest
NOT_BILLED = ("refused", "dead", "unknown")
AT_ONCE = ("failed", "refused", "dead", "unknown")  # nothing is waited for


class Text(NamedTuple):
    """A person's own text over one slot; `amount` is the price of its pieces."""

    pieces: int
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Known:
    """What a walk goes by: the chances of each slot, the score of each slot of a smart step, what unknown outcomes start."""

    chances: Mapping[int, Chance]
    scores: Mapping[int, float] = field(default_factory=dict)
    unknown_goes_on: bool = False


@dataclass(slots=True)
class Foreseen:
    """Sums over people. By slot: tries and billed pieces; by set of slots (bits): people whose way it is in the end."""

    tried: Counter[int] = field(default_factory=Counter)
    pieces: Counter[int] = field(default_factory=Counter)
    ways: Counter[int] = field(default_factory=Counter)
    cost: float = 0.0
    delivered: float = 0.0

    def add(self, other: Foreseen, people: float) -> None:
        """Adds what is expected of one person, `people` times."""
        for mine, theirs in ((self.tried, other.tried), (self.pieces, other.pieces), (self.ways, other.ways)):
            for key, share in theirs.items():
                mine[key] += share * people  # type: ignore[assignment]
        self.cost += other.cost * people
        self.delivered += other.delivered * people


class Place(NamedTuple):
    """Where somebody stands. Sets of slots are bits: `used` may not be taken in this step, `closed` in none, `tried` were."""

    used: int = 0
    closed: int = 0
    tried: int = 0
    spent: Decimal = Decimal(0)
    waited: float = 0.0
    arrived: bool = False
    late: bool = False  # what was waited for comes during the next wait, which is the last


class _Joint(NamedTuple):
    """How far the tries of one turn have come."""

    place: Place
    good: bool = False
    unknown: bool = False
    late: bool = False
    quiet: float = 0.0


def foresee(plan: Plan, pattern: str, texts: Mapping[int, Text], known: Known) -> Foreseen:
    """What is expected of one person of the pattern `step|reached|taken` (forecast_figures.py) with these texts by slot."""
    begin, reached, first = pattern.split("|")
    walk = _Walk(plan, reached, texts, known, Foreseen())
    entering: dict[Place, float] = {Place(): 1.0}
    for step in plan.steps[int(begin) :]:
        marked = first if step.number == int(begin) else ""
        entering = walk.through(step, entering, marked)
    for place, share in entering.items():
        walk.end(place, share)
    return walk.found


@dataclass(slots=True)
class _Walk:
    plan: Plan
    reached: str
    texts: Mapping[int, Text]
    known: Known
    found: Foreseen

    def end(self, place: Place, share: float) -> None:
        self.found.ways[place.tried] += share  # type: ignore[assignment]
        self.found.delivered += share * place.arrived

    def through(self, step: Step, here: Mapping[Place, float], marked: str) -> dict[Place, float]:
        """Takes everybody through a step; returns where those stand who come to the next one."""
        onward: dict[Place, float] = {}
        while here:
            again: dict[Place, float] = {}
            for place, share in here.items():
                if self._is_over(place, share):
                    self.end(place, share)
                    continue
                openings = _marked(step, marked) if marked else list(self._openings(step, place))
                if not openings:
                    _add(onward, place._replace(used=0), share)
                for part, slots in openings:
                    self._turn(again, place, share * part, slots)
            here, marked = again, ""
        return onward

    def _is_over(self, place: Place, share: float) -> bool:
        expires = self.plan.expires
        return share < LEAST or (expires is not None and place.waited >= expires.total_seconds())

    def _openings(self, step: Step, place: Place) -> Iterator[tuple[float, tuple[StepChannel, ...]]]:
        """What may be taken together now, each with its share; nothing where the step has nothing left."""
        used = {one.slot for one in step.channels if place.used & one.bit}
        left = [
            one
            for one in (step.alternatives(used) if used else step.channels)
            if self.reached[one.slot] == "+" and not place.closed & one.bit
        ]
        if step.mode == "smart":
            yield from ((1.0, (one,)) for one in sorted(left, key=self._by_score)[:1])
            return
        places = [kept for kept in ([one for one in vendors if one in left] for vendors in step.places) if kept]
        if not places:
            return
        places = places if step.mode == "all" else places[:1]
        whole = bool(used) or prod(len(vendors) for vendors in places) > MOST_OPENINGS
        shared = [_by_weight(vendors, whole) for vendors in places]
        for together in product(*shared):
            part = 1.0
            for share, _slot in together:
                part *= share
            yield part, tuple(slot for _share, slot in together)

    def _by_score(self, one: StepChannel) -> tuple[float, int, int]:
        return -self.known.scores.get(one.slot, 0.0), -one.weight if one.group is not None else 0, one.slot

    def _turn(self, again: dict[Place, float], place: Place, share: float, slots: Sequence[StepChannel]) -> None:
        """Tries the slots together: who is content, or must not go on, ends here; the others stand in `again`."""
        joint = {_Joint(place._replace(used=place.used | sum(one.bit for one in slots), late=False)): share}
        for slot in slots:
            joint = self._try(slot, joint)
        for one, part in joint.items():
            stuck = one.unknown and not self.known.unknown_goes_on
            if one.good or stuck or (place.late and one.quiet):
                self.end(one.place, part)
            else:
                waited = one.place.waited + (one.quiet if self.plan.expires is not None else 0.0)
                _add(again, one.place._replace(waited=waited, late=one.late or place.late), part)

    def _try(self, slot: StepChannel, joint: Mapping[_Joint, float]) -> dict[_Joint, float]:
        found: dict[_Joint, float] = {}
        text, chance = self.texts.get(slot.slot), self.known.chances[slot.slot]
        for one, share in joint.items():
            if text is None or self._over_ceiling(one.place, text):
                _add(found, one, share)
                continue
            self.found.tried[slot.slot] += share  # type: ignore[assignment]
            for outcome, part in chance.shares.items():
                if part:
                    _add(found, self._ended(one, slot, outcome, text, chance, share * part), share * part)
        return found

    def _over_ceiling(self, place: Place, text: Text) -> bool:
        return self.plan.ceiling is not None and place.spent + text.amount > self.plan.ceiling

    def _ended(self, one: _Joint, slot: StepChannel, outcome: str, text: Text, chance: Chance, share: float) -> _Joint:
        """Where a try that ended so leads; its cost is counted here."""
        place = one.place._replace(tried=one.place.tried | slot.bit, arrived=one.place.arrived or outcome in ARRIVED)
        if outcome not in NOT_BILLED:
            billed = outcome != "failed" or chance.bills_failed
            self.found.cost += share * float(text.amount) * billed
            self.found.pieces[slot.slot] += share * text.pieces  # type: ignore[assignment]
            if self.plan.ceiling is not None:
                place = place._replace(spent=place.spent + text.amount)
        if outcome == "dead":
            alike = sum(other.bit for other in self.plan.channels() if other.address_kind == slot.address_kind)
            place = place._replace(closed=place.closed | alike)
        quiet = one.quiet if outcome in (*GOOD, *AT_ONCE) else max(one.quiet, chance.quiet_seconds)
        return _Joint(
            place, one.good or outcome in GOOD, one.unknown or outcome == "unknown", one.late or outcome == "late", quiet
        )  # fmt: skip


def _add(held: dict[Any, float], key: Any, share: float) -> None:
    held[key] = held.get(key, 0.0) + share


def _marked(step: Step, marks: str) -> list[tuple[float, tuple[StepChannel, ...]]]:
    slots = tuple(slot for slot in step.channels if marks[slot.slot] == "+")
    return [(1.0, slots)] if slots else []


def _by_weight(vendors: Sequence[StepChannel], whole: bool) -> list[tuple[float, StepChannel]]:
    """(share, vendor) by weight; with `whole` all of it to the heaviest. Weight 0 is for where there is no other."""
    total = sum(one.weight for one in vendors)
    if whole or not total or len(vendors) == 1:
        return [(1.0, max(vendors, key=lambda one: one.weight))]
    return [(one.weight / total, one) for one in vendors if one.weight]
