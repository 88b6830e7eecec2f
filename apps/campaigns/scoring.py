"""The score of a channel for one person: likely to arrive, cheap, fast. Pure; every term and every weight can be seen.

    rate       (delivered + strength x class rate) / (tried + strength)                  how often it arrives
    class rate (delivered of class + class_strength x prior_rate) / (tried of class + class_strength)
    cheapness  1 - price / the dearest price among the channels that reach the person; 1 where all are free
    quickness  half_seconds / (half_seconds + typical seconds until delivery)
    score      (reach x rate + price x cheapness + speed x quickness) / (reach + price + speed)

`tried` and `delivered` are this person's with this account, faded by their age (HALF_LIFE); a person of whom nothing is
known gets the class's rate, and a class of which nothing is known gets `prior_rate`. Typical seconds are pulled towards
the class's in the same way, over logarithms, so that one receipt of the day after does not outweigh a hundred quick ones.
The higher score goes first; equal scores go in the order in which the policy names the channels.

`pipeline/score_sql.py` says the same as SQL over many people at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import timedelta
from math import exp, floor, log1p

HALF_LIFE = timedelta(days=90)
DECIMALS = 6  # of a score: what differs less is equal
DEFAULT_SECONDS = 30.0
HEAVIEST = 1000.0


@dataclass(frozen=True, slots=True)
class Weights:
    """What counts how much. `reach`, `price`, `speed` are relative to each other.

    strength        as many imagined tries at the class's rate stand beside a person's own
    class_strength  as many imagined tries at `prior_rate` stand beside a class's own
    prior_rate      0 to 1: taken for granted where nothing is known
    half_seconds    a delivery as slow as this earns half of what speed can earn
    """

    reach: float = 60.0
    price: float = 30.0
    speed: float = 10.0
    strength: float = 4.0
    class_strength: float = 20.0
    prior_rate: float = 0.8
    half_seconds: float = 60.0

    def total(self) -> float:
        """The three together; less than can be told from nothing is nothing."""
        held = self.reach + self.price + self.speed
        return held if held > 1e-6 else 0.0


NAMES = tuple(field.name for field in fields(Weights))
ABOVE_ZERO = ("strength", "class_strength", "half_seconds")
# The orders that a policy may ask for, as weights: with `fixed` all scores are equal and the policy's own order holds.
ORDERS: dict[str, dict[str, float]] = {
    "smart": {},
    "best_reach": {"reach": 1.0, "price": 0.0, "speed": 0.0},
    "cheapest": {"reach": 0.0, "price": 1.0, "speed": 0.0},
    "fixed": {"reach": 0.0, "price": 0.0, "speed": 0.0},
}


@dataclass(frozen=True, slots=True)
class Experience:
    """What became of tries, faded by age: `timed` of the `delivered` have a time, `log_seconds` sums log(1 + seconds)."""

    tried: float = 0.0
    delivered: float = 0.0
    timed: float = 0.0
    log_seconds: float = 0.0


NONE = Experience()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A channel that reaches the person; `price` is what the text costs over it, in the currency of all."""

    slot: int
    price: float
    person: Experience = NONE
    of_class: Experience = NONE


@dataclass(frozen=True, slots=True)
class Scored:
    """A candidate with the terms of its score; each is 0 to 1. `seconds` is the typical time until delivery."""

    slot: int
    rate: float
    class_rate: float
    cheapness: float
    seconds: float
    quickness: float
    score: float


def weights_of(*said: Mapping[str, object] | None, order: str = "") -> Weights:
    """The defaults, each mapping over the one before, and last the order where it says more than the weights."""
    found = Weights()
    for one in (*said, ORDERS.get(order, {})):
        found = replace(found, **{name: float(str(value)) for name, value in (one or {}).items() if name in NAMES})
    return found


def weights_problems(said: Mapping[str, object]) -> dict[str, str]:
    """Name -> what is wrong with it and the remedy; empty where the weights can be used."""
    found = {str(name): f"Unknown; known are {', '.join(NAMES)}." for name in said if name not in NAMES}
    for name in NAMES:
        if name in said and (words := _problem(name, said[name])):
            found[name] = words
    return found


def _problem(name: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "Give a number."
    if name == "prior_rate":
        return "" if 0 <= value <= 1 else "Give a rate from 0 to 1, such as 0.8."
    most = 86400.0 if name == "half_seconds" else HEAVIEST
    if name in ABOVE_ZERO and not 0 < value <= most:
        return f"Give a number above 0 and at most {most:g}."
    return "" if 0 <= value <= most else f"Give a number from 0 to {most:g}."


def said_by(weights: Weights) -> dict[str, float]:
    """The weights by name."""
    return asdict(weights)


def fade(age: timedelta) -> float:
    """How much of an experience of this age still counts: half of it after HALF_LIFE, a quarter after two."""
    return float(0.5 ** (max(0.0, age / timedelta(seconds=1)) / HALF_LIFE.total_seconds()))


def class_rate(of_class: Experience, weights: Weights) -> float:
    """The delivered rate of a class over an account, pulled to the prior by `class_strength` tries."""
    strength = weights.class_strength
    return (of_class.delivered + strength * weights.prior_rate) / (of_class.tried + strength)


def rate(person: Experience, of_class: Experience, weights: Weights) -> float:
    """The delivered rate of a person: the mean of a Beta distribution whose prior is the class's rate."""
    return (person.delivered + weights.strength * class_rate(of_class, weights)) / (person.tried + weights.strength)


def class_log_seconds(of_class: Experience, weights: Weights) -> float:
    """The mean of log(1 + seconds) of a class, pulled to DEFAULT_SECONDS by `class_strength` deliveries."""
    strength = weights.class_strength
    return (of_class.log_seconds + strength * log1p(DEFAULT_SECONDS)) / (of_class.timed + strength)


def typical_seconds(person: Experience, of_class: Experience, weights: Weights) -> float:
    """Seconds until delivery, near the median: the mean is taken over logarithms."""
    prior = weights.strength * class_log_seconds(of_class, weights)
    return exp((person.log_seconds + prior) / (person.timed + weights.strength)) - 1.0


def scored(candidates: Sequence[Candidate], weights: Weights) -> list[Scored]:
    """The candidates with their terms, the one to be tried first in front."""
    dearest = max((one.price for one in candidates), default=0.0)
    found = [_scored(one, dearest, weights) for one in candidates]
    return sorted(found, key=lambda one: (-one.score, one.slot))


def _scored(one: Candidate, dearest: float, weights: Weights) -> Scored:
    arrives = rate(one.person, one.of_class, weights)
    cheapness = 1.0 - one.price / dearest if dearest > 0 else 1.0
    seconds = typical_seconds(one.person, one.of_class, weights)
    quickness = weights.half_seconds / (weights.half_seconds + seconds)
    earned = weights.reach * arrives + weights.price * cheapness + weights.speed * quickness
    score = floor(earned * (10**DECIMALS / weights.total()) + 0.5) / 10**DECIMALS if weights.total() > 0 else 0.0
    return Scored(
        slot=one.slot,
        rate=arrives,
        class_rate=class_rate(one.of_class, weights),
        cheapness=cheapness,
        seconds=seconds,
        quickness=quickness,
        score=score,
    )
