"""The installation of the rehearsal: servers, the simulated world, workers of every lane, web and beat, all as processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from demo.run import Outside
from tests.chaos import ground
from tests.chaos.field import send_signal
from tests.ports import some_port
from ums_site.launcher import Launcher
from ums_site.processes import beat, ready_file, simulator, web, workers

DATABASE = "rehearsal"


def fresh_database() -> None:
    """A migrated database with nobody in it."""
    ground.drop_database(DATABASE)
    ground._maintain(f"CREATE DATABASE {DATABASE}")
    for words in (["manage.py", "migrate", "-v0"], ["manage.py", "beat", "--once"]):
        subprocess.run([sys.executable, *words], cwd=ground.ROOT, env=dict(os.environ), check=True)


class Installation:
    """Set up by `with`; everything it started is gone afterwards. `killed` counts the processes that were killed."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.lines: list[str] = []
        self.killed = 0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        options = ["--world", "believable", "--seed", "1"]
        self._launch([simulator(self.state, options=options)]).wait_ready(30)
        self.outside = Outside.read(ready_file(self.state))
        self.places = json.loads(ready_file(self.state).read_text())
        port = some_port()
        self.web = f"http://127.0.0.1:{port}"
        self.crew = self._launch([web("127.0.0.1", port), *workers({"bulk": 2}), beat()])
        self.crew.wait_ready(90)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _launch(self, processes: list[Any]) -> Launcher:
        return self._stack.enter_context(Launcher(processes, emit=self._emit))

    def _emit(self, name: str, line: str) -> None:
        self.lines.append(f"{name}: {line}")
        with (self.state / "processes.log").open("a", encoding="utf-8") as log:
            log.write(f"{time.time():.2f} {name}: {line}\n")

    def kill_senders(self) -> int:
        """SIGKILL to everything that sends now: the bulk workers and the children they forked. Returns how many."""
        pids = [pid for name in ("bulk", "bulk-2") for pid in self.crew.members(name)]
        got = send_signal(pids, signal.SIGKILL)
        self.killed += got
        return got

    def put(self, path: str, document: object) -> None:
        """Tells the simulated world something."""
        self.outside.put(path, document)

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.outside.http + path, timeout=30) as answer:
            return json.loads(answer.read())

    @property
    def ledger(self) -> Path:
        return self.state / "ledger.jsonl"


def wait(condition: Callable[[], Any], seconds: float, what: str, every: float = 0.3) -> None:
    """Raises RuntimeError where it does not come true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"{what} did not happen within {seconds:g} s")
        time.sleep(every)
