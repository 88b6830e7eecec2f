"""Consents over the REST API: recorded with evidence, effective at once, repeated without a trace, each line for itself."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import Client

from apps.partners.models import BusinessLine
from apps.partners.services import issue_api_key
from apps.users import protection, services
from apps.users.consents import record_consent
from apps.users.models import BlacklistEntry, ConsentRecord, Recipient
from tests.users.test_services import found

pytestmark = pytest.mark.django_db
PHONE = "13800138000"


def caller(code: str) -> tuple[Client, BusinessLine]:
    line = BusinessLine.objects.create(code=code, name=code.title(), consent_required=True)
    _key, text = issue_api_key(actor="t", business_line=line, label="k")
    return Client(headers={"authorization": f"Bearer {text}", "accept-language": "en"}), line


@pytest.fixture
def person() -> Recipient:
    recipient = services.ensure_recipient(actor="t", user_id="U1")
    services.add_binding(actor="t", recipient=recipient, kind="phone", address=PHONE)
    return recipient


def said(state: str, **more: Any) -> dict[str, Any]:
    held = {"who": {"user_id": "U1"}, "state": state, "message_class": "marketing", "evidence": "form 7"}
    return {"consents": [held | more]}


def post(client: Client, body: object, path: str = "/api/v1/consents") -> Any:
    return client.post(path, body, content_type="application/json")


def test_given_withdrawn_and_given_again(person: Recipient) -> None:
    loans, line = caller("loans")
    cards, _line = caller("cards")
    where = {"message_class": "marketing", "business_line_id": line.pk}
    assert found("r", "users_recipient", protection.consenting_recipient(**where)) == 0
    first = post(loans, said("given"))
    assert first.status_code == 201 and post(loans, said("given")).json() == first.json(), "a retry adds nothing"
    assert post(loans, said("given", evidence="form 8")).json() != first.json(), "a new proof does"
    assert found("r", "users_recipient", protection.consenting_recipient(**where)) == 1
    assert loans.get("/api/v1/consents?user_id=U1").json()["states"]["marketing"] == "given"
    other = cards.get("/api/v1/consents?user_id=U1").json()
    assert other["states"]["marketing"] == "unknown" and other["records"] == [], "another line's records are its own"

    post(cards, said("withdrawn", scope="everywhere", evidence="hotline"))
    assert found("r", "users_recipient", protection.blocked_recipient(**where)) == 1
    assert loans.get("/api/v1/consents?user_id=U1").json()["states"]["marketing"] == "withdrawn"
    post(loans, said("given", evidence="form 9"))
    assert loans.get("/api/v1/consents?user_id=U1").json()["states"]["marketing"] == "withdrawn", (
        "no line lifts it for all"
    )
    record_consent(
        actor="boss", recipient=person, state="given", message_class="marketing", source="console", evidence="letter"
    )
    assert loans.get("/api/v1/consents?user_id=U1").json()["states"]["marketing"] == "given"
    assert not BlacklistEntry.objects.exists()


def test_an_address_of_its_own_and_what_is_refused(person: Recipient) -> None:
    loans, line = caller("loans")
    address = {"address_kind": "phone", "address": "+86 138-0013-8000"}
    assert post(loans, said("withdrawn", who=address)).status_code == 201
    assert post(loans, address, "/api/v1/consents/lookup").json()["states"]["marketing"] == "withdrawn"
    assert BlacklistEntry.objects.get().address_masked == "138****8000"
    record_consent(
        actor="boss", recipient=person, state="given", message_class="marketing", business_line=line, source="console",
        evidence="letter",
    )  # fmt: skip
    assert not BlacklistEntry.objects.exists(), "a person's consent reaches their addresses"

    bad: list[tuple[Any, str]] = [
        (said("given", who={"user_id": "NOBODY"}), "consents[0].who.user_id"),
        (said("given", who={"user_id": "U1", "address": "1"}), "consents[0].who"),
        (said("given", who={"address_kind": "phone", "address": "12"}), "consents[0].who.address"),
        (said("given", who={"address_kind": "pigeon", "address": "12"}), "consents[0].who.address_kind"),
        (said("perhaps"), "consents[0].state"),
        (said("given", evidence=" "), "consents[0].evidence"),
        (said("given", scope="everywhere"), "consents[0].scope"),
        (said("given", message_class="gossip"), "consents[0].message_class"),
        ({"consents": []}, "consents"),
        ([], "body"),
    ]
    before = ConsentRecord.objects.count()
    for body, place in bad:
        answer = post(loans, body)
        assert (answer.status_code, list(answer.json().get("problems", answer.json()))) == (400, [place]), (
            body,
            answer.text,
        )
    two = {"consents": said("given", evidence="x")["consents"] + said("given", who={"user_id": "NOBODY"})["consents"]}
    assert post(loans, two).status_code == 400 and ConsentRecord.objects.count() == before, "all or none"
    assert post(Client(), said("given")).status_code == 401


def test_the_ledger_never_changes(person: Recipient) -> None:
    loans, _line = caller("loans")
    post(loans, said("given"))
    for deed in ("UPDATE users_consentrecord SET state = 'withdrawn'", "DELETE FROM users_consentrecord"):
        with pytest.raises(DatabaseError, match="never changes"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(deed)
    services.delete_recipient(actor="t", recipient=person)
    assert ConsentRecord.objects.get().state == "given"
