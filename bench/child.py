"""A measured process and its starter: start up, say ready, wait for the word, work, answer with one line of JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
READY = "ready"
Result = dict[str, Any]


class ChildFailed(RuntimeError):
    """A process of the bench ended without an answer; its own error stands above."""


def when_told(work: Callable[[], Mapping[str, Any] | None]) -> None:
    """The child's side: everything slow was done before this call and is not measured."""
    print(READY, flush=True)
    if not sys.stdin.readline():
        return
    began, worked = time.monotonic(), time.process_time()
    said = dict(work() or {})
    spent = {"seconds": time.monotonic() - began, "cpu_s": time.process_time() - worked, "peak_mb": peak_mb()}
    print(json.dumps({**spent, **said}), flush=True)


def peak_mb() -> float:
    """The most memory this process ever held (VmHWM), in MB."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


class Child:
    """The parent's side of one measured process."""

    def __init__(self, words: Sequence[str], environment: Mapping[str, str], python: str = sys.executable) -> None:
        self.process = subprocess.Popen(
            [python, "-m", *words],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._expect(READY)

    def _expect(self, word: str) -> None:
        while (line := self._line()) != word:
            print(line)

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise ChildFailed(" ".join(map(str, self.process.args)))  # type: ignore[arg-type]
        return line.rstrip("\n")

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def answer(self) -> Result:
        """What it said, once it is over."""
        line = self._line()
        while not line.startswith("{"):
            print(line)
            line = self._line()
        self.end()
        result: Result = json.loads(line)
        return result

    def end(self) -> None:
        """Lets it go; one that still works is stopped."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def run_together(children: Sequence[Child]) -> tuple[float, list[Result]]:
    """Starts all at one moment; seconds until the last has answered, and the answers."""
    began = time.monotonic()
    for child in children:
        child.go()
    answers = [child.answer() for child in children]
    return time.monotonic() - began, answers


def run_alone(words: Sequence[str], environment: Mapping[str, str], python: str = sys.executable) -> Result:
    """One child, from its start to its answer."""
    return run_together([Child(words, environment, python)])[1][0]
