"""The tables of legal moves: closed, without traps, and drawn in docs/states.md as they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.campaigns.states import (
    FINAL_MESSAGE,
    MACHINES,
    OPEN_DELIVERY,
    ApprovalState,
    BatchState,
    CampaignState,
    DeliveryState,
    MessageState,
    RecallState,
    may,
    mermaid,
)

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "states.md"
WORDS = {
    "campaign": CampaignState,
    "approval": ApprovalState,
    "message": MessageState,
    "delivery": DeliveryState,
    "batch": BatchState,
    "recall": RecallState,
}
ENDS = {
    "campaign": {"FINISHED", "CANCELLED"},
    "approval": {"REJECTED", "VOID", "EXPIRED"},
    "message": set(FINAL_MESSAGE),
    "delivery": set(DeliveryState) - OPEN_DELIVERY - {"UNKNOWN"},
    "batch": {"DONE"},
    "recall": {"RECALLED", "REFUSED"},
}


@pytest.mark.parametrize("machine", MACHINES)
def test_tables_name_every_state_and_no_other(machine: str) -> None:
    moves = MACHINES[machine]
    assert set(moves) == set(WORDS[machine])
    assert set().union(*moves.values()) <= set(moves)
    assert all(state not in following for state, following in moves.items()), "a move leads somewhere else"


@pytest.mark.parametrize("machine", MACHINES)
def test_every_state_can_end(machine: str) -> None:
    moves, found = MACHINES[machine], set(ENDS[machine])
    while more := {state for state, following in moves.items() if following & found} - found:
        found |= more
    assert found == set(moves)


def test_an_end_is_never_opened_again() -> None:
    for state in FINAL_MESSAGE:
        assert MACHINES["message"][state] <= FINAL_MESSAGE
    for state in ("ACCEPTED", "DELIVERED", "READ", "UNDELIVERED", "CLOSED", "REJECTED", "CANCELLED", "UNKNOWN_FINAL"):
        assert not MACHINES["delivery"][state] & (OPEN_DELIVERY | {"UNKNOWN"}), f"{state} would be sent again"


NEWS = ("ACCEPTED", "CLOSED", "UNDELIVERED", "DELIVERED", "READ", "CLICKED")  # each says more than those before it


@given(st.sampled_from(["message", "delivery"]), st.lists(st.integers(0, 20), max_size=40))
def test_whatever_happens_an_end_is_only_known_better(machine: str, luck: list[int]) -> None:
    state = {"message": "PLANNED", "delivery": "PENDING"}[machine]
    ended = False
    for number in luck:
        following = sorted(MACHINES[machine][state])
        if not following:
            return
        after = following[number % len(following)]
        if machine == "delivery" and state in NEWS:
            assert NEWS.index(after) > NEWS.index(state)
        if machine == "message" and ended:
            assert after in FINAL_MESSAGE and after in ("SUCCEEDED", "FAILED") and state != "SUCCEEDED"
        ended = ended or (machine == "message" and after in FINAL_MESSAGE)
        state = after


def test_only_a_sending_delivery_is_ambiguous() -> None:
    assert may("delivery", "SENDING", "UNKNOWN")
    assert not may("delivery", "PENDING", "UNKNOWN")
    assert not may("delivery", "ACCEPTED", "UNKNOWN")
    assert not may("delivery", "PENDING", "ACCEPTED"), "nothing is accepted without an intent"


@pytest.mark.parametrize("machine", MACHINES)
def test_the_document_shows_the_table(machine: str) -> None:
    drawn = re.findall(r"```mermaid\n(.*?)\n```", DOCUMENT.read_text(encoding="utf-8"), re.S)
    assert mermaid(machine) in drawn
