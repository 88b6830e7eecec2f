"""Adapters and transports against the simulated providers: sent, faulted, asked, reported."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from apps.channels.contract import (
    Account,
    Adapter,
    Envelope,
    HookRequest,
    HttpAnswer,
    MailAnswer,
    ReceiptEvent,
    TransportFault,
)
from apps.channels.outcomes import Accepted, Misconfigured, Outcome, Rejected, Throttled, Unknown
from apps.channels.registry import adapter
from apps.channels.transport.http import HttpClient, fetch
from apps.channels.transport.smtp import SmtpClient
from tests.channels.peers import HttpPeer, http_answer, wait_for
from tests.simulator.clients import Simulator

AFTER = [
    ("reset_before", TransportFault, 0),
    ("reset_after", TransportFault, 1),
    ("hang_after_accept(2)", TransportFault, 1),
    ("drip_after_accept(0.1)", TransportFault, 1),
    ("garbage", Unknown, 0),
    ("garbage_after_accept", Unknown, 1),
    ("bigbody_after_accept", Unknown, 1),
    ("500", Unknown, 0),
    ("500_after_accept", Unknown, 1),
    ("429", Throttled, 0),
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    running = Simulator(tmp_path_factory.mktemp("state"), "--world", "perfect", "--seed", "7")
    yield running
    running.stop()


@pytest.fixture
def simulator(world: Simulator) -> Simulator:
    assert world.call("DELETE", "/_sim/ctl?settings=1").status == 200
    return world


@pytest.fixture
def hook() -> Iterator[HttpPeer]:
    peer = HttpPeer(lambda *_: http_answer(b'{"code":0,"msg":"ok"}', "200 OK", "Content-Type: application/json"))
    yield peer
    peer.close()


class Sender:
    """One account over its transport, as a dispatcher uses both."""

    def __init__(self, account: Account, client: HttpClient | SmtpClient) -> None:
        self.account, self.client = account, client
        self.adapter: Adapter = adapter(account.kind)

    def send(self, *groups: Sequence[Envelope]) -> list[Outcome | Sequence[Outcome] | TransportFault]:
        """One outcome or fault per call, in order."""
        now = datetime.now(UTC)
        for number, group in enumerate(groups):
            self.client.start(number, self.adapter.build(self.account, group, now))  # type: ignore[arg-type]
        raw: dict[Any, HttpAnswer | MailAnswer | TransportFault] = {}
        end = time.monotonic() + 20
        while self.client.in_flight:
            assert time.monotonic() < end
            raw.update(self.client.poll(0.5))
        return [
            one if isinstance(one, TransportFault) else self.adapter.read(self.account, group, one)
            for group, one in ((group, raw[number]) for number, group in enumerate(groups))
        ]

    def receipts(self, hook: HttpPeer, seen: int = 0) -> list[ReceiptEvent]:
        """Events of every body that the hook has had."""
        requests = [HookRequest({}, {}, body, datetime.now(UTC)) for body in hook.bodies[seen:]]
        return [event for request in requests for event in self.adapter.parse_hook(self.account, request)]


@pytest.fixture
def http() -> Iterator[HttpClient]:
    client = HttpClient(max_in_flight=20, timeout_s=1.0)
    yield client
    client.close()


@pytest.fixture
def sms(simulator: Simulator, http: HttpClient) -> Sender:
    config = {
        "access_key_id": "LTAI5tTestKey0000001",
        "access_key_secret": "TestSecret0000000000000000000001",
        "base_url": simulator.http,
    }
    return Sender(Account("sms", "sms_aliyun", config), http)


@pytest.fixture
def push(simulator: Simulator, http: HttpClient) -> Sender:
    config = {
        "app_key": "a1b2c3d4e5f6a1b2c3d4e5f6",
        "master_secret": "0123456789abcdef01234567",
        "base_url": simulator.http,
        "report_base_url": simulator.http,
        "third_party_channel": {"vivo": {"distribution": "ospush"}},
        "channel_id": "ums_high",
        "classification": "1",
    }
    return Sender(Account("push", "push_jpush", config), http)


@pytest.fixture
def post(simulator: Simulator) -> Iterator[Sender]:
    config = {
        "host": simulator.smtp["host"],
        "port": simulator.smtp["port"],
        "security": "none",
        "username": "ums",
        "password": "ums-secret",
        "sessions": 3,
        "from_address": "notice@bank.example",
        "from_name": "优选银行",
        "bounce_domain": "bounce.bank.example",
        "bounce_secret": "s3",
        "unsubscribe_url": "https://ums.example/u/{token}",
    }
    client = SmtpClient(timeout_s=1.0)
    yield Sender(Account("post", "email_smtp", config), client)
    client.close()


def texts(count: int, start: int = 0) -> list[list[Envelope]]:
    """Short messages, each with values of its own."""
    return [
        [
            Envelope(
                "",
                f"r{number}",
                f"+86138{number:08}",
                {
                    "sign_name": "优选银行",
                    "template_code": "SMS_100000002",
                    "params": {"name": f"杜萍 & {number}", "balance": "12.50"},
                    "text": "x",
                },
            )
        ]
        for number in range(start, start + count)
    ]


def mails(count: int) -> list[list[Envelope]]:
    content = {"subject": "您的审批", "text": "您好\n.\n", "html": "<p>您好</p>"}
    return [[Envelope("", f"r{n}", f"u{n}+x@users.example", content)] for n in range(count)]


def accepted_since(simulator: Simulator, before: int) -> int:
    return sum(line["ev"] == "accept" for line in simulator.ledger(before))


def test_short_messages_are_accepted_once_and_reported(simulator: Simulator, sms: Sender, hook: HttpPeer) -> None:
    simulator.control({"receipts": {"sms_report_url": hook.url("/hook"), "delay": [0.0, 0.0]}})
    before = len(simulator.ledger())
    assert all(isinstance(outcome, Accepted) for outcome in sms.send(*texts(60)))
    assert accepted_since(simulator, before) == 60
    wait_for(lambda: len(sms.receipts(hook)) == 60)
    events = {event.reference: event for event in sms.receipts(hook)}
    assert set(events) == {f"r{number}" for number in range(60)}
    assert all((e.state, e.pieces, e.address[:3]) == ("delivered", 1, "138") for e in events.values())


def test_a_short_message_to_several_is_one_call(simulator: Simulator, sms: Sender) -> None:
    group = [replace(one, content=texts(1)[0][0].content) for (one,) in texts(300, 1000)]
    before = len(simulator.ledger())
    (outcome,) = sms.send(group)
    assert isinstance(outcome, Accepted) and accepted_since(simulator, before) == 300


@pytest.mark.parametrize(("fault", "expected", "accepted"), AFTER)
def test_faults_of_http(simulator: Simulator, sms: Sender, fault: str, expected: type, accepted: int) -> None:
    simulator.control({"scripts": [{"provider": "aliyun", "match": "all", "do": [fault]}]})
    before = len(simulator.ledger())
    (outcome,) = sms.send(*texts(1))
    assert isinstance(outcome, expected)
    assert not isinstance(outcome, TransportFault) or outcome.sent
    assert accepted_since(simulator, before) == accepted


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("isv.OUT_OF_SERVICE", Misconfigured),
        ("isv.MOBILE_NUMBER_ILLEGAL", Rejected),
        ("isv.BUSINESS_LIMIT_CONTROL", Throttled),
    ],
)
def test_refusals_of_aliyun(simulator: Simulator, sms: Sender, code: str, expected: type[Outcome]) -> None:
    simulator.control({"scripts": [{"provider": "aliyun", "match": "all", "do": [{"refuse": code}]}]})
    (outcome,) = sms.send(*texts(1))
    assert isinstance(outcome, expected) and getattr(outcome, "code", "") == code


def test_a_wrong_secret_is_the_accounts_fault(sms: Sender) -> None:
    sms.account = replace(sms.account, config={**sms.account.config, "access_key_secret": "wrong"})
    (outcome,) = sms.send(*texts(1))
    assert isinstance(outcome, Misconfigured) and outcome.code == "SignatureDoesNotMatch"


@pytest.mark.parametrize(("fault", "known"), [("reset_after", True), ("reset_before", False)])
def test_a_send_of_unknown_outcome_can_be_asked_for(simulator: Simulator, sms: Sender, fault: str, known: bool) -> None:
    simulator.control({"scripts": [{"provider": "aliyun", "match": "all", "do": [fault], "times": 1}]})
    ((envelope,),) = texts(1, 7000 + known)
    (outcome,) = sms.send([envelope])
    assert isinstance(outcome, TransportFault) and outcome.sent
    answer = fetch(sms.adapter.build_query(sms.account, envelope, datetime.now(UTC)))
    assert isinstance(answer, HttpAnswer)
    events = sms.adapter.read_query(sms.account, envelope, answer)
    assert isinstance(events, list) and [event.reference for event in events] == [envelope.reference] * known


def devices(count: int, keys: Sequence[str]) -> list[Envelope]:
    content = {"title": "审批", "alert": "您的审批已通过", "extras": {"page": "oa"}}
    return [
        Envelope(keys[number % len(keys)], f"r{number}", f"1507bfd3f7c466{number:05x}", content)
        for number in range(count)
    ]


def reserve(push: Sender, count: int) -> Sequence[str]:
    answer = fetch(push.adapter.build_reserve(push.account, count))
    assert isinstance(answer, HttpAnswer)
    keys = push.adapter.read_reserve(answer)
    assert not isinstance(keys, Outcome) and len(set(keys)) == count
    return keys


def test_pushes_are_accepted_once_however_often_they_are_repeated(simulator: Simulator, push: Sender) -> None:
    group = devices(400, reserve(push, 2))
    before = len(simulator.ledger())
    first, again = push.send(group, group)
    assert isinstance(first, Accepted) and first == again
    assert accepted_since(simulator, before) == 400
    addresses = [one.address for one in group]
    sent_at = datetime.now(UTC)

    def delivered() -> int:
        answer = fetch(push.adapter.build_poll(push.account, first.provider_id, addresses, sent_at))
        assert isinstance(answer, HttpAnswer)
        events = push.adapter.read_poll(push.account, first.provider_id, addresses, answer, sent_at)
        assert isinstance(events, list)
        return sum(event.state == "delivered" for event in events)

    wait_for(lambda: delivered() == 400)


def test_an_unknown_push_is_repeated_with_its_key(simulator: Simulator, push: Sender) -> None:
    simulator.control({"scripts": [{"provider": "jpush", "match": "all", "do": ["reset_after"], "times": 1}]})
    group = devices(3, reserve(push, 1))
    before = len(simulator.ledger())
    (lost,) = push.send(group)
    (found,) = push.send(group)
    assert isinstance(lost, TransportFault) and lost.sent and isinstance(found, Accepted)
    assert accepted_since(simulator, before) == 3


def test_refusals_of_jpush(simulator: Simulator, push: Sender) -> None:
    key = reserve(push, 1)
    for code, expected in (("1011", Rejected), ("1004", Misconfigured), ("1000", Unknown)):
        simulator.control({"scripts": [{"provider": "jpush", "match": "all", "do": [{"refuse": code}]}]})
        (outcome,) = push.send(devices(1, key))
        assert isinstance(outcome, expected) and getattr(outcome, "code", "") == code
    simulator.control({"scripts": [{"provider": "jpush", "match": "all", "do": ["429(9)"]}]})
    (outcome,) = push.send(devices(1, key))
    assert isinstance(outcome, Throttled) and outcome.retry_after is not None
    assert outcome.retry_after.total_seconds() == 9


def test_mails_are_accepted_once(simulator: Simulator, post: Sender) -> None:
    before = len(simulator.ledger())
    assert all(isinstance(outcome, Accepted) for outcome in post.send(*mails(250)))
    assert accepted_since(simulator, before) == 250


def test_bounces_find_their_delivery(simulator: Simulator, post: Sender, hook: HttpPeer) -> None:
    simulator.control(
        {"world": {"smtp": {"bounce": 1.0}}, "receipts": {"bounce_url": hook.url("/hook"), "delay": [0.0, 0.0]}}
    )
    assert all(isinstance(outcome, Accepted) for outcome in post.send(*mails(5)))
    wait_for(lambda: len(hook.bodies) == 5)
    events = {event.reference: event for event in post.receipts(hook)}
    assert set(events) == {f"r{number}" for number in range(5)}
    for reference, event in events.items():
        assert (event.state, event.code, event.bad_address) == ("failed", "5.1.1", True)
        assert event.address == f"u{reference[1:]}+x@users.example"


@pytest.mark.parametrize(("at", "sent"), [("mail", False), ("data", False), ("dot", True)])
def test_a_mail_is_sent_when_its_dot_has_left(simulator: Simulator, post: Sender, at: str, sent: bool) -> None:
    simulator.control({"scripts": [{"provider": "smtp", "match": "all", "do": ["reset_before"], "at": at}]})
    (fault,) = post.send(*mails(1))
    assert isinstance(fault, TransportFault) and fault.sent is sent


def test_refused_mailboxes_and_a_wrong_password(simulator: Simulator, post: Sender) -> None:
    simulator.control({"smtp": {"bad_recipients": ["u1+x@users.example"]}})
    outcomes = post.send(*mails(3))
    assert [type(outcome) for outcome in outcomes] == [Accepted, Rejected, Accepted]
    post.account = replace(post.account, config={**post.account.config, "password": "wrong"})
    (outcome,) = post.send(*mails(1))
    assert isinstance(outcome, Misconfigured)
