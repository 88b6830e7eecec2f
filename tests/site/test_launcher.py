"""The launcher with real processes: it starts, restarts, explains, and leaves nobody behind."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.waiting import until
from ums_site.launcher import Launcher, LaunchError, Process, python

FOREVER = "import time\nprint('up', flush=True)\ntime.sleep(600)\n"
STUBBORN = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + FOREVER
WITH_CHILD = "import os\nif os.fork() == 0: os.setpgrp()\n" + FOREVER


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def forever(name: str, code: str = FOREVER, stage: int = 0, stop_seconds: float = 15.0) -> Process:
    return Process(name, python("-c", code), settle_seconds=0.1, stage=stage, stop_seconds=stop_seconds)


class Lines:
    """Collects what is emitted."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def __call__(self, name: str, line: str) -> None:
        self.seen.append((name, line))

    def has(self, name: str, part: str) -> Callable[[], bool]:
        return lambda: any(one == name and part in line for one, line in self.seen)


def test_starts_shows_lines_and_stops() -> None:
    lines = Lines()
    with Launcher([forever("a"), forever("b", stage=1)], emit=lines) as launcher:
        launcher.wait_ready(20)
        until(lines.has("a", "up"))
        pids = [launcher.pid("a"), launcher.pid("b")]
        assert all(pid is not None and alive(pid) for pid in pids)
    assert not any(alive(pid) for pid in pids if pid)


def test_starts_again_what_was_killed() -> None:
    lines = Lines()
    with Launcher([forever("a")], emit=lines) as launcher:
        launcher.wait_ready(20)
        first = launcher.pid("a")
        launcher.kill("a", signal.SIGKILL)
        until(lines.has("a", "ended by SIGKILL"))
        second = until(lambda: launcher.pid("a"))
    assert second != first


def test_who_does_not_come_up_is_explained() -> None:
    broken = Process("broken", python("-c", "raise SystemExit('the port is taken')"), settle_seconds=5)
    with Launcher([broken]) as launcher, pytest.raises(LaunchError, match="(?s)broken does not come up.*port is taken"):
        launcher.wait_ready(20)


def test_a_program_that_is_missing_is_explained() -> None:
    with (
        Launcher([Process("none", ["/nowhere/program"])]) as launcher,
        pytest.raises(LaunchError, match="cannot be started"),
    ):
        launcher.wait_ready(20)


@pytest.mark.parametrize("code", [STUBBORN, WITH_CHILD], ids=["ignores SIGTERM", "has a child of another group"])
def test_nobody_is_left_after_stop(code: str) -> None:
    with Launcher([forever("a", code, stop_seconds=0.5)], emit=(lines := Lines())) as launcher:
        until(lines.has("a", "up"))
        members = launcher.members("a")
        assert members
    until(lambda: not any(map(alive, members)))


def test_the_orphan_of_a_killed_process_ends_at_stop() -> None:
    with Launcher([forever("a", WITH_CHILD)], emit=(lines := Lines())) as launcher:
        until(lambda: len(launcher.members("a")) == 2)
        leader = launcher.pid("a")
        orphan = next(pid for pid in launcher.members("a") if pid != leader)
        launcher.kill("a")
        until(lines.has("a", "ended by SIGKILL"))
        assert alive(orphan)
    until(lambda: not alive(orphan))


def test_second_request_does_not_wait() -> None:
    launcher = Launcher([forever("a", STUBBORN, stop_seconds=600)], emit=(lines := Lines()))
    launcher.start()
    until(lines.has("a", "up"))
    pid = launcher.pid("a")
    launcher.ask_to_stop()
    launcher.hasten()
    launcher.stop()
    assert pid is not None and not alive(pid)


def test_children_die_with_a_launcher_that_is_killed(tmp_path: Path) -> None:
    program = f"""
        from pathlib import Path
        from ums_site.launcher import Launcher, Process, python
        launcher = Launcher([Process("a", python("-c", {FOREVER!r}), settle_seconds=0.1)])
        launcher.start()
        launcher.wait_ready()
        note = Path({str(tmp_path)!r}) / "pid"
        note.with_suffix(".draft").write_text(str(launcher.pid("a")))
        note.with_suffix(".draft").rename(note)
        launcher._thread.join()
    """
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], cwd=root) as outer:
        until((tmp_path / "pid").exists)
        child = int((tmp_path / "pid").read_text())
        assert alive(child)
        os.kill(outer.pid, signal.SIGKILL)
    until(lambda: not alive(child))


def test_processes_come_and_go_while_it_runs() -> None:
    lines = Lines()
    with Launcher([forever("a")], emit=lines) as launcher:
        launcher.wait_ready(20)
        launcher.add(forever("b"))
        until(lines.has("b", "up"))
        pid = launcher.pid("b")
        assert pid is not None
        launcher.drop("b")
        launcher.add(forever("b"))  # comes once the old one has gone
        until(lambda: not alive(pid))
        until(lambda: launcher.pid("b") not in (None, pid))
        assert launcher.pid("a") is not None
        second = launcher.pid("b")
        assert second is not None
    assert not alive(second)


def test_who_is_dropped_and_does_not_listen_is_killed() -> None:
    lines = Lines()
    with Launcher([forever("a", STUBBORN, stop_seconds=0.3)], emit=lines) as launcher:
        until(lines.has("a", "up"))
        pid = launcher.pid("a")
        assert pid is not None
        launcher.drop("a")
        until(lambda: not alive(pid))
        until(lines.has("a", "SIGKILL"))
