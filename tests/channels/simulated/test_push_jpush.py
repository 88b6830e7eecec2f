"""JPush beyond what every account does: texts of their own, credentials asked for, pushes taken back."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from apps.channels.contract import Account, Envelope, HttpAnswer, TransportFault
from apps.channels.outcomes import Accepted, Misconfigured, Outcome, Rejected
from apps.channels.transport.http import HttpClient, fetch
from tests.channels.peers import wait_for
from tests.channels.simulated.senders import Sender
from tests.simulator.clients import Simulator

CONFIG = {
    "app_key": "a1b2c3d4e5f6a1b2c3d4e5f6",
    "master_secret": "0123456789abcdef01234567",
    "third_party_channel": {"vivo": {"distribution": "ospush"}},
    "channel_id": "ums_high",
    "classification": "1",
}


@pytest.fixture
def app(simulator: Simulator, http: HttpClient) -> Sender:
    config = CONFIG | {"base_url": simulator.http, "report_base_url": simulator.http, "own_texts_per_call": 500}
    return Sender(Account("push", "push_jpush", config), http)


def reserve(app: Sender, count: int) -> Sequence[str]:
    answer = fetch(app.adapter.build_reserve(app.account, count))
    assert isinstance(answer, HttpAnswer)
    keys = app.adapter.read_reserve(answer)
    assert not isinstance(keys, Outcome)
    return keys


def devices(app: Sender, count: int, start: int = 0) -> list[Envelope]:
    keys = reserve(app, count)
    return [
        Envelope(keys[n], f"r{n}", f"1507bfd3f7c466{start + n:05x}", {"title": "审批", "alert": f"第{n}号"})
        for n in range(count)
    ]


def test_five_hundred_texts_are_one_call(simulator: Simulator, app: Sender) -> None:
    before = len(simulator.ledger())
    group = devices(app, 500)
    (first,) = app.send(group)
    (again,) = app.send(group[::-1])
    assert isinstance(first, list) and isinstance(again, list) and first == again[::-1]
    assert len({one.provider_id for one in first if isinstance(one, Accepted)}) == 500
    lines = simulator.ledger(before)
    assert [sum(line["ev"] == event for line in lines) for event in ("accept", "dedup")] == [500, 500]
    assert len({line["body_hash"] for line in lines}) == 500 and len({line["call"] for line in lines}) == 2
    wait_for(lambda: len(app.poll(first[7].provider_id, [group[7].address])) == 1)


def test_a_call_that_is_too_long_is_refused_before_anybody_is_sent_to(simulator: Simulator, app: Sender) -> None:
    simulator.control({"jpush": {"batch_size": 2}})
    (refused,) = app.send(devices(app, 3))
    assert isinstance(refused, Rejected) and refused.scope == "call"


def test_a_foreign_key_is_that_devices_alone(app: Sender) -> None:
    group = devices(app, 2)
    group[0].key = f"{CONFIG['app_key']}-11111111-2222-4333-8444-555555555555"
    (outcomes,) = app.send(group)
    assert isinstance(outcomes, list) and [type(one) for one in outcomes] == [Rejected, Accepted]


def test_a_lost_call_is_repeated_in_other_company(simulator: Simulator, app: Sender) -> None:
    simulator.control({"scripts": [{"provider": "jpush", "match": "all", "do": ["reset_after"], "times": 1}]})
    group, before = devices(app, 4, 9000), len(simulator.ledger())
    (lost,) = app.send(group)
    assert isinstance(lost, TransportFault) and lost.sent
    outcomes = app.send(group[:1], [group[3], group[1], *devices(app, 1, 9100)], [group[2]])
    assert all(isinstance(one, Accepted) for call in outcomes for one in call)  # type: ignore[union-attr]
    assert sum(line["ev"] == "accept" for line in simulator.ledger(before)) == 5


def test_credentials_are_asked_for_and_nothing_is_sent(simulator: Simulator, app: Sender) -> None:
    before = len(simulator.ledger())
    assert app.check() == Accepted("")
    wrong = Sender(replace(app.account, config={**app.account.config, "master_secret": "0" * 24}), app.client)
    assert isinstance(wrong.check(), Misconfigured)
    assert len(simulator.ledger()) == before


def test_a_push_is_taken_back(simulator: Simulator, app: Sender) -> None:
    (outcomes,) = app.send(devices(app, 1, 9500))
    assert isinstance(outcomes, list) and isinstance(outcomes[0], Accepted)
    assert app.recall(outcomes[0].provider_id, []) == Accepted("")
    unknown = app.recall("1", [])
    assert isinstance(unknown, Rejected) and unknown.code == "1003"
    simulator.control({"scripts": [{"provider": "jpush", "operation": "recall", "match": "all", "do": ["429(9)"]}]})
    assert getattr(app.recall(outcomes[0].provider_id, []), "code", "") == "2002"
