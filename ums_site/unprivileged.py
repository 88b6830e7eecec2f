"""Run a program as somebody who is not root: Postgres refuses uid 0.

Two ways, both without any tool of the system: a user namespace in which the same files belong to an ordinary user
(nothing changes owner), or giving up root for an unprivileged uid. This file is also the small program that does it:
`python unprivileged.py namespace|drop UID GID -- COMMAND...`
"""

import ctypes
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

CLONE_NEWUSER = 0x10000000
WAYS = ("plain", "namespace", "drop")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a server runs as. `way` is one of WAYS; `uid`/`gid` are the inner ones of a namespace, or dropped to."""

    way: str
    uid: int
    gid: int

    @property
    def file_owner(self) -> int:
        """The uid that files of the server have outside."""
        return self.uid if self.way == "drop" else os.geteuid()

    def wrap(self, command: Sequence[str]) -> list[str]:
        """The command line that runs `command` as this identity."""
        if self.way == "plain":
            return list(command)
        prefix = [sys.executable, "-S", str(Path(__file__).resolve()), self.way, str(self.uid), str(self.gid), "--"]
        return prefix + list(command)

    def can(self, executable: Path, folder: Path) -> bool:
        """Tried for real: may this identity run the program and write into the folder?"""
        probe = folder / f".probe-{os.getpid()}"
        script = '"$1" --version >/dev/null && : >"$2" && rm "$2"'
        command = self.wrap(["/bin/sh", "-c", script, "sh", str(executable), str(probe)])
        return (
            subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, cwd="/", check=False).returncode == 0
        )


def candidates(project: Path) -> Iterator[Identity]:
    """Identities to try, best first. An ordinary user with a name in the user table simply stays who they are."""
    uid = os.geteuid()
    if uid != 0 and _is_named(uid):
        yield Identity("plain", uid, os.getegid())
        return
    for entry in _ordinary_users():
        yield Identity("namespace", entry.pw_uid, entry.pw_gid)
        break
    if uid == 0:
        owner = project.stat()
        if owner.st_uid != 0 and _is_named(owner.st_uid):
            yield Identity("drop", owner.st_uid, owner.st_gid)
        for entry in _ordinary_users():
            yield Identity("drop", entry.pw_uid, entry.pw_gid)
            break


def _is_named(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _ordinary_users() -> list[pwd.struct_passwd]:
    """Named users that are not root, service accounts made for this first."""
    rank = {"postgres": 0, "nobody": 1}
    return sorted((entry for entry in pwd.getpwall() if entry.pw_uid), key=lambda entry: rank.get(entry.pw_name, 2))


def _enter_namespace(uid: int, gid: int) -> None:
    outer_uid, outer_gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"user namespaces are not permitted here: {os.strerror(code)}")
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{uid} {outer_uid} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{gid} {outer_gid} 1", encoding="ascii")


def _drop(uid: int, gid: int) -> None:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def main(arguments: Sequence[str]) -> None:
    """Become the identity and turn into the command; exit 126 with the reason when that is not permitted."""
    way, uid, gid, separator, *command = arguments
    if way not in ("namespace", "drop") or separator != "--" or not command:
        raise SystemExit("usage: unprivileged.py namespace|drop UID GID -- COMMAND...")
    try:
        (_enter_namespace if way == "namespace" else _drop)(int(uid), int(gid))
        os.chdir("/")  # the folder we stand in may be closed to who we are now
        os.execv(command[0], command)
    except OSError as error:
        print(f"{command[0]}: {error.strerror or error}", file=sys.stderr)
        raise SystemExit(126) from error


if __name__ == "__main__":
    main(sys.argv[1:])
