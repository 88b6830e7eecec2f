"""Runs a set of processes as one: starts them, shows their lines, starts again what dies, stops all in order.

Used by `manage.py up`, by the demo and by tests that kill things. One thread does everything; children belong to it and
get SIGTERM from the kernel when it dies (PR_SET_PDEATHSIG), so that none is left behind even after kill -9.
"""

import ctypes
import os
import secrets
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Self

PR_SET_PDEATHSIG = 1
TICK_SECONDS = 0.05
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
STEADY_SECONDS = 30.0  # who lived that long starts again without a pause to speak of
KEPT_LINES = 20
HOPELESS = 3  # deaths before a process was ready once

_libc = ctypes.CDLL(None, use_errno=True)


class LaunchError(Exception):
    """A process does not come up; the text carries its last lines."""


@dataclass(frozen=True, slots=True)
class Process:
    """One program to keep running. `stage`: lower ones start first and stop last; `stop_seconds` it has to end itself.

    `ready` says whether it serves; without one it counts as ready when it has lived for `settle_seconds`.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    ready: Callable[[], bool] | None = None
    settle_seconds: float = 3.0
    stage: int = 0
    stop_seconds: float = 15.0
    restart: bool = True
    nice: int = 0  # added to the launcher's own: who has more waits where the machine is busy


@dataclass(slots=True)
class _Run:
    """What the launcher knows about one process now."""

    process: Process
    child: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    due_at: float = 0.0
    pause: float = FIRST_PAUSE
    deaths: int = 0
    was_ready: bool = False
    rest: bytes = b""
    sessions: set[int] = field(default_factory=set)
    dropped_at: float = 0.0
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))


Emit = Callable[[str, str], None]


class Launcher:
    """Keeps processes running from `start` to `stop`; also a context manager. `emit(name, line)` gets every line."""

    def __init__(self, processes: Sequence[Process], emit: Emit | None = None, cwd: Path | None = None) -> None:
        self._runs = {process.name: _Run(process) for process in processes}
        self._emit = emit or (lambda _name, _line: None)
        self._cwd = cwd or Path.cwd()
        self._coming: list[Process] = []
        self._asked: list[str] = []
        self._selector = selectors.DefaultSelector()
        self._lock = threading.RLock()
        self._mark = f"UMS_LAUNCHER={os.getpid()}-{secrets.token_hex(8)}"
        self._stopping = threading.Event()
        self._hasty = threading.Event()
        self._thread = threading.Thread(target=self._work, name="launcher", daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start everything, lower stages first; returns at once."""
        self._thread.start()

    def add(self, process: Process) -> None:
        """Keep one more process running; its stage counts at the end. Its name must be free, or be leaving."""
        with self._lock:
            self._coming.append(process)

    def drop(self, name: str) -> None:
        """End one process and forget it; returns at once."""
        with self._lock:
            self._coming = [one for one in self._coming if one.name != name]
            if name in self._runs:
                self._runs[name].dropped_at = time.monotonic()
                self._asked.append(name)

    def wait_ready(self, seconds: float = 60.0) -> None:
        """Wait until every process is ready. Raises LaunchError with the last lines of the one that is not."""
        deadline = time.monotonic() + seconds
        for run in self._runs.values():
            while not self._is_ready(run):
                if run.deaths >= HOPELESS or time.monotonic() > deadline:
                    raise LaunchError(self._explain(run))
                if self._stopping.wait(TICK_SECONDS):
                    raise LaunchError(f"{run.process.name} was stopped before it was ready.")
            run.was_ready = True

    def stop(self) -> None:
        """Stop stage by stage, highest first: SIGTERM, the time each is given, then SIGKILL to all it started."""
        self.ask_to_stop()
        if self._thread.is_alive():
            self._thread.join()

    def ask_to_stop(self) -> None:
        """Begin to stop and return at once; `stop` waits for the end. Safe in a signal handler."""
        self._stopping.set()

    def hasten(self) -> None:
        """Do not wait any longer: what still runs is killed."""
        self._stopping.set()
        self._hasty.set()

    def pid(self, name: str) -> int | None:
        """The process id, None while it does not run."""
        with self._lock:
            run = self._runs.get(name)
            child = run.child if run is not None else None
            return child.pid if child is not None and child.poll() is None else None

    def members(self, name: str) -> list[int]:
        """The process and everything it started that still lives."""
        with self._lock:
            sessions = set(self._runs[name].sessions)
        return _members(sessions, self._mark)

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """Send a signal to the process itself. Raises LaunchError when it does not run."""
        pid = self.pid(name)
        if pid is None:
            raise LaunchError(f"{name} does not run.")
        os.kill(pid, number)

    def _is_ready(self, run: _Run) -> bool:
        if self.pid(run.process.name) is None:
            return False
        if run.process.ready is not None:
            return run.process.ready()
        return time.monotonic() - run.started_at >= run.process.settle_seconds

    def _explain(self, run: _Run) -> str:
        with self._lock:
            last = "\n".join(f"    {line}" for line in run.lines) or "    (it wrote nothing)"
        return f"{run.process.name} does not come up. Its last lines:\n{last}"

    # the thread -------------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        for run in sorted(self._runs.values(), key=lambda one: one.process.stage):
            self._spawn(run)
        while not self._stopping.is_set():
            self._tick()
        for stage in sorted({run.process.stage for run in self._runs.values()}, reverse=True):
            self._stop_stage([run for run in self._runs.values() if run.process.stage == stage])
        self._selector.close()

    def _tick(self) -> None:
        self._read_lines()
        self._change_staff()
        for run in self._runs.values():
            if run.child is not None and run.child.poll() is not None:
                self._bury(run)
                if run.process.restart and not run.dropped_at:
                    self._plan_restart(run)
            elif run.child is None and 0 < run.due_at <= time.monotonic():
                self._spawn(run)

    def _change_staff(self) -> None:
        """Takes in who was added and sees off who was dropped."""
        with self._lock:
            asked, self._asked = self._asked, []
            for name in asked:
                child = self._runs[name].child
                if child is not None:
                    _send(child.pid, signal.SIGTERM)
            leaving = [one for one in self._runs.values() if one.dropped_at]
            for run in leaving:
                if run.child is None or time.monotonic() - run.dropped_at > run.process.stop_seconds:
                    self._kill_members(run)
            coming = [one for one in self._coming if one.name not in self._runs]
            self._coming = [one for one in self._coming if one.name in self._runs]
            runs = {one.name: _Run(one) for one in coming}
            gone = {one.process.name for one in leaving if one.child is None}
            self._runs = {**{name: run for name, run in self._runs.items() if name not in gone}, **runs}
        for run in runs.values():
            self._spawn(run)

    def _spawn(self, run: _Run) -> None:
        parent = os.getpid()
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", **run.process.env}
        name, _, value = self._mark.partition("=")
        environment[name] = value
        with self._lock:
            run.started_at, run.due_at = time.monotonic(), 0.0
            try:
                run.child = subprocess.Popen(
                    list(run.process.argv),
                    env=environment,
                    cwd=self._cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C at the terminal reaches the launcher alone
                    preexec_fn=lambda: _die_with(parent, run.process.nice),
                )
            except OSError as error:
                run.deaths += 1
                self._say(run, f"cannot be started: {error}")
                self._plan_restart(run)
                return
            run.sessions.add(run.child.pid)
        assert run.child.stdout is not None
        os.set_blocking(run.child.stdout.fileno(), False)
        self._selector.register(run.child.stdout, selectors.EVENT_READ, run)

    def _read_lines(self, seconds: float = TICK_SECONDS) -> None:
        if not self._selector.get_map():
            time.sleep(seconds)
            return
        for key, _events in self._selector.select(seconds):
            self._read(key.data, key.fileobj)  # type: ignore[arg-type]

    def _read(self, run: _Run, pipe: IO[bytes]) -> None:
        chunk = pipe.read(65536)
        if not chunk:
            if chunk == b"":
                self._selector.unregister(pipe)
                pipe.close()
            return
        *lines, run.rest = (run.rest + chunk).split(b"\n")
        for line in lines:
            self._say(run, line.decode("utf-8", "replace").rstrip())

    def _say(self, run: _Run, line: str) -> None:
        with self._lock:
            run.lines.append(line)
        self._emit(run.process.name, line)

    def _bury(self, run: _Run) -> None:
        """The process ended: read what it left, end what it started, and say so."""
        child = run.child
        assert child is not None and child.stdout is not None
        if not child.stdout.closed:
            self._read(run, child.stdout)
        if not child.stdout.closed:
            self._selector.unregister(child.stdout)
            child.stdout.close()
        if run.rest:
            self._say(run, run.rest.decode("utf-8", "replace"))
            run.rest = b""
        if self._stopping.is_set():
            self._kill_members(run)
        else:
            self._say(run, f"ended {_ending(child.returncode)}")
        with self._lock:
            run.child = None
            run.deaths += 0 if run.was_ready else 1

    def _plan_restart(self, run: _Run) -> None:
        if time.monotonic() - run.started_at > STEADY_SECONDS:
            run.pause = FIRST_PAUSE
        run.due_at = time.monotonic() + run.pause
        self._say(run, f"starts again in {run.pause:g} s")
        run.pause = min(run.pause * 2, LONGEST_PAUSE)

    def _stop_stage(self, runs: Sequence[_Run]) -> None:
        living = [run for run in runs if run.child is not None]
        for run in living:
            assert run.child is not None
            _send(run.child.pid, signal.SIGTERM)
        asked_at = time.monotonic()
        while living:
            self._read_lines()
            for run in list(living):
                assert run.child is not None
                if run.child.poll() is not None:
                    self._bury(run)
                    living.remove(run)
                elif self._hasty.is_set() or time.monotonic() - asked_at > run.process.stop_seconds:
                    self._kill_members(run)
        for run in runs:  # children of processes that had died before
            self._kill_members(run)

    def _kill_members(self, run: _Run) -> None:
        for pid in _members(run.sessions, self._mark):
            _send(pid, signal.SIGKILL)


def _members(sessions: set[int], mark: str) -> list[int]:
    """Living processes of these sessions. A worker's forked child leaves its process group, but not its session.

    The mark in the environment tells them from a stranger who got the number of a session that is over.
    """
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            fields = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            if int(fields[3]) in sessions and fields[0] != "Z" and mark.encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def prefixed(stream: IO[str], colours: bool) -> Emit:
    """An `emit` that writes lines behind the name of their process, each name in its own colour on a terminal."""
    shades: dict[str, int] = {}

    def emit(name: str, line: str) -> None:
        shade = shades.setdefault(name, 31 + (len(shades) + 1) % 6)
        label = f"\033[{shade}m{name:>14}\033[0m" if colours else f"{name:>14}"
        stream.write(f"{label} | {line}\n")
        stream.flush()

    return emit


def _die_with(parent: int, nice: int) -> None:
    """Runs in the child before it becomes the program: the kernel ends it when the launcher is gone."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if nice:
        os.nice(nice)
    if os.getppid() != parent:
        os._exit(1)


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _ending(code: int) -> str:
    return f"by {signal.Signals(-code).name}" if code < 0 else f"with code {code}"


def python(*arguments: str) -> list[str]:
    """The command line that runs our interpreter."""
    return [sys.executable, *arguments]
