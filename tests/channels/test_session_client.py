"""The session transport against gateways that misbehave: what came back, and was anything sent."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from apps.channels.contract import PartAnswer, SessionAnswer, SessionLink, SessionRequest, TransportFault
from apps.channels.transport.pace import Pace
from apps.channels.transport.session import SessionClient
from apps.channels.wire import cmpp, smpp
from tests.channels.peers import certificate, closed_port, wait_for
from tests.channels.session_peers import CmppPeer, SessionPeer, SmppPeer

Result = SessionAnswer | TransportFault
Serve = Callable[[SessionPeer], SessionPeer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    peers: list[SessionPeer] = []

    def keep(peer: SessionPeer) -> SessionPeer:
        peers.append(peer)
        return peer

    yield keep
    for peer in peers:
        peer.close()


@pytest.fixture
def client() -> Iterator[SessionClient]:
    made = SessionClient(timeout_s=1.0, chance=lambda: 0.0)
    yield made
    made.close()


def link(port: int, **changes: object) -> SessionLink:
    made = SessionLink("smpp", "127.0.0.1", port, "esme1", "secret08", window=4)
    return replace(made, **changes)  # type: ignore[arg-type]


def wide_link(port: int, version: str = "3.0", **changes: object) -> SessionLink:
    made = SessionLink("cmpp", "127.0.0.1", port, "sp0001", "shared-secret", version)
    return replace(made, **changes)  # type: ignore[arg-type]


def message(where: SessionLink, parts: int = 1) -> SessionRequest:
    if where.protocol == "cmpp":
        wide = where.version == "3.0"
        bodies = [cmpp.Submit("1069", ["13800138000"], b"x", number=n).encoded(wide) for n in range(parts)]
    else:
        bodies = [smpp.Message((0, 0, "1069"), (1, 1, "86138"), bytes((n,))).encoded() for n in range(parts)]
    return SessionRequest(where, bodies)


def run(client: SessionClient, *requests: SessionRequest, start_by: float | None = None) -> list[Result]:
    """Outcomes in the order of the requests."""
    for number, request in enumerate(requests):
        client.start(number, request, start_by)
    done: dict[object, Result] = {}
    end = time.monotonic() + 15
    while client.in_flight:
        assert time.monotonic() < end
        done.update(client.poll(0.2))
    assert len(done) == len(requests)
    return [done[number] for number in range(len(requests))]


def drive(client: SessionClient, condition: Callable[[], object], seconds: float = 8.0) -> None:
    """Polls until the condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        client.poll(0.02)


def accepted(*ids: str) -> SessionAnswer:
    return SessionAnswer("submit", tuple(PartAnswer(0, one) for one in ids))


@pytest.mark.parametrize("protocol", ["smpp", "2.0", "3.0"])
def test_messages_are_taken_over_one_kept_session(serve: Serve, client: SessionClient, protocol: str) -> None:
    peer = serve(SmppPeer() if protocol == "smpp" else CmppPeer(protocol == "3.0"))
    where = link(peer.port) if protocol == "smpp" else wide_link(peer.port, protocol, check_gateway=True)
    assert run(client, message(where), message(where)) == [accepted("1"), accepted("2")]
    assert run(client, message(where, 3)) == [accepted("3", "4", "5")]
    assert peer.accepted == 1 and client.up and client.sessions == 1
    assert peer.bodies[2:] == message(where, 3).parts


def test_the_window_is_never_exceeded_and_answers_come_in_any_order(serve: Serve, client: SessionClient) -> None:
    held: list[int] = []
    most: list[int] = []

    class Hoarder(SmppPeer):
        """Answers only when the window is full, backwards."""

        def read(self, connection: object, number: int, buffer: bytearray) -> bool:
            copy = bytearray(buffer)
            submits = [one for one in smpp.split(copy) if one.command == smpp.SUBMIT_SM]
            if not submits:
                return super().read(connection, number, buffer)  # type: ignore[arg-type]
            buffer[:] = copy
            held.extend(one.sequence for one in submits)
            most.append(len(held))
            if len(held) == 4:
                for sequence in reversed(held):
                    body = smpp.message_id_body(f"s{sequence}")
                    connection.sendall(smpp.Pdu(smpp.SUBMIT_SM | smpp.RESPONSE, 0, sequence, body).encoded())  # type: ignore[attr-defined]
                held.clear()
            return True

    peer = serve(Hoarder())
    found = run(client, *[message(link(peer.port)) for _one in range(12)])
    assert max(most) == 4
    assert [one.parts[0].message_id for one in found] == [f"s{number}" for number in range(2, 14)]  # 1 was the bind


@pytest.mark.parametrize(("protocol", "status"), [("smpp", 0x0B), ("smpp", 0x58), ("cmpp", 13), ("cmpp", 8)])
def test_a_refused_first_part_refuses_the_message(
    serve: Serve, client: SessionClient, protocol: str, status: int
) -> None:
    def said(_peer: SessionPeer, _number: int, _body: bytes) -> int:
        return status

    peer = serve(SmppPeer(said) if protocol == "smpp" else CmppPeer(True, submit=said))
    where = link(peer.port) if protocol == "smpp" else wide_link(peer.port)
    assert run(client, message(where, 3)) == [SessionAnswer("submit", (PartAnswer(status),))]
    assert len(peer.bodies) == 1


def test_a_later_part_refused_is_told_with_the_others(serve: Serve, client: SessionClient) -> None:
    peer = serve(SmppPeer(lambda _peer, number, _body: 0x45 if number == 2 else 0))
    assert run(client, message(link(peer.port), 3)) == [
        SessionAnswer("submit", (PartAnswer(0, "1"), PartAnswer(0x45), PartAnswer(0, "3")))
    ]


def test_a_later_part_that_came_too_fast_is_sent_again(serve: Serve) -> None:
    client = SessionClient(timeout_s=6.0)
    peer = serve(SmppPeer(lambda _peer, number, _body: 0x58 if number == 2 else 0))
    began = time.monotonic()
    found = run(client, message(link(peer.port), 2))
    client.close()
    assert found == [accepted("1", "3")] and peer.bodies[1] == peer.bodies[2]
    assert time.monotonic() - began >= 1.0


def test_what_was_handed_over_when_the_link_broke_is_sent_and_the_rest_goes_out_again(
    serve: Serve, client: SessionClient
) -> None:
    peer = serve(SmppPeer(lambda _peer, number, _body: "reset" if number == 2 else 0))
    where = link(peer.port, window=2)
    found = run(client, *[message(where) for _one in range(6)])
    faults = [one for one in found if isinstance(one, TransportFault)]
    assert 1 <= len(faults) <= 2 and all(one.sent and one.code == "reset" for one in faults)
    assert all(one == accepted(one.parts[0].message_id) for one in found if isinstance(one, SessionAnswer))
    assert peer.accepted == 2


def test_half_a_message_on_a_broken_link_is_sent(serve: Serve, client: SessionClient) -> None:
    peer = serve(SmppPeer(lambda _peer, number, _body: "close" if number == 2 else 0))
    fault = run(client, message(link(peer.port, window=1), 3))[0]
    assert isinstance(fault, TransportFault) and fault.sent


def test_no_answer_in_time_leaves_the_outcome_open_and_asks_for_life(serve: Serve, client: SessionClient) -> None:
    peer = serve(SmppPeer(lambda _peer, number, _body: "silence" if number == 1 else 0))
    where = link(peer.port, window=1)
    fault = run(client, message(where))[0]
    assert isinstance(fault, TransportFault) and fault.sent and fault.code == "timeout"
    drive(client, lambda: (smpp.ENQUIRE_LINK, 0) in peer.heard)
    time_of_window = time.monotonic()
    client.start("next", message(where))
    found: list[tuple[object, Result]] = []
    while not found and time.monotonic() - time_of_window < 5:
        found = client.poll(0.02)
    assert found == [("next", accepted("2"))]


def test_a_gateway_that_is_silent_is_left(serve: Serve, client: SessionClient) -> None:
    peer = serve(SmppPeer())
    client.open(link(peer.port, idle_s=0.2))
    drive(client, lambda: client.up)
    drive(client, lambda: peer.heard.count((smpp.ENQUIRE_LINK, 0)) >= 2)
    assert peer.accepted == 1
    peer.closing.set()  # from now on it answers no question
    drive(client, lambda: peer.accepted >= 2)


@pytest.mark.parametrize(("status", "protocol"), [(0x0E, "smpp"), (0x05, "smpp"), (3, "cmpp")])
def test_a_refused_login_is_the_answer_to_all_that_wait(
    serve: Serve, client: SessionClient, status: int, protocol: str
) -> None:
    def refuse(_number: int) -> int:
        return status

    peer = serve(SmppPeer(bind_status=refuse) if protocol == "smpp" else CmppPeer(True, bind_status=refuse))
    where = link(peer.port) if protocol == "smpp" else wide_link(peer.port)
    answer = SessionAnswer("bind", (PartAnswer(status),))
    assert run(client, message(where), message(where)) == [answer, answer]
    assert client.refused == answer and not client.up


def test_a_gateway_that_does_not_know_the_secret_is_refused_where_that_is_asked_for(
    serve: Serve, client: SessionClient
) -> None:
    peer = serve(CmppPeer(True, secret="another"))
    assert run(client, message(wide_link(peer.port))) == [accepted("1")]
    found = run(client, message(wide_link(peer.port, check_gateway=True)))
    assert found == [SessionAnswer("bind", (PartAnswer(0x100),))]


def test_nobody_there_is_not_sent_and_tried_again(serve: Serve, client: SessionClient) -> None:
    where = link(closed_port())
    fault = run(client, message(where))[0]
    assert isinstance(fault, TransportFault) and not fault.sent and fault.code == "connect"
    peer = serve(SmppPeer())
    assert run(client, message(link(peer.port))) == [accepted("1")]


def test_a_late_start_never_happens(serve: Serve, client: SessionClient) -> None:
    peer = serve(SmppPeer())
    past = time.clock_gettime(time.CLOCK_BOOTTIME) - 0.1
    found = run(client, message(link(peer.port)), start_by=past)
    assert found == [TransportFault(False, "not_started", "The message was not begun in time.")]
    assert not peer.bodies


def test_several_binds_share_the_work_and_a_refused_one_is_one_too_many(serve: Serve, client: SessionClient) -> None:
    peer = serve(SmppPeer(lambda *_given: "silence", bind_status=lambda number: 0x0D if number == 3 else 0))
    where = link(peer.port, binds=3, window=1)
    client.open(where)
    drive(client, lambda: client.sessions == 2 and peer.accepted >= 3)
    for number in range(4):
        client.start(number, message(where))
    drive(client, lambda: len(peer.bodies) == 2)
    assert client.in_flight == 4 and client.refused is None


def test_separate_sessions_to_send_and_to_receive(serve: Serve, client: SessionClient) -> None:
    peer = serve(SmppPeer())
    client.open(link(peer.port, mode="separate", binds=2))
    drive(client, lambda: client.sessions == 3)
    binds = sorted(command for command, _status in peer.heard)
    assert binds == [smpp.BIND_RECEIVER, smpp.BIND_TRANSMITTER, smpp.BIND_TRANSMITTER]


def test_what_comes_in_is_answered_only_when_it_was_acknowledged(serve: Serve, client: SessionClient) -> None:
    peer = serve(SmppPeer())
    client.open(link(peer.port))
    drive(client, lambda: client.up)
    body = smpp.Message((1, 1, "86138"), (0, 0, "1069"), b"id:1 stat:DELIVRD", esm_class=4).encoded()
    sent = smpp.Pdu(smpp.DELIVER_SM, 0, 77, body).encoded()
    peer.say(sent + smpp.Pdu(smpp.ENQUIRE_LINK, 0, 78).encoded() + smpp.Pdu(0x999, 0, 79).encoded())
    came = []
    drive(client, lambda: came.extend(client.inbound()) or came)
    drive(client, lambda: (smpp.GENERIC_NACK, 3) in peer.heard)
    assert [one.pdu for one in came] == [sent] and "86138" not in repr(came)
    assert (smpp.DELIVER_SM | smpp.RESPONSE, 0) not in peer.heard
    client.acknowledge(came[0])
    drive(client, lambda: (smpp.DELIVER_SM | smpp.RESPONSE, 0) in peer.heard)


@pytest.mark.parametrize("wide", [False, True])
def test_a_cmpp_report_is_answered_with_its_own_id(serve: Serve, client: SessionClient, wide: bool) -> None:
    heard: list[cmpp.Packet] = []

    class Reporter(CmppPeer):
        def read(self, connection: object, number: int, buffer: bytearray) -> bool:
            heard.extend(cmpp.split(bytearray(buffer)))
            return super().read(connection, number, buffer)  # type: ignore[arg-type]

    peer = serve(Reporter(wide))
    client.open(wide_link(peer.port, "3.0" if wide else "2.0"))
    drive(client, lambda: client.up)
    report = cmpp.Deliver(b"12345678", "1069", "13800138000", bytes(60), True).encoded(wide)
    peer.say(cmpp.Packet(cmpp.DELIVER, 9, report).encoded() + cmpp.Packet(cmpp.ACTIVE_TEST, 10).encoded())
    came = []
    drive(client, lambda: came.extend(client.inbound()) or came)
    client.acknowledge(came[0])
    drive(client, lambda: len(heard) >= 3)
    assert [(one.command, one.sequence, one.body) for one in heard[1:]] == [
        (cmpp.ACTIVE_TEST | cmpp.RESPONSE, 10, b"\0"),
        (cmpp.DELIVER | cmpp.RESPONSE, 9, b"12345678" + bytes(4 if wide else 1)),
    ]


def test_an_acknowledgement_for_a_link_that_is_gone_is_nobodys(serve: Serve, client: SessionClient) -> None:
    peer = serve(SmppPeer())
    client.open(link(peer.port))
    drive(client, lambda: client.up)
    peer.say(smpp.Pdu(smpp.DELIVER_SM, 0, 5, b"").encoded())
    came = []
    drive(client, lambda: came.extend(client.inbound()) or came)
    peer.living[-1].shutdown(2)
    drive(client, lambda: not client.up)
    client.acknowledge(came[0])
    drive(client, lambda: client.up)
    assert (smpp.DELIVER_SM | smpp.RESPONSE, 0) not in peer.heard


def test_a_changed_link_takes_over_and_the_old_one_says_goodbye(serve: Serve, client: SessionClient) -> None:
    old, new = serve(SmppPeer()), serve(SmppPeer())
    assert run(client, message(link(old.port))) == [accepted("1")]
    assert run(client, message(link(new.port))) == [accepted("1")]
    drive(client, lambda: (smpp.UNBIND, 0) in old.heard and client.sessions == 1)


def test_what_waited_for_another_link_is_not_begun(serve: Serve, client: SessionClient) -> None:
    slow, new = serve(SmppPeer(lambda *_given: "silence")), serve(SmppPeer())
    for number in range(3):
        client.start(number, message(link(slow.port, window=1)))
    drive(client, lambda: len(slow.bodies) == 1)
    client.start("new", message(link(new.port)))
    done: dict[object, Result] = {}
    while client.in_flight:
        done.update(client.poll(0.1))
    assert done["new"] == accepted("1") and len(slow.bodies) == 1
    faults = [done[number] for number in range(3)]
    assert [(one.sent, one.code) for one in faults if isinstance(one, TransportFault)] == [
        (True, "timeout"),
        (False, "not_started"),
        (False, "not_started"),
    ]


@pytest.mark.parametrize("noise", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00" * 64, b"\xff" * 64])
def test_what_is_no_smpp_is_left(serve: Serve, client: SessionClient, noise: bytes) -> None:
    peer = serve(SmppPeer())
    where = link(peer.port)
    client.open(where)
    drive(client, lambda: client.up)
    peer.say(noise)
    drive(client, lambda: not client.up)
    assert run(client, message(where)) == [accepted("1")]


def test_an_answer_before_the_noise_counts(serve: Serve, client: SessionClient) -> None:
    def answer_and_shout(peer: SessionPeer, number: int, _body: bytes) -> str:
        good = smpp.Pdu(smpp.SUBMIT_SM | smpp.RESPONSE, 0, number + 1, smpp.message_id_body("7")).encoded()
        peer.say(good + b"\xff" * 32)
        return "close"

    peer = serve(SmppPeer(answer_and_shout))
    assert run(client, message(link(peer.port))) == [accepted("7")]


def test_a_throttled_link_rests_and_goes_on_more_slowly(serve: Serve) -> None:
    client = SessionClient(timeout_s=5.0)
    taken: list[float] = []
    lock = threading.Lock()

    def capped(_peer: SessionPeer, _number: int, _body: bytes) -> int:
        now = time.monotonic()
        with lock:
            if sum(now - one < 1.0 for one in taken) >= 40:
                return 0x58
            taken.append(now)
            return 0

    peer = serve(SmppPeer(capped))
    found = run(client, *[message(link(peer.port)) for _one in range(80)])
    client.close()
    refused = sum(one.parts[0].status == 0x58 for one in found if isinstance(one, SessionAnswer))
    assert 1 <= refused <= 12, refused
    assert len(taken) == 80 - refused


def test_the_pace_halts_falls_and_rises() -> None:
    pace, now = Pace(100.0), 1000.0
    went = 0
    for _step in range(1000):
        now += 0.001
        if pace.take(now):
            went += 1
            pace.went_well(now)
    assert 100 <= went <= 111
    pace.too_fast(now)
    pace.too_fast(now)
    assert not pace.take(now + 0.99) and 0.9 < pace.next_in(now + 0.05) < 1.0
    assert 60 <= pace.rate <= 70
    slower = pace.rate
    for second in range(1, 30):
        pace.went_well(now + 1 + second)
    assert slower < pace.rate == 100.0
    free = Pace()
    assert all(free.take(now) for _one in range(10_000)) and free.next_in(now) == 0.0


def test_over_tls_and_only_to_whom_is_trusted(serve: Serve, tmp_path: Path) -> None:
    file, context = certificate(tmp_path)

    class Tls(SmppPeer):
        def talk(self, connection: socket.socket, number: int) -> None:
            try:
                wrapped = context.wrap_socket(connection, server_side=True)
            except ssl.SSLError:
                return
            self.connections.append(wrapped)
            super().talk(wrapped, number)

    peer = serve(Tls())
    where = link(peer.port, security="tls")
    trusting = SessionClient(timeout_s=2.0, tls=ssl.create_default_context(cafile=str(file)))
    assert run(trusting, message(where, 2)) == [accepted("1", "2")]
    trusting.close()
    wary = SessionClient(timeout_s=2.0)
    fault = run(wary, message(where))[0]
    wary.close()
    assert isinstance(fault, TransportFault) and not fault.sent and fault.code == "certificate"


def test_goodbye_is_said(serve: Serve) -> None:
    peer = serve(SmppPeer())
    client = SessionClient(timeout_s=1.0)
    client.open(link(peer.port))
    drive(client, lambda: client.up)
    client.close()
    wait_for(lambda: (smpp.UNBIND, 0) in peer.heard)


def test_the_time_of_a_login_is_beijings(serve: Serve, client: SessionClient) -> None:
    peer = serve(CmppPeer(False))
    client.open(wide_link(peer.port, "2.0"))
    drive(client, lambda: client.up)
    timestamp = int.from_bytes(peer.logins[0][23:27], "big")
    hour = datetime.now(UTC).hour
    assert (timestamp // 10_000) % 100 in ((hour + 8) % 24, (hour + 7) % 24)
    assert peer.logins[0][6:22] == cmpp.proof("sp0001", "shared-secret", timestamp)
