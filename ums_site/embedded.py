"""The embedded Postgres and Redis of a one-machine installation: start, stop, and keep them while somebody needs them.

Two ways to use them. `start` leaves them running until `stop`. `running` keeps them for the length of a with block:
the kernel's file lock counts the users, also those that die by kill -9; a guard process stops them after the last.
"""

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ums_site import detached, embedded_postgres, embedded_redis
from ums_site.embedded_paths import ServerError, make_folders, run_folder

__all__ = ["Needed", "ServerError", "guard", "running", "start", "status", "stop"]


GUARD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from ums_site.embedded import guard
guard(Path(sys.argv[2]))
"""


@dataclass(frozen=True, slots=True)
class Needed:
    """Which of the two servers are embedded; one whose URL is set belongs to somebody else and is never touched."""

    postgres: bool
    redis: bool

    @classmethod
    def from_environment(cls) -> "Needed":
        """Read DATABASE_URL and REDIS_URL as settings.py does."""
        return cls(
            postgres=not (os.environ.get("DATABASE_URL") or os.environ.get("DATABASE_URL_FILE")),
            redis=not (os.environ.get("REDIS_URL") or os.environ.get("REDIS_URL_FILE")),
        )

    def __bool__(self) -> bool:
        return self.postgres or self.redis


def start(var: Path, needed: Needed) -> None:
    """Start what is needed and leave it running until `stop`. Raises ServerError."""
    _prepare(var)
    _keep_note(var).touch()
    _start(var, needed)


def stop(var: Path) -> None:
    """Stop both servers of this var folder, also when somebody still uses them. Raises ServerError."""
    _prepare(var)
    with _locked(var, "start", fcntl.LOCK_EX):
        _keep_note(var).unlink(missing_ok=True)
        embedded_redis.stop(var)
        embedded_postgres.stop(var)


def status(var: Path) -> dict[str, int | None]:
    """The process id of each server, None when it does not run."""
    return {"postgres": embedded_postgres.pid(var), "redis": embedded_redis.pid(var)}


@contextmanager
def running(var: Path, needed: Needed) -> Iterator[None]:
    """The servers run inside the block; after the last user of this var folder they are stopped. Raises ServerError."""
    if not needed:
        yield
        return
    _prepare(var)
    with _locked(var, "users", fcntl.LOCK_SH):
        _start(var, needed)
        _spawn_guard(var)
        yield


def guard(var: Path) -> None:
    """Wait until nobody uses the servers, then stop them, unless they were started to stay. One guard is enough."""
    with ExitStack() as stack:
        try:
            stack.enter_context(_locked(var, "guard", fcntl.LOCK_EX | fcntl.LOCK_NB))
        except BlockingIOError:
            return
        with _locked(var, "users", fcntl.LOCK_EX):
            if _keep_note(var).exists():
                return
            stop(var)


def _start(var: Path, needed: Needed) -> None:
    with _locked(var, "start", fcntl.LOCK_EX):
        if needed.redis:
            embedded_redis.start(var)
        if needed.postgres:
            embedded_postgres.start(var)


def _prepare(var: Path) -> None:
    try:
        make_folders(var)
    except OSError as error:
        raise ServerError(f"{var} cannot be written: {error.strerror}. Set UMS_VAR to a folder of yours.") from error


def _keep_note(var: Path) -> Path:
    return run_folder(var) / "keep"


@contextmanager
def _locked(var: Path, name: str, how: int) -> Iterator[None]:
    with (run_folder(var) / f"{name}.lock").open("a") as file:
        fcntl.flock(file, how)
        yield


def _spawn_guard(var: Path) -> None:
    """A process of its own session, so that neither Ctrl-C nor the death of its starter ends it."""
    root = Path(__file__).resolve().parent.parent
    detached.spawn([sys.executable, "-c", GUARD, str(root), str(var)], run_folder(var).parent / "log" / "guard.log")
