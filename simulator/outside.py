"""What the providers share: the world, the ledger, the scripts, the counters and what reached whom."""

import asyncio
import itertools
import json
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from simulator.chance import chance
from simulator.ledger import Entry, Ledger
from simulator.scripts import HONEST, Plan, ScriptBook
from simulator.traits import Traits
from simulator.world import Fate, World, preset

KEPT_ARRIVALS = 1_000_000


class Call(NamedTuple):
    """One HTTP request as it came in; header names are looked up without regard to case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    now: float

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters of the query, the last of each name."""
        return dict(parse_qsl(self.query, keep_blank_values=True))

    @property
    def form(self) -> dict[str, str]:
        """The fields of a form body; UnicodeDecodeError (a ValueError) if it is no text."""
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))

    def json(self) -> Any:
        """Return the body as JSON; ValueError if it is none."""
        return json.loads(self.body)


class Answer(NamedTuple):
    """One HTTP answer; ``code`` is the provider's own word for a refusal, empty for a success."""

    status: int
    body: bytes
    code: str = ""
    headers: Mapping[str, str] = {}


class Submission(NamedTuple):
    """A request that passed every check, not yet accepted. ``accept(returned)`` accepts and answers."""

    provider: str
    operation: str
    addresses: Sequence[str]
    accept: Callable[[bool], Answer]


@dataclass(slots=True)
class Arrival:
    """One accepted message for one address, as the phone page and the query operations see it."""

    provider: str
    channel: str
    address: str
    at: float
    account: str
    pid: str
    ref: str
    content: Any
    fate: Fate
    recalled: bool = False
    read_at: float = 0.0


@dataclass(slots=True)
class Counts:
    """Counters of one provider since the start."""

    calls: int = 0
    accepted: int = 0
    deduplicated: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)

    def as_document(self) -> dict[str, Any]:
        """Return the counters as JSON values."""
        return {
            "calls": self.calls,
            "accepted": self.accepted,
            "deduplicated": self.deduplicated,
            "refused": dict(self.refused),
            "faults": dict(self.faults),
        }


class Outside:
    """The state of one running simulator."""

    def __init__(
        self, state_dir: Path, kinds: Sequence[type[Traits]], seed: int = 1, world: str = "believable"
    ) -> None:
        state_dir.mkdir(parents=True, exist_ok=True)
        self.state_dir = state_dir
        self.kinds = {kind.name: kind for kind in kinds}
        self.world = World(seed, preset(world, kinds))
        self.world_name = world
        self.ledger = Ledger(state_dir / "ledger.jsonl")
        self.scripts = ScriptBook(seed, self.kinds)
        self.counts = {name: Counts() for name in self.kinds}
        self.receipts: Counter[str] = Counter()
        self.accepted: Counter[str] = Counter()
        self.arrivals: dict[tuple[str, str], list[Arrival]] = {}
        self.people: dict[str, dict[str, Any]] = {}
        self.person_of: dict[tuple[str, str], str] = {}
        self._order: deque[tuple[str, str]] = deque()
        self._last_pid = 0

    @property
    def settings(self) -> dict[str, Any]:
        """The settings in force now."""
        return self.world.settings

    def restore_settings(self) -> None:
        """Put every setting back to that of the world it began with."""
        self.world.settings = preset(self.world_name, tuple(self.kinds.values()))

    def change_world(self, name: str) -> None:
        """Take over the habits of another world; where receipts go and how they are repeated stays."""
        kept = {key: self.settings["receipts"][key] for key in ("urls", "auto", "retry_scale")}
        other = preset(name, tuple(self.kinds.values()))
        self.settings["world"] = other["world"]
        self.settings["receipts"] = other["receipts"] | kept
        for kind in self.kinds.values():
            for switch in set(kind.believable) - {"world"}:
                self.settings[kind.name][switch] = other[kind.name][switch]

    def state(self, channel: str, address: str) -> str:
        """Return the state of a person at an address, such as ``unfollowed``; empty if nothing was said of it."""
        return self.world.states.get((channel, address), "")

    def set_state(self, channel: str, address: str, word: str) -> None:
        """Say what state a person is in at an address from now on; an empty word forgets it."""
        self.world.states[(channel, address)] = word
        if not word:
            del self.world.states[(channel, address)]

    def new_pid(self) -> int:
        """Return a provider message id: 18 digits, rising, not repeated after a restart."""
        self._last_pid = max(self._last_pid + 1, int(time.time() * 1000) * 100_000)
        return self._last_pid

    def plan(self, provider: str, operation: str, addresses: Sequence[str]) -> Plan:
        """Decide how this call goes: by script, else by the habits of the world, else honestly."""
        chosen = self.scripts.choose(provider, operation, addresses)
        if chosen is None:
            chosen = self._habit(provider) if operation == "send" else HONEST
        if chosen.action:
            self.counts[provider].faults[chosen.action + ("_after_accept" if chosen.accepts else "")] += 1
        return chosen

    def _habit(self, provider: str) -> Plan:
        rates = self.world.rates("calls")
        if not any(rates.values()):
            return HONEST
        draw = chance(self.world.seed, "call", provider, self.counts[provider].calls)
        if draw < rates["throttled"]:
            return Plan(False, "429", "1")
        draw -= rates["throttled"]
        if draw < rates["error_before"]:
            return Plan(False, "500")
        if draw - rates["error_before"] >= rates["error_after"]:
            return HONEST
        # A mail server that took a message and then fails loses the connection: a 4xx after the final dot is a refusal.
        return Plan(True, self.kinds[provider].lost_answer)

    def record(
        self,
        provider: str,
        account: str,
        key: str,
        pid: str,
        entries: Sequence[Entry],
        returned: bool,
        event: str = "accept",
    ) -> float:
        """Write the ledger lines of one call and return the time that stands in them."""
        counts, now = self.counts[provider], time.time()
        common = {
            "t": now,
            "ev": event,
            "provider": provider,
            "account": account,
            "key": key,
            "pid": pid,
            "call": counts.calls,
            "returned": returned,
        }
        self.ledger.write(common, entries)
        if event == "accept":
            counts.accepted += len(entries)
        else:
            counts.deduplicated += len(entries)
        return now

    def remember(self, arrival: Arrival) -> None:
        """Put a message where the person's phone and the query operations find it; oldest ones go first."""
        place = (arrival.channel, arrival.address)
        self.accepted[arrival.channel] += 1
        self.arrivals.setdefault(place, []).append(arrival)
        self._order.append(place)
        if len(self._order) > KEPT_ARRIVALS:
            oldest = self._order.popleft()
            kept = self.arrivals[oldest]
            kept.pop(0)
            if not kept:
                del self.arrivals[oldest]

    def arrived(self, channel: str, address: str) -> list[Arrival]:
        """Return the messages accepted for one address, oldest first."""
        return self.arrivals.get((channel, address), [])

    def find(self, channel: str, address: str, pid: str = "") -> Arrival | None:
        """Return the newest message for an address, or the one with this provider's message id."""
        return next((found for found in reversed(self.arrived(channel, address)) if pid in ("", found.pid)), None)

    def latest_places(self, looked_at: int = 5000) -> list[tuple[str, str]]:
        """Return where the newest messages went, newest first, each place once."""
        newest = itertools.islice(reversed(self._order), looked_at)
        return list(dict.fromkeys(place for place in newest if place in self.arrivals))


def spawn(tasks: set[asyncio.Task[None]], work: Any) -> None:
    """Start a coroutine and keep it referenced until it ends."""
    task = asyncio.ensure_future(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
