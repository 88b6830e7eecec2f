"""What every kind of channel must keep, run for each kind of the registry."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path

from apps.channels import providers
from apps.channels.contract import (
    Answer,
    AppriseAnswer,
    AppriseRequest,
    HttpAnswer,
    HttpRequest,
    Idempotency,
    MailAnswer,
    MailRequest,
    PartAnswer,
    Request,
    SessionAnswer,
    SessionRequest,
)
from apps.channels.outcomes import (
    Accepted,
    Misconfigured,
    Outcome,
    Rejected,
    StaleToken,
    Throttled,
    Unavailable,
    Unknown,
)
from tests.channels.conftest import GARBAGE, overridden
from tests.channels.golden_files import NOW, Kind, recorded, written

FOLDER = Path(next(iter(providers.__path__)))
ODD_REPLIES = [
    ("dot", 0, ""),
    ("dot", 354, "go"),
    ("rcpt", 250, "2.1.5 ok"),
    ("dot", 999, "?"),
    ("dot", 599, "5.9.9 odd"),
]

REQUESTS = {"http": HttpRequest, "smtp": MailRequest, "session": SessionRequest, "apprise": AppriseRequest}
ODD_SESSIONS = [
    SessionAnswer("submit", ()),
    SessionAnswer("submit", (PartAnswer(0, ""),)),
    SessionAnswer("submit", (PartAnswer(0, "1"), PartAnswer(0, ""))),
    SessionAnswer("submit", (PartAnswer(0, "1"), PartAnswer(8, ""))),
    SessionAnswer("submit", (PartAnswer(0x7777, ""),)),
]


def one(outcome: Outcome | Sequence[Outcome]) -> Outcome:
    """The outcome of a call of one."""
    return outcome if not isinstance(outcome, Sequence) else outcome[0]


# declaration


def test_the_folder_is_complete(kind: Kind) -> None:
    readme = (FOLDER / kind.name / "README.md").read_text()
    assert (FOLDER / kind.name / "icon.svg").read_text().startswith("<svg")
    assert all(part in readme for part in ("## What you need", "## Codes"))
    assert len(set(re.findall(r"\*\*\[([A-Z])\]\*\*", readme))) >= 2, "each rule has its mark of confidence"
    assert kind.adapter.kind == kind.name and kind.adapter.label
    assert kind.adapter.transport in REQUESTS


def test_what_is_declared_is_what_can_be_done(kind: Kind) -> None:
    can = kind.adapter.capabilities
    assert overridden(kind, "build", "read") == {True}
    assert overridden(kind, "build_reserve", "read_reserve") == {can.reserves_keys}
    assert overridden(kind, "build_query", "read_query") == {can.can_query}
    assert overridden(kind, "build_poll", "read_poll") == {can.receipts.polled}
    session = kind.adapter.transport == "session"
    assert overridden(kind, "session", "parse_inbound") == {session}
    assert overridden(kind, "parse_hook") == {(can.receipts.pushed and not session) or "hooks" in kind.given}
    assert overridden(kind, "verify_hook") == {kind.adapter.hook_trust == "signature"}
    assert overridden(kind, "build_token") == {kind.adapter.uses_token}
    assert overridden(kind, "build_recall", "read_recall") == {can.recall}
    for optional in ("check", "lookup", "templates"):
        assert len(overridden(kind, f"build_{optional}", f"read_{optional}")) == 1
    assert overridden(kind, "pieces") == {can.price_unit == "piece"}
    assert (can.poll_group > 0) == can.receipts.polled
    assert not (can.echoes_reference and can.finds_by_provider_id)
    if can.receipts.pushed:
        assert can.echoes_reference or can.finds_by_provider_id, "or a receipt finds no delivery"
    assert (can.idempotency is Idempotency.NONE) == (can.idempotency_window == timedelta(0))
    assert not can.reserves_keys or can.idempotency is Idempotency.KEYED
    assert not can.key_per_recipient or (can.reserves_keys and can.personalised)
    assert can.recipients_per_call >= 1 and can.address_kind


def test_fields_are_declared_soundly(kind: Kind) -> None:
    for fields in (kind.adapter.config_fields, kind.adapter.content_fields):
        names = [field.name for field in fields]
        assert len(names) == len(set(names)) and all(name.isidentifier() for name in names)
        assert all(field.label for field in fields)
    for field in kind.adapter.config_fields:
        assert not field.secret or field.default == "", "a secret has no default"
        assert field.type != "choice" or (field.choices and field.default in (*field.choices, ""))
    assert all(kind.secrets), "the fixture sets every secret"
    assert ("token" in kind.given) == kind.adapter.uses_token
    assert set(kind.given["config"]) == {field.name for field in kind.adapter.config_fields}


def test_codes_name_themselves_and_stand_for_no_success(kind: Kind) -> None:
    assert kind.codes
    for code, outcome in kind.codes.items():
        assert not isinstance(outcome, Accepted) and outcome.code == code and outcome.words.endswith(".")
        assert not (isinstance(outcome, Unknown) and outcome.unmapped)


# settings and content


def test_a_sound_account_passes_and_every_missing_setting_is_named(kind: Kind) -> None:
    config = kind.given["config"]
    assert kind.adapter.check_config(config) == {}
    required = [field.name for field in kind.adapter.config_fields if field.required]
    assert set(kind.adapter.check_config({})) >= set(required)
    for name in required:
        assert set(kind.adapter.check_config({**config, name: ""})) >= {name}
    defaults = {f.name: f.default for f in kind.adapter.config_fields if not f.required}
    assert kind.adapter.check_config({**{n: config[n] for n in required}, **defaults}) == {}


def test_every_broken_setting_is_named_without_its_value(kind: Kind) -> None:
    for broken in kind.given["broken_configs"]:
        problems = kind.adapter.check_config({**kind.given["config"], broken["field"]: broken["value"]})
        assert set(problems) == {broken["field"]}
        assert all(text.endswith(".") for text in problems.values())
        assert not any(secret in str(problems) for secret in kind.secrets)


def test_content_limits(kind: Kind) -> None:
    content = kind.given["content"]
    assert kind.adapter.check_content(content) == {}
    for field in kind.adapter.content_fields:
        if field.required:
            assert set(kind.adapter.check_content({**content, field.name: ""})) == {field.name}
        if field.max_length:
            assert field.name in kind.adapter.check_content({**content, field.name: "a" * (field.max_length + 1)})
    for broken in kind.given["broken_contents"]:
        value = broken["value"] * broken.get("times", 1)
        assert set(kind.adapter.check_content({**content, broken["field"]: value})) == {broken["field"]}
    assert kind.adapter.pieces(content) == kind.given.get("pieces", 1)


def test_the_size_of_a_call_is_the_accounts_and_never_above_the_kinds(kind: Kind) -> None:
    assert kind.adapter.call_size(kind.account) == kind.given["call_size"]
    assert 1 <= kind.given["call_size"] <= kind.adapter.capabilities.recipients_per_call
    wild = replace(kind.account, config={**kind.given["config"], "recipients_per_call": 10**9})
    assert kind.adapter.call_size(wild) <= kind.adapter.capabilities.recipients_per_call


# requests


def test_requests_are_the_recorded_bytes(kind: Kind) -> None:
    for name, count in kind.given["requests"].items():
        request = kind.adapter.build(kind.account, kind.envelopes(count), NOW)
        assert written(request) == recorded(kind, name, request), f"{kind.name}/{name}.request"


def test_a_retry_repeats_key_and_reference(kind: Kind) -> None:
    can = kind.adapter.capabilities
    envelopes = kind.envelopes()
    texts = [written(kind.adapter.build(kind.account, envelopes, NOW + timedelta(minutes=n))).decode() for n in (0, 9)]
    for text in texts:
        assert can.idempotency is not Idempotency.KEYED or envelopes[0].key in text
        assert not can.echoes_reference or envelopes[0].reference in text
    assert can.idempotency is not Idempotency.CONTENT or texts[0] == texts[1]


def test_a_key_that_is_not_reserved_goes_with_the_people_of_its_call(kind: Kind) -> None:
    """The same key for other people would have the provider drop those who are new."""
    can = kind.adapter.capabilities
    if can.idempotency is not Idempotency.KEYED or can.reserves_keys or can.recipients_per_call == 1:
        return
    alone, both = (
        [replace(one, key=f"key-of-{one.reference}", reference="first") for one in kind.envelopes(n)] for n in (1, 2)
    )
    assert alone[0].key in written(kind.adapter.build(kind.account, alone, NOW)).decode()
    assert alone[0].key not in written(kind.adapter.build(kind.account, both, NOW)).decode()


def test_a_changed_account_is_used_at_once(kind: Kind) -> None:
    first = kind.adapter.build(kind.account, kind.envelopes(), NOW)
    plain = [f.name for f in kind.adapter.config_fields if not f.secret and f.type in ("text", "url")]
    name = "base_url" if "base_url" in plain else plain[0]
    changed = replace(kind.account, config={**kind.given["config"], name: "https://changed.example"})
    try:
        assert repr_whole(kind.adapter.build(changed, kind.envelopes(), NOW)) != repr_whole(first)
    except ValueError as refused:
        assert kind.given["changed_refuses"] in str(refused)
    assert repr_whole(kind.adapter.build(kind.account, kind.envelopes(), NOW)) == repr_whole(first)


def repr_whole(request: Request) -> str:
    return repr(asdict(request))


def test_requests_are_of_the_declared_transport_and_show_nothing(kind: Kind) -> None:
    envelopes = kind.envelopes()
    request = kind.adapter.build(kind.account, envelopes, NOW)
    assert isinstance(request, REQUESTS[kind.adapter.transport])
    shown = repr((request, kind.account, envelopes, kind.adapter))
    for hidden in (*kind.secrets, envelopes[0].address, envelopes[0].address.removeprefix("+86")):
        assert hidden not in shown


# answers


def test_the_providers_own_sign_is_accepted_and_nothing_like_it(kind: Kind) -> None:
    given = kind.given["accepted"]
    envelopes = kind.envelopes()
    accepted = Accepted(given["provider_id"], kind.given.get("delivered", False))
    assert kind.adapter.read(kind.account, envelopes, kind.answer(given)) == accepted
    if "status_alone" in kind.given:
        for status in (*range(100, 200), *range(300, 600)):
            answer = HttpAnswer(status, {}, given["body"].encode())
            assert not isinstance(one(kind.adapter.read(kind.account, envelopes, answer)), Accepted), status
        return
    for other in almost_accepted(kind.answer(given)):
        outcome = one(kind.adapter.read(kind.account, envelopes, other))
        assert isinstance(outcome, Unknown), other


def almost_accepted(answer: Answer) -> Iterator[Answer]:
    if isinstance(answer, AppriseAnswer):
        yield replace(answer, word="")
        yield replace(answer, word="SENT")
    elif isinstance(answer, MailAnswer):
        yield replace(answer, stage="rcpt")
        yield replace(answer, code=354)
    elif isinstance(answer, SessionAnswer):
        yield from ODD_SESSIONS
    else:
        yield replace(answer, truncated=True)
        yield replace(answer, status=502)
        yield replace(answer, status=302)
        if answer.body:
            yield replace(answer, body=answer.body[:-1])


def test_every_code_of_the_table_is_read_as_declared(kind: Kind) -> None:
    for code, declared in kind.codes.items():
        outcome = one(kind.adapter.read(kind.account, kind.envelopes(), kind.refusal(code)))
        assert type(outcome) is type(declared) and outcome.code == declared.code, code
        if isinstance(declared, Throttled) and isinstance(outcome, Throttled):
            assert outcome.scope == declared.scope
            assert declared.retry_after in (None, outcome.retry_after)
            assert outcome.retry_after is None or timedelta(0) < outcome.retry_after <= timedelta(days=32)
        else:
            assert outcome == declared


def test_one_bad_recipient_of_several_is_looked_for(kind: Kind) -> None:
    envelopes = kind.envelopes(2)
    if kind.adapter.capabilities.recipients_per_call == 1:
        assert len(kind.given["envelopes"]) == 1
        return
    for code, declared in kind.codes.items():
        outcome = one(kind.adapter.read(kind.account, envelopes, kind.refusal(code)))
        if getattr(declared, "scope", "") == "recipient" and code not in kind.given.get("codes_of_all", []):
            assert isinstance(outcome, Rejected) and outcome.scope == "call", code


def test_a_code_of_no_table_is_unknown_and_says_so(kind: Kind) -> None:
    code = kind.given["unmapped"]
    assert code not in kind.codes
    outcome = one(kind.adapter.read(kind.account, kind.envelopes(), kind.refusal(code)))
    assert isinstance(outcome, Unknown) and outcome.unmapped and outcome.code == code


def test_what_cannot_be_read_is_unknown(kind: Kind) -> None:
    if kind.adapter.transport == "smtp":
        answers: list[Answer] = [MailAnswer(*reply) for reply in ODD_REPLIES]
    elif kind.adapter.transport == "session":
        answers = [*ODD_SESSIONS, MailAnswer("dot", 250, ""), HttpAnswer(200, {}, b"")]
    elif kind.adapter.transport == "apprise":
        answers = [AppriseAnswer(""), AppriseAnswer("ok"), AppriseAnswer("True"), HttpAnswer(200, {}, b"")]
    elif "status_alone" in kind.given:
        answers = [HttpAnswer(status, {}, body) for body in GARBAGE for status in (0, 100, 199, 418, 599)]
    else:
        statuses = [301, 404, 500, 503] if "status_decides" in kind.given else [200, 204, 301, 404, 500, 503]
        known = {int(code) for code in kind.codes if code.isdigit()} if "status_decides" in kind.given else set()
        answers = [HttpAnswer(status, {}, body) for body in GARBAGE for status in statuses if status not in known]
    for answer in answers:
        assert isinstance(one(kind.adapter.read(kind.account, kind.envelopes(), answer)), Unknown), answer


def test_outcomes_show_no_address_and_no_secret(kind: Kind) -> None:
    envelope = kind.envelopes()[0]
    noise = " ".join((envelope.address, *kind.secrets))
    for code in (*kind.codes, kind.given["unmapped"]):
        outcome = kind.adapter.read(kind.account, [envelope], kind.refusal(code, noise))
        assert isinstance(outcome, Rejected | Misconfigured | StaleToken | Throttled | Unavailable | Unknown)
        assert not any(hidden in repr(outcome) for hidden in noise.split(" "))
    accepted = kind.adapter.read(kind.account, [envelope], kind.answer(kind.given["accepted"]))
    assert envelope.address not in repr(accepted)
