"""What every kind must keep beside sending: keys, receipts at the hook, polls and questions, tokens, recalls, lookups."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from apps.channels.contract import (
    AddressEvent,
    BadReceipt,
    HookEvent,
    HttpAnswer,
    InboundPdu,
    ReceiptEvent,
    ReplyEvent,
    Token,
)
from apps.channels.hooks import greeting, heard
from apps.channels.outcomes import Misconfigured, Outcome, StaleToken, Throttled, Unavailable, Unknown
from tests.channels.conftest import GARBAGE, overridden
from tests.channels.golden_files import NOW, Kind, hook_request, recorded, written


def test_keys_are_reserved(kind: Kind) -> None:
    if not kind.adapter.capabilities.reserves_keys:
        assert "reserve" not in kind.given
        return
    given = kind.given["reserve"]
    request = kind.adapter.build_reserve(kind.account, 2)
    assert written(request) == recorded(kind, given["request"], request)
    answer = kind.answer(given["answer"])
    assert isinstance(answer, HttpAnswer)
    assert kind.adapter.read_reserve(answer) == given["keys"]
    for code, declared in kind.codes.items():
        refused = kind.refusal(code)
        assert isinstance(refused, HttpAnswer) and type(kind.adapter.read_reserve(refused)) is type(declared)
    assert all(isinstance(kind.adapter.read_reserve(HttpAnswer(200, {}, body)), Unknown) for body in GARBAGE)


def check_events(found: Sequence[HookEvent] | Outcome, expected: list[dict[str, Any]]) -> None:
    assert isinstance(found, list) and len(found) == len(expected)
    for event, wanted in zip(found, expected, strict=True):
        sort = AddressEvent if "reachable" in wanted else ReplyEvent if "text" in wanted else ReceiptEvent
        assert isinstance(event, sort)
        assert event.occurred_at.tzinfo is not None
        values = asdict(event)
        for name, value in wanted.items():
            assert values[name] == (datetime.fromisoformat(value) if name == "occurred_at" else value), name
        assert not event.address or event.address not in repr(event)


def test_receipts_are_read(kind: Kind) -> None:
    if "hooks" not in kind.given:
        assert not kind.adapter.capabilities.receipts.pushed or "inbounds" in kind.given
        return
    assert kind.given["hooks"]
    for given in kind.given["hooks"]:
        request = hook_request(given)
        found = heard(kind.adapter, kind.account, request)
        check_events(found, given["events"])
        assert heard(kind.adapter, kind.account, request) == found
        assert not any(event.address in repr(event) for event in found if event.address)
    for body in (*kind.given["bad_hooks"], "", "[" * 60000):
        with pytest.raises(BadReceipt) as refused:
            kind.adapter.parse_hook(kind.account, hook_request({"body": body}))
        assert str(refused.value).endswith(".") and refused.value.__cause__ is None


def test_what_comes_over_a_session_is_read(kind: Kind) -> None:
    if kind.adapter.transport != "session":
        assert "inbounds" not in kind.given
        return
    assert kind.given["inbounds"]
    for given in kind.given["inbounds"]:
        inbound = InboundPdu(bytes.fromhex(given["pdu"]), NOW)
        check_events(kind.adapter.parse_inbound(kind.account, inbound), given["events"])
    for pdu in kind.given["bad_inbounds"]:
        with pytest.raises(BadReceipt) as refused:
            kind.adapter.parse_inbound(kind.account, InboundPdu(bytes.fromhex(pdu), NOW))
        assert str(refused.value).endswith(".") and refused.value.__cause__ is None
    link = kind.adapter.session(kind.account)
    assert kind.adapter.build(kind.account, kind.envelopes(), NOW).link == link  # type: ignore[union-attr]
    assert not any(secret in repr(link) for secret in kind.secrets)


def test_only_an_authentic_request_is_read(kind: Kind) -> None:
    """Each character of what is signed, and each part of the signature, changed or left out."""
    if kind.adapter.hook_trust != "signature":
        return
    for given in kind.given["hooks"] + kind.given.get("greetings", []):
        for other in tampered(given, kind.given["signed_by"]):
            with pytest.raises(BadReceipt):
                heard(kind.adapter, kind.account, hook_request(other))


def tampered(given: dict[str, Any], signed_by: list[str]) -> Iterator[dict[str, Any]]:
    """`signed_by` names what carries or is covered by the signature: "body", or a name in headers or query."""
    for name in signed_by:
        place = next((part for part in ("headers", "query") if name in given.get(part, {})), None)
        if name == "body" and given.get("body"):
            half = len(given["body"]) // 2
            other = "A" if given["body"][half] != "A" else "B"
            yield given | {"body": given["body"][:half] + other + given["body"][half + 1 :]}
            yield given | {"body": ""}
        elif place is not None:
            value = given[place][name]
            yield given | {place: given[place] | {name: value[:-1] + ("1" if value[-1] != "1" else "2")}}
            yield given | {place: {key: held for key, held in given[place].items() if key != name}}


def test_a_trial_of_the_hook_is_answered(kind: Kind) -> None:
    for given in kind.given.get("greetings", []):
        reply = greeting(kind.adapter, kind.account, hook_request(given))
        assert reply is not None and reply.body.decode() == given["reply"]
        assert given.get("reply_headers", {}).items() <= dict(reply.headers).items()
    for given in kind.given.get("hooks", []):
        assert greeting(kind.adapter, kind.account, hook_request(given)) is None


# tokens, recalls, checks, lookups, templates


def http_answer(kind: Kind, given: dict[str, Any]) -> HttpAnswer:
    answer = kind.answer(given)
    assert isinstance(answer, HttpAnswer)
    return answer


def test_tokens_are_asked_and_read(kind: Kind) -> None:
    if not kind.adapter.uses_token:
        assert "tokens" not in kind.given
        return
    asked = kind.adapter.build_token(kind.account, NOW)
    if isinstance(asked, Token):
        assert asked.value and asked.valid > timedelta(0) and asked.value not in repr(asked)
        return
    given = kind.given["tokens"]
    assert written(asked) == recorded(kind, "token", asked)
    made = kind.adapter.read_token(kind.account, http_answer(kind, given["answer"]))
    assert made == Token(given["value"], timedelta(seconds=given["valid_s"])) and given["value"] not in repr(made)
    for refused in given["refused"]:
        outcome = kind.adapter.read_token(kind.account, http_answer(kind, refused["answer"]))
        assert type(outcome).__name__ == refused["outcome"] and refused["outcome"] not in ("Accepted", "StaleToken")
    for body in GARBAGE:
        for status in (200, 500):
            outcome = kind.adapter.read_token(kind.account, HttpAnswer(status, {}, body))
            assert isinstance(outcome, Misconfigured | Throttled | Unavailable | Unknown)


def test_a_call_carries_the_token_and_a_stale_one_is_told_apart(kind: Kind) -> None:
    stale = [code for code, outcome in kind.codes.items() if isinstance(outcome, StaleToken)]
    assert bool(stale) == kind.adapter.uses_token
    if kind.adapter.uses_token:
        assert kind.given["token"] in written(kind.adapter.build(kind.account, kind.envelopes(), NOW)).decode()


def test_recalls_are_asked_and_read(kind: Kind) -> None:
    if not kind.adapter.capabilities.recall:
        assert "recalls" not in kind.given
        return
    for given in kind.given["recalls"]:
        request = kind.adapter.build_recall(kind.account, given["provider_id"], given["addresses"], NOW)
        assert written(request) == recorded(kind, given["request"], request)
        outcome = kind.adapter.read_recall(kind.account, http_answer(kind, given["answer"]))
        assert type(outcome).__name__ == given["outcome"]
    assert {given["outcome"] for given in kind.given["recalls"]} > {"Accepted"}
    for body in GARBAGE[:-1]:
        assert isinstance(kind.adapter.read_recall(kind.account, HttpAnswer(500, {}, body)), Unknown)


@pytest.mark.parametrize("what", ["check", "lookup", "templates"])
def test_other_questions_are_asked_and_read(kind: Kind, what: str) -> None:
    if overridden(kind, f"build_{what}") == {False}:
        assert what not in kind.given
        return
    for given in kind.given[what]:
        request = getattr(kind.adapter, f"build_{what}")(kind.account, *given.get("asked", []))
        assert written(request) == recorded(kind, given["request"], request)
        found = getattr(kind.adapter, f"read_{what}")(kind.account, kind.answer(given["answer"]))
        if "outcome" in given:
            assert type(found).__name__ == given["outcome"]
        elif what == "templates":
            assert [asdict(one) for one in found[0]] == given["found"] and found[1] == given["more"]
        else:
            assert found == given["found"]


def test_polls_are_asked_and_read(kind: Kind) -> None:
    if not kind.adapter.capabilities.receipts.polled:
        assert "polls" not in kind.given
        return
    for given in kind.given["polls"]:
        who = (kind.account, given["provider_id"], given["addresses"])
        request = kind.adapter.build_poll(*who, NOW)
        assert written(request) == recorded(kind, given["request"], request)
        answer = kind.answer(given["answer"])
        assert isinstance(answer, HttpAnswer)
        check_events(kind.adapter.read_poll(*who, answer, NOW), given["events"])
        for body in GARBAGE[:-1]:
            assert isinstance(kind.adapter.read_poll(*who, HttpAnswer(200, {}, body), NOW), Unknown)
        assert isinstance(kind.adapter.read_poll(*who, HttpAnswer(500, {}, b"{}"), NOW), Unknown)


def test_questions_are_asked_and_read(kind: Kind) -> None:
    if not kind.adapter.capabilities.can_query:
        assert "queries" not in kind.given
        return
    envelope = replace(kind.envelopes()[0], content={})
    for given in kind.given["queries"]:
        request = kind.adapter.build_query(kind.account, envelope, NOW)
        assert written(request) == recorded(kind, given["request"], request)
        answer = kind.answer(given["answer"])
        assert isinstance(answer, HttpAnswer)
        check_events(kind.adapter.read_query(kind.account, envelope, answer), given["events"])
    for body in GARBAGE:
        assert isinstance(kind.adapter.read_query(kind.account, envelope, HttpAnswer(200, {}, body)), Unknown)
    for code, declared in kind.codes.items():
        refused = kind.refusal(code)
        assert isinstance(refused, HttpAnswer)
        assert type(kind.adapter.read_query(kind.account, envelope, refused)) is type(declared)
