"""What a scenario is, and what it says of itself when it has ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.chaos.field import Field


@dataclass(slots=True)
class Expected:
    """`bound` is the most deliveries that may stay unknown, `exact` how many must; `problems` what went wrong already."""

    bound: int
    exact: int | None = None
    note: str = ""
    problems: list[str] = field(default_factory=list)

    def hold(self, holds: bool, words: str) -> None:
        """Notes a problem where what must hold does not."""
        if not holds:
            self.problems.append(words)


@dataclass(frozen=True, slots=True)
class Scenario:
    """`profiles` it makes sense for; `alone` where it disturbs others on the same servers; `refusals`: some may fail."""

    run: Callable[[Field], Expected]
    profiles: tuple[str, ...] = ("NONE", "KEYED")
    alone: bool = False
    refusals: bool = False
    share: float = 1.0  # of the usual number of people
