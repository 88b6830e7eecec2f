"""What to do next for one message: a decision from plain facts. Pure; `now` is passed in.

    Go(step, reason)    what is under way is lost: plan from `step` on; the step at hand again while it has alternatives
    Hold(until)         nothing to decide before `until` (None: before something happens to a delivery)
    Stop(state, reason) the message is final

The rules, in order:
1. a delivery reached its step's goal                                        -> Stop(SUCCEEDED)
2. a delivery of the step is still to be sent, or its outcome is unknown     -> Hold; unless the policy or class goes on
3. a rule forbade it to the person, at whatever step (reasons.py)            -> no further step
4. accepted, and what was waited for may still come in time                  -> Hold(until the wait is over)
5. every delivery of the step is a definite no, or the wait is over          -> Go: an untried alternative, the next step
6. no step is left, and something arrived, if not as wished                  -> Stop(SUCCEEDED)
7. no step is left: whatever may still bring a receipt                       -> Hold(until its window closes)
8. and then: something may have arrived -> Stop(UNKNOWN), nothing can have   -> Stop(FAILED)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from apps.campaigns.policy import Plan, Step, StepChannel
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

ARRIVED = frozenset({"DELIVERED", "READ", "CLICKED"})
UNCLEAR = frozenset({"UNKNOWN_FINAL", "CLOSED"})
# What a step's `until` -> the states that are its goal. That silence may be a success as well is `_silence_is_success`.
MEETS = {
    "accepted": ARRIVED,
    "delivered": ARRIVED,
    "read": frozenset({"READ", "CLICKED"}),
    "clicked": frozenset({"CLICKED"}),
}
TOO_LATE = {
    "accepted": "not_delivered_in_time",
    "delivered": "not_delivered_in_time",
    "read": "not_read_in_time",
    "clicked": "not_clicked_in_time",
}


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
    if not unknown_goes_on(plan, message_class):
        if any(one.state == "UNKNOWN" for one in current):
            return Hold(None)
        if any(one.state == "UNKNOWN_FINAL" for one in current):
            return _after_last(deliveries, now)  # it may have arrived: a next step could be a second message
    if any(one.state == "CANCELLED" and is_personal(one.reason) for one in deliveries):
        return _after_last(deliveries, now)  # the next step would meet the same rule
    return _after_wait(plan.steps[step], current, now)


def unknown_goes_on(plan: Plan, message_class: MessageClass) -> bool:
    """Whether a call of unknown outcome starts the next step: as the policy says, else for one-time passwords only."""
    if plan.unknown_starts_next is None:
        return message_class is MessageClass.OTP
    return plan.unknown_starts_next


def _after_wait(step: Step, current: Sequence[DeliveryFacts], now: datetime) -> Decision:
    awaited = [one for one in current if _may_still_reach(one, step)]
    if not awaited:
        return _lost(step, current, _why_lost(current))
    if step.wait is None:
        over, reason = max(_window_end(one) for one in awaited), "silent"
    else:
        over, reason = max(_accepted_at(one) + step.wait for one in awaited), TOO_LATE[step.until]
    return _lost(step, current, reason) if over <= now else Hold(over)


def _lost(step: Step, current: Sequence[DeliveryFacts], reason: str) -> Go:
    """On with what is left of this step, or with the next."""
    left = step.alternatives({one.channel.slot for one in current})
    return Go(step.number if left else step.number + 1, reason)


def _why_lost(current: Sequence[DeliveryFacts]) -> str:
    states = {one.state for one in current}
    if any(one.state == "CANCELLED" and one.reason == "not_accepted_in_time" for one in current):
        return "not_accepted_in_time"
    if states & {"UNKNOWN", "UNKNOWN_FINAL"}:
        return "unknown"
    if "CLOSED" in states:
        return "silent"
    return "failed" if states else "unreachable"


def _may_still_reach(one: DeliveryFacts, step: Step) -> bool:
    """Whether news may come that make it what the step waits for."""
    return one.state == "ACCEPTED" or one.state in ARRIVED - MEETS[step.until]


def _after_last(deliveries: Sequence[DeliveryFacts], now: datetime) -> Decision:
    if any(one.state in OPEN_DELIVERY or one.state == "UNKNOWN" for one in deliveries):
        return Hold(None)
    if any(one.state in ARRIVED for one in deliveries):
        return Stop("SUCCEEDED", "arrived")
    awaited = [one for one in deliveries if one.state == "ACCEPTED"]
    if awaited and not _all_over(awaited, now):
        return Hold(max(_window_end(one) for one in awaited))
    if awaited or any(one.state in UNCLEAR for one in deliveries):
        return Stop("UNKNOWN", "no_receipt")
    return Stop("FAILED", "every_step_failed" if deliveries else "unreachable")


def _reached_goal(one: DeliveryFacts, deliveries: Sequence[DeliveryFacts], plan: Plan, now: datetime) -> bool:
    step = plan.steps[one.step]
    if one.state in MEETS[step.until]:
        return True
    if one.state not in ("ACCEPTED", "CLOSED") or step.until in ("read", "clicked"):
        return False
    return step.until == "accepted" or _silence_is_success(one, step, deliveries, now)


def _silence_is_success(one: DeliveryFacts, step: Step, deliveries: Sequence[DeliveryFacts], now: datetime) -> bool:
    """Where no delivered receipt can come for a step, silence for the length of the wait is the best that can be known."""
    if any(other.channel.measurable for other in deliveries if other.step == one.step):
        return False
    quiet = step.wait if step.wait is not None else one.window
    return one.channel.receipts == "none" or one.accepted_at is None or one.accepted_at + quiet <= now


def _accepted_at(one: DeliveryFacts) -> datetime:
    if one.accepted_at is None:
        raise ValueError("an accepted delivery has the time of its acceptance")
    return one.accepted_at


def _window_end(one: DeliveryFacts) -> datetime:
    return _accepted_at(one) + one.window


def _all_over(awaited: Sequence[DeliveryFacts], now: datetime) -> bool:
    return all(_window_end(one) <= now for one in awaited)


def quiet_end(one: DeliveryFacts, plan: Plan) -> datetime | None:
    """When silence alone turns an accepted, unmeasurable delivery into a success; None where it never does."""
    step = plan.steps[one.step]
    if one.state != "ACCEPTED" or one.accepted_at is None or one.channel.measurable:
        return None
    if step.until in ("read", "clicked"):
        return None
    return one.accepted_at + (step.wait if step.wait is not None else one.window)
