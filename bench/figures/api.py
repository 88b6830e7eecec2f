"""api_single, api_batch: what gunicorn with two workers accepts, against a bare view that does one INSERT."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.child import ROOT, run_together
from bench.databases import ask, fresh
from bench.load import PEOPLE
from bench.rows import Row, compare
from bench.stage import Stage, Wrong

OURS, BARE = "ums_site.wsgi:application", "bench.bare.drf_view:application"
MESSAGES = "SELECT count(*) FROM campaigns_message"
ITEMS = 1000  # messages in one call of api_batch
WARM_UP = 10  # calls before the count: both workers have imported everything
START_S = 30


def api_single(stage: Stage) -> list[Row]:
    """One message a call / a bare DRF view with one INSERT."""
    n = stage.size(800, 20_000)
    template = stage.people(PEOPLE)
    ours, limit, ratio, spread = compare(
        lambda: _rate(stage, template, OURS, "single", n), lambda: _rate(stage, template, BARE, "single", n)
    )
    return [Row("api_single", n, ours, limit, "messages/s", ratio, spread, 0.4, "gunicorn, two workers")]


def api_batch(stage: Stage) -> list[Row]:
    """A thousand messages a call / the same bytes in one INSERT."""
    calls = stage.size(24, 200)
    template = stage.people(PEOPLE)
    ours, limit, ratio, spread = compare(
        lambda: _rate(stage, template, OURS, "batch", calls), lambda: _rate(stage, template, BARE, "batch", calls)
    )
    return [Row("api_batch", calls * ITEMS, ours, limit, "messages/s", ratio, spread, 0.4, f"{ITEMS} a call")]


def _rate(stage: Stage, template: str, application: str, what: str, calls: int) -> float:
    each = ITEMS if what == "batch" else 1
    with fresh(template) as url, _serving(stage, url, application) as port:
        warm = stage.child(url, "bench.load", str(port), what, str(WARM_UP), "2", "warm")
        run_together([warm])
        before = _count(url)
        load = stage.child(url, "bench.load", str(port), what, str(calls), str(ITEMS), "measured")
        seconds, answers = run_together([load])
        if answers[0]["statuses"] != {"202": calls}:
            raise Wrong(f"the API answered {answers[0]['statuses']}")
        stage.prove(url, MESSAGES, before + calls * each)
    return calls * each / seconds


def _count(url: str) -> int:
    return int(ask(url, MESSAGES)[0])


@contextmanager
def _serving(stage: Stage, url: str, application: str) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "--workers", "2", "--bind", f"127.0.0.1:{port}", application]
    server = subprocess.Popen(
        [*command, "--log-level", "error", "--no-control-socket"],
        cwd=ROOT,
        env={**os.environ, **stage.environment(url)},
    )
    try:
        _wait_for(port)
        yield port
    finally:
        server.terminate()
        server.wait(30)


def _wait_for(port: int) -> None:
    end = time.monotonic() + START_S
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if time.monotonic() > end:
            raise Wrong("gunicorn did not start")
        time.sleep(0.05)
