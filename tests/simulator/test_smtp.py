"""The mail relay: dialogue, pipelining, refusals, caps, faults."""

import hashlib
import smtplib
from typing import Any

import pytest

from tests.simulator.clients import Simulator, wait_for
from tests.simulator.mail import SENDER, Wire, message, send_mail, session

TRANSACTION = ("MAIL FROM:<a@x.example>", "RCPT TO:<u1@users.example>", "DATA")
DOT = "Message-ID: <d-7.1@ums.example>\r\n\r\nhello\r\n."


def fault(simulator: Simulator, do: list[str], **more: Any) -> None:
    simulator.control({"scripts": [{"provider": "smtp", "match": "all", "do": do, "times": 1} | more]})


def test_the_words_it_offers(simulator: Simulator) -> None:
    with session(simulator) as client:
        offered = {"pipelining", "size", "8bitmime", "dsn", "enhancedstatuscodes", "auth", "smtputf8"}
        assert offered <= set(client.esmtp_features) and client.esmtp_features["size"] == "10485760"
    simulator.control({"smtp": {"pipelining": False, "smtputf8": False}})
    with session(simulator) as client:
        assert not {"pipelining", "smtputf8"} & set(client.esmtp_features)


def test_a_mail_for_two_has_two_ledger_lines_and_one_queue_id(simulator: Simulator) -> None:
    before = len(simulator.ledger())
    assert send_mail(simulator, "u1@users.example", "u2@users.example") == {}
    lines = simulator.ledger(before)
    assert len(lines) == 2 and len({line["pid"] for line in lines}) == 1
    assert {(line["key"], line["delivery_ref"], line["account"]) for line in lines} == {("d-42.1", "d-42.1", "ums")}
    assert {line["addr_hash"] for line in lines} == {
        hashlib.sha256(f"u{number}@users.example".encode()).hexdigest() for number in (1, 2)
    }


def test_the_envelope_id_is_the_key(simulator: Simulator) -> None:
    before = len(simulator.ledger())
    send_mail(simulator, "u1@users.example", wishes={"mail": ["RET=HDRS", "ENVID=key+2B1"], "rcpt": []})
    assert (simulator.ledger(before)[0]["key"], simulator.ledger(before)[0]["delivery_ref"]) == ("key+1", "d-42.1")


def test_dots_are_unstuffed(simulator: Simulator) -> None:
    before, body = len(simulator.ledger()), ".one\r\n..two\r\nthree."
    with session(simulator) as client:
        client.sendmail(SENDER, ["u1@users.example"], message(body=body))
    assert simulator.ledger(before)[0]["body_hash"] == hashlib.sha256(message(body=body)).hexdigest()


def test_pipelining_many_mails_in_one_write(simulator: Simulator) -> None:
    before = len(simulator.ledger())
    with Wire(simulator) as wire:
        wire.login()
        replies = wire.say(*[word for _ in range(3) for word in (*TRANSACTION, DOT)], "QUIT")
    assert [reply[:3] for reply in replies] == ["250", "250", "354", "250"] * 3 + ["221"]
    assert len(simulator.ledger(before)) == 3
    assert replies[3].split()[-1] == simulator.ledger(before)[0]["pid"]


def test_a_body_in_small_pieces_and_an_empty_one(simulator: Simulator) -> None:
    with Wire(simulator) as wire:
        wire.login()
        wire.say(*TRANSACTION)
        for piece in ("Subject: x\r\n\r\nhel", "lo\r\n", ".", "\r", "\n"):
            wire.socket.sendall(piece.encode())
        assert wire.reply().startswith("250 2.0.0")
        assert wire.say(*TRANSACTION, ".")[3].startswith("250 2.0.0")


def test_refused_recipients_one_by_one(simulator: Simulator) -> None:
    simulator.control({"smtp": {"bad_recipients": ["bad@x.example"]}})
    assert send_mail(simulator, "bad@x.example", "u1@users.example") == {
        "bad@x.example": (550, b"5.1.1 no such mailbox here")
    }
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        send_mail(simulator, "bad@x.example")


def test_greylisting_asks_to_come_back(simulator: Simulator) -> None:
    simulator.control({"smtp": {"greylist_seconds": 0.3}})
    with session(simulator) as client:
        client.mail(SENDER)
        assert client.rcpt("grey@users.example") == (451, b"4.7.1 greylisted, try again later")
        wait_for(lambda: client.rcpt("grey@users.example")[0] == 250, "the pair being known")


def test_authentication(simulator: Simulator) -> None:
    with Wire(simulator) as wire:
        wire.say("EHLO x")
        assert wire.say("MAIL FROM:<a@x.example>")[0].startswith("530 5.7.0")
        assert wire.say("AUTH PLAIN !!")[0].startswith("501")
        assert wire.say("AUTH PLAIN AHVtcwB3cm9uZw==")[0].startswith("535 5.7.8")
        assert wire.say("AUTH CRAM-MD5")[0].startswith("504")
        assert [r[:3] for r in wire.say("AUTH LOGIN", "dW1z", "dW1zLXNlY3JldA==")] == ["334", "334", "235"]
    simulator.control({"smtp": {"users": {"second": "word"}, "require_auth": False}})
    with smtplib.SMTP(simulator.smtp["host"], simulator.smtp["port"]) as client:
        assert client.sendmail(SENDER, ["u1@users.example"], message()) == {}
        client.login("second", "word")


@pytest.mark.parametrize(
    ("lines", "reply"),
    [
        (["RCPT TO:<u@x.example>"], "503 5.5.1"),
        (["DATA"], "503 5.5.1"),
        (["MAIL FROM:<a@x.example>", "DATA"], "554 5.5.1"),
        (["MAIL FROM:<a@x.example>", "MAIL FROM:<a@x.example>"], "503 5.5.1"),
        (["MAIL FROM:a@x.example"], "501 5.5.4"),
        (["MAIL FROM:<nobody>"], "501 5.1.7"),
        (["MAIL FROM:<a@x.example>", "RCPT TO:<u u@x.example>"], "501 5.1.3"),
        (["MAIL FROM:<a@x.example> SIZE=10485761"], "552 5.3.4"),
        (["MAIL FROM:<a@x.example> COLOUR=red"], "555 5.5.4"),
        (["MAIL FROM:<a@x.example> RET=SOME"], "501 5.5.4"),
        (["MAIL FROM:<a@x.example>", "RSET", "DATA"], "503 5.5.1"),
        (["HELP!"], "500 5.5.2"),
    ],
)
def test_refused_commands(simulator: Simulator, lines: list[str], reply: str) -> None:
    with Wire(simulator) as wire:
        wire.login()
        assert wire.say(*lines)[-1].startswith(reply)
        assert wire.say("NOOP")[0].startswith("250")


def test_caps(simulator: Simulator) -> None:
    simulator.control({"smtp": {"messages_per_connection": 1, "recipients_per_message": 1, "size": 100}})
    with Wire(simulator) as wire:
        wire.login()
        replies = wire.say(TRANSACTION[0], TRANSACTION[1], "RCPT TO:<u2@users.example>", "DATA", "x" * 200 + "\r\n.")
        assert [reply[:9] for reply in replies][2:] == ["452 4.5.3", "354 End d", "552 5.3.4"]
        assert wire.say(TRANSACTION[0])[0].startswith("421 4.7.0") and wire.file.read() == b""


@pytest.mark.parametrize(
    ("do", "accepted", "reply"),
    [
        (["refuse(554 5.7.1 spam)"], 0, "554 5.7.1 spam"),
        (["429"], 0, "421 4.7.0"),
        (["500"], 0, "451 4.3.0"),
        (["500_after_accept"], 1, "451 4.3.0"),
        (["reset_before"], 0, None),
        (["reset_after"], 1, None),
        (["garbage_after_accept"], 1, "\x16\x03"),
        (["accept", "drip(0.001)"], 1, "250 2.0.0"),
        (["accept", "hang(0.1)"], 1, "250 2.0.0"),
    ],
)
def test_faults_at_the_final_dot(simulator: Simulator, do: list[str], accepted: int, reply: str | None) -> None:
    before = len(simulator.ledger())
    fault(simulator, do)
    with Wire(simulator) as wire:
        wire.login()
        wire.say(*TRANSACTION)
        if reply is None:
            with pytest.raises(ConnectionResetError):
                wire.say(DOT)
        else:
            assert wire.say(DOT)[0].startswith(reply)
    assert [line["returned"] for line in simulator.ledger(before)] == [False] * accepted


@pytest.mark.parametrize(("at", "position"), [("mail", 0), ("rcpt", 1), ("data", 2)])
def test_faults_before_the_final_dot_never_accept(simulator: Simulator, at: str, position: int) -> None:
    before = len(simulator.ledger())
    fault(simulator, ["refuse(450 4.2.1 too quickly)"], at=at)
    with Wire(simulator) as wire:
        wire.login()
        replies = [wire.say(line)[0] for line in TRANSACTION[: position + 1]]
    assert replies[position] == "450 4.2.1 too quickly" and len(simulator.ledger()) == before


def test_it_stops_cleanly_with_open_connections(start: Any) -> None:
    own = start("--world", "perfect")
    with Wire(own) as wire:
        wire.login()
        send_mail(own, "u1@users.example")
        assert own.stop() == 0
    assert len((own.folder / "ledger.jsonl").read_text().splitlines()) == 1
