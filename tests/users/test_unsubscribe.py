"""The page behind a link to unsubscribe: asks at GET, does at POST, once, for good, and can be undone."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from apps.partners.models import BusinessLine
from apps.users import protection, services
from apps.users.models import BlacklistEntry, ConsentRecord, Recipient
from apps.users.unsubscribing import ADDRESS, PERSON, Asking, link, read_token, token_of
from tests.users.test_services import found

PHONE = "13800138000"


@pytest.fixture
def line(db: None) -> BusinessLine:
    return BusinessLine.objects.create(code="loans", name="Loans")


@pytest.fixture
def person(db: None) -> Recipient:
    return services.ensure_recipient(actor="t", user_id="U1")


def refused(message_class: str, line: BusinessLine) -> int:
    where = {"message_class": message_class, "business_line_id": line.pk}
    return found("r", "users_recipient", protection.blocked_recipient(**where))


def test_a_link_holds_who_asks_and_nothing_else_opens(settings: Any, line: BusinessLine, person: Recipient) -> None:
    settings.UMS_PUBLIC_URL = ""
    assert link(line.pk, person.pk, 1, 2) == "", "no public address, no link"
    settings.UMS_PUBLIC_URL = "https://m.bank.example"
    made = link(line.pk, person.pk, 1, 1 << 61)
    token = made.removeprefix("https://m.bank.example/u/")
    assert read_token(token) == Asking(PERSON, person.pk, line.pk, 1 << 61) and len(token) == 42
    answers = set()
    flipped = ("A" if token[20] != "A" else "B").join((token[:20], token[21:]))
    for bad in (flipped, token[:-3], token + "AAAA", "x", "测试", "-" * 42):
        assert read_token(bad) is None
        for answer in (Client().get(f"/u/{bad}"), Client().post(f"/u/{bad}", {"List-Unsubscribe": "One-Click"})):
            answers.add((answer.status_code, answer.content))
    assert len(answers) == 1 and {status for status, _body in answers} == {404}
    assert not ConsentRecord.objects.exists()


def test_it_asks_then_does_then_can_be_undone(line: BusinessLine, person: Recipient) -> None:
    page = f"/u/{token_of(Asking(PERSON, person.pk, line.pk, 77))}"
    strict = Client(enforce_csrf_checks=True)  # neither cookie nor token: a mail program has none
    shown = strict.get(page, headers={"accept-language": "en"})
    assert "Marketing messages from Loans" in shown.text and "no-store" in shown["Cache-Control"]
    assert strict.get(page, headers={"accept-language": "zh-CN"}).headers["Content-Language"] == "zh-hans"
    assert not ConsentRecord.objects.exists() and not shown.cookies, "looking at it does nothing"

    assert strict.post(page, {"List-Unsubscribe": "One-Click"}).status_code == 200
    assert (refused("marketing", line), refused("otp", line)) == (1, 0)
    strict.post(page, {"from": "line"})
    record = ConsentRecord.objects.get()
    assert (record.state, record.source, record.reference, record.business_line) == ("withdrawn", "link", "77", line)
    other = BusinessLine.objects.create(code="cards", name="Cards")
    assert refused("marketing", other) == 0

    strict.post(page, {"from": "everything"})
    assert refused("marketing", other) == 1
    again = strict.post(page, {"do": "again"}, headers={"accept-language": "en"})
    assert "You are subscribed again." in again.text and refused("marketing", line) == 0
    assert list(ConsentRecord.objects.order_by("id").values_list("state", flat=True)) == [
        "withdrawn", "withdrawn", "given",
    ]  # fmt: skip


def test_what_an_operator_blocked_no_link_lifts(line: BusinessLine, person: Recipient) -> None:
    services.add_blacklist(actor="t", recipient=person, classes=["marketing"], reason="court", source="console")
    page = f"/u/{token_of(Asking(PERSON, person.pk, line.pk, 1))}"
    Client().post(page, {"from": "everything"})
    Client().post(page, {"do": "again"})
    assert BlacklistEntry.objects.get().reason == "court" and refused("marketing", line) == 1


def test_a_link_makes_no_consent_that_was_never_taken_back(line: BusinessLine, person: Recipient) -> None:
    """A robot that presses what it finds must not make marketing lawful where consent is required."""
    page = f"/u/{token_of(Asking(PERSON, person.pk, line.pk, 1))}"
    assert Client().post(page, {"do": "again"}).status_code == 200
    assert not ConsentRecord.objects.exists()


def test_an_address_without_a_person_unsubscribes_itself(line: BusinessLine) -> None:
    binding = services.bind_raw_address(kind="phone", address=PHONE)
    Client().post(f"/u/{token_of(Asking(ADDRESS, binding.pk, line.pk, 1))}", {"from": "line"})
    entry = BlacklistEntry.objects.get()
    assert (entry.address_masked, entry.classes, entry.scope_id) == ("138****8000", ["marketing"], line.pk)
    gone = f"/u/{token_of(Asking(PERSON, 999, line.pk, 1))}"
    assert Client().post(gone, {"from": "line"}).status_code == 200, "a deleted person is told nothing else"
    assert ConsentRecord.objects.count() == 1


def test_a_deleted_person_stays_off(line: BusinessLine, person: Recipient) -> None:
    services.add_binding(actor="t", recipient=person, kind="phone", address=PHONE)
    Client().post(f"/u/{token_of(Asking(PERSON, person.pk, line.pk, 1))}", {"from": "everything"})
    services.delete_recipient(actor="t", recipient=person)
    back = services.ensure_recipient(actor="t", user_id="U1")
    services.add_binding(actor="t", recipient=back, kind="phone", address=PHONE)
    assert found("b", "users_binding", protection.blocked_binding(message_class="marketing")) == 1
    kept = ConsentRecord.objects.order_by("-id").first()
    assert kept is not None and (kept.recipient_id, kept.source, kept.address_masked) == (
        None,
        "deletion",
        "138****8000",
    )
