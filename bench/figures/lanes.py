"""otp_under_load: how long an accepted one-time password takes to its provider while the bulk lane is full, and when idle."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from statistics import quantiles

from bench.child import ROOT, run_together
from bench.databases import ask, fresh
from bench.rows import Row
from bench.stage import Stage, Wrong
from ums_site import processes
from ums_site.launcher import Launcher

PER_SECOND = 6.0
WARM_UP = 10  # passwords before the count: every process has imported everything and has its connections
DEADLINE_S = 30.0
UNDER_WAY = (
    "SELECT count(*) FROM campaigns_delivery d JOIN campaigns_campaign c ON c.id = d.campaign_id AND c.lane = 'bulk' {}"
)
MILLISECONDS = 1000.0


def otp_under_load(stage: Stage) -> list[Row]:
    """API, workers and beat as `manage.py up` starts them; accepted to first byte at the provider, p99 and p50."""
    n, people = stage.size(120, 1000), stage.size(300_000, 1_000_000)
    idle = _measured(stage, stage.people(people), n, loaded=False)
    loaded = _measured(stage, stage.campaign(people), n, loaded=True)
    note = f"p99 from the call instead: {idle.whole:.0f} idle, {loaded.whole:.0f} loaded; {PER_SECOND:g} a second"
    return [
        Row("otp_under_load", n, loaded.p99, idle.p99, "ms (p99)", loaded.p99 / idle.p99, 0.0, 3, note, most=True),
        Row("otp_under_load_p50", n, loaded.p50, idle.p50, "ms (p50)", loaded.p50 / idle.p50, 0.0, 3, most=True),
    ]


class _Times:
    """Milliseconds from the API's answer to the provider; `whole`: p99 from the beginning of the call."""

    def __init__(self, calls: list[tuple[str, float, float]], arrived: dict[str, float]) -> None:
        waits = [max(0.0, arrived[number] - accepted) * MILLISECONDS for number, _began, accepted in calls]
        whole = [(arrived[number] - began) * MILLISECONDS for number, began, _accepted in calls]
        self.p50, self.p99 = quantiles(waits, n=100)[49], quantiles(waits, n=100)[98]
        self.whole = quantiles(whole, n=100)[98]


def _measured(stage: Stage, template: str, n: int, loaded: bool) -> _Times:
    with fresh(template) as url, _crew(stage, url) as port:
        first = 2_000 if loaded else 1  # numbers of their own: the sink remembers
        if loaded:
            _wait(lambda: _bulk(url, "WHERE d.state = 'ACCEPTED'") > 0, "the first of the others")
        _passwords(stage, url, port, first, WARM_UP)
        before = _bulk(url, "WHERE d.state = 'ACCEPTED'")
        calls = _passwords(stage, url, port, first + WARM_UP, n)
        if loaded:
            sent, left = _bulk(url, "WHERE d.state = 'ACCEPTED'") - before, _bulk(url, "WHERE d.state = 'PENDING'")
            if not sent or not left:
                raise Wrong(f"the bulk lane was not full: {sent} were sent beside the passwords, {left} were left")
        _wait(lambda: all(number in stage.sink.watched() for number, *_times in calls), "the last password")
        return _Times(calls, stage.sink.watched())


def _passwords(stage: Stage, url: str, port: int, first: int, count: int) -> list[tuple[str, float, float]]:
    words = ("bench.otp_load", str(port), str(first), str(count), str(PER_SECOND))
    _seconds, answers = run_together([stage.child(url, *words)])
    return [(number, began, accepted) for number, began, accepted in answers[0]["calls"]]


@contextmanager
def _crew(stage: Stage, url: str) -> Iterator[int]:
    """The processes of an installation, on this database; the port of the API."""
    port = processes.free_port(18_700)
    found = [processes.web("127.0.0.1", port), *processes.workers({}), processes.beat()]
    with Launcher([replace(one, env=stage.environment(url)) for one in found], cwd=ROOT) as crew:
        crew.wait_ready(60)
        yield port


def _bulk(url: str, which: str) -> int:
    return int(ask(url, UNDER_WAY.format(which))[0])


def _wait(condition: object, what: str) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():  # type: ignore[operator]
        if time.monotonic() > end:
            raise Wrong(f"{what} did not come within {DEADLINE_S:g} s")
        time.sleep(0.05)
