"""growth and memory: the cost of one message, and the most memory of a process, small against large."""

from __future__ import annotations

from statistics import median

from bench.child import run_together
from bench.databases import fresh, var_folder
from bench.figures.dispatch import ACCEPTED, DISPATCHERS
from bench.figures.tables import BINDINGS, DELIVERIES
from bench.people import write_csv
from bench.rows import ROUNDS, Row, spread
from bench.stage import WORK, Stage

SMALL = 10_000
EXPECTED = 1.2


def growth(stage: Stage) -> list[Row]:
    """Microseconds a message at 10k and at the larger sizes, for expand and for dispatch with two processes."""
    larger = [100_000, 1_000_000] if stage.full else [100_000]
    rows = []
    for n in larger:
        rows.append(_grown(stage, "growth_expand", n, stage.campaign, DELIVERIES, "expand", 1))
        rows.append(_grown(stage, "growth_dispatch", n, stage.expanded, ACCEPTED, "dispatch", DISPATCHERS))
    return rows


def _grown(stage: Stage, name: str, n: int, template: object, proof: str, work: str, processes: int) -> Row:
    assert callable(template)
    small, large = template(SMALL), template(n)

    def cost(of: str, count: int) -> float:
        return 1e6 / stage.rate_of(of, count, proof, WORK, work, processes=processes)

    pairs = [(cost(large, n), cost(small, SMALL)) for _round in range(ROUNDS)]
    ratios = [big / little for big, little in pairs]
    big, little = (median(pair[side] for pair in pairs) for side in (0, 1))
    return Row(
        name, n, big, little, "µs/message", median(ratios), spread(ratios), EXPECTED, f"against {SMALL:,}", most=True
    )


def memory(stage: Stage) -> list[Row]:
    """The most resident memory of a dispatcher and of the importer at 10k and 200k (1M in full)."""
    n = stage.size(200_000, 1_000_000)
    dispatcher = [_dispatcher(stage, count) for count in (n, SMALL)]
    importer = [_importer(stage, count) for count in (n, SMALL)]
    return [_row("memory_dispatcher", n, dispatcher), _row("memory_importer", n, importer)]


def _row(name: str, n: int, peaks: list[float]) -> Row:
    large, small = peaks
    return Row(
        name, n, large, small, "MB peak", large / small, 0.0, EXPECTED, f"against {SMALL:,}; one round", most=True
    )


def _dispatcher(stage: Stage, n: int) -> float:
    with fresh(stage.expanded(n)) as url:
        _seconds, answers = run_together([stage.child(url, WORK, "dispatch") for _number in range(DISPATCHERS)])
        stage.prove(url, ACCEPTED, n)
    return max(answer["peak_mb"] for answer in answers)


def _importer(stage: Stage, n: int) -> float:
    path = write_csv(var_folder() / f"people-{n}.csv", n)
    with fresh(stage.world()) as url:
        _seconds, answers = run_together([stage.child(url, WORK, "imported", str(path))])
        stage.prove(url, BINDINGS, n)
    path.unlink()
    return float(answers[0]["peak_mb"])
