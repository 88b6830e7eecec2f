"""Our SMPP against an implementation that is not ours: npm's `smpp` as service centre (`tests/peers`, installed by .ci/run)."""

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from apps.channels.contract import Account, Envelope, InboundPdu, SessionAnswer, SessionRequest, TransportFault
from apps.channels.outcomes import Accepted
from apps.channels.providers.sms_smpp.adapter import SmsSmpp
from apps.channels.transport.session import SessionClient
from tests.channels.golden_files import GOLDEN, NOW
from tests.channels.peers import wait_for

PEERS = Path(__file__).resolve().parents[1] / "peers"
NODE = shutil.which("node")
missing = not NODE and "node is not installed" or not (PEERS / "node_modules" / "smpp").exists() and (
    "npm ci was not run in tests/peers"
)  # fmt: skip
pytestmark = pytest.mark.skipif(bool(missing), reason=str(missing or ""))


class Centre:
    """The service centre in its own process, with all that it said."""

    def __init__(self, delay_ms: int = 0, cap: int = 0) -> None:
        assert NODE
        self.process = subprocess.Popen(
            [NODE, "smsc.js", str(delay_ms), str(cap)],
            cwd=PEERS,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.events: list[dict[str, Any]] = []
        assert self.process.stdout is not None
        self.port = json.loads(self.process.stdout.readline())["port"]
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.events.append(json.loads(line))

    def of(self, event: str) -> list[dict[str, Any]]:
        return [one for one in self.events if one["event"] == event]

    def stop(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


Start = Callable[..., Centre]


@pytest.fixture
def start() -> Iterator[Start]:
    centres: list[Centre] = []

    def make(*arguments: int) -> Centre:
        centres.append(Centre(*arguments))
        return centres[-1]

    yield make
    for centre in centres:
        centre.stop()


@pytest.fixture
def client() -> Iterator[SessionClient]:
    made = SessionClient(timeout_s=5.0)
    yield made
    made.close()


def account(centre: Centre, **changes: Any) -> Account:
    config = json.loads((GOLDEN / "sms_smpp" / "kind.json").read_text())["config"]
    place = {"host": "127.0.0.1", "port": centre.port, "per_second": 0}
    return Account("main", "sms_smpp", config | place | changes)


def request(kind: SmsSmpp, sender: Account, text: str, number: int = 0) -> SessionRequest:
    envelope = Envelope("k", f"r{number}", f"138{number:08d}", {"text": text, "sign_name": ""})
    return kind.build(sender, [envelope], NOW)


def run(client: SessionClient, requests: list[SessionRequest]) -> tuple[list[Any], list[InboundPdu]]:
    """Answers in the order of the requests, and what came in meanwhile, acknowledged."""
    for number, one in enumerate(requests):
        client.start(number, one)
    answers: dict[object, Any] = {}
    came: list[InboundPdu] = []
    end = time.monotonic() + 20
    while client.in_flight:
        assert time.monotonic() < end
        answers.update(client.poll(0.1))
        came += take(client)
    return [answers[number] for number in range(len(requests))], came


def take(client: SessionClient) -> list[InboundPdu]:
    came = client.inbound()
    for one in came:
        client.acknowledge(one)
    return came


TEXTS = ["hello", "验证码 8848", "a" * 200, "验" * 100, "😀" * 40, "a" * 152 + "€" * 5, "{[~]}|^\\€ @£"]


def test_what_we_write_is_read_by_the_peer_and_its_receipts_by_us(start: Start, client: SessionClient) -> None:
    centre, kind = start(), SmsSmpp()
    sender = account(centre)
    answers, came = run(client, [request(kind, sender, text, number) for number, text in enumerate(TEXTS)])
    outcomes = [kind.read(sender, [], answer) for answer in answers]
    assert all(isinstance(one, Accepted) for one in outcomes)
    parts = centre.of("submit")
    ids = [part for one in outcomes if isinstance(one, Accepted) for part in one.provider_id.split(",")]
    assert sorted(ids) == sorted(str(int(one["id"], 16)) for one in parts) and len(parts) == 11
    for number, text in enumerate(TEXTS):
        mine = sorted((one for one in parts if one["to"] == f"86138{number:08d}"), key=lambda one: one["udh"][-2:])
        assert {one["registered"] for one in mine} == {1} and {one["from"] for one in mine} == {"10690001"}
        if mine[0]["coding"] == 8:
            assert "".join(one["text"] for one in mine) == text
        headers = [one["udh"] for one in mine if one["udh"]]
        assert len(headers) == (len(mine) if len(mine) > 1 else 0)
        assert len({header[:-2] for header in headers}) <= 1 and all(one["esm"] == 0x40 for one in mine if one["udh"])
    while len(came) < len(parts):
        client.poll(0.1)
        came += take(client)
    events = [event for one in came for event in kind.parse_inbound(sender, one)]
    assert sorted(event.provider_id for event in events) == sorted(ids)
    assert {event.state for event in events} == {"delivered"}
    drive(client, lambda: len(centre.of("receipt answered")) == len(parts))
    assert {one["status"] for one in centre.of("receipt answered")} == {0}
    assert not centre.of("error")


def drive(client: SessionClient, condition: Callable[[], object]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        client.poll(0.05)
        take(client)


def test_a_wrong_password_is_told(start: Start, client: SessionClient) -> None:
    centre, kind = start(), SmsSmpp()
    sender = account(centre, password="wrong")
    answers, _came = run(client, [request(kind, sender, "x")])
    assert answers[0].stage == "bind" and answers[0].parts[0].status == 0x0E
    assert type(kind.read(sender, [], answers[0])).__name__ == "Misconfigured"


def test_modes_life_and_goodbye(start: Start) -> None:
    centre = start()
    client = SessionClient(timeout_s=5.0)
    link = replace(SmsSmpp().session(account(centre, mode="separate")), idle_s=0.2)
    client.open(link)
    drive(client, lambda: client.sessions == 3)
    assert len(centre.of("bind_receiver")) == 1 and len(centre.of("bind_transmitter")) == 2
    assert {one["version"] for one in centre.events} == {0x34}
    drive(client, lambda: len(centre.of("enquire_link")) >= 3)
    client.close()
    wait_for(lambda: len(centre.of("unbind")) == 3)


def test_the_window_makes_up_for_a_slow_line(start: Start, client: SessionClient) -> None:
    centre, kind = start(20), SmsSmpp()
    seconds = {}
    for window in (1, 25):
        sender = account(centre, window=window, binds=1)
        run(client, [request(kind, sender, "x")])
        began = time.monotonic()
        answers, _came = run(client, [request(kind, sender, "x", number) for number in range(50)])
        seconds[window] = time.monotonic() - began
        assert all(isinstance(answer, SessionAnswer) for answer in answers)
    assert seconds[1] > 1.0 > 3 * seconds[25]


def test_a_peer_that_is_too_busy_slows_the_link(start: Start, client: SessionClient) -> None:
    centre, kind = start(0, 50), SmsSmpp()
    sender = account(centre, binds=1, window=10)
    answers, _came = run(client, [request(kind, sender, "x", number) for number in range(120)])
    throttled = sum(answer.parts[0].status == 0x58 for answer in answers)
    assert 1 <= throttled <= 30
    wait_for(lambda: len(centre.of("submit")) == 120 - throttled)  # the peer's own log comes a moment later


def test_a_peer_that_dies_leaves_what_it_had_open_and_comes_back(start: Start, client: SessionClient) -> None:
    centre, kind = start(3000), SmsSmpp()
    sender = account(centre, binds=1, window=5)
    for number in range(5):
        client.start(number, request(kind, sender, "x", number))
    drive(client, lambda: len(centre.of("submit")) == 5)
    centre.process.kill()
    answers: dict[object, Any] = {}
    while client.in_flight:
        answers.update(client.poll(0.1))
    assert all(isinstance(one, TransportFault) and one.sent for one in answers.values()) and len(answers) == 5
