"""Processes that outlive their starter: a session of their own, output to a file, no handle that must be kept."""

import os
from collections.abc import Sequence
from pathlib import Path


def spawn(command: Sequence[str], log: Path) -> int:
    """Start the command (absolute path first) apart from our terminal and return its process id. Raises OSError."""
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    return os.posix_spawn(command[0], list(command), os.environ, file_actions=actions, setsid=True)


def has_ended(pid: int) -> bool:
    """Whether this child is gone; a child of ours is reaped here, else it would stay as a zombie."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return _state(pid) in ("", "Z")


def _state(pid: int) -> str:
    """The kernel's letter for the process, empty when there is none. Z is dead, though its parent has not noticed."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
    except OSError:
        return ""
