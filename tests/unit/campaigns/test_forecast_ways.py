"""What a forecast expects against a second opinion: every outcome of every try is played through `next_step` itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product
from typing import Any

import pytest

from apps.campaigns.forecast_chances import ENOUGH, WEIGHT, Chance, assumed, chance
from apps.campaigns.forecast_figures import Group, outlook, routes
from apps.campaigns.forecast_ways import Foreseen, Known, Text, foresee
from apps.campaigns.policy import Plan, Step, StepChannel, freeze, load
from apps.campaigns.states import MessageClass
from apps.campaigns.strategy import DeliveryFacts, Go, Hold, Stop, next_step

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
WINDOW = timedelta(minutes=60)
SOON = timedelta(seconds=1)


@dataclass(frozen=True)
class Account:
    id: int
    code: str
    kind: str
    address_kind: str
    receipts: str = "push"
    reports_read: bool = True
    reports_clicks: bool = False
    active: bool = True


ACCOUNTS = [
    Account(1, "push", "push_jpush", "jpush", "poll"),
    Account(2, "office", "feishu_app", "feishu", "both"),
    Account(3, "sms-a", "sms_aliyun", "phone"),
    Account(4, "sms-b", "sms_tencent", "phone"),
    Account(5, "mail", "email_smtp", "email", "failures"),
]
PRICES = {"push": "0", "office": "0", "sms-a": "0.045", "sms-b": "0.050", "mail": "0.001"}
VENDORS = [{"account": "sms-a", "weight": 70}, {"account": "sms-b", "weight": 30}]
# Shares with every outcome that a goal allows, in sixteenths: what adds up is exact.
TRIED = {
    "delivered": {"reached": 8, "late": 2, "silent": 2, "failed": 1, "refused": 1, "dead": 1, "unknown": 1},
    "read": {"reached": 6, "late": 2, "unread": 4, "silent": 2, "refused": 1, "dead": 1},
    "accepted": {"reached": 4, "quiet": 10, "refused": 1, "unknown": 1},
    "silence": {"quiet": 12, "refused": 2, "dead": 1, "failed": 1},
}


def made(*steps: Mapping[str, Any], **more: Any) -> Plan:
    return load(freeze({"steps": list(steps), **more}, ACCOUNTS))


def step(*channels: Any, until: str = "delivered", wait: int | None = 60, mode: str = "first") -> dict[str, Any]:
    said = [{"vendors": one} if isinstance(one, list) else {"account": one} for one in channels]
    return {"channels": said, "until": until, "wait_seconds": wait, "mode": mode}


def shares_of(plan: Plan) -> dict[int, Chance]:
    found = {}
    for one in plan.steps:
        for slot in one.channels:
            kind = "silence" if one.until == "delivered" and not slot.measurable else one.until
            shares = {outcome: count / 16 for outcome, count in TRIED[kind].items()}
            quiet = (one.wait or WINDOW).total_seconds()
            found[slot.slot] = Chance(shares, 0.0, 1.0, quiet_seconds=quiet)
    return found


def texts_of(plan: Plan) -> dict[int, Text]:
    return {one.slot: Text(1, Decimal(PRICES[one.account])) for one in plan.channels()}


# the second opinion -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sent:
    """One try: its outcome and when it was made."""

    step: Step
    slot: StepChannel
    outcome: str
    at: datetime

    def facts(self, now: datetime) -> DeliveryFacts:
        return DeliveryFacts(self.step.number, self.slot, self.state(now), self.at, WINDOW)

    def state(self, now: datetime) -> str:
        word = self.step.until.upper() if self.step.until in ("read", "clicked") else "DELIVERED"
        if self.outcome in ("refused", "unknown"):
            return {"refused": "REJECTED", "unknown": "UNKNOWN_FINAL"}[self.outcome]
        come = {
            "reached": (SOON, word), "unread": (SOON, "DELIVERED"), "failed": (SOON, "UNDELIVERED"),
            "dead": (SOON, "UNDELIVERED"), "late": ((self.step.wait or WINDOW) + 9 * SOON, word),
        }  # fmt: skip
        after, state = come.get(self.outcome, (WINDOW, "CLOSED"))
        return state if self.at + after <= now else "ACCEPTED"

    def moments(self) -> set[datetime]:
        """When something may happen to it."""
        wait = self.step.wait or WINDOW
        return {self.at + after for after in (SOON, wait, wait + 9 * SOON, WINDOW)}


@dataclass
class Played:
    plan: Plan
    reached: str
    chances: Mapping[int, Chance]
    found: Foreseen = field(default_factory=Foreseen)

    def go(self, number: int, sent: Sequence[Sent], now: datetime, share: float) -> None:
        """Plans step `number` or the next that has something, tries it, and asks `next_step` until it has decided."""
        expires = self.plan.expires
        if expires is not None and now >= NOON + expires:
            return self.end(sent, share)
        while number < len(self.plan.steps) and not (open_ := list(self.openings(number, sent))):
            number += 1
        if number >= len(self.plan.steps):
            return self.end(sent, share)
        for part, slots in open_:
            for outcomes in product(*(self.chances[one.slot].shares.items() for one in slots)):
                odds = share * part
                for _word, one_share in outcomes:
                    odds *= one_share
                tries = [
                    Sent(self.plan.steps[number], slot, word, now)
                    for slot, (word, _share) in zip(slots, outcomes, strict=True)
                ]
                for one in tries:
                    self.found.tried[one.slot.slot] += odds  # type: ignore[assignment]
                    if one.outcome not in ("refused", "dead", "unknown"):
                        self.found.cost += odds * float(PRICES[one.slot.account])
                self.decide(number, [*sent, *tries], now, odds)

    def decide(self, number: int, sent: Sequence[Sent], now: datetime, share: float) -> None:
        while True:
            facts = [one.facts(now) for one in sent]
            decision = next_step(number, facts, self.plan, MessageClass.MARKETING, now)
            if isinstance(decision, Go):
                return self.go(decision.step, sent, now, share)
            if isinstance(decision, Stop):
                return self.end(sent, share)
            assert isinstance(decision, Hold) and decision.until is not None
            now = min(at for one in sent for at in one.moments() if at > now)

    def openings(self, number: int, sent: Sequence[Sent]) -> Iterator[tuple[float, tuple[StepChannel, ...]]]:
        at = self.plan.steps[number]
        used = {one.slot.slot for one in sent if one.step is at}
        dead = {one.slot.address_kind for one in sent if one.outcome == "dead"}
        left = [
            one for one in (at.alternatives(used) if used else at.channels)
            if self.reached[one.slot] == "+" and one.address_kind not in dead
        ]  # fmt: skip
        places = [[one for one in place if one in left] for place in at.places]
        places = [place for place in places if place][: None if at.mode == "all" else 1]
        if places:
            for slots in product(*places):
                part = 1.0
                for place, one in zip(places, slots, strict=True):
                    part *= one.weight / sum(other.weight for other in place)
                yield part, slots

    def end(self, sent: Sequence[Sent], share: float) -> None:
        bits = {one.slot.bit for one in sent}
        self.found.ways[sum(bits)] += share  # type: ignore[assignment]
        self.found.delivered += share * any(one.outcome in ("reached", "late", "unread") for one in sent)


PUSH = step("push", wait=30)
PLANS = {
    "one after another": made(PUSH, step("office", until="read"), step("sms-a"), step("mail", until="accepted")),
    "vendors": made(PUSH, step(VENDORS), step("mail", until="accepted")),
    "all at once": made(step("push", "office", mode="all"), step(VENDORS)),
    "silence is a success": made(step("mail"), step("sms-a", wait=None)),
    "a window for a wait": made(step("sms-a", wait=None), step("sms-b", until="accepted")),
    "over in a minute and a half": made(PUSH, step(VENDORS), step("mail", until="accepted"), expires_seconds=85),
    "unknown goes on": made(PUSH, step(VENDORS), unknown_starts_next=True),
}


@pytest.mark.parametrize("name", PLANS)
def test_the_forecast_takes_the_decisions_of_the_strategy(name: str) -> None:
    plan = PLANS[name]
    slots = plan.channels()
    chances, texts = shares_of(plan), texts_of(plan)
    for reached in ("+" * len(slots), "-" + "+" * (len(slots) - 1)):
        played = Played(plan, reached, chances)
        opening = next(number for number in range(len(plan.steps)) if list(played.openings(number, [])))
        expected = Foreseen()
        for part, taken in played.openings(opening, []):
            marks = "".join("+" if one in taken else "-" for one in slots)
            known = Known(chances, unknown_goes_on=bool(plan.unknown_starts_next))
            expected.add(foresee(plan, f"{opening}|{reached}|{marks}", texts, known), part)
        played.go(0, [], NOON, 1.0)
        about = {"rel": 0.02, "abs": 0.004}  # what is rarer than LEAST is not followed to its end
        assert dict(expected.tried) == pytest.approx(dict(played.found.tried), **about)
        assert routes(plan, expected.ways) == pytest.approx(routes(plan, played.found.ways), **about)
        assert expected.cost == pytest.approx(played.found.cost, **about)
        assert expected.delivered == pytest.approx(played.found.delivered, **about)


def test_nothing_goes_over_the_ceiling_or_without_a_text() -> None:
    plan = made(step("sms-a"), step("sms-b"), step("mail", until="accepted"), ceiling_per_person="0.060")
    chances = {slot: replace(one, shares={"silent": 1.0}) for slot, one in shares_of(plan).items()}
    texts = texts_of(plan)
    found = foresee(plan, "0|+++|+--", texts, Known(chances))
    assert dict(found.tried) == {0: 1.0, 2: 1.0}, "the second message would cost 0.095 in all, the mail 0.046"
    assert found.cost == pytest.approx(0.046)
    refused = {**chances, 0: replace(chances[0], shares={"refused": 1.0})}
    assert dict(foresee(plan, "0|+++|+--", texts, Known(refused)).tried) == {0: 1.0, 1: 1.0, 2: 1.0}, "it cost nothing"
    del texts[0]
    assert dict(foresee(plan, "0|+++|+--", texts, Known(chances)).tried) == {1: 1.0, 2: 1.0}


def test_a_rate_is_assumed_until_enough_was_seen() -> None:
    plan = made(PUSH, step("sms-a"), step("office", until="read", wait=3600), step("mail"))
    push, sms, office, mail = [
        (at, one, assumed(one, at.until, at.wait)) for at in plan.steps for one in at.channels
    ]  # fmt: skip
    assert push[2].expected < sms[2].expected, "a device that is offline tells nothing within half a minute"
    assert assumed(push[1], "delivered", timedelta(days=1)).expected > push[2].expected
    assert office[2].high - office[2].low > 0.5 and mail[2].low >= 0.9
    nothing = chance(*push[:2], {}, WINDOW)
    assert (nothing.rate, nothing.low, nothing.high) == pytest.approx((0.55, 0.30, 0.80))
    assert nothing.is_assumed and sum(nothing.shares.values()) == pytest.approx(1.0)
    seen = chance(*push[:2], {"reached": 700, "late": 30, "silent": 270}, WINDOW)
    assert not seen.is_assumed and (seen.tried, seen.good) == (1000, 700)
    assert seen.rate == pytest.approx(0.7) and 0.66 < seen.low < 0.69 and 0.71 < seen.high < 0.74
    few = chance(*push[:2], {"reached": ENOUGH // 2}, WINDOW)
    assert few.is_assumed and few.rate == pytest.approx((25 + WEIGHT / 2 * 0.55) / (25 + WEIGHT / 2))
    always, never = chance(*push[:2], {"reached": 100}, WINDOW), chance(*push[:2], {"silent": 100}, WINDOW)
    assert (always.rate, never.rate) == (1.0, 0.0) and always.low < 0.99 and never.high > 0.01
    for one in (seen, always, never):
        for rate in (0.0, 0.4, 1.0):
            assert one.at(rate).rate == pytest.approx(rate) and sum(one.at(rate).shares.values()) == pytest.approx(1.0)


def test_what_is_assumed_gives_a_range() -> None:
    plan = made(PUSH, step("sms-a"))
    seen = {0: Counter(reached=7000, silent=3000), 1: Counter(reached=9700, silent=300)}

    def range_of(*learnt: int) -> tuple[float, float]:
        chances = {
            one.slot: chance(at, one, seen[one.slot] if one.slot in learnt else {}, WINDOW)
            for at in plan.steps for one in at.channels
        }  # fmt: skip
        return outlook(plan, [Group("0|++|+-", texts_of(plan), 1000.0)], Known(chances)).range_of("cost")

    low, high = range_of(1)
    assert (low, high) == pytest.approx((9.0, 31.5), rel=0.02), "of a thousand, 20 to 70 of a hundred cost a text"
    low, high = range_of(0, 1)
    assert 13.0 < low < 13.5 < high < 14.0
