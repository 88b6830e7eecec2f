"""A replay tells what happened from what is only expected, person by person."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from apps.campaigns.policy import Plan, load
from apps.campaigns.replaying import PersonFacts, Prices, Seen, add, replayed, without_hindsight
from apps.campaigns.scoring import Experience, Weights

PUSH, SMS, HOOK = 1, 2, 3


def plan(*steps: dict[str, Any]) -> Plan:
    slot, made = 0, []
    for step in steps:
        channels = []
        for account in step.pop("accounts"):
            held = {"slot": slot, "kind": "k", "account": str(account), "account_id": account, "address_kind": "a"}
            channels.append({**held, "receipts": "none" if account == HOOK else "push"})
            slot += 1
        made.append({"channels": channels, "mode": "first", "until": "delivered", "wait_seconds": 60, **step})
    return load({"version": 2, "steps": made, "expires_seconds": None})


TWO = plan({"accounts": [PUSH]}, {"accounts": [SMS]})
KNOWN = Prices({0: 0.0, 1: 0.05, 2: 0.0}, {PUSH: Experience(1000, 500), SMS: Experience(1000, 950)})


def facts(seen: dict[int, Seen] | None = None, own: dict[int, Experience] | None = None, *slots: int) -> PersonFacts:
    return PersonFacts(frozenset(slots or (0, 1)), seen or {}, own or {})


def test_what_was_seen_is_observed_to_the_end_of_the_way() -> None:
    found = replayed(TWO, facts({PUSH: Seen(True, 0.0)}), KNOWN, Weights())
    assert (found.source, found.reach, found.cost) == ("observed", 1.0, 0.0), "the message by SMS is never needed"
    found = replayed(TWO, facts({PUSH: Seen(False, 0.0), SMS: Seen(True, 0.09)}), KNOWN, Weights())
    assert (found.source, found.reach, found.cost) == ("observed", 1.0, 0.09)


def test_where_one_outcome_of_the_way_is_not_known_the_person_is_expected() -> None:
    found = replayed(TWO, facts({PUSH: Seen(False, 0.0)}), KNOWN, Weights())
    assert found.source == "assumed" and 0.94 < found.reach < 0.96 and found.cost == 0.05
    own = {PUSH: Experience(10, 10), SMS: Experience(10, 0)}
    found = replayed(TWO, facts(None, own), KNOWN, Weights())
    assert found.source == "history" and found.reach > 0.85 and found.cost < 0.01


def test_nothing_follows_a_step_that_waits_for_acceptance_unless_it_was_refused() -> None:
    taken = plan({"accounts": [PUSH], "until": "accepted"}, {"accounts": [SMS]})
    assert replayed(taken, facts({PUSH: Seen(False, 0.0)}), KNOWN, Weights()).reach == 0.0
    refused = replayed(taken, facts({PUSH: Seen(False, 0.0, True), SMS: Seen(True, 0.05)}), KNOWN, Weights())
    assert (refused.reach, refused.cost) == (1.0, 0.05)
    silent = plan({"accounts": [HOOK]}, {"accounts": [SMS]})
    assert replayed(silent, facts({SMS: Seen(True, 0.05)}), KNOWN, Weights()).source == "assumed"


def test_whom_no_channel_reaches_stands_apart_and_sums_are_kept_by_source() -> None:
    figures: dict[str, dict[str, float]] = {}
    add(figures, replayed(TWO, PersonFacts(frozenset(), {}, {}), KNOWN, Weights()), True, 0.05)
    add(figures, replayed(TWO, facts({PUSH: Seen(True, 0.0)}), KNOWN, Weights()), True, 0.05)
    assert figures["unreachable"]["reach"] == 0 and figures["unreachable"]["actual_reach"] == 1
    assert (figures["observed"]["people"], figures["observed"]["cost"], figures["observed"]["actual_cost"]) == (
        1,
        0,
        0.05,
    )


def test_the_replay_does_not_know_how_it_ended() -> None:
    learned = Experience(3, 1)
    assert without_hindsight(learned, Seen(True, 0.0), 1.0) == Experience(2, 0)
    assert without_hindsight(learned, Seen(False, 0.0), 0.5) == Experience(2.5, 1)
    assert without_hindsight(learned, Seen(None, 0.0), 1.0) == learned


@given(
    st.lists(st.sampled_from([True, False, None]), min_size=2, max_size=2), st.sampled_from(["first", "all", "smart"])
)
def test_reach_is_a_chance_and_cost_never_exceeds_every_channel(seen: list[bool | None], mode: str) -> None:
    both = plan({"accounts": [PUSH, SMS], "mode": mode}, {"accounts": [HOOK]})
    held = {account: Seen(arrived, 0.05) for account, arrived in zip((PUSH, SMS), seen, strict=True)}
    found = replayed(both, facts(held, None, 0, 1, 2), KNOWN, Weights())
    assert 0 <= found.reach <= 1 and 0 <= found.cost <= 0.1
    if True in seen[:1]:
        assert found.reach == 1
