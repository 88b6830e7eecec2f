"""What to do next for one message: a decision from plain facts. Pure; `now` is passed in.

    Go(step, reason)    the step under way is lost: plan from `step` on
    Hold(until)         nothing to decide before `until` (None: before something happens to a delivery)
    Stop(state, reason) the message is final

The rules, in order:
1. a delivery reached its step's goal                                        -> Stop(SUCCEEDED)
2. a delivery of the step is still to be sent, or its outcome is unknown     -> Hold; an unknown one-time password goes on
3. a rule forbade it to the person (reasons.py)                              -> no further step
4. accepted, and what was waited for may still come in time                  -> Hold(until the wait is over)
5. every delivery of the step is a definite no, or the wait is over          -> Go(next step)
6. no step is left: whatever may still bring a receipt                       -> Hold(until its window closes)
7. and then: something may have arrived -> Stop(UNKNOWN), nothing can have   -> Stop(FAILED)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from apps.campaigns.policy import Plan, StepChannel
from apps.campaigns.reasons import is_personal
from apps.campaigns.states import OPEN_DELIVERY, MessageClass


@dataclass(frozen=True, slots=True)
class DeliveryFacts:
    """One delivery of a message. `channel` tells what receipts can come; `window` how long they are awaited."""

    step: int
    channel: StepChannel
    state: str
    accepted_at: datetime | None
    window: timedelta
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Go:
    step: int
    reason: str


@dataclass(frozen=True, slots=True)
class Hold:
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Stop:
    state: str
    reason: str


Decision = Go | Hold | Stop

ARRIVED = frozenset({"DELIVERED", "READ"})
UNCLEAR = frozenset({"UNKNOWN_FINAL", "CLOSED"})
WAITING_FOR_RECEIPT = frozenset({"ACCEPTED"})


def next_step(
    step: int, deliveries: Sequence[DeliveryFacts], plan: Plan, message_class: MessageClass, now: datetime
) -> Decision:
    """The decision for a message at `step` (`len(plan.steps)` once no step is left). See the rules above."""
    if any(_reached_goal(one, deliveries, plan, now) for one in deliveries):
        return Stop("SUCCEEDED", "")
    if step >= len(plan.steps):
        return _after_last(deliveries, now)
    current = [one for one in deliveries if one.step == step]
    if any(one.state in OPEN_DELIVERY for one in current):
        return Hold(None)
    if message_class is not MessageClass.OTP:
        if any(one.state == "UNKNOWN" for one in current):
            return Hold(None)
        if any(one.state == "UNKNOWN_FINAL" for one in current):
            return _after_last(deliveries, now)  # it may have arrived: a next step could be a second message
    if any(one.state == "CANCELLED" and is_personal(one.reason) for one in current):
        return _after_last(deliveries, now)  # the next step would meet the same rule
    return _after_wait(step, current, deliveries, plan, now)


def _after_wait(
    step: int, current: Sequence[DeliveryFacts], deliveries: Sequence[DeliveryFacts], plan: Plan, now: datetime
) -> Decision:
    awaited = [one for one in current if one.state in WAITING_FOR_RECEIPT]
    if not awaited:
        return Go(step + 1, "failed" if current else "unreachable")
    wait = plan.steps[step].wait
    if wait is None:
        return Hold(max(_window_end(one) for one in awaited)) if not _all_over(awaited, now) else Go(step + 1, "silent")
    over = max(one.accepted_at + wait for one in awaited if one.accepted_at)
    return Go(step + 1, "not_delivered_in_time") if over <= now else Hold(over)


def _after_last(deliveries: Sequence[DeliveryFacts], now: datetime) -> Decision:
    if any(one.state in OPEN_DELIVERY or one.state == "UNKNOWN" for one in deliveries):
        return Hold(None)
    awaited = [one for one in deliveries if one.state in WAITING_FOR_RECEIPT]
    if awaited and not _all_over(awaited, now):
        return Hold(max(_window_end(one) for one in awaited))
    if awaited or any(one.state in UNCLEAR for one in deliveries):
        return Stop("UNKNOWN", "no_receipt")
    return Stop("FAILED", "every_step_failed" if deliveries else "unreachable")


def _reached_goal(one: DeliveryFacts, deliveries: Sequence[DeliveryFacts], plan: Plan, now: datetime) -> bool:
    if one.state in ARRIVED:
        return True
    if one.state not in ("ACCEPTED", "CLOSED"):
        return False
    step = plan.steps[one.step]
    if step.until == "accepted":
        return True
    if any(other.channel.measurable for other in deliveries if other.step == one.step):
        return False
    # No delivered receipt can come for this step: silence for the length of the wait is the best that can be known.
    quiet = step.wait if step.wait is not None else one.window
    return one.channel.receipts == "none" or one.accepted_at is None or one.accepted_at + quiet <= now


def _window_end(one: DeliveryFacts) -> datetime:
    if one.accepted_at is None:
        raise ValueError("an accepted delivery has the time of its acceptance")
    return one.accepted_at + one.window


def _all_over(awaited: Sequence[DeliveryFacts], now: datetime) -> bool:
    return all(_window_end(one) <= now for one in awaited)


def quiet_end(one: DeliveryFacts, plan: Plan) -> datetime | None:
    """When silence alone turns an accepted, unmeasurable delivery into a success; None where it never does."""
    step = plan.steps[one.step]
    if one.state != "ACCEPTED" or one.accepted_at is None or one.channel.measurable:
        return None
    return one.accepted_at + (step.wait if step.wait is not None else one.window)
