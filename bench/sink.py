"""The sink of sink.c: compiled where its source is newer, started for a block, asked what arrived."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("sink.c")


class NoCompiler(RuntimeError):
    """There is no C compiler here."""


@dataclass(frozen=True, slots=True)
class Sink:
    """A running sink."""

    http_port: int
    smtp_port: int

    def count(self) -> dict[str, int]:
        """calls, call_bytes, phones (numbers in the calls), mails, mail_bytes since it started."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/count", timeout=10) as answer:
            counted: dict[str, int] = json.load(answer)
        return counted

    def watched(self) -> dict[str, float]:
        """When (time.monotonic) the first call to each number that begins with 188 came in."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/watched", timeout=10) as answer:
            seen: list[tuple[str, float]] = json.load(answer)
        return {number.strip(): at for number, at in reversed(seen)}


def build(folder: Path) -> Path:
    """The compiled sink. Raises NoCompiler with the remedy, CalledProcessError where the compiler refuses it."""
    program = folder / "sink"
    if program.exists() and program.stat().st_mtime >= SOURCE.stat().st_mtime:
        return program
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        raise NoCompiler(
            "The bench needs a C compiler for its sink: a sink in Python would be slower than what it measures. "
            "Install one (Debian: apt-get install gcc libc6-dev) and run it again."
        )
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run([compiler, "-O2", "-o", str(program), str(SOURCE)], check=True)
    return program


@contextmanager
def running(folder: Path, delay_ms: int = 0) -> Iterator[Sink]:
    """A sink on free loopback ports; every HTTP answer waits `delay_ms`."""
    process = subprocess.Popen(
        [str(build(folder)), str(delay_ms)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        yield Sink(*map(int, process.stdout.readline().split()))
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(10)
