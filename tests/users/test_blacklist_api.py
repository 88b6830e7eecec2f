"""The blacklist over the REST API: each line for itself, all or none, repeated without a trace, no hand on operators' entries."""

from __future__ import annotations

from typing import Any

import pytest

from apps.operators.models import AuditEvent
from apps.users import protection, services
from apps.users.consents import record_consent
from apps.users.models import Attribute, BlacklistEntry, Recipient
from tests.users.test_consent_api import PHONE, caller, post
from tests.users.test_services import found

pytestmark = pytest.mark.django_db
PATH = "/api/v1/blacklist"


def entries(*who: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"entries": [{"who": one, "reason": "asked", **more} for one in who]}


@pytest.fixture
def person() -> Recipient:
    Attribute.objects.create(key="region", label="Region")
    recipient = services.ensure_recipient(actor="t", user_id="U1")
    services.add_binding(actor="t", recipient=recipient, kind="phone", address=PHONE)
    services.set_attributes(actor="t", recipient=recipient, values={"region": "Xinjiang"})
    return recipient


def test_a_line_blocks_shows_and_lifts_for_itself(person: Recipient) -> None:
    (loans, line), (cards, _line) = caller("loans"), caller("cards")
    who = ({"user_id": "U1"}, {"address_kind": "phone", "address": PHONE}, {"region": "Xinjiang"})
    body = entries(*who, channel="sms", message_classes=["marketing"])
    answer = post(loans, body, PATH)
    assert answer.status_code == 201 and PHONE not in answer.content.decode()
    assert post(loans, body, PATH).json() == answer.json() and BlacklistEntry.objects.count() == 3
    where = {"message_class": "marketing", "business_line_id": line.pk}
    assert found("r", "users_recipient", protection.blocked_way(**where, kind="sms_aliyun")) == 1
    assert found("r", "users_recipient", protection.blocked_way(**where, kind="email_smtp")) == 0
    assert found("r", "users_recipient", protection.blocked_recipient(**where)) == 0
    assert {(one["channel"], one["scope"]) for one in loans.get(f"{PATH}?user_id=U1").json()["entries"]} == {
        ("sms", "line")
    }
    assert cards.get(f"{PATH}?user_id=U1").json()["entries"] == [], "another line's entries are its own"
    mine = answer.json()["entries"][0]["id"]
    assert cards.delete(f"{PATH}/{mine}?reason=x").status_code == 404
    assert loans.delete(f"{PATH}/{mine}").status_code == 400, "a reason is needed"
    assert loans.delete(f"{PATH}/{mine}?reason=mistake").status_code == 204
    assert loans.delete(f"{PATH}/{mine}?reason=mistake").status_code == 404
    assert AuditEvent.objects.get(verb="remove_blacklist").detail["reason"] == "mistake"


def test_what_operators_or_people_said_stays(person: Recipient) -> None:
    loans, line = caller("loans")
    held = services.add_blacklist(
        actor="t", recipient=person, scope="business_line", scope_id=line.pk, reason="court", source="console"
    )
    (answer,) = post(loans, entries({"user_id": "U1"}, expires_at="2099-01-01T00:00Z"), PATH).json()["entries"]
    assert (answer["id"], answer["reason"], answer["expires_at"]) == (str(held.pk), "court", None)
    assert loans.delete(f"{PATH}/{held.pk}?reason=x").status_code == 404
    record_consent(
        actor="t", recipient=person, state="withdrawn", message_class="marketing", business_line=line, source="api",
        evidence="x",
    )  # fmt: skip
    theirs = BlacklistEntry.objects.get(origin="consent")
    assert loans.delete(f"{PATH}/{theirs.pk}?reason=x").status_code == 404


@pytest.mark.parametrize(
    ("more", "place", "why"),
    [
        ({"channel": "pigeon"}, "entries[1].channel", "no kind of channel pigeon"),
        ({"message_classes": ["gossip"]}, "entries[1].message_classes", "gossip"),
        ({"expires_at": "2001-01-01T00:00Z"}, "entries[1].expires_at", "later time"),
        ({"reason": ""}, "entries[1].reason", "blank"),
        ({"who": {"region": "Xinjiang", "user_id": "U1"}}, "entries[1].who", "one of them"),
        ({"who": {"user_id": "U9"}}, "entries[1].who.user_id", "Nobody"),
    ],
)
def test_one_bad_entry_adds_none(person: Recipient, more: dict[str, Any], place: str, why: str) -> None:
    loans, _line = caller("loans")
    body = entries({"user_id": "U1"}, {"user_id": "U1"})
    body["entries"][1] |= more
    answer = post(loans, body, PATH)
    assert answer.status_code == 400 and why in answer.json()["problems"][place], answer.json()
    assert not BlacklistEntry.objects.exists()
