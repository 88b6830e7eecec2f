"""What a provider is to the simulator: base classes with sensible defaults for HTTP providers and for those with a port."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from simulator.ledger import Entry
from simulator.outside import Answer, Arrival, Call, Outside, Submission
from simulator.posting import Poster
from simulator.tokens import TokenDesk
from simulator.traits import Traits
from simulator.world import Fate, SettingError, merge_settings

JSON_TYPE = "application/json; charset=utf-8"


class Shown(NamedTuple):
    """What a phone shows of one message. ``words``: fate word -> what the page says of it, in the language asked for."""

    title: str = ""
    text: str = ""
    sender: str = ""
    fields: Sequence[tuple[str, str]] = ()
    button: str = ""
    link: str = ""
    detail: str = ""
    html: str = ""
    folded: Sequence[tuple[str, str]] = ()
    words: Mapping[str, str] = {}


class Message(NamedTuple):
    """One recipient's message of a call; ``hashed`` is the text that the ledger hashes (default: the content)."""

    address: str
    ref: str
    content: Any
    hashed: str | bytes | None = None

    def entry(self) -> Entry:
        """Return the ledger's line for it."""
        text = self.content if self.hashed is None else self.hashed
        if not isinstance(text, str | bytes):
            text = json.dumps(text, ensure_ascii=False, sort_keys=True, default=str)
        return Entry(
            self.address, self.ref, hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()
        )


def answer_json(status: int, document: Any, code: object = "", headers: Mapping[str, str] | None = None) -> Answer:
    """Return a JSON answer; ``code`` is the provider's word for a refusal, empty for a success."""
    return Answer(status, json.dumps(document, ensure_ascii=False).encode(), str(code), headers or {})


class Party(Traits):
    """What providers of both kinds have in common: people, pages, control, receipts."""

    tokens: TokenDesk | None = None

    def __init__(self, outside: Outside, post: Poster) -> None:
        self.outside, self.post = outside, post

    @property
    def switches(self) -> dict[str, Any]:
        """The provider's own settings in force now."""
        switches: dict[str, Any] = self.outside.settings[self.name]
        return switches

    # --- acceptance

    def take(
        self, channel: str, account: str, key: str, pid: str, messages: Sequence[Message], returned: bool
    ) -> list[Arrival]:
        """Accept the messages of one call: ledger first, then phones, then the receipts that will follow."""
        entries = [message.entry() for message in messages]
        now = self.outside.record(self.name, account, key, pid, entries, returned)
        arrivals = []
        for message in messages:
            fate = self.fate(channel, message.address, pid, now)
            arrival = Arrival(
                self.name, channel, message.address, now, account, pid, message.ref, message.content, fate
            )
            self.outside.remember(arrival)
            self.receipt(arrival)
            arrivals.append(arrival)
        return arrivals

    def fate(self, channel: str, address: str, pid: str, now: float) -> Fate:
        """Decide what becomes of a message; by default every number among the habits is the share of a word."""
        habits = self.outside.world.rates(self.name)
        shares = {word: share for word, share in habits.items() if isinstance(share, int | float)}
        return self.outside.world.fate(channel, address, pid, now, shares, habits.get("delay"))

    def receipt(self, arrival: Arrival) -> None:
        """Plan what the provider will tell of this message (``self.post``); by default nothing."""

    # --- control

    def control(self, document: dict[str, Any]) -> None:
        """Take the provider's part of ``PUT /_sim/ctl``; SettingError on unknown names.

        A provider takes its accounts and approved objects out of the document and hands the rest on to this.
        """
        merge_settings(self.outside.settings[self.name], document, self.name)

    def act(self, operation: str, document: dict[str, Any]) -> dict[str, Any] | Awaitable[dict[str, Any]]:
        """Do what a person or an operator does in this provider's world: ``POST /_sim/<name>/<operation>``."""
        if operation == "invalidate" and self.tokens is not None:
            return {"invalidated": self.tokens.invalidate(str(document["account"]))}
        raise SettingError(f"{self.name} knows no operation {operation}")

    def made_up(self, report: dict[str, Any]) -> None:
        """Tell a report that a test made up (``POST /_sim/receipts``)."""
        raise SettingError(f"{self.name} tells no made-up reports")

    def stats(self) -> dict[str, Any]:
        """Return counters of the provider's own for ``/_sim/stats``."""
        return {} if self.tokens is None else {"tokens": self.tokens.as_document()}

    # --- people and pages

    def places(self, person: dict[str, Any]) -> list[tuple[str, str]]:
        """Return the (channel, address) pairs of a person, addresses as the provider is given them."""
        return []

    def show(self, arrival: Arrival, language: str) -> Shown:
        """Return what the phone page draws of a message (``zh`` or ``en``)."""
        return Shown(text=str(arrival.content))


class Provider(Party):
    """A provider that is spoken to over HTTP, all of them on one port."""

    content_type: ClassVar[str] = JSON_TYPE

    def wants(self, call: Call) -> bool:
        """Tell by path or header whether the request is for this provider; no two may want the same."""
        raise SettingError(f"{self.name} is reached under /~{self.name}/ only")

    def read(self, call: Call) -> Submission | Answer:
        """Authenticate and check everything; a Submission is what may be accepted or answered, an Answer ends it."""
        raise SettingError(f"{self.name} reads nothing")

    def headers(self, call: Call) -> dict[str, str]:
        """Return headers that stand on every answer."""
        return {}

    def refusal(self, code: str) -> Answer:
        """Answer with this code, as the provider does."""
        return answer_json(400, {"code": code, "message": code}, code)

    def throttled(self, seconds: str | None) -> Answer:
        """Answer that too much is sent; ``seconds`` is when to come back, where the provider says so."""
        return answer_json(429, {"code": "throttled"}, "throttled", {"Retry-After": seconds or "60"})

    def internal_error(self) -> Answer:
        """Answer that the provider failed, which says nothing about acceptance."""
        return answer_json(500, {"code": "internal"}, "internal")


class Port(Party):
    """A provider with a socket of its own; ``talk`` speaks with one client."""

    lost_answer: ClassVar[str] = "reset_after"

    def __init__(self, outside: Outside, post: Poster) -> None:
        super().__init__(outside, post)
        self._server: asyncio.Server | None = None
        self._sessions: set[asyncio.Task[None]] = set()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Speak with one client until the end of the connection."""
        raise SettingError(f"{self.name} says nothing")

    async def start(self, host: str, port: int) -> int:
        """Listen (0: any free port) and return the port."""
        self._server = await asyncio.start_server(self._session, host, port, backlog=1024)
        number: int = self._server.sockets[0].getsockname()[1]
        return number

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._sessions.add(task := asyncio.ensure_future(self.talk(reader, writer)))
        task.add_done_callback(self._sessions.discard)

    async def stop(self) -> None:
        """Stop listening and end the sessions."""
        if self._server is not None:
            self._server.close()
        for task in self._sessions:
            task.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)
