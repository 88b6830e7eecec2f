"""Receipts that wait for a session: told over any that takes them, told again until they are answered with yes."""

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from typing import Any, Protocol

from simulator.outside import Outside
from simulator.posting import Poster

TICK_SECONDS = 0.02
UNANSWERED = 20  # of one session


class Listener(Protocol):
    """A session that receives. ``tell`` writes one receipt and returns the number its answer will carry."""

    account: str
    told: dict[int, tuple[Any, float]]

    def tell(self, receipt: Any) -> int: ...


class ReceiptDesk:
    """The receipts of one carrier. ``retry_s`` is asked each time: after so long an unanswered one is told again."""

    def __init__(self, outside: Outside, post: Poster, name: str, retry_s: Callable[[], float]) -> None:
        self.outside, self.post, self.name, self._retry_s = outside, post, name, retry_s
        self._due: dict[str, list[tuple[float, int, Any]]] = {}
        self._number = itertools.count()
        self._sessions: list[Listener] = []
        self._turn = 0

    @property
    def waiting(self) -> int:
        """How many receipts nobody has answered yet."""
        return sum(len(due) for due in self._due.values()) + sum(len(one.told) for one in self._sessions)

    def plan(self, account: str, receipt: Any, due: float, about: tuple[str, str]) -> None:
        """Tell a receipt by the habits lost, late and dup."""
        for moment in self.post.moments(due, about):
            self._add(account, receipt, moment)

    def _add(self, account: str, receipt: Any, due: float) -> None:
        heapq.heappush(self._due.setdefault(account, []), (due, next(self._number), receipt))

    def come(self, session: Listener) -> None:
        self._sessions.append(session)

    def go(self, session: Listener) -> None:
        """A session has ended: what it did not answer is told over another."""
        if session in self._sessions:
            self._sessions.remove(session)
        for receipt, _at in session.told.values():
            self._add(session.account, receipt, time.time())
        session.told.clear()

    def answered(self, session: Listener, number: int, good: bool) -> None:
        """Take the answer to a receipt; a bad one brings it back later."""
        receipt, _at = session.told.pop(number, (None, 0.0))
        if receipt is None:
            return
        if good:
            self.outside.receipts[f"{self.name}_taken"] += 1
        else:
            self.outside.receipts["retried"] += 1
            self._add(session.account, receipt, time.time() + self._retry_s())

    async def run(self) -> None:
        """Tell what is due until cancelled."""
        while True:
            if self.post.rule["auto"]:
                self._round(time.time())
            await asyncio.sleep(TICK_SECONDS)

    def _round(self, now: float) -> None:
        for session in self._sessions:
            late = [number for number, (_receipt, at) in session.told.items() if now - at > self._retry_s()]
            for number in late:
                self.answered(session, number, False)
        for account, due in self._due.items():
            sessions = [one for one in self._sessions if one.account == account]
            while due and due[0][0] <= now:
                free = [one for one in sessions if len(one.told) < UNANSWERED]
                if not free:
                    break
                self._turn += 1
                session = free[self._turn % len(free)]
                receipt = heapq.heappop(due)[2]
                session.told[session.tell(receipt)] = (receipt, now)
