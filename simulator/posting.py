"""What providers say later, over HTTP: gathered, doubled, delayed, lost, forged and repeated until it is taken."""

import asyncio
import heapq
import itertools
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import aiohttp

from simulator.chance import between, chance
from simulator.outside import Outside, spawn

MINUTE = 60.0
TICK_SECONDS = 0.1
GATHER_SECONDS = 0.5
POST_TIMEOUT = aiohttp.ClientTimeout(total=10)
POSTS_AT_ONCE = 4
LONGEST_ANSWER = 65536


def any_success(status: int, body: bytes) -> bool:
    """Tell whether the answer is any 2xx."""
    return 200 <= status < 300


@dataclass(slots=True)
class Parcel:
    """One request to a receiver. ``retry_s``: waits before each repetition, times ``receipts.retry_scale``.

    ``taken(status, body)`` tells whether the answer ends it. ``forged`` makes what a stranger without the secret
    would send first (share ``receipts.bad_sig``). ``label`` names it in the counters (default: the provider).
    """

    provider: str
    url: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"
    reports: int = 1
    taken: Callable[[int, bytes], bool] = any_success
    retry_s: Sequence[float] = (MINUTE, 5 * MINUTE, 10 * MINUTE)
    forged: "Callable[[], Parcel] | None" = None
    label: str = ""
    tries: int = 0


MakeParcel = Callable[[list[Any]], Parcel | None]


@dataclass(slots=True)
class Pile:
    """Reports that wait to be joined; ``most`` fit into one parcel."""

    most: int
    make: MakeParcel
    items: list[tuple[float, int, Any]] = field(default_factory=list)


class Poster:
    """Keeps what is due, gathers reports into parcels, repeats what was not taken."""

    def __init__(self, outside: Outside) -> None:
        self.outside = outside
        self._piles: dict[str, Pile] = {}
        self._parcels: list[tuple[float, int, Callable[[], Parcel | None] | Parcel]] = []
        self._number = itertools.count()
        self._slots: dict[str, asyncio.Semaphore] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        self._last_post = 0.0

    @property
    def rule(self) -> dict[str, Any]:
        """The receipt settings in force now."""
        rule: dict[str, Any] = self.outside.settings["receipts"]
        return rule

    @property
    def waiting(self) -> int:
        """How many reports are not yet taken or given up."""
        piled = sum(len(pile.items) for pile in self._piles.values())
        parcels = sum(item.reports if isinstance(item, Parcel) else 1 for _, _, item in self._parcels)
        return piled + parcels + len(self._tasks)

    def url(self, provider: str, account: str = "") -> str:
        """Return where this account's receipts go (``receipts.urls``: ``name:account``, else ``name``), or ""."""
        urls: dict[str, str] = self.rule["urls"]
        return urls.get(f"{provider}:{account}") or urls.get(provider, "")

    # --- what is to be told

    def moments(self, due: float, about: Sequence[str]) -> list[float]:
        """Return when a receipt is told by the habits ``lost``, ``late``, ``dup``: never, once or twice."""
        rule, seed = self.rule, self.outside.world.seed
        if chance(seed, "lost", *about) < rule["lost"]:
            self.outside.receipts["lost"] += 1
            return []
        if chance(seed, "late", *about) < rule["late"]:
            due += between(seed, rule["late_s"], "late-by", *about)
        if chance(seed, "dup", *about) >= rule["dup"]:
            return [due]
        self.outside.receipts["doubled"] += 1
        return [due, due + between(seed, rule["delay"], "dup-by", *about)]

    def later(self, parcel: Parcel | Callable[[], Parcel | None], due: float, about: Sequence[str] = ()) -> None:
        """Send a parcel at a moment. ``about`` (address, pid) puts it under the habits lost, late and dup.

        A function is called when it is sent first, so that it can sign the time and read the address then; None
        drops it.
        """
        for moment in self.moments(due, about) if about else [due]:
            heapq.heappush(self._parcels, (moment, next(self._number), parcel))

    def gather(
        self,
        key: str,
        item: Callable[[float], Any],
        due: float,
        most: int,
        make: MakeParcel,
        about: Sequence[str] = (),
    ) -> None:
        """Join what is due under one key into parcels of up to ``most`` items.

        ``item(moment)`` returns the report as it reads when told at that moment; ``make(items)`` returns the
        parcel (None drops them). ``about`` as with ``later``.
        """
        pile = self._piles.setdefault(key, Pile(most, make))
        pile.most, pile.make = most, make
        moments = self.moments(due, about) if about else [due]
        for moment in moments:
            heapq.heappush(pile.items, (moment, next(self._number), item(moments[0])))

    # --- the sender's own loop

    async def run(self) -> None:
        """Send what is due until cancelled."""
        async with aiohttp.ClientSession(timeout=POST_TIMEOUT) as self._session:
            while True:
                if self.rule["auto"]:
                    self.send_due(time.time())
                await asyncio.sleep(TICK_SECONDS)

    def send_due(self, now: float) -> int:
        """Post what is due, reports gathered for a while; return how many posts were started."""
        full = any(len(pile.items) >= pile.most for pile in self._piles.values())
        if now - self._last_post < GATHER_SECONDS and not full:
            return self._send_parcels(now)
        self._last_post = now
        return self._send_piles(now) + self._send_parcels(now)

    def send_all(self) -> int:
        """Post everything that waits, due or not; return how many posts were started."""
        return self._send_piles(float("inf")) + self._send_parcels(float("inf"))

    def _send_piles(self, until: float) -> int:
        started = 0
        for pile in self._piles.values():
            while batch := self._due_items(pile, until):
                started += self._start(self._made(partial(pile.make, batch)))
        return started

    def _send_parcels(self, until: float) -> int:
        started = 0
        while self._parcels and self._parcels[0][0] <= until:
            parcel = heapq.heappop(self._parcels)[2]
            started += self._start(parcel if isinstance(parcel, Parcel) else self._made(parcel))
        return started

    def _due_items(self, pile: Pile, now: float) -> list[Any]:
        """Take up to one parcel's worth of due reports, shuffled if the habits say so."""
        batch: list[tuple[int, Any]] = []
        while pile.items and pile.items[0][0] <= now and len(batch) < pile.most:
            batch.append(heapq.heappop(pile.items)[1:])
        if self.rule["shuffle"]:
            batch.sort(key=lambda numbered: chance(self.outside.world.seed, "order", numbered[0]))
        return [item for _, item in batch]

    def _made(self, make: Callable[[], Parcel | None]) -> Parcel | None:
        """Let a provider make its parcel; one that fails loses this parcel, not everybody's receipts."""
        try:
            return make()
        except Exception:
            self.outside.receipts["broken"] += 1
            traceback.print_exc()
            return None

    def _start(self, parcel: Parcel | None) -> int:
        if parcel is None or not parcel.url:
            return 0
        spawn(self._tasks, self._post(parcel))
        return 1

    async def _post(self, parcel: Parcel) -> None:
        counts, label = self.outside.receipts, parcel.label or parcel.provider
        async with self._slots.setdefault(parcel.provider, asyncio.Semaphore(POSTS_AT_ONCE)):
            if parcel.tries == 0:
                await self._forge(parcel)
            status, body = await self.ask(parcel)
        counts["posts"] += 1
        if status and parcel.taken(status, body):
            counts[f"{label}_taken"] += parcel.reports
        elif parcel.tries < len(parcel.retry_s):
            wait = parcel.retry_s[parcel.tries] * self.rule["retry_scale"]
            parcel.tries += 1
            counts["retried"] += 1
            heapq.heappush(self._parcels, (time.time() + wait, next(self._number), parcel))
        else:
            counts[f"{label}_dropped"] += parcel.reports

    async def _forge(self, parcel: Parcel) -> None:
        """Sometimes let a stranger who does not know the secret try first."""
        share = self.rule["bad_sig"]
        if parcel.forged is None or not share or chance(self.outside.world.seed, "forged", parcel.body) >= share:
            return
        forged = parcel.forged()
        status, body = await self.ask(forged)
        self.outside.receipts["forged"] += 1
        self.outside.receipts["forged_taken"] += bool(status) and forged.taken(status, body)

    async def ask(self, parcel: Parcel) -> tuple[int, bytes]:
        """Send once, now, outside every plan; return (HTTP status, body), or (0, b"") without an answer."""
        status, _headers, body = await self.ask_whole(parcel)
        return status, body

    async def ask_whole(self, parcel: Parcel) -> tuple[int, Mapping[str, str], bytes]:
        """As ``ask``, with the headers of the answer; their names are found in any case."""
        if self._session is None:
            return 0, {}, b""
        request = self._session.request(
            parcel.method, parcel.url, data=parcel.body or None, headers=dict(parcel.headers), allow_redirects=False
        )
        try:
            async with request as answer:
                return answer.status, answer.headers, await answer.content.read(LONGEST_ANSWER)
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return 0, {}, b""
