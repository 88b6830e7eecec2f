"""APNs from the token to the answer, over HTTP/2 in clear and over TLS, in the simulated world."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from apps.channels.contract import Account, Envelope, HttpRequest, Token, TransportFault
from apps.channels.outcomes import Accepted, Misconfigured, Rejected, StaleToken, Throttled, Unavailable, Unknown
from apps.channels.transport.http import HttpClient
from tests.channels.golden_files import GOLDEN
from tests.channels.peers import HttpPeer, certificate, http_answer, wait_for
from tests.channels.simulated.senders import Said, Sender
from tests.channels.test_with_simulator import AFTER
from tests.simulator.clients import Simulator

KEY = json.loads((GOLDEN / "push_apns" / "kind.json").read_text())["config"]["private_key"]
CONFIG = {"private_key": KEY, "key_id": "KEY1234567", "team_id": "TEAM123456", "topic": "com.example.ums"}
CONTENT = {"title": "审批", "alert": "您的审批已通过", "extras": {"page": "oa"}}
# A device is asked too often, not an account; the rest is as with every provider.
FAULTS = [one for one in AFTER if one[0] != "429"]


def devices(count: int, start: int = 0) -> list[list[Envelope]]:
    return [[Envelope(f"r{n}", f"r{n}", f"{n:064x}", CONTENT)] for n in range(start, start + count)]


def app_over(simulator: Simulator, client: HttpClient, scheme: str = "http") -> Sender:
    base = f"{scheme}://127.0.0.1:{simulator.ready['apns']['port']}"
    made = Sender(Account("apns", "push_apns", CONFIG | {"base_url": base}), client)
    made.sign_in()
    return made


@pytest.fixture
def app(simulator: Simulator, http: HttpClient) -> Sender:
    simulator.control({"apns": {"token_update_s": 0}})
    return app_over(simulator, http)


Secure = Callable[[int], HttpClient]


@pytest.fixture
def secure(simulator: Simulator) -> Iterator[Secure]:
    made: list[HttpClient] = []

    def make(at_once: int) -> HttpClient:
        made.append(HttpClient(at_once, timeout_s=5.0, ca_file=str(simulator.folder / "apns-ca.pem")))
        return made[-1]

    yield make
    for client in made:
        client.close()


def accepted_since(simulator: Simulator, before: int) -> int:
    return sum(line["ev"] == "accept" for line in simulator.ledger(before))


def connections(simulator: Simulator) -> int:
    return int(simulator.stats()["apns"]["connections"])


def script(simulator: Simulator, *do: object, times: int | None = None) -> None:
    simulator.control({"scripts": [{"provider": "apns", "match": "all", "do": list(do), "times": times}]})


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_many_calls_share_a_connection(simulator: Simulator, secure: Secure, scheme: str) -> None:
    simulator.control({"apns": {"token_update_s": 0}})
    app = app_over(simulator, secure(50), scheme)
    before, opened = len(simulator.ledger()), connections(simulator)
    outcomes = app.send(*devices(300))
    assert all(isinstance(one, Accepted) for one in outcomes), outcomes[0]
    lines = simulator.ledger(before)
    assert {line["pid"] for line in lines} == {getattr(one, "provider_id", "") for one in outcomes}
    assert {line["delivery_ref"] for line in lines} == {f"r{n}" for n in range(300)}
    assert connections(simulator) == opened + 1


@pytest.mark.parametrize(("fault", "expected", "accepted"), FAULTS)
def test_faults(simulator: Simulator, app: Sender, fault: str, expected: type, accepted: int) -> None:
    script(simulator, fault)
    before = len(simulator.ledger())
    (outcome,) = app.send(*devices(1))
    assert isinstance(outcome, expected), outcome
    assert not isinstance(outcome, TransportFault) or outcome.sent
    assert accepted_since(simulator, before) == accepted


def test_a_stream_that_is_cut_off_takes_no_other_with_it(simulator: Simulator, app: Sender) -> None:
    simulator.control({"scripts": [{"provider": "apns", "match": f"to:{5:064x}", "do": ["reset_after"]}]})
    before = len(simulator.ledger())
    outcomes = app.send(*devices(12))
    assert [number for number, one in enumerate(outcomes) if not isinstance(one, Accepted)] == [5]
    lost = outcomes[5]
    assert isinstance(lost, TransportFault) and lost.sent and lost.code == "reset"
    assert accepted_since(simulator, before) == 12


@pytest.mark.parametrize("end", ["cut", "goaway"])
def test_a_kept_connection_that_was_ended_is_not_used_again(simulator: Simulator, app: Sender, end: str) -> None:
    assert isinstance(app.send(*devices(1))[0], Accepted)
    for _ in range(3):
        assert simulator.call("POST", f"/_sim/apns/{end}", "{}").status == 200
        wait_for(lambda: simulator.stats()["apns"]["connected"] == 0)
        begun, before = time.monotonic(), len(simulator.ledger())
        outcomes = app.send(*devices(8))
        assert all(isinstance(one, Accepted) for one in outcomes), outcomes
        assert accepted_since(simulator, before) == 8 and time.monotonic() - begun < 0.9


def test_calls_under_way_are_of_unknown_outcome_when_the_connection_is_cut(simulator: Simulator, app: Sender) -> None:
    script(simulator, "accept", "hang(5)")
    for number, group in enumerate(devices(5)):
        app.client.start(number, _request(app, group))
    before = len(simulator.ledger())
    app.client.poll(0.01)
    wait_for(lambda: app.client.poll(0.01) == [] and len(simulator.ledger()) >= before + 5)
    simulator.call("POST", "/_sim/apns/cut", "{}")
    done: list[object] = []
    wait_for(lambda: done.extend(one for _, one in app.client.poll(0.1)) or len(done) == 5)
    assert all(isinstance(one, TransportFault) and one.sent for one in done)


def _request(app: Sender, group: list[Envelope]) -> HttpRequest:
    request = app.adapter.build(app.account, group, datetime.now(UTC))
    assert isinstance(request, HttpRequest)
    return request


def outcome_of(app: Sender, *groups: list[Envelope]) -> Said:
    (outcome,) = app.send(*groups)
    return outcome


def test_refusals(simulator: Simulator, app: Sender) -> None:
    ((one,),) = devices(1)
    script(simulator, {"refuse": "Unregistered"})
    gone = outcome_of(app, [one])
    assert isinstance(gone, Rejected) and (gone.code, gone.bad_address) == ("Unregistered", True)
    script(simulator, "429")
    held = outcome_of(app, [one])
    assert isinstance(held, Throttled) and held.scope == "recipient"
    script(simulator, {"refuse": "Shutdown"})
    assert isinstance(outcome_of(app, [one]), Unavailable)
    script(simulator, "token_error")
    assert isinstance(outcome_of(app, [one]), StaleToken)
    simulator.control({"scripts": []})
    other = Sender(replace(app.account, config={**app.account.config, "topic": "com.example.other"}), app.client)
    assert getattr(outcome_of(other, [one]), "code", "") == "TopicDisallowed"
    one.content = {"alert": "长" * 1400}
    assert getattr(outcome_of(app, [one]), "code", "") == "PayloadTooLarge"


def test_whoever_asks_for_a_token_within_its_step_has_the_same(simulator: Simulator, app: Sender) -> None:
    start = datetime(2025, 1, 2, 3, 20, tzinfo=UTC)
    asked = [start + timedelta(seconds=seconds) for seconds in (0, 1, 1199, 1200)]
    tokens = [app.adapter.build_token(app.account, now) for now in asked]
    assert all(isinstance(one, Token) for one in tokens)
    first, second, third, fourth = tokens
    assert first.value == second.value == third.value != fourth.value  # type: ignore[union-attr]
    assert [one.valid.total_seconds() for one in tokens] == [3300, 3299, 2101, 3300]  # type: ignore[union-attr]
    simulator.control({"apns": {"token_update_s": 1200}})
    simulator.call("POST", "/_sim/apns/forget_tokens", "{}")
    for _ in range(3):
        app.sign_in()
        assert isinstance(outcome_of(app, *devices(1)), Accepted)


def test_a_token_that_is_too_old_is_told_apart(app: Sender) -> None:
    made = app.adapter.build_token(app.account, datetime.now(UTC) - timedelta(hours=2))
    assert isinstance(made, Token)
    app.account = replace(app.account, token=made.value)
    assert isinstance(outcome_of(app, *devices(1)), StaleToken)
    app.account = replace(app.account, token="a.b.c")
    assert isinstance(outcome_of(app, *devices(1)), Misconfigured)


def test_a_server_without_http2_answers_as_it_can_and_one_without_trust_gets_nothing(
    tmp_path: Path, simulator: Simulator
) -> None:
    cert_file, context = certificate(tmp_path)
    peer = HttpPeer(lambda *_: http_answer(b"no", "400 Bad Request"), context)
    client = HttpClient(timeout_s=2.0, ca_file=str(cert_file))
    app = app_over(simulator, client)
    app.account = replace(app.account, config={**CONFIG, "base_url": peer.url()})
    odd = outcome_of(app, *devices(1))
    assert isinstance(odd, Unknown) and odd.code == "http_400" and b"HTTP/1.1" in peer.heads[0]
    untrusted = app_over(simulator, client, "https")
    fault = outcome_of(untrusted, *devices(1))
    assert isinstance(fault, TransportFault) and (fault.sent, fault.code) == (False, "certificate")
    client.close()
    peer.close()


def test_one_client_speaks_both(simulator: Simulator, app: Sender) -> None:
    plain = HttpRequest("GET", f"{simulator.http}/_sim/stats", [])
    app.client.start("plain", plain)
    app.client.start("push", _request(app, devices(1)[0]))
    app.client.start("plain again", plain)
    done: dict[object, object] = {}
    wait_for(lambda: done.update(app.client.poll(0.1)) or len(done) == 3)
    assert {getattr(answer, "status", 0) for answer in done.values()} == {200}
