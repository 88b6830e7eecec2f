"""What the interface promises to a provider, tried with a small one: tokens, scripts, states, receipts, pages, control."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from simulator.catalogue import PORTS, PROVIDERS
from simulator.control import Control
from simulator.exchange import Exchange
from simulator.outside import Answer, Arrival, Call, Outside, Submission
from simulator.page_words import LOOKS
from simulator.pages import PhonePages
from simulator.posting import Parcel, Poster
from simulator.provider import Message, Party, Provider, Shown, answer_json
from simulator.tokens import TokenDesk
from simulator.worldfile import WorldFile, read_world
from tests.simulator.clients import Simulator

Steps = Callable[["Town"], Awaitable[None]]


class Pigeon(Provider):
    """Letters by pigeon: a token first, then a letter; the loft reports later."""

    name = "pigeon"
    channels = {"loft": "webhook"}
    settings = {"longest": 20}
    habits = {"failed": 0.0}
    believable = {"longest": 10, "world": {"failed": 0.5}}
    operations = ("send", "token")
    default_refusal = "tired"
    token_error = "no-ring"

    def __init__(self, outside: Outside, post: Poster) -> None:
        super().__init__(outside, post)
        self.tokens: TokenDesk = TokenDesk(60, 0, same_while_valid=True)

    def wants(self, call: Call) -> bool:
        return call.path.startswith("/pigeon/")

    def read(self, call: Call) -> Submission | Answer:
        if call.path.endswith("/token"):
            return Submission(self.name, "token", [], lambda returned: self._token(call))
        account, why = self.tokens.check(call.headers.get("ring", ""), call.now)
        if why:
            return self.refusal(f"no-ring-{why}")
        text, to = call.form["text"], call.form["to"]
        if len(text) > self.switches["longest"] or self.outside.state("loft", to) == "unfollowed":
            return self.refusal("too-heavy")
        return Submission(self.name, "send", [to], lambda returned: self._send(account, to, text, returned))

    def _token(self, call: Call) -> Answer:
        token, left = self.tokens.issue(call.parameters["account"], call.now)
        return answer_json(200, {"ring": token, "seconds": left})

    def _send(self, account: str, to: str, text: str, returned: bool) -> Answer:
        pid = str(self.outside.new_pid())
        self.take("loft", account, "", pid, [Message(to, f"d-{to}", text)], returned)
        return answer_json(200, {"pid": pid})

    def receipt(self, arrival: Arrival) -> None:
        url = self.post.url(self.name, arrival.account)

        def parcel() -> Parcel:
            genuine = Parcel(self.name, url, f"{arrival.pid} {arrival.fate.word}".encode(), {"Seal": "true"})
            genuine.forged = lambda: Parcel(self.name, url, b"lie", {"Seal": "false"})
            return genuine

        self.post.later(parcel, arrival.fate.at, (arrival.address, arrival.pid))

    def act(self, operation: str, document: dict[str, Any]) -> dict[str, Any] | Awaitable[dict[str, Any]]:
        if operation == "verify":
            return self._verify(document["url"])
        if operation == "unfollow":
            self.outside.set_state("loft", document["to"], "unfollowed")
            return {}
        return super().act(operation, document)

    async def _verify(self, url: str) -> dict[str, Any]:
        status, body = await self.post.ask(Parcel(self.name, f"{url}?echo=7", method="GET"))
        return {"status": status, "body": body.decode()}

    def places(self, person: dict[str, Any]) -> list[tuple[str, str]]:
        return [("loft", person["loft"])] if "loft" in person else []

    def show(self, arrival: Arrival, language: str) -> Shown:
        words = {"failed": {"zh": "鸽子飞丢了", "en": "the pigeon got lost"}[language]}
        return Shown("A <letter>", arrival.content, fields=[("To", arrival.address)], link="javascript:x", words=words)


class Town:
    """A simulator with the small provider beside the real ones, and a receiver of what it tells."""

    def __init__(self, folder: Path, file: WorldFile) -> None:
        kinds = (*PROVIDERS, Pigeon)
        self.outside = Outside(folder, (*kinds, *PORTS), seed=3, world=file.base)
        self.post = Poster(self.outside)
        providers = {kind.name: kind(self.outside, self.post) for kind in kinds}
        parties: dict[str, Party] = {**providers, **{kind.name: kind(self.outside, self.post) for kind in PORTS}}
        control = Control(self.outside, self.post, parties, PhonePages(self.outside, parties), file)
        self.exchange = Exchange(self.outside, providers, control.handle)
        self.told: list[tuple[str, str, str]] = []

    async def run(self, steps: Steps) -> None:
        runners = [web.ServerRunner(web.Server(handler)) for handler in (self.exchange.handle, self._hear)]
        for runner in runners:
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url, self.ear = (f"http://127.0.0.1:{runner.addresses[0][1]}" for runner in runners)
        sender = asyncio.create_task(self.post.run())
        try:
            async with aiohttp.ClientSession() as self.client:
                await steps(self)
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)
            for runner in runners:
                await runner.cleanup()
            self.outside.ledger.close()

    async def _hear(self, request: web.BaseRequest) -> web.Response:
        body = (await request.read()).decode()
        self.told.append((request.path, request.headers.get("Seal", ""), body))
        return web.Response(text=request.query.get("echo", "ok"))

    async def call(self, method: str, path: str, document: Any = None, **more: Any) -> tuple[int, Any]:
        body = {"data": json.dumps(document)} if document is not None else {}
        async with self.client.request(method, self.url + path, **body, **more) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if answer.content_type == "application/json" else text

    async def token(self, account: str = "coop") -> str:
        return str((await self.call("GET", f"/pigeon/token?account={account}"))[1]["ring"])

    async def send(
        self, ring: str, to: str = "tower", text: str = "hello", path: str = "/pigeon/fly"
    ) -> tuple[int, Any]:
        return await self.call("POST", path, headers={"Ring": ring}, data={"to": to, "text": text})

    async def until(self, condition: Callable[[], Any], seconds: float = 10.0) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.01)


def play(folder: Path, steps: Steps, file: WorldFile | None = None) -> Town:
    town = Town(folder, file or WorldFile("perfect", {}, []))
    with ThreadPoolExecutor(1) as another:  # in this thread a browser of other tests may have its loop
        another.submit(lambda: asyncio.run(town.run(steps))).result()
    return town


def test_names_channels_and_looks_of_the_catalogue_fit_together() -> None:
    kinds = [*PROVIDERS, *PORTS]
    assert [name for name, times in Counter(kind.name for kind in kinds).items() if times > 1] == []
    looks: dict[str, str] = {}
    for kind in kinds:
        for channel, look in kind.channels.items():
            assert looks.setdefault(channel, look) == look and look in LOOKS["en"] and look in LOOKS["zh"]


def test_a_call_is_wanted_once_and_found_by_its_prefix(tmp_path: Path) -> None:
    async def steps(town: Town) -> None:
        ring = await town.token()
        assert (await town.send(ring))[0] == 200
        assert (await town.send(ring, path="/~pigeon/anything"))[0] == 200
        assert (await town.call("GET", "/nobody"))[0] == 404 and (await town.call("GET", "/~nobody/x"))[0] == 404
        assert town.outside.counts["pigeon"].calls == 3

    town = play(tmp_path, steps)
    lines = [json.loads(line) for line in (tmp_path / "ledger.jsonl").read_text().splitlines()]
    assert [(line["provider"], line["account"], line["delivery_ref"]) for line in lines] == [
        ("pigeon", "coop", "d-tower")
    ] * 2
    assert town.outside.accepted == {"loft": 2}


def test_tokens_can_be_spoiled_refused_and_ended_early(tmp_path: Path) -> None:
    async def steps(town: Town) -> None:
        scripts = [
            {"provider": "pigeon", "operation": "token", "do": ["500"], "times": 1},
            {"provider": "pigeon", "do": ["token_error"], "times": 1},
            {"provider": "pigeon", "do": ["refuse"], "times": 1},
        ]
        assert (await town.call("PUT", "/_sim/ctl", {"scripts": scripts}))[0] == 200
        assert (await town.call("GET", "/pigeon/token?account=coop"))[0] == 500
        ring = await town.token()
        assert [(await town.send(ring))[1].get("code") for _ in range(3)] == ["no-ring", "tired", None]
        assert (await town.call("POST", "/_sim/pigeon/invalidate", {"account": "coop"}))[1] == {"invalidated": 1}
        assert (await town.send(ring))[1]["code"] == "no-ring-expired"
        stats = (await town.call("GET", "/_sim/stats"))[1]["pigeon"]
        assert stats["tokens"]["asked"] == {"coop": 1} and stats["refused"]["no-ring"] == 1

    play(tmp_path, steps)


@pytest.mark.parametrize(
    "script",
    [
        {"provider": "aliyun", "do": ["token_error"]},
        {"provider": "pigeon", "operation": "poll", "do": ["500"]},
        {"provider": "pigeon", "at": "rcpt", "do": ["500"]},
        {"provider": "raven", "do": ["500"]},
    ],
)
def test_scripts_that_never_could_fire_are_refused(tmp_path: Path, script: dict[str, Any]) -> None:
    async def steps(town: Town) -> None:
        assert (await town.call("PUT", "/_sim/ctl", {"scripts": [script]}))[0] == 400

    play(tmp_path, steps)


def test_switches_habits_and_worlds(tmp_path: Path) -> None:
    async def steps(town: Town) -> None:
        ring = await town.token()
        for part in ({"pigeon": {"longest": 3}}, {"world": "believable"}):
            assert (await town.call("PUT", "/_sim/ctl", part))[0] == 200
        assert town.outside.settings["pigeon"] == {"longest": 10}
        assert town.outside.settings["world"]["pigeon"] == {"failed": 0.5}
        assert (await town.call("DELETE", "/_sim/ctl?settings=1"))[1]["pigeon"] == {"longest": 20}
        assert (await town.call("PUT", "/_sim/ctl", {"pigeon": {"colour": 1}}))[0] == 400
        assert (await town.send(ring, text="x" * 21))[1]["code"] == "too-heavy"

    play(tmp_path, steps)


def test_receipts_are_forged_doubled_lost_and_told_where_asked(tmp_path: Path) -> None:
    async def steps(town: Town) -> None:
        urls = {"pigeon": f"{town.ear}/all", "pigeon:coop": f"{town.ear}/coop"}
        rule = {"urls": urls, "delay": 0.0, "bad_sig": 1.0, "dup": 1.0}
        assert (await town.call("PUT", "/_sim/ctl", {"receipts": rule}))[0] == 200
        pid = (await town.send(await town.token()))[1]["pid"]
        await town.until(lambda: len(town.told) == 4)
        assert sorted(town.told) == [("/coop", "false", "lie")] * 2 + [("/coop", "true", f"{pid} delivered")] * 2
        await town.call("PUT", "/_sim/ctl", {"receipts": {"lost": 1.0}})
        await town.send(await town.token("other"))
        assert town.outside.receipts["lost"] == 1 and town.post.waiting == 0
        await town.call("PUT", "/_sim/ctl", {"receipts": {"lost": 0.0, "dup": 0.0, "bad_sig": 0.0}})
        await town.send(await town.token("other"))
        await town.until(lambda: town.told[-1][0] == "/all")
        assert (await town.call("PUT", "/_sim/ctl", {"receipts": {"urls": {"raven": "http://x"}}}))[0] == 400
        verified = await town.call("POST", "/_sim/pigeon/verify", {"url": f"{town.ear}/check"})
        assert verified == (200, {"status": 200, "body": "7"})

    play(tmp_path, steps)


def test_people_have_states_and_pages_show_the_provider_s_words(tmp_path: Path) -> None:
    people = [
        {"id": "U1", "name": "杜萍", "loft": "tower", "states": {"loft": "failed"}},
        {"id": "U2", "phone": "+8613800138000", "states": {"sms": "empty"}},
    ]

    async def steps(town: Town) -> None:
        assert town.outside.state("sms", "13800138000") == "empty"
        await town.send(await town.token(), text="dear <friend>")
        page = (await town.call("GET", "/_sim/phones/U1?lang=en"))[1]
        assert "the pigeon got lost" in page and "dear &lt;friend&gt;" in page and "A &lt;letter&gt;" in page
        assert "<dt>To</dt><dd>tower</dd>" in page and 'href="javascript' not in page
        assert "鸽子飞丢了" in (await town.call("GET", "/_sim/phones/U1"))[1]
        assert (await town.call("POST", "/_sim/pigeon/unfollow", {"to": "tower"}))[0] == 200
        assert (await town.send(await town.token()))[1]["code"] == "too-heavy"
        assert (await town.call("POST", "/_sim/pigeon/dance", {}))[0] == 400
        assert (await town.call("PUT", "/_sim/people", [{"id": "U3", "states": {"loft": "failed"}}]))[0] == 400

    file = WorldFile("perfect", {"pigeon": {"longest": 15}, "receipts": {"delay": 0.0}}, people)
    assert play(tmp_path, steps, file).outside.settings["pigeon"]["longest"] == 15


def test_a_world_file_sets_habits_and_people(tmp_path: Path, start: Callable[..., Simulator]) -> None:
    path = tmp_path / "world.json"
    settings = {"jpush": {"batch_size": 7}, "receipts": {"delay": 0.0}}
    people = [{"id": "U1", "phone": "13800138001", "states": {"phone": "blacklisted"}}]
    path.write_text(json.dumps({"base": "perfect", "settings": settings, "people": people}))
    simulator = start("--world", str(path), "--port-smtp", "0")
    assert simulator.control({"jpush": {"batch_size": 9}})["jpush"]["batch_size"] == 9
    assert simulator.call("DELETE", "/_sim/ctl?settings=1").json["jpush"]["batch_size"] == 7
    simulator.send_sms("13800138001")
    assert "被运营商黑名单拦截" in simulator.call("GET", "/_sim/phones/U1").body.decode()
    path.write_text('{"weather": "rain"}')
    with pytest.raises(ValueError, match="weather"):
        read_world(str(path))
