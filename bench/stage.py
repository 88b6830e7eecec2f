"""What every figure stands on: the sink, the databases, and the sizes of this run."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from bench.child import ROOT, Child, Result, run_alone, run_together
from bench.databases import Templates, ask, fresh, var_folder
from bench.sink import Sink
from ums_site import embedded_paths

PREPARE, WORK = "bench.ours.prepare", "bench.ours.work"
PEERS_WORK = "bench.peers.work"


class Wrong(RuntimeError):
    """The rows in the database are not what the measured work should have left: its rate means nothing."""


@dataclass
class Stage:
    """One run of the bench. `full`: the sizes of the specification."""

    sink: Sink
    full: bool = False
    templates: Templates = field(default_factory=Templates)
    cpu_us: float = 0.0  # a piece, of the processes that `rate_of` started last (Postgres not counted)

    def size(self, usual: int, full: int) -> int:
        return full if self.full else usual

    # --- processes -----------------------------------------------------------------------------------------------------
    def environment(self, url: str) -> dict[str, str]:
        """For a child that works on the database at `url`."""
        return {
            "DATABASE_URL": url,
            "REDIS_URL": embedded_paths.redis_url(var_folder()),
            "SINK_HTTP_PORT": str(self.sink.http_port),
            "SINK_SMTP_PORT": str(self.sink.smtp_port),
        }

    def child(self, url: str, *words: str) -> Child:
        return Child(words, self.environment(url))

    def peer(self, url: str, *words: str) -> Child:
        """A child in the peers' environment."""
        return Child([PEERS_WORK, *words], self.environment(url), peers_python())

    def alone(self, url: str, *words: str) -> Result:
        return run_alone(words, self.environment(url))

    # --- templates -----------------------------------------------------------------------------------------------------
    def world(self) -> str:
        """Schema, accounts, template; nobody in it."""
        ports = (str(self.sink.http_port), str(self.sink.smtp_port))
        return self._need("world", "template0", "world", *ports)

    def people(self, count: int) -> str:
        return self._need(f"people_{count}", self.world(), "people", str(count))

    def campaign(self, count: int, account: str = "sms") -> str:
        """A submitted campaign to everybody, nothing expanded."""
        return self._need(f"campaign_{account}_{count}", self.people(count), "campaign", account)

    def expanded(self, count: int, account: str = "sms") -> str:
        return self._need(f"expanded_{account}_{count}", self.people(count), "expanded", account)

    def accepted(self, count: int) -> str:
        return self._need(f"accepted_{count}", self.people(count), "accepted", "sms")

    def _need(self, name: str, parent: str, *words: str) -> str:
        return self.templates.need(name, parent, lambda url: _ignore(self.alone(url, PREPARE, *words)))

    def peers(self, count: int) -> str:
        """The peers' tables with people and a message each."""

        def build(url: str) -> None:
            for words in (("tables",), ("people", str(count))):
                run_together([self.peer(url, *words)])

        return self.templates.need(f"peers_{count}", "template0", build)

    # --- measured work -------------------------------------------------------------------------------------------------
    def rate_of(self, template: str, n: int, proof: str, *words: str, processes: int = 1) -> float:
        """n a second: children do `words` on a fresh copy of `template`; `proof` must then count n."""
        with fresh(template) as url:
            seconds, answers = run_together([self.child(url, *words) for _number in range(processes)])
            self.prove(url, proof, n)
        self.cpu_us = sum(answer["cpu_s"] for answer in answers) / n * 1e6
        return n / seconds

    def prove(self, url: str, question: str, n: int) -> None:
        """Raises Wrong where the database does not count what was claimed."""
        found = ask(url, question)[0]
        if found != n:
            raise Wrong(f"{question}\ncounts {found}, not {n}")


def _ignore(_result: Result) -> None:
    return None


def peers_python() -> str:
    """The interpreter of the peers' environment."""
    python = Path(os.environ.get("BENCH_PYTHON", ROOT / ".venv-bench" / "bin" / "python"))
    return str(python if python.is_absolute() else ROOT / python)
