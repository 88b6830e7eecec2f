"""Runs the figures asked for, prints the table, keeps the results."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from bench import sink
from bench.child import ROOT, ChildFailed
from bench.databases import var_folder
from bench.figures import api, dispatch, growth, lanes, tables
from bench.rows import Row, table
from bench.stage import Stage, Wrong

RESULTS = ROOT / "bench" / "results.json"
FIGURES: dict[str, Callable[[Stage], list[Row]]] = {
    figure.__name__: figure
    for figure in (
        tables.expand_plan,
        dispatch.dispatch_http,
        dispatch.dispatch_http_peer,
        dispatch.dispatch_batch,
        dispatch.dispatch_smtp,
        dispatch.dispatch_smtp_peer,
        tables.receipts,
        tables.import_csv,
        tables.import_csv_peer,
        api.api_single,
        api.api_batch,
        lanes.otp_under_load,
        growth.growth,
        growth.memory,
    )
}


def run(names: Sequence[str], full: bool) -> int:
    """Measures; the exit code is 0 where every figure could be measured, floors met or not (the table says which)."""
    unknown = sorted(set(names) - set(FIGURES))
    if unknown:
        print(f"No such figure: {', '.join(unknown)}. There are {', '.join(FIGURES)}.", file=sys.stderr)
        return 2
    try:
        (var_folder() / "static").mkdir(parents=True, exist_ok=True)  # gunicorn would warn that it is not there
        with _alone(), sink.running(var_folder()) as far_end:
            stage = Stage(far_end, full)
            stage.templates.drop_all()
            try:
                return _measure(stage, names or list(FIGURES))
            finally:
                stage.templates.drop_all()
    except sink.NoCompiler as missing:
        print(missing, file=sys.stderr)
        return 2


@contextmanager
def _alone() -> Iterator[None]:
    """Two benches at once would drop each other's databases, and measure each other: the second one waits."""
    with (var_folder() / "bench.lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _measure(stage: Stage, names: Sequence[str]) -> int:
    began = time.monotonic()
    rows: list[Row] = []
    failed = []
    for name in names:
        print(f"{name} …", end=" ", flush=True, file=sys.stderr)
        started = time.monotonic()
        try:
            rows += FIGURES[name](stage)
            _keep(rows)  # at once: a long run that is broken off has its finished figures
            print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)
        except (Wrong, ChildFailed, subprocess.SubprocessError) as fault:
            failed.append(name)
            print(f"not measured: {fault}", file=sys.stderr)
    print(table(rows))
    print(f"{len(rows)} rows in {time.monotonic() - began:.0f} s; rates are medians of interleaved rounds.")
    return 1 if failed else 0


def _keep(rows: Sequence[Row]) -> None:
    """results.json has the newest row of every figure: a run of one figure leaves the others as they were."""
    held = (
        {row["name"] + str(row["n"]): row for row in json.loads(RESULTS.read_text("utf-8"))} if RESULTS.exists() else {}
    )
    names = {row.name for row in rows}
    kept = [row for row in held.values() if row["name"] not in names] + [row.as_json() for row in rows]
    RESULTS.write_text(json.dumps(kept, ensure_ascii=False, indent=1) + "\n", "utf-8")
