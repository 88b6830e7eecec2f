"""FCM from the assertion to the answer, in the simulated world."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

import simulator.providers.fcm as provider
from apps.channels.contract import Account, Envelope, TransportFault
from apps.channels.outcomes import Accepted, Misconfigured, Rejected, StaleToken, Throttled, Unknown
from apps.channels.transport.http import HttpClient
from tests.channels.simulated.senders import Sender, answered
from tests.channels.test_with_simulator import AFTER
from tests.simulator.clients import Simulator

ACCOUNT = (Path(provider.__file__).parent / "service-account.json").read_text()
EMAIL = json.loads(ACCOUNT)["client_email"]
CONTENT = {"title": "审批", "alert": "您的审批已通过", "extras": {"page": "oa"}}


def devices(count: int, start: int = 0) -> list[list[Envelope]]:
    numbers = range(start, start + count)
    return [[Envelope(f"r{n}", f"r{n}", f"demo{n:018d}:APA91b{n:0120d}", CONTENT)] for n in numbers]


@pytest.fixture
def app(simulator: Simulator, http: HttpClient) -> Sender:
    base = f"{simulator.http}/~fcm"
    config = {"service_account": ACCOUNT, "base_url": base, "token_url": f"{base}/token", "channel_id": "ums_high"}
    made = Sender(Account("fcm", "push_fcm", config), http)
    made.sign_in()
    return made


def accepted_since(simulator: Simulator, before: int) -> int:
    return sum(line["ev"] == "accept" for line in simulator.ledger(before))


def script(simulator: Simulator, *do: object, operation: str = "send") -> None:
    simulator.control({"scripts": [{"provider": "fcm", "match": "all", "operation": operation, "do": list(do)}]})


def test_every_device_is_a_call_and_has_an_id(simulator: Simulator, app: Sender) -> None:
    before = len(simulator.ledger())
    outcomes = app.send(*devices(60))
    assert all(isinstance(one, Accepted) for one in outcomes)
    lines = simulator.ledger(before)
    assert {line["pid"] for line in lines} == {getattr(one, "provider_id", "") for one in outcomes}
    assert {line["delivery_ref"] for line in lines} == {f"r{n}" for n in range(60)}


@pytest.mark.parametrize(("fault", "expected", "accepted"), AFTER)
def test_faults(simulator: Simulator, app: Sender, fault: str, expected: type, accepted: int) -> None:
    script(simulator, fault)
    before = len(simulator.ledger())
    (outcome,) = app.send(*devices(1))
    assert isinstance(outcome, expected) and accepted_since(simulator, before) == accepted
    assert not isinstance(outcome, TransportFault) or outcome.sent


def test_an_ended_token_is_told_apart_and_a_new_one_is_good(simulator: Simulator, app: Sender) -> None:
    simulator.call("POST", "/_sim/fcm/invalidate", json.dumps({"account": EMAIL}))
    (stale,) = app.send(*devices(1))
    assert isinstance(stale, StaleToken)
    app.sign_in()
    (again,) = app.send(*devices(1))
    assert isinstance(again, Accepted)


def test_devices_that_are_gone_are_refused_one_by_one(simulator: Simulator, app: Sender) -> None:
    gone, well = devices(2, 500)
    people = [{"id": "G", "fcm": [gone[0].address], "states": {"fcm": "unknown"}}]
    simulator.call("PUT", "/_sim/people", json.dumps(people))
    outcomes = app.send(gone, well)
    assert [type(one) for one in outcomes] == [Rejected, Accepted]
    assert getattr(outcomes[0], "code", "") == "UNREGISTERED"


def test_what_the_provider_cannot_read_is_the_content(simulator: Simulator, app: Sender) -> None:
    ((envelope,),) = devices(1)
    envelope.content = {"alert": "长" * 1500}
    (outcome,) = app.send([envelope])
    assert isinstance(outcome, Rejected) and (outcome.code, outcome.scope) == ("BAD_REQUEST", "content")
    envelope.address, envelope.content = "bad token", CONTENT
    (outcome,) = app.send([envelope])
    assert isinstance(outcome, Rejected) and (outcome.code, outcome.scope) == ("INVALID_ARGUMENT", "recipient")


def test_another_project_and_a_full_quota(simulator: Simulator, app: Sender) -> None:
    other = Sender(replace(app.account, config={**app.account.config, "project_id": "another"}), app.client)
    (outcome,) = other.send(*devices(1))
    assert isinstance(outcome, Misconfigured) and outcome.code == "PERMISSION_DENIED"
    script(simulator, "429(90)")
    (outcome,) = app.send(*devices(1))
    assert isinstance(outcome, Throttled) and outcome.retry_after and outcome.retry_after.total_seconds() == 90


def test_no_token_is_sold_to_a_stranger(simulator: Simulator, app: Sender) -> None:
    held = json.loads(ACCOUNT) | {"client_email": "stranger@x.example"}
    account = replace(app.account, config={**app.account.config, "service_account": json.dumps(held)})

    def sold() -> object:
        request = app.adapter.build_token(account, _now())
        return app.adapter.read_token(account, answered(request))  # type: ignore[arg-type]

    refused = sold()
    assert isinstance(refused, Misconfigured) and refused.code == "invalid_grant"
    script(simulator, "500", operation="token")
    account = app.account
    assert isinstance(sold(), Unknown)


def _now() -> datetime:
    return datetime.now(UTC)
