"""How a try over a channel is likely to end: learnt where there is a past, else assumed. Pure.

A try ends in one of OUTCOMES, seen from the wait of its step:
    reached   what the step waits for came in time, with a receipt of delivery
    quiet     the step is content without one: acceptance is enough, or the channel gives no receipts
    late      it came after the wait: the next step has begun, and is the last one
    unread    delivered, but not read (clicked) as the step wishes: the next way follows after the wait
    silent    accepted, no receipt: the next way follows after the wait
    failed    accepted, then reported as failed: the next way follows at once
    refused   not accepted, costs nothing: the next way follows at once
    dead      failed or refused, and the address proved to be none: no way over that address follows
    unknown   nobody will know whether it was accepted: nothing follows, unless the policy says so

What is assumed (PRIORS) are our own guesses by family of channels, with a low and a high one: providers publish no such
rates. App push is low, since a device that is offline tells nothing within a short wait; reading is the least known.
What was seen is pulled towards the guess as if that had been seen WEIGHT times, less and less, and from ENOUGH tries on not
at all: then the rate is learnt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from math import inf, sqrt

from apps.campaigns.policy import Step, StepChannel

OUTCOMES = ("reached", "quiet", "late", "unread", "silent", "failed", "refused", "dead", "unknown")
GOOD = ("reached", "quiet")
ARRIVED = ("reached", "late", "unread")
WEIGHT = 20
ENOUGH = 50
SPREAD = 1.96  # standard deviations: 19 of 20 samples lie within


@dataclass(frozen=True, slots=True)
class Prior:
    """The share of tries that reaches the goal of its step in time: the guess between a low and a high one."""

    low: float
    expected: float
    high: float


Horizon = tuple[tuple[float, Prior], ...]  # (waits of up to so many seconds, what is assumed)
TAKEN = Prior(0.90, 0.98, 1.0)
PRIORS: Mapping[str, Horizon] = {
    "push": ((60, Prior(0.30, 0.55, 0.80)), (3600, Prior(0.40, 0.65, 0.85)), (inf, Prior(0.50, 0.70, 0.90))),
    "sms": ((60, Prior(0.75, 0.88, 0.97)), (inf, Prior(0.85, 0.94, 0.98))),
    "office": ((60, Prior(0.80, 0.92, 0.99)), (inf, Prior(0.85, 0.95, 0.99))),
    "": ((60, Prior(0.55, 0.75, 0.95)), (inf, Prior(0.60, 0.80, 0.95))),
}
READ: Horizon = ((60, Prior(0.02, 0.15, 0.60)), (3600, Prior(0.10, 0.35, 0.70)), (inf, Prior(0.20, 0.50, 0.85)))
CLICKED: Horizon = ((3600, Prior(0.0, 0.02, 0.10)), (inf, Prior(0.0, 0.04, 0.15)))
FAMILIES = {"push": "push", "sms": "sms", "wecom": "office", "feishu": "office", "dingtalk": "office"}
# How those end that do not reach the goal, as parts of them.
LOST: Mapping[str, Mapping[str, float]] = {
    "accepted": {"refused": 0.5, "dead": 0.5},
    "delivered": {"late": 0.2, "silent": 0.5, "failed": 0.1, "refused": 0.1, "dead": 0.1},
    "read": {"unread": 0.9, "silent": 0.06, "failed": 0.02, "refused": 0.02},
    "clicked": {"unread": 0.9, "silent": 0.06, "failed": 0.02, "refused": 0.02},
}


def assumed(channel: StepChannel, until: str, wait: timedelta | None) -> Prior:
    """What is taken for granted of a step over this channel where nothing was learnt."""
    if until == "accepted" or (until == "delivered" and not channel.measurable):
        return TAKEN
    horizon = {"read": READ, "clicked": CLICKED}.get(until) or _delivered(channel.kind)
    seconds = inf if wait is None else wait.total_seconds()
    return next(prior for most, prior in horizon if seconds <= most)


def _delivered(kind: str) -> Horizon:
    return PRIORS[FAMILIES.get(kind.partition("_")[0], "")]


@dataclass(frozen=True, slots=True)
class Chance:
    """The shares of OUTCOMES of a try over one slot, 1 together; the goal is reached between `low` and `high`.

    `tried` and `good` were seen, of this class only where `of_class`. `quiet_seconds` is how long a silence lasts before
    the next way follows; `bills_failed` whether what failed after acceptance costs.
    """

    shares: Mapping[str, float]
    low: float
    high: float
    tried: int = 0
    good: int = 0
    of_class: bool = True
    quiet_seconds: float = 0.0
    bills_failed: bool = True

    @property
    def rate(self) -> float:
        return sum(self.shares.get(one, 0.0) for one in GOOD)

    @property
    def is_assumed(self) -> bool:
        return self.tried < ENOUGH

    def at(self, rate: float) -> Chance:
        """The same with another share that reaches the goal; the other outcomes keep their proportions."""
        now = self.rate
        good, lost = rate / now if now else 0.0, (1 - rate) / (1 - now) if now < 1 else 0.0
        shares = {one: part * (good if one in GOOD else lost) for one, part in self.shares.items()}
        rest = 1 - sum(shares.values())  # of a goal always or never reached so far nobody knows how else it ends
        plain = "silent" if now >= 1 else "reached"
        return replace(self, shares={**shares, plain: shares.get(plain, 0.0) + rest})


def chance(
    step: Step,
    channel: StepChannel,
    seen: Mapping[str, int],
    window: timedelta,
    *,
    of_class: bool = True,
    bills_failed: bool = True,
) -> Chance:
    """What is expected of a slot of which `seen` (outcome -> tries) is known; `window` is how long receipts are awaited."""
    prior = assumed(channel, step.until, step.wait)
    guess = _guessed(channel, step.until, prior)
    tried, good = sum(seen.values()), sum(seen.get(one, 0) for one in GOOD)
    weight = WEIGHT * max(0.0, 1 - tried / ENOUGH)
    shares = {one: (seen.get(one, 0) + weight * guess.get(one, 0.0)) / (tried + weight) for one in OUTCOMES}
    rate = sum(shares[one] for one in GOOD)
    around = (good + 2) / (tried + 4)  # never certain: all of fifty is not all of a thousand
    by_chance = SPREAD * sqrt(tried * around * (1 - around))
    low = rate - (by_chance + weight * (prior.expected - prior.low)) / (tried + weight)
    high = rate + (by_chance + weight * (prior.high - prior.expected)) / (tried + weight)
    quiet = step.wait if step.wait is not None else window
    return Chance(
        shares, max(0.0, low), min(1.0, high), tried, good, of_class, quiet.total_seconds(), bills_failed
    )  # fmt: skip


def _guessed(channel: StepChannel, until: str, prior: Prior) -> dict[str, float]:
    """The shares of the outcomes that go with the guess."""
    lost = {one: (1 - prior.expected) * part for one, part in LOST[until].items()}
    if prior is not TAKEN:
        return {"reached": prior.expected, **lost}
    receipts = _delivered(channel.kind)[-1][1].expected if channel.measurable else 0.0
    lost = {one: (1 - prior.expected) * part for one, part in LOST["accepted"].items()}
    return {"reached": prior.expected * receipts, "quiet": prior.expected * (1 - receipts), **lost}
