"""How an account fares is one word that a person would choose, too."""

import pytest

from apps.channels.health import Hour, health, share


@pytest.mark.parametrize(
    ("active", "breaker_open", "taken", "failed", "word"),
    [
        (True, False, 0, 0, "idle"),
        (True, False, 1, 0, "good"),
        (True, False, 1, 8, "good"),  # too few to judge
        (True, False, 0, 3, "poor"),
        (True, False, 95, 5, "good"),
        (True, False, 94, 6, "poor"),
        (True, False, 79, 21, "bad"),
        (True, True, 100, 0, "bad"),
        (False, True, 100, 0, "paused"),
    ],
)
def test_the_word(active: bool, breaker_open: bool, taken: int, failed: int, word: str) -> None:
    assert health(active, breaker_open, Hour(taken + failed, taken, failed)) == word


def test_what_is_undecided_counts_for_nothing() -> None:
    assert share(Hour(100, 30, 10)) == 0.75
    assert share(Hour(100, 0, 0)) is None
