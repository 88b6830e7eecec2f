"""dispatch_http, dispatch_batch, dispatch_smtp: two dispatchers against two bare loops, and against a user's other choice."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable

from bench.child import ROOT, run_together
from bench.databases import ask, fresh
from bench.rows import Row, compare
from bench.stage import WORK, Stage, Wrong, peers_python

ACCEPTED = (
    "SELECT count(*) FROM campaigns_delivery d JOIN campaigns_attempt a ON a.delivery_id = d.id AND a.outcome = 'accepted'"
    " WHERE d.state = 'ACCEPTED' AND d.provider_id <> ''"
)
DISPATCHERS = 2
RECIPIENTS_A_CALL = 1000  # as the account of bench.ours.prepare says
IN_FLIGHT = 200  # calls at once per process, ours and the bare loop's
SESSIONS = 10  # mail connections per process, ours and the bare loop's
PEER_DEADLINE_S = 120


def dispatch_http(stage: Stage) -> list[Row]:
    """Personalised signed POSTs, three commits, sealed addresses, every rule at intent / a bare CurlMulti loop."""
    n = stage.size(30_000, 100_000)
    template = stage.expanded(n)
    weights = _Weights(stage, "call")
    ours, limit, ratio, spread = compare(
        weights.watched("ours", n, lambda: _ours(stage, template, n)),
        weights.watched("limit", n, lambda: _bare(stage, "http_loop", stage.sink.http_port, n, IN_FLIGHT)),
    )
    return [Row("dispatch_http", n, ours, limit, "messages/s", ratio, spread, 0.20, weights.note())]


def dispatch_http_peer(stage: Stage) -> list[Row]:
    """The same / Celery with a task per message, the ORM and requests."""
    n, theirs = stage.size(30_000, 100_000), stage.size(1_500, 10_000)
    template, peers = stage.expanded(n), stage.peers(theirs)
    ours, limit, ratio, spread = compare(lambda: _ours(stage, template, n), lambda: _celery(stage, peers, theirs))
    note = f"Celery, two processes, {theirs:,} messages"
    return [Row("dispatch_http_peer", n, ours, limit, "messages/s", ratio, spread, 25, note)]


def dispatch_batch(stage: Stage) -> list[Row]:
    """Signed POSTs of equal content with 1000 numbers each / the same calls and one UPDATE of 1000 rows behind each."""
    n = stage.size(60_000, 500_000)
    template = stage.expanded(n, "many")
    weights = _Weights(stage, "phone", "call_bytes")
    ours, limit, ratio, spread = compare(
        weights.watched("ours", n, lambda: _ours(stage, template, n)),
        weights.watched("limit", n, lambda: _bare_batches(stage, template, n)),
    )
    note = f"{weights.note()}, {weights.calls['ours']} / {weights.calls['limit']} calls"
    return [Row("dispatch_batch", n, ours, limit, "messages/s", ratio, spread, 0.40, note)]


def dispatch_smtp(stage: Stage) -> list[Row]:
    """Personalised text and HTML mails / a bare pipelining loop with mails made before."""
    n = stage.size(30_000, 100_000)
    template = stage.expanded(n, "mail")
    weights = _Weights(stage, "mail")
    ours, limit, ratio, spread = compare(
        weights.watched("ours", n, lambda: _ours(stage, template, n)),
        weights.watched("limit", n, lambda: _bare(stage, "smtp_loop", stage.sink.smtp_port, n, SESSIONS)),
    )
    return [Row("dispatch_smtp", n, ours, limit, "messages/s", ratio, spread, 0.15, weights.note())]


def dispatch_smtp_peer(stage: Stage) -> list[Row]:
    """The same / django-post-office with two processes."""
    n, theirs = stage.size(30_000, 100_000), stage.size(4_000, 20_000)
    template, peers = stage.expanded(n, "mail"), stage.peers(10)
    ours, limit, ratio, spread = compare(lambda: _ours(stage, template, n), lambda: _post_office(stage, peers, theirs))
    note = f"django-post-office, two processes, {theirs:,} mails"
    return [Row("dispatch_smtp_peer", n, ours, limit, "messages/s", ratio, spread, 8, note)]


def _ours(stage: Stage, template: str, n: int) -> float:
    return stage.rate_of(template, n, ACCEPTED, WORK, "dispatch", processes=DISPATCHERS)


def _bare(stage: Stage, loop: str, port: int, n: int, width: int) -> float:
    half = n // DISPATCHERS
    words = [f"bench.bare.{loop}", str(port)]
    children = [
        stage.child("postgres://nobody@/none", *words, str(part * half), str(half), str(width))
        for part in range(DISPATCHERS)
    ]
    seconds, answers = run_together(children)
    if any(answer.get("refused") or answer.get("accepted", half) != half for answer in answers):
        raise Wrong(f"the bare loop was refused: {answers}")
    stage.cpu_us = sum(answer["cpu_s"] for answer in answers) / n * 1e6
    return n / seconds


def _bare_batches(stage: Stage, template: str, n: int) -> float:
    """Two processes, each with half of the rows, which it has read before the clock starts."""
    half = n // DISPATCHERS
    words = ["bench.bare.batch_loop", str(stage.sink.http_port)]
    with fresh(template) as url:
        parts = [(str(part * half), str(half), str(RECIPIENTS_A_CALL)) for part in range(DISPATCHERS)]
        seconds, answers = run_together([stage.child(url, *words, *part) for part in parts])
        stage.prove(url, "SELECT count(*) FROM campaigns_delivery WHERE state = 'ACCEPTED' AND provider_id <> ''", n)
    stage.cpu_us = sum(answer["cpu_s"] for answer in answers) / n * 1e6
    return n / seconds


class _Weights:
    """Bytes on the wire (as the sink counted them) and CPU a message, ours and the limit's."""

    def __init__(self, stage: Stage, what: str, size: str = "") -> None:
        self.stage, self.what, self.size = stage, what, size or f"{what}_bytes"
        self.bytes_each: dict[str, float] = {}
        self.calls: dict[str, int] = {}
        self.cpu_us: dict[str, float] = {}

    def watched(self, side: str, n: int, measure: Callable[[], float]) -> Callable[[], float]:
        def watched() -> float:
            before = self.stage.sink.count()
            rate = measure()
            self.cpu_us[side] = self.stage.cpu_us
            after = self.stage.sink.count()
            arrived = after[f"{self.what}s"] - before[f"{self.what}s"]
            if arrived != n:
                raise Wrong(f"the sink counted {arrived} {self.what}s, not {n}")
            self.bytes_each[side] = (after[self.size] - before[self.size]) / n
            self.calls[side] = after["calls"] - before["calls"]
            return rate

        return watched

    def note(self) -> str:
        size = f"{self.bytes_each['ours']:.0f} / {self.bytes_each['limit']:.0f} bytes"
        return f"{size}, {self.cpu_us['ours']:.0f} / {self.cpu_us['limit']:.0f} µs CPU each, Postgres not counted"


def _celery(stage: Stage, template: str, n: int) -> float:
    with fresh(template) as url:
        run_together([stage.peer(url, "enqueue")])
        command = [
            peers_python(),
            "-m",
            "celery",
            "-A",
            "bench.peers.celery_app",
            "worker",
            "--concurrency=2",
            "-Q",
            "bench",
        ]
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "-O", "fair", "--loglevel=ERROR"]
        worker = subprocess.Popen(
            [*command, *quiet],
            cwd=ROOT,
            env={**os.environ, **stage.environment(url), "C_FORCE_ROOT": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait_for(url, "SELECT count(*) FROM peers_message WHERE state = 'ACCEPTED'", n)
        finally:
            worker.terminate()
            worker.wait(30)
        seconds = ask(url, "SELECT extract(epoch FROM max(sent_at) - min(sent_at))::float FROM peers_message")[0]
    return float(n / seconds)


def _wait_for(url: str, question: str, n: int) -> None:
    end = time.monotonic() + PEER_DEADLINE_S
    while (found := ask(url, question)[0]) < n:
        if time.monotonic() > end:
            raise Wrong(f"the peer sent {found} of {n} in {PEER_DEADLINE_S} s")
        time.sleep(0.2)


def _post_office(stage: Stage, template: str, n: int) -> float:
    with fresh(template) as url:
        run_together([stage.peer(url, "mails", str(n))])
        seconds, _answers = run_together([stage.peer(url, "send_mails")])
        stage.prove(url, "SELECT count(*) FROM post_office_email WHERE status = 0", n)
    return n / seconds
