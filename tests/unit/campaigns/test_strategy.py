"""What to do next for one message: the rules one by one, and random histories, which always come to an end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.campaigns.policy import Plan, Step, StepChannel, freeze, load
from apps.campaigns.reasons import is_personal
from apps.campaigns.states import FINAL_MESSAGE, MACHINES, OPEN_DELIVERY, MessageClass, may
from apps.campaigns.strategy import DeliveryFacts, Go, Hold, Stop, next_step
from tests.unit.campaigns.test_strategy_model import ACCOUNTS, steps

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
WINDOW = timedelta(hours=1)
WAIT = timedelta(minutes=10)
MARKETING, OTP = MessageClass.MARKETING, MessageClass.OTP


def channel(slot: int, receipts: str = "push") -> StepChannel:
    return StepChannel(slot, "kind", f"account{slot}", slot, "phone", receipts)


def plan(*steps: tuple[str, timedelta | None, str]) -> Plan:
    """Steps of one channel: (until, wait, receipts)."""
    made = [
        Step(number, (channel(number, receipts),), "first", until, wait)
        for number, (until, wait, receipts) in enumerate(steps)
    ]
    return Plan(tuple(made), None)


TWO = plan(("delivered", WAIT, "push"), ("delivered", None, "push"))


def sent(state: str, step: int = 0, ago: timedelta = timedelta(0), receipts: str = "push") -> DeliveryFacts:
    accepted = None if state in OPEN_DELIVERY | {"UNKNOWN", "UNKNOWN_FINAL", "REJECTED", "CANCELLED"} else NOW - ago
    return DeliveryFacts(step, channel(step, receipts), state, accepted, WINDOW)


CASES = {
    "delivered is the goal": (0, [sent("DELIVERED")], MARKETING, Stop("SUCCEEDED", "")),
    "read counts as delivered": (0, [sent("READ")], MARKETING, Stop("SUCCEEDED", "")),
    "so does clicked": (0, [sent("CLICKED")], MARKETING, Stop("SUCCEEDED", "")),
    "still to be sent": (0, [sent("PENDING")], MARKETING, Hold(None)),
    "on the wire": (0, [sent("SENDING")], MARKETING, Hold(None)),
    "held back": (0, [sent("HELD")], MARKETING, Hold(None)),
    "nobody knows yet": (0, [sent("UNKNOWN")], MARKETING, Hold(None)),
    "a password does not wait for that": (0, [sent("UNKNOWN")], OTP, Go(1, "unknown")),
    "nobody will ever know: no second message": (0, [sent("UNKNOWN_FINAL")], MARKETING, Stop("UNKNOWN", "no_receipt")),
    "refused": (0, [sent("REJECTED")], MARKETING, Go(1, "failed")),
    "failed later": (0, [sent("UNDELIVERED")], MARKETING, Go(1, "failed")),
    "accepted, in time": (0, [sent("ACCEPTED")], MARKETING, Hold(NOW + WAIT)),
    "accepted, silent for too long": (0, [sent("ACCEPTED", ago=WAIT)], MARKETING, Go(1, "not_delivered_in_time")),
    "no channel reached the person": (0, [], MARKETING, Go(1, "unreachable")),
    "late news ends it": (1, [sent("DELIVERED"), sent("SENDING", 1)], MARKETING, Stop("SUCCEEDED", "")),
    "the last step waits for its window": (
        2,
        [sent("UNDELIVERED"), sent("ACCEPTED", 1)],
        MARKETING,
        Hold(NOW + WINDOW),
    ),
    "and then nobody knows": (2, [sent("UNDELIVERED"), sent("CLOSED", 1)], MARKETING, Stop("UNKNOWN", "no_receipt")),
    "everything refused": (
        2,
        [sent("REJECTED"), sent("UNDELIVERED", 1)],
        MARKETING,
        Stop("FAILED", "every_step_failed"),
    ),
    "nothing was ever tried": (2, [], MARKETING, Stop("FAILED", "unreachable")),
}


@pytest.mark.parametrize("what", CASES)
def test_the_rules(what: str) -> None:
    step, deliveries, message_class, expected = CASES[what]
    assert next_step(step, deliveries, TWO, message_class, NOW) == expected


def test_until_accepted_asks_no_receipt() -> None:
    assert next_step(0, [sent("ACCEPTED")], plan(("accepted", None, "push")), MARKETING, NOW) == Stop("SUCCEEDED", "")


@pytest.mark.parametrize("receipts", ["none", "failures"])
def test_where_no_good_news_can_come_silence_is_success(receipts: str) -> None:
    quiet = plan(("delivered", WAIT, receipts))
    young, old = (sent("ACCEPTED", ago=ago, receipts=receipts) for ago in (timedelta(0), WAIT))
    assert next_step(0, [old], quiet, MARKETING, NOW) == Stop("SUCCEEDED", "")
    expected = Stop("SUCCEEDED", "") if receipts == "none" else Hold(NOW + WAIT)
    assert next_step(0, [young], quiet, MARKETING, NOW) == expected


# what a late word does -----------------------------------------------------------------------------------------------

VENDORS = Plan(
    (
        Step(0, tuple(StepChannel(slot, "kind", f"a{slot}", slot, "phone", "push", group=0) for slot in range(2)), "first",
             "delivered", WAIT),
        Step(1, (channel(2),), "first", "delivered", None),
    ),
    None,
)  # fmt: skip


def at(slot: int, state: str, step: int = 0, reason: str = "") -> DeliveryFacts:
    accepted = NOW - WAIT if state in ARRIVES else None
    return DeliveryFacts(step, VENDORS.channels()[slot], state, accepted, WINDOW, reason)


ARRIVES = frozenset({"ACCEPTED", "DELIVERED", "READ", "CLICKED", "UNDELIVERED"})
TRAPS = {
    "a vendor refused: the other one": (0, [at(0, "REJECTED")], Go(0, "failed")),
    "a vendor is silent: the other one": (0, [at(0, "ACCEPTED")], Go(0, "not_delivered_in_time")),
    "both refused: the next step": (0, [at(0, "REJECTED"), at(1, "UNDELIVERED")], Go(1, "failed")),
    "a vendor's call ended nobody knows how: not sent elsewhere": (0, [at(0, "UNKNOWN")], Hold(None)),
    "and never will be known": (0, [at(0, "UNKNOWN_FINAL")], Stop("UNKNOWN", "no_receipt")),
    "moved to the other vendor": (0, [at(0, "CANCELLED", reason="failover"), at(1, "PENDING")], Hold(None)),
    "over the ceiling of one way": (0, [at(0, "CANCELLED", reason="over_ceiling: cost=1")], Go(0, "failed")),
    "a rule about the person stops every other way": (
        0, [at(0, "CANCELLED", reason="frequency_cap")], Stop("FAILED", "every_step_failed"),
    ),
    "delivered after the reissue": (1, [at(0, "DELIVERED"), at(1, "REJECTED"), at(2, "PENDING", 1)], Stop("SUCCEEDED", "")),
    "delivered by the first vendor while the other one sends": (0, [at(0, "DELIVERED"), at(1, "SENDING")], Stop("SUCCEEDED", "")),
}  # fmt: skip


@pytest.mark.parametrize("what", TRAPS)
def test_the_traps(what: str) -> None:
    step, deliveries, expected = TRAPS[what]
    assert next_step(step, deliveries, VENDORS, MARKETING, NOW) == expected


# random histories ---------------------------------------------------------------------------------------------------


class Story:
    """One message and its deliveries; `luck` chooses among the legal moves, time goes on when nothing else happens."""

    def __init__(
        self, plan: Plan, message_class: MessageClass, luck: Callable[[Sequence[StepChannel]], StepChannel]
    ) -> None:
        self.plan, self.message_class, self.luck = plan, message_class, luck
        self.now, self.step, self.state = NOW, 0, "ACTIVE"
        self.deliveries: list[DeliveryFacts] = []
        self.moves = 0

    def decide(self) -> None:
        for _again in range(len(self.plan.steps) + 2):
            match next_step(self.step, self.deliveries, self.plan, self.message_class, self.now):
                case Go(step=following):
                    assert following in (self.step, self.step + 1), "steps are taken one by one"
                    assert not any(forbidden(one) for one in self.deliveries), (
                        "a rule about the person stops everything"
                    )
                    self.step = following
                    if following < len(self.plan.steps):
                        self.start()
                        return
                case Stop(state=state):
                    assert self.state == state or may("message", self.state, state)
                    self.state = state
                    self.deliveries = [called_off(one) for one in self.deliveries]
                    return
                case Hold(until=until):
                    assert until is None or until > self.now, "a look that is due already would turn in circles"
                    return
        raise AssertionError("it goes round without an end")

    def start(self) -> None:
        """What planning does: everything, the first or one of the step; one of what is left of it the next time."""
        step = self.plan.steps[self.step]
        tried = {one.channel.slot for one in self.deliveries if one.step == self.step}
        if tried:
            chosen = [self.luck(step.alternatives(tried))]
        elif step.mode == "smart":
            chosen = [self.luck(step.channels)]
        else:
            places = step.places if step.mode == "all" else step.places[:1]
            chosen = [self.luck(place) for place in places]
        assert not {one.slot for one in chosen} & tried, "no way is taken twice"
        self.deliveries += [DeliveryFacts(self.step, one, "PENDING", None, WINDOW) for one in chosen]

    def move(self, number: int, state: str, reason: str = "") -> None:
        held = self.deliveries[number]
        assert may("delivery", held.state, state)
        accepted = held.accepted_at or (self.now if state in ARRIVES else None)
        self.deliveries[number] = replace(held, state=state, accepted_at=accepted, reason=reason)

    def open_moves(self) -> list[tuple[int, str]]:
        """What may happen to deliveries that are not at their end."""
        return [
            (number, state)
            for number, one in enumerate(self.deliveries)
            if one.state in OPEN_DELIVERY | {"UNKNOWN", "ACCEPTED"}
            for state in sorted(MACHINES["delivery"][one.state])
            if state != "CLOSED" or (one.accepted_at is not None and one.accepted_at + WINDOW <= self.now)
        ]

    def late_news(self) -> list[tuple[int, str]]:
        """What may still be heard of deliveries after the end."""
        return [
            (number, state)
            for number, one in enumerate(self.deliveries)
            if one.state not in OPEN_DELIVERY
            for state in sorted(MACHINES["delivery"][one.state] & {"DELIVERED", "READ", "CLICKED", "UNDELIVERED"})
        ]


def forbidden(one: DeliveryFacts) -> bool:
    return one.state == "CANCELLED" and is_personal(one.reason)


def called_off(one: DeliveryFacts) -> DeliveryFacts:
    return replace(one, state="CANCELLED", reason="no_longer_needed") if one.state in ("PENDING", "HELD") else one


plans = st.lists(steps(), min_size=1, max_size=3).map(lambda held: load(freeze({"steps": held}, ACCOUNTS)))


@settings(max_examples=300, deadline=None)
@given(plans, st.sampled_from(MessageClass), st.data())
def test_random_histories_reach_a_final_state(plan: Plan, message_class: MessageClass, data: st.DataObject) -> None:
    story = Story(plan, message_class, lambda slots: data.draw(st.sampled_from(slots), "slot"))
    story.start()
    story.decide()
    while story.state == "ACTIVE":
        story.moves += 1
        moves = story.open_moves()
        if story.moves > 40:  # from here on everything goes towards its end, as expiry and windows make sure
            moves = [(number, state) for number, state in moves if state not in OPEN_DELIVERY | {"UNKNOWN"}] or moves
        if moves and (story.moves > 40 or data.draw(st.booleans(), "something happens")):
            reason = data.draw(st.sampled_from(["", "over_ceiling", "quota"]), "reason")
            story.move(*data.draw(st.sampled_from(moves), "move"), reason=reason)
        else:
            story.now += WINDOW
        story.decide()
        assert story.moves < 200, story.deliveries
    assert story.state in FINAL_MESSAGE
    check_verdict(story)
    for _late in range(data.draw(st.integers(0, 3))):
        news = story.late_news()
        if news:
            check_late(story, *data.draw(st.sampled_from(news), "late"))


def check_verdict(story: Story) -> None:
    """Success was seen or is the best that can be known; failure means that surely nothing arrived."""
    states = {one.state for one in story.deliveries}
    if story.state == "FAILED":
        assert states <= {"REJECTED", "CANCELLED", "UNDELIVERED"}
    if story.state == "SUCCEEDED":
        assert states & {"DELIVERED", "READ", "CLICKED", "ACCEPTED", "CLOSED"}
    if story.message_class is not OTP:
        unclear = [one.step for one in story.deliveries if one.state == "UNKNOWN_FINAL"]
        assert all(one.step <= unclear[0] for one in story.deliveries) if unclear else True


def check_late(story: Story, number: int, state: str) -> None:
    """Late news never undoes a success, and never starts anything: a final message only becomes a better known one."""
    before = story.state
    story.move(number, state)
    match next_step(len(story.plan.steps), story.deliveries, story.plan, story.message_class, story.now):
        case Stop(state=after):
            if before == "SUCCEEDED" or not (after == "SUCCEEDED" or (before, after) == ("UNKNOWN", "FAILED")):
                after = before  # what settling writes only then
            assert after == before or may("message", before, after)
            story.state = after
        case Go():
            raise AssertionError("nothing is begun after the end")
