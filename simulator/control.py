"""``/_sim``: scripts, settings, cast, ledger and counters; for tests and the demo, not part of any provider."""

import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from simulator.outside import Outside
from simulator.pages import PhonePages
from simulator.receipts import ReceiptSender
from simulator.scripts import ScriptError
from simulator.world import SettingError, merge_settings, preset

SETTINGS = ("idempotency", "receipts", "world", "smtp")
APPROVALS = ("signs", "templates", "account", "secret")

Operation = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def reply(document: Any, status: int = 200) -> web.Response:
    """Return a JSON answer."""
    return web.json_response(document, status=status, dumps=lambda value: json.dumps(value, ensure_ascii=False))


class Control:
    """Dispatches what comes in under ``/_sim``."""

    def __init__(self, outside: Outside, receipts: ReceiptSender, pages: PhonePages) -> None:
        self.outside, self.receipts, self.pages = outside, receipts, pages
        self._operations: dict[tuple[str, str], Operation] = {
            ("PUT", "/_sim/ctl"): self._put_ctl,
            ("GET", "/_sim/ctl"): self._get_ctl,
            ("DELETE", "/_sim/ctl"): self._delete_ctl,
            ("PUT", "/_sim/people"): self._put_people,
            ("GET", "/_sim/stats"): self._get_stats,
            ("GET", "/_sim/ledger"): self._get_ledger,
            ("POST", "/_sim/receipts"): self._post_receipts,
        }

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one ``/_sim`` request; wrong documents get 400 with the reason."""
        path = request.path.rstrip("/")
        if path == "/_sim" or path == "/_sim/phones" or path.startswith("/_sim/phones/"):
            return self.pages.show(request)
        operation = self._operations.get((request.method, path))
        if operation is None:
            return reply({"error": "no such operation"}, 404)
        try:
            return await operation(request)
        except (ScriptError, SettingError, ValueError, TypeError, KeyError, AttributeError) as error:
            return reply({"error": f"{type(error).__name__}: {error}"}, 400)

    async def _put_ctl(self, request: web.BaseRequest) -> web.Response:
        document = json.loads(await request.read())
        unknown = set(document) - {"scripts", "aliyun", "jpush", *SETTINGS}
        if unknown:
            raise SettingError(f"unknown part {sorted(unknown)[0]}")
        if isinstance(document.get("world"), str):
            self.outside.change_world(document.pop("world"))
        for part in SETTINGS:
            if part in document:
                changes = dict(document[part])
                self.outside.world.smtp.update(changes.pop("users", {}) if part == "smtp" else {})
                merge_settings(self.outside.settings[part], changes, part)
        self._put_providers(document)
        if "scripts" in document:
            self.outside.scripts.install(document["scripts"])
        return reply(self._ctl())

    def _put_providers(self, document: dict[str, Any]) -> None:
        """Take new approved objects and accounts, and the switches of the two HTTP providers."""
        aliyun = dict(document.get("aliyun", {}))
        approvals = {name: aliyun.pop(name) for name in APPROVALS if name in aliyun}
        if approvals:
            self.outside.world.approve(approvals)
        merge_settings(self.outside.settings["aliyun"], aliyun, "aliyun")
        jpush = dict(document.get("jpush", {}))
        self.outside.world.jpush.update(jpush.pop("apps", {}))
        merge_settings(self.outside.settings["jpush"], jpush, "jpush")

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
            self.outside.world.settings = preset(self.outside.world_name)
        return reply(self._ctl())

    async def _put_people(self, request: web.BaseRequest) -> web.Response:
        people = json.loads(await request.read())
        for person in people:
            self.outside.people[str(person["id"])] = person
            for place in self.pages.places(person):
                self.outside.person_of[place] = str(person["id"])
        return reply({"people": len(self.outside.people)})

    async def _get_stats(self, request: web.BaseRequest) -> web.Response:
        document: dict[str, Any] = {name: counts.as_document() for name, counts in self.outside.counts.items()}
        document["receipts"] = dict(self.outside.receipts) | {"waiting": self.receipts.waiting}
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
        for report in json.loads(text or b"{}").get("reports", ()):
            self.receipts.add_report(report, time.time())
        return reply({"posts": self.receipts.send_all()})
