"""One row of the result, and how rounds become a row. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

ROUNDS = 3


@dataclass(slots=True)
class Row:
    """A figure: ours against a limit, a peer, or our own smaller size. `floor` is what `ratio` must keep.

    ratio   median over the rounds of ours / limit of the same round
    spread  (largest - smallest) / median of those ratios
    most    whether the floor is an upper bound (growth, memory)
    """

    name: str
    n: int
    ours: float
    limit: float
    unit: str
    ratio: float
    spread: float
    floor: float
    note: str = ""
    most: bool = False

    @property
    def met(self) -> bool:
        return self.ratio <= self.floor if self.most else self.ratio >= self.floor

    def as_json(self) -> dict[str, Any]:
        """As results.json holds it."""
        shown = {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(self).items()}
        del shown["most"]
        return {**shown, "met": self.met}


Measure = Callable[[], float]


def compare(ours: Measure, limit: Measure, rounds: int = ROUNDS) -> tuple[float, float, float, float]:
    """ours, limit, ratio, spread over interleaved rounds: a slow minute of the machine falls on both sides."""
    pairs = [(ours(), limit()) for _round in range(rounds)]
    ratios = [mine / theirs for mine, theirs in pairs]
    return (median(p[0] for p in pairs), median(p[1] for p in pairs), median(ratios), spread(ratios))


def spread(ratios: Sequence[float]) -> float:
    """How far the rounds lie apart, as a share of their median."""
    return (max(ratios) - min(ratios)) / median(ratios)


def table(rows: Sequence[Row]) -> str:
    """The rows for a terminal."""
    head = ("name", "n", "ours", "limit", "unit", "ratio", "spread", "floor", "met", "note")
    lines = [head, *(_cells(row) for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(head) - 1)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[-1]]) for line in lines
    )


def _cells(row: Row) -> tuple[str, ...]:
    bound = f"{'≤' if row.most else '≥'} {row.floor:g}"
    met = "yes" if row.met else "NO"
    numbers = (f"{row.n:,}", f"{row.ours:,.4g}", f"{row.limit:,.4g}") if row.most else (
        f"{row.n:,}", f"{row.ours:,.0f}", f"{row.limit:,.0f}")  # fmt: skip
    return (row.name, *numbers, row.unit, f"{row.ratio:.2f}", f"{row.spread:.0%}", bound, met, row.note)
