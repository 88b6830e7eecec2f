"""How an account fares, in one word, from its state, its breaker and what became of its last hour. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

GOOD_SHARE = 0.95
POOR_SHARE = 0.80
ENOUGH = 10  # fewer calls say nothing about a share


class Health(StrEnum):
    GOOD = "good"
    POOR = "poor"
    BAD = "bad"
    IDLE = "idle"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class Hour:
    """What was tried in the last hour, and what of it the provider took."""

    tried: int
    taken: int
    failed: int


def share(hour: Hour) -> float | None:
    """The part of what is decided that the provider took; None where nothing is."""
    decided = hour.taken + hour.failed
    return hour.taken / decided if decided else None


def health(active: bool, breaker_open: bool, hour: Hour) -> Health:
    """An open breaker is bad whatever else; few calls are judged only by whether all of them failed."""
    if not active:
        return Health.PAUSED
    if breaker_open:
        return Health.BAD
    part = share(hour)
    if part is None:
        return Health.IDLE
    if hour.taken + hour.failed < ENOUGH:
        return Health.GOOD if part > 0 else Health.POOR
    if part >= GOOD_SHARE:
        return Health.GOOD
    return Health.POOR if part >= POOR_SHARE else Health.BAD
