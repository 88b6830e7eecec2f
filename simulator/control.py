"""``/_sim``: scripts, settings, cast, ledger and counters; for tests and the demo, not part of any provider."""

import copy
import inspect
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from simulator.outside import Outside
from simulator.pages import PhonePages
from simulator.posting import Poster
from simulator.provider import Party
from simulator.scripts import ScriptError
from simulator.world import SettingError, merge_settings
from simulator.worldfile import WorldFile

SETTINGS = ("idempotency", "receipts", "world")
# Names of two receipt addresses from before there was one for every provider.
OLD_URLS = {"sms_report_url": "aliyun", "bounce_url": "smtp"}

Operation = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def reply(document: Any, status: int = 200) -> web.Response:
    """Return a JSON answer."""
    return web.json_response(document, status=status, dumps=lambda value: json.dumps(value, ensure_ascii=False))


class Control:
    """Dispatches what comes in under ``/_sim``."""

    def __init__(
        self, outside: Outside, post: Poster, parties: Mapping[str, Party], pages: PhonePages, file: WorldFile
    ) -> None:
        self.outside, self.post, self.parties, self.pages, self.file = outside, post, parties, pages, file
        self._operations: dict[tuple[str, str], Operation] = {
            ("PUT", "/_sim/ctl"): self._put_ctl,
            ("GET", "/_sim/ctl"): self._get_ctl,
            ("DELETE", "/_sim/ctl"): self._delete_ctl,
            ("PUT", "/_sim/people"): self._put_people,
            ("GET", "/_sim/stats"): self._get_stats,
            ("GET", "/_sim/ledger"): self._get_ledger,
            ("POST", "/_sim/receipts"): self._post_receipts,
        }
        self.change(file.settings)
        self.settle(file.people)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one ``/_sim`` request; wrong documents get 400 with the reason."""
        path = request.path.rstrip("/")
        if path == "/_sim" or path == "/_sim/phones" or path.startswith("/_sim/phones/"):
            return self.pages.show(request)
        operation = self._operations.get((request.method, path))
        party, _, act = path.removeprefix("/_sim/").partition("/")
        try:
            if operation is not None:
                return await operation(request)
            if request.method == "POST" and party in self.parties and act:
                return await self._act(self.parties[party], act, request)
        except (ScriptError, SettingError, ValueError, TypeError, KeyError, AttributeError) as error:
            return reply({"error": f"{type(error).__name__}: {error}"}, 400)
        return reply({"error": "no such operation"}, 404)

    async def _act(self, party: Party, operation: str, request: web.BaseRequest) -> web.Response:
        result = party.act(operation, json.loads(await request.read() or b"{}"))
        return reply(await result if inspect.isawaitable(result) else result)

    async def _put_ctl(self, request: web.BaseRequest) -> web.Response:
        self.change(json.loads(await request.read()))
        return reply(self._ctl())

    def change(self, document: dict[str, Any]) -> None:
        """Change the parts that a control document names; SettingError or ScriptError on what is wrong in it."""
        document = copy.deepcopy(document)
        if unknown := set(document) - {"scripts", *SETTINGS, *self.parties}:
            raise SettingError(f"unknown part {sorted(unknown)[0]}")
        if isinstance(document.get("world"), str):
            self.outside.change_world(document.pop("world"))
        if "receipts" in document:
            self._change_urls(document["receipts"])
        for part in SETTINGS:
            merge_settings(self.outside.settings[part], document.get(part, {}), part)
        for name, party in self.parties.items():
            if name in document:
                party.control(document[name])
        if "scripts" in document:
            self.outside.scripts.install(document["scripts"])

    def _change_urls(self, receipts: dict[str, Any]) -> None:
        """Say where the receipts of a provider (``name``) or of one account (``name:account``) go."""
        urls = receipts.pop("urls", {}) | {
            party: receipts.pop(name) for name, party in OLD_URLS.items() if name in receipts
        }
        for name, url in urls.items():
            if name.partition(":")[0] not in self.parties or not isinstance(url, str):
                raise SettingError(f"unknown receiver {name}, or its address is no text")
        self.outside.settings["receipts"]["urls"].update(urls)

    def _ctl(self) -> dict[str, Any]:
        scripts = [
            {
                "provider": s.provider,
                "match": s.match,
                "do": s.plan._asdict(),
                "seen": s.seen,
                "fired": s.fired,
                "times": s.times,
            }
            for s in self.outside.scripts.scripts
        ]
        return self.outside.settings | {"scripts": scripts}

    async def _get_ctl(self, request: web.BaseRequest) -> web.Response:
        return reply(self._ctl())

    async def _delete_ctl(self, request: web.BaseRequest) -> web.Response:
        """Remove all scripts; with ``?settings=1`` also every changed setting."""
        self.outside.scripts.install([])
        if request.query.get("settings") == "1":
            self.outside.restore_settings()
            self.change(self.file.settings)
        return reply(self._ctl())

    async def _put_people(self, request: web.BaseRequest) -> web.Response:
        self.settle(json.loads(await request.read()))
        return reply({"people": len(self.outside.people)})

    def settle(self, people: list[dict[str, Any]]) -> None:
        """Tie addresses together and note the states that people are in."""
        for person in people:
            name = str(person["id"])
            self.outside.people[name] = person
            for place in self.pages.places(person):
                self.outside.person_of[place] = name
            for kind, word in person.get("states", {}).items():
                for channel, address in self._places_meant(person, kind):
                    self.outside.set_state(channel, address, str(word))

    def _places_meant(self, person: dict[str, Any], kind: str) -> list[tuple[str, str]]:
        """Return the places of a state: ``kind`` is a field of the person (``phone``) or a channel (``sms``)."""
        places = self.pages.places({kind: person[kind]} if kind in person else person)
        found = places if kind in person else [place for place in places if place[0] == kind]
        if not found:
            raise SettingError(f"{person['id']} has no address for the state of {kind}")
        return found

    async def _get_stats(self, request: web.BaseRequest) -> web.Response:
        document: dict[str, Any] = {
            name: self.outside.counts[name].as_document() | party.stats() for name, party in self.parties.items()
        }
        document["receipts"] = dict(self.outside.receipts) | {"waiting": self.post.waiting}
        document["ledger"] = len(self.outside.ledger)
        return reply(document)

    async def _get_ledger(self, request: web.BaseRequest) -> web.StreamResponse:
        after = int(request.query.get("after", "0"))
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        for block in self.outside.ledger.read(after):
            await response.write(block)
        return response

    async def _post_receipts(self, request: web.BaseRequest) -> web.Response:
        """Send what is waiting at once, and with it any made-up reports from ``{"reports": [...]}``."""
        text = await request.read()
        document = json.loads(text or b"{}")
        for report in document.get("reports", ()):
            self.parties[document.get("provider", "aliyun")].made_up(report)
        return reply({"posts": self.post.send_all()})
