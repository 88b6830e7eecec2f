"""The processes of an installation on one machine, for the launcher."""

import json
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from django.conf import settings

from ums_site.launcher import Process, python

WEB_WORKERS, WEB_THREADS = 2, 8
PORTS_TRIED = 50
NICE = {"bulk": 10, "work": 15}  # they take what one-time passwords, notices and the API leave of a busy machine
SIMULATOR_STAGE, WEB_STAGE, WORKER_STAGE, BEAT_STAGE = range(4)


def free_port(wanted: int, host: str = "127.0.0.1") -> int:
    """The wanted port or the next free one above it. Raises OSError when fifty in a row are taken."""
    for port in range(wanted, wanted + PORTS_TRIED):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    raise OSError(f"ports {wanted} to {wanted + PORTS_TRIED - 1} are all taken")


def web(host: str, port: int) -> Process:
    """Console and API."""
    address = "127.0.0.1" if host == "0.0.0.0" else host
    options = {
        "--worker-class": "gthread",
        "--workers": WEB_WORKERS,
        "--threads": WEB_THREADS,
        "--bind": f"{host}:{port}",
        "--graceful-timeout": 20,
        "--log-level": "warning",
    }
    words = [str(word) for pair in options.items() for word in pair]
    return Process(
        name="web",
        argv=python("-m", "gunicorn", *words, "--no-control-socket", "ums_site.wsgi"),
        ready=lambda: answers(f"http://{address}:{port}/livez"),
        stage=WEB_STAGE,
        stop_seconds=25,
    )


def workers(counts: Mapping[str, int]) -> list[Process]:
    """So many workers for each lane; a lane that is not named gets one."""
    unknown = set(counts) - set(settings.LANES)
    if unknown:
        raise ValueError(f"no such lane: {', '.join(sorted(unknown))}; lanes are {', '.join(settings.LANES)}")
    found = []
    for lane in settings.LANES:
        for number in range(counts.get(lane, 1)):
            name = lane if number == 0 else f"{lane}-{number + 1}"
            line = python("manage.py", "work", lane)
            stop, nice = settings.UMS_TIMERS.stop_timeout, NICE.get(lane, 0)
            found.append(Process(name, line, stage=WORKER_STAGE, stop_seconds=stop, nice=nice))
    return found


def gateways() -> Process:
    """A gateway for each account that keeps a session, whichever there are."""
    line = python("manage.py", "gateways")
    return Process("gateways", line, stage=WORKER_STAGE, stop_seconds=settings.UMS_TIMERS.stop_timeout)


def gateway(code: str) -> Process:
    """The gateway of one account."""
    line = python("manage.py", "gateway", code)
    return Process(f"gateway {code}", line, stop_seconds=settings.UMS_TIMERS.stop_timeout - 5.0)


def beat() -> Process:
    """What makes things due happen."""
    return Process("beat", python("manage.py", "beat"), stage=BEAT_STAGE)


def simulator(state: Path, port: int = 0, smtp_port: int = 0, options: Sequence[str] = ()) -> Process:
    """The simulated outside world; its addresses stand in `ready_file(state)` once it listens."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    ready_file(state).unlink(missing_ok=True)
    places = ["--state-dir", str(state), "--ready-file", str(ready_file(state))]
    line = python("-m", "simulator", "--port", str(port), "--smtp-port", str(smtp_port), *places, *options)
    return Process("simulator", line, ready=lambda: _announced(state), stage=SIMULATOR_STAGE, stop_seconds=10)


def ready_file(state: Path) -> Path:
    """JSON `{"http": url, "smtp": {"host", "port"}, "pid"}`, written by the simulator."""
    return state / "ready.json"


def answers(url: str) -> bool:
    """Whether a GET of this loopback address is answered with 200."""
    try:
        with urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def _announced(state: Path) -> bool:
    try:
        return bool(json.loads(ready_file(state).read_text(encoding="utf-8"))["http"])
    except (OSError, ValueError, KeyError):
        return False
