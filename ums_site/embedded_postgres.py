"""Postgres of the one-machine installation: programs out of a wheel, one data folder, a unix socket, no TCP."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from ums_site import detached
from ums_site.embedded_configuration import write_configuration
from ums_site.embedded_paths import DATABASE, USER, ServerError, socket_folder, tag
from ums_site.embedded_seat import Seat, build_for, find_seat, known_data

START_SECONDS = 300.0  # includes crash recovery
STOP_SECONDS = 60.0
STEP_SECONDS = 0.05
SOCKET = ".s.PGSQL.5432"


def start(var: Path) -> None:
    """Start Postgres of this var folder and wait until it takes connections; nothing to do when it already does.

    Raises ServerError with the last lines of its log.
    """
    if pid(var) is not None and _answers(var):
        return
    seat = find_seat(var)
    if not (seat.data / "PG_VERSION").exists():
        _make_cluster(seat)
    child = None
    if pid(var) is None:
        sockets = _sockets(var, seat)
        _clear_stale_locks(seat.data, sockets)
        write_configuration(seat, sockets)
        child = _launch(var, seat)
    _wait_ready(var, child)
    _make_database(var, seat)


def stop(var: Path) -> None:
    """Stop it: connections are ended, nothing is lost. An impatient stop follows when that takes over a minute."""
    for sign in (signal.SIGINT, signal.SIGQUIT):
        running = pid(var)
        if running is None:
            return
        os.kill(running, sign)
        if _wait_until_gone(running):
            return
    raise ServerError(f"Postgres (process {pid(var)}) does not stop. See {log_file(var)}.")


def pid(var: Path) -> int | None:
    """The process id of the running server of this var folder, checked against the kernel's process table."""
    data = known_data(var)
    lines = _pid_lines(data)
    if not lines or not lines[0].strip().isdecimal():
        return None
    number = int(lines[0])
    return number if _works_in(number, data) else None


def log_file(var: Path) -> Path:
    """What the server wrote."""
    return var / "log" / "postgres.log"


def program(var: Path, name: str) -> Path:
    """A program (psql, pg_dump, ...) that fits the version of the data."""
    return build_for(known_data(var)) / "bin" / name


def _run(seat: Seat, command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    """Run one of the programs as the server's identity, from a folder that everybody may enter."""
    line = seat.identity.wrap([str(part) for part in command])
    return subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd="/", check=False)


def _make_cluster(seat: Seat) -> None:
    """initdb; a half-made cluster (no PG_VERSION) is made anew."""
    version = int(_first_number(_run(seat, [seat.program("postgres"), "--version"]).stdout))
    locale = ["--locale=C.UTF-8"]
    if version >= 17:  # its own C.UTF-8, the same on every libc
        locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    options = ["-U", USER, "-E", "UTF8", "--auth=trust", "--no-instructions", *locale]
    made = _run(seat, [seat.program("initdb"), "-D", seat.data, *options])
    if made.returncode != 0:
        raise ServerError(f"The database folder could not be made in {seat.data}:\n{_tail(made.stderr + made.stdout)}")


def _first_number(text: str) -> str:
    return next(word for word in text.replace(".", " ").split() if word.isdecimal())


def _sockets(var: Path, seat: Seat) -> Path:
    """The folder the server binds its socket in. Who dropped root cannot write to ours: a link leads to theirs."""
    ours = socket_folder(var)
    link = ours / SOCKET
    if seat.identity.way != "drop":
        if link.is_symlink():
            link.unlink()
        return ours
    theirs = Path(tempfile.gettempdir()) / f"ums-{seat.identity.uid}-{tag(var)}"
    theirs.mkdir(mode=0o700, exist_ok=True)
    if theirs.is_symlink() or theirs.stat().st_uid not in (0, seat.identity.uid):
        raise ServerError(f"{theirs} belongs to somebody else. Remove it and start again.")
    os.chown(theirs, seat.identity.uid, seat.identity.gid)
    link.unlink(missing_ok=True)
    link.symlink_to(theirs / SOCKET)
    return theirs


def _launch(var: Path, seat: Seat) -> int:
    return detached.spawn(seat.identity.wrap([str(seat.program("postgres")), "-D", str(seat.data)]), log_file(var))


def _wait_ready(var: Path, child: int | None) -> None:
    """Wait for connections, however long crash recovery takes, as long as the process lives."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if _answers(var):
            return
        if child is not None and detached.has_ended(child):
            raise ServerError(
                f"Postgres did not start:\n{_tail(log_file(var).read_text(encoding='utf-8', errors='replace'))}"
            )
        time.sleep(STEP_SECONDS)
    raise ServerError(f"Postgres took more than {START_SECONDS:.0f} seconds to start. See {log_file(var)}.")


def _answers(var: Path) -> bool:
    tool = str(program(var, "pg_isready"))
    command = [tool, "-q", "-t", "3", "-h", str(socket_folder(var)), "-U", USER, "-d", "postgres"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _make_database(var: Path, seat: Seat) -> None:
    connect = [
        str(program(var, "psql")),
        "-X",
        "-q",
        "-t",
        "-A",
        "-h",
        str(socket_folder(var)),
        "-U",
        USER,
        "-d",
        "postgres",
        "-c",
    ]
    command = [*connect, f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.stdout.strip() == "1":
        return
    made = subprocess.run([*connect, f"CREATE DATABASE {DATABASE}"], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise ServerError(f"The database could not be made: {_tail(found.stderr + made.stderr)}")


def _pid_lines(data: Path) -> list[str]:
    try:
        return (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []


def _works_in(number: int, data: Path) -> bool:
    """Whether the process has the data folder as its working directory, as every process of the cluster has."""
    try:
        return Path(f"/proc/{number}/cwd").samefile(data)
    except OSError:
        return False


def _clear_stale_locks(data: Path, sockets: Path) -> None:
    """Remove lock files of a server that is gone: its process number may belong to somebody else by now.

    Raises ServerError while orphaned processes of the cluster still live.
    """
    deadline = time.monotonic() + 20
    while any(_works_in(int(entry.name), data) for entry in Path("/proc").iterdir() if entry.name.isdecimal()):
        if time.monotonic() > deadline:
            raise ServerError(f"Processes of an earlier Postgres still work in {data}. End them, then start again.")
        time.sleep(STEP_SECONDS)
    (data / "postmaster.pid").unlink(missing_ok=True)
    (sockets / f"{SOCKET}.lock").unlink(missing_ok=True)


def _wait_until_gone(number: int) -> bool:
    deadline = time.monotonic() + STOP_SECONDS
    while not detached.has_ended(number):
        if time.monotonic() > deadline:
            return False
        time.sleep(STEP_SECONDS)
    return True


def _tail(text: str, lines: int = 12) -> str:
    return "\n".join(text.strip().splitlines()[-lines:])
