"""The score of a channel: each term in its bounds, evidence outweighs the prior, ties keep the policy's order."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from apps.campaigns.scoring import (
    HALF_LIFE,
    Candidate,
    Experience,
    Weights,
    fade,
    scored,
    typical_seconds,
    weights_of,
    weights_problems,
)

counts = st.floats(0, 500)


@st.composite
def experiences(draw: st.DrawFn) -> Experience:
    tried = draw(counts)
    delivered = tried * draw(st.floats(0, 1))
    timed = delivered * draw(st.floats(0, 1))
    return Experience(tried, delivered, timed, timed * draw(st.floats(0, 11)))


prices = st.integers(0, 500).map(lambda number: number / 1000)
candidates = st.lists(st.tuples(prices, experiences(), experiences()), min_size=1, max_size=6).map(
    lambda held: [Candidate(slot, *one) for slot, one in enumerate(held)]
)
weights = st.builds(
    Weights,
    reach=st.floats(0, 100),
    price=st.floats(0, 100),
    speed=st.floats(0, 100),
    strength=st.floats(0.1, 50),
    class_strength=st.floats(0.1, 50),
    prior_rate=st.floats(0, 1),
    half_seconds=st.floats(0.1, 3600),
)


@settings(deadline=None)
@given(candidates, weights)
def test_every_term_is_between_nothing_and_all_and_the_order_is_total(held: list[Candidate], by: Weights) -> None:
    found = scored(held, by)
    for one in found:
        assert all(-1e-9 <= term <= 1 + 1e-9 for term in (one.rate, one.cheapness, one.quickness, one.score))
    assert found == sorted(found, key=lambda one: (-one.score, one.slot))
    assert found == scored(list(reversed(held)), by)


def test_evidence_outweighs_the_class_and_fades() -> None:
    poor, rich = Experience(), Experience(40, 40)
    of_class = Experience(10_000, 5_000)
    known = scored([Candidate(0, 0, rich, of_class), Candidate(1, 0, poor, of_class)], Weights())
    assert known[0].slot == 0 and known[0].rate > 0.95 and abs(known[1].rate - 0.5) < 0.01
    assert fade(timedelta(0)) == 1 and fade(HALF_LIFE) == 0.5 and fade(2 * HALF_LIFE) == 0.25
    assert fade(timedelta(days=-1)) == 1


def test_price_decides_between_equals_and_reach_against_a_hopeless_cheap_channel() -> None:
    push, sms = Candidate(0, 0.0, Experience(20, 0)), Candidate(1, 0.045, Experience(20, 20))
    assert [one.slot for one in scored([push, sms], Weights())] == [1, 0]
    assert [one.slot for one in scored([Candidate(0, 0.045), Candidate(1, 0.0)], Weights())] == [1, 0]
    assert [one.slot for one in scored([push, sms], weights_of(order="cheapest"))] == [0, 1]
    assert [one.slot for one in scored([sms, push], weights_of(order="fixed"))] == [0, 1]


def test_one_receipt_of_the_day_after_does_not_outweigh_a_hundred_quick_ones() -> None:
    quick = Experience(101, 101, 101, 100 * 1.1 + 11.4)  # a hundred of two seconds, one of a day
    assert typical_seconds(Experience(), quick, Weights()) < 5


def test_weights_lie_over_each_other_and_slips_are_named() -> None:
    by = weights_of({"reach": 1.0, "strength": 9.0}, {"reach": 2}, {"unknown": 3}, order="best_reach")
    assert (by.reach, by.price, by.strength) == (1.0, 0.0, 9.0)
    assert weights_of(None, {"price": 5}).price == 5.0
    found = weights_problems({"reach": -1, "prior_rate": 1.5, "strength": 0, "speeed": 1, "price": True})
    assert sorted(found) == ["price", "prior_rate", "reach", "speeed", "strength"]
