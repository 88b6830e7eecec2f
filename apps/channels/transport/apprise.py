"""Apprise out: messages handed to a few worker processes, each with a hard wall-clock cap, at whose end it is killed."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from apps.channels.contract import AppriseAnswer, AppriseRequest, TransportFault
from apps.channels.transport.egress import PUBLIC, REFUSED, WORDS, Egress

ROOT = Path(__file__).resolve().parents[3]
MOST_WORKERS = 4
START_S = 30.0
ROUND_S = 0.2
NOT_STARTED = TransportFault(False, "not_started", "The call was not begun in time.")
NOT_PERMITTED = TransportFault(False, REFUSED, WORDS, refused=True)
TIMEOUT = TransportFault(True, "timeout", "Apprise did not finish within the time allowed.")
LOST = TransportFault(True, "worker_lost", "The process that ran Apprise ended in the middle of a message.")
NO_WORKER = TransportFault(False, "no_worker", "The process that runs Apprise does not start.")
Done = tuple[object, AppriseAnswer | TransportFault]
Waiting = tuple[object, AppriseRequest, float | None]


@dataclass(slots=True, eq=False)
class _Worker:
    """One process. `ends_at` (monotonic) is when it is killed: while it starts and while it has a message."""

    process: subprocess.Popen[bytes]
    ends_at: float | None
    ready: bool = False
    busy: bool = False
    tag: object = None


class AppriseClient:
    """Sends up to `workers` messages at once.

    timeout_s   wall clock of one message in seconds, then its process is killed and the outcome unknown
    egress      where its sockets may go
    """

    def __init__(self, workers: int = MOST_WORKERS, timeout_s: float = 10.0, egress: Egress = PUBLIC) -> None:
        self._most = max(1, min(workers, MOST_WORKERS))
        self._timeout_s = timeout_s
        self._allow = json.dumps([str(one) for one in egress.allow])
        self._waiting: deque[Waiting] = deque()
        self._workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()
        self._failed_starts = 0

    @property
    def in_flight(self) -> int:
        """Messages taken and not yet given back."""
        return len(self._waiting) + sum(one.busy for one in self._workers)

    def start(self, tag: object, request: AppriseRequest, start_by: float | None = None) -> None:
        """Takes a message; `poll` gives it back with `tag`. Not begun by `start_by` (CLOCK_BOOTTIME, s), it never is."""
        self._waiting.append((tag, request, start_by))

    def call_off(self) -> None:
        """What still waits for a worker is not begun any more: `poll` gives it back so."""
        self._waiting = deque((tag, request, 0.0) for tag, request, _start_by in self._waiting)

    def poll(self, timeout_s: float) -> list[Done]:
        """Drives all messages; returns what is finished, at once if something is, else within `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        done: list[Done] = []
        while True:
            self._begin(done)
            left = deadline - time.monotonic()
            if not done and self.in_flight and left > 0:
                self._listen(min(left, ROUND_S), done)
            self._end_the_late(done)
            if done or not self.in_flight or left <= 0:
                return done

    def close(self) -> None:
        """Ends the processes, whatever they are at."""
        for worker in list(self._workers):
            self._end(worker)
        self._waiting.clear()
        self._selector.close()

    def _begin(self, done: list[Done]) -> None:
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        for _turn in range(len(self._waiting)):
            tag, request, start_by = self._waiting.popleft()
            if start_by is not None and now >= start_by:
                done.append((tag, NOT_STARTED))
            elif self._failed_starts >= self._most:
                done.append((tag, NO_WORKER))
            elif not self._given(tag, request):
                self._waiting.append((tag, request, start_by))
        if not self._waiting:
            self._failed_starts = 0

    def _given(self, tag: object, request: AppriseRequest) -> bool:
        """Hands the message to a worker that is free; starts another one where there is none and may be one."""
        free = next((one for one in self._workers if one.ready and not one.busy), None)
        if free is None:
            starting = sum(not one.ready for one in self._workers)
            if len(self._workers) < self._most and starting < len(self._waiting) + 1:
                self._spawn()
            return False
        line = json.dumps({"url": request.url, "title": request.title, "body": request.body})
        free.busy, free.tag, free.ends_at = True, tag, time.monotonic() + self._timeout_s
        assert free.process.stdin is not None
        try:
            free.process.stdin.write(line.encode() + b"\n")
            free.process.stdin.flush()
        except OSError:
            free.busy = False
            self._end(free)
            return False
        return True

    def _spawn(self) -> None:
        environment = {"PATH": os.defpath, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "HOME": "/nonexistent"}
        process = subprocess.Popen(
            [sys.executable, "-m", "apps.channels.transport.apprise_worker", self._allow],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd="/",
        )
        worker = _Worker(process, time.monotonic() + START_S)
        assert process.stdout is not None
        self._selector.register(process.stdout, selectors.EVENT_READ, worker)
        self._workers.append(worker)

    def _listen(self, seconds: float, done: list[Done]) -> None:
        for key, _events in self._selector.select(seconds):
            worker: _Worker = key.data
            assert worker.process.stdout is not None
            said = worker.process.stdout.readline().decode().strip()
            if not said:
                self._gone(worker, LOST, done)
            elif not worker.ready:
                worker.ready, worker.ends_at, self._failed_starts = True, None, 0
            else:
                done.append((worker.tag, NOT_PERMITTED if said == "forbidden" else AppriseAnswer(said)))
                worker.busy, worker.tag, worker.ends_at = False, None, None

    def _end_the_late(self, done: list[Done]) -> None:
        now = time.monotonic()
        for worker in [one for one in self._workers if one.ends_at is not None and one.ends_at <= now]:
            self._gone(worker, TIMEOUT, done)

    def _gone(self, worker: _Worker, fault: TransportFault, done: list[Done]) -> None:
        if worker.busy:
            done.append((worker.tag, fault))
        elif not worker.ready:
            self._failed_starts += 1
        self._end(worker)

    def _end(self, worker: _Worker) -> None:
        process = worker.process
        assert process.stdin is not None and process.stdout is not None
        self._workers.remove(worker)
        self._selector.unregister(process.stdout)
        process.kill()
        process.wait()
        process.stdout.close()
        with suppress(OSError):  # it was written to after its end
            process.stdin.close()
