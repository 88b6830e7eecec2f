"""Where the embedded servers of an installation are found: a function of its var folder, so that all agree."""

import hashlib
import os
import tempfile
from pathlib import Path
from urllib.parse import quote

DATABASE = USER = "ums"
SOCKET_LIMIT = 100  # bytes; the kernel takes 107 for the whole path of a unix socket
LONGEST_SOCKET = ".s.PGSQL.5432"


class ServerError(Exception):
    """An embedded server cannot be started or stopped; the text says why and what to do."""


def tag(var: Path) -> str:
    """Tells the installations of one machine apart; the same at every start."""
    return hashlib.sha256(os.fsencode(var)).hexdigest()[:12]


def run_folder(var: Path) -> Path:
    """Pid files, locks and notes of running servers."""
    return var / "run"


def socket_folder(var: Path) -> Path:
    """The folder of the unix sockets: var/run, or a private one under the temp folder where that is too long."""
    near = run_folder(var)
    if len(os.fsencode(near / LONGEST_SOCKET)) <= SOCKET_LIMIT:
        return near
    note = near / "sockets"
    if note.exists():
        return Path(note.read_text(encoding="utf-8").strip())
    return Path(tempfile.gettempdir()) / f"ums-{os.geteuid()}-{tag(var)}"


def make_folders(var: Path) -> None:
    """Make var/run, var/log and the socket folder, private to their owner.

    Raises ServerError when the folder under the temp folder belongs to somebody else.
    """
    near = run_folder(var)
    for folder in (near, var / "log"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    sockets = socket_folder(var)
    if sockets == near:
        return
    sockets.mkdir(mode=0o700, parents=True, exist_ok=True)
    state = sockets.lstat()
    if sockets.is_symlink() or state.st_uid != os.geteuid():
        raise ServerError(f"{sockets} belongs to somebody else. Remove it, or set UMS_VAR to a shorter path.")
    sockets.chmod(0o700)
    (near / "sockets").write_text(f"{sockets}\n", encoding="utf-8")


def database_url(var: Path) -> str:
    """The address of the embedded Postgres, whether it runs or not."""
    return f"postgres://{USER}@/{DATABASE}?host={quote(str(socket_folder(var)), safe='/')}"


def redis_socket(var: Path) -> Path:
    """The unix socket of the embedded Redis."""
    return socket_folder(var) / "redis.sock"


def redis_url(var: Path) -> str:
    """The address of the embedded Redis, whether it runs or not."""
    return f"unix://{quote(str(redis_socket(var)), safe='/')}?db=0"
