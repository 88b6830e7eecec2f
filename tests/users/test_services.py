"""What may be done to people, and what it leaves in the audit log."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection

from apps.operators.audit import first_break
from apps.operators.models import AuditEvent
from apps.users import audience, services
from apps.users.attributes import open_attributes
from apps.users.models import Binding, BlacklistEntry, Recipient, Tag
from ums_site.clock import database_now

pytestmark = pytest.mark.django_db
PHONE = "13800138000"


@pytest.fixture
def person() -> Recipient:
    return services.ensure_recipient(actor="t", user_id=" A1\u3000")


def verbs() -> list[str]:
    return list(AuditEvent.objects.order_by("id").values_list("verb", flat=True))


def test_a_person_is_made_once(person: Recipient) -> None:
    assert services.ensure_recipient(actor="t", user_id="A1") == person
    assert verbs() == ["add_recipient"]
    with pytest.raises(services.PeopleError, match="user_id is missing"):
        services.ensure_recipient(actor="t", user_id=" ")


def test_bindings_are_added_once_set_and_taken_away(person: Recipient) -> None:
    first = services.add_binding(actor="t", recipient=person, kind="phone", address="+86 138-0013-8000")
    assert services.add_binding(actor="t", recipient=person, kind="phone", address=PHONE) == first
    mail = services.add_binding(actor="t", recipient=person, kind="email", address="a@example.com")
    kept = services.set_bindings(actor="t", recipient=person, kind="phone", addresses=["13900139000", "13900139000"])
    assert [binding.address_masked for binding in kept] == ["139****9000"]
    assert set(person.bindings.all()) == {mail, *kept}
    with pytest.raises(services.AddressRefused) as refused:
        services.set_bindings(actor="t", recipient=person, kind="phone", addresses=["13700137000", "1.3E+10"])
    assert refused.value.code == "scientific_notation"
    assert set(person.bindings.all()) == {mail, *kept}
    assert services.unbind(actor="t", recipient=person, kind="email", address="a@EXAMPLE.com")
    assert not services.unbind(actor="t", recipient=person, kind="email", address="a@example.com")
    assert verbs() == ["add_recipient", "add_binding", "add_binding", "set_bindings", "delete_binding"]
    assert first_break() is None
    assert not any("138" in str(event.detail) or "example" in str(event.detail) for event in AuditEvent.objects.all())


def test_an_address_is_revealed_for_a_reason_only(person: Recipient) -> None:
    binding = services.add_binding(actor="t", recipient=person, kind="phone", address=PHONE)
    with pytest.raises(services.PeopleError):
        services.reveal_address(actor="t", binding=binding, reason=" ")
    assert services.reveal_address(actor="t", binding=binding, reason="complaint 7") == PHONE
    assert AuditEvent.objects.get(verb="reveal_address").detail == {"reason": "complaint 7"}


def test_tags(person: Recipient) -> None:
    other = services.ensure_recipient(actor="t", user_id="A2")
    assert services.tag(actor="t", recipients=[person, other], tags=["vip", "新客"]) == 2
    assert services.tag(actor="t", recipients=[person], tags=["vip"]) == 0
    assert services.untag(actor="t", recipients=[person, other], tags=["新客"]) == 2
    person.refresh_from_db()
    assert person.tags == ["vip"]
    services.delete_tag(actor="t", tag=Tag.objects.get(name="vip"))
    assert not Recipient.objects.exclude(tags=[]).exists()


def test_attributes_are_merged_and_the_sensitive_ones_sealed(person: Recipient, declared: None) -> None:
    services.set_attributes(actor="t", recipient=person, values={"name": "张", "city": "苏州", "balance": "1,200.50"})
    services.set_attributes(actor="t", recipient=person, values={"city": None})
    person.refresh_from_db()
    assert (person.attributes, open_attributes(person)) == ({"balance": 1200.5}, {"name": "张"})
    with pytest.raises(services.PeopleError, match="balance: it is not a number"):
        services.set_attributes(actor="t", recipient=person, values={"balance": "much"})
    with pytest.raises(services.PeopleError, match="shoe is not declared"):
        services.set_attributes(actor="t", recipient=person, values={"shoe": "42"})


def test_raw_addresses_become_bindings_of_nobody(person: Recipient) -> None:
    own = services.add_binding(actor="t", recipient=person, kind="phone", address=PHONE)
    raw = services.bind_raw_address(kind="phone", address=PHONE)
    assert raw.recipient is None and raw != own
    many = services.bind_raw_addresses(kind="phone", addresses=["+86" + PHONE, PHONE, "13900139000", "12"])
    assert many.bound["+86" + PHONE] == many.bound[PHONE] == raw.pk
    assert many.bound.keys() == {"+86" + PHONE, PHONE, "13900139000"}
    assert many.refused["12"].code == "wrong_length"
    assert Binding.objects.filter(recipient=None).count() == 2
    assert "138" not in repr(many)


def found(alias: str, table: str, condition: audience.Condition) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table} {alias} WHERE {condition[0]}", condition[1])
        return cursor.fetchone()[0]


def test_blacklisted_people_and_addresses_are_found(person: Recipient) -> None:
    services.add_binding(actor="t", recipient=person, kind="phone", address=PHONE)
    by_line = services.add_blacklist(
        actor="t", recipient=person, scope="business_line", scope_id=7, reason="asked", source="console"
    )
    assert found("r", "users_recipient", audience.blocked_recipient()) == 0
    assert found("r", "users_recipient", audience.blocked_recipient(business_line_id=8)) == 0
    assert found("r", "users_recipient", audience.blocked_recipient(business_line_id=7)) == 1
    entry = services.add_blacklist(
        actor="t", kind="phone", address="+86 " + PHONE, reason="TD", source="sms",
        expires_at=database_now() - timedelta(seconds=1),
    )  # fmt: skip
    assert found("b", "users_binding", audience.blocked_binding()) == 0
    again = services.add_blacklist(actor="t", kind="phone", address=PHONE, reason="TD again", source="sms")
    assert (again.pk, again.expires_at, again.address_masked) == (entry.pk, None, "138****8000")
    assert found("b", "users_binding", audience.blocked_binding()) == 1
    services.remove_blacklist(actor="t", entry=by_line)
    assert BlacklistEntry.objects.get() == entry
    with pytest.raises(services.PeopleError):
        services.add_blacklist(actor="t", reason="nobody", source="console")


def test_a_deleted_person_stays_blocked(person: Recipient) -> None:
    services.add_binding(actor="t", recipient=person, kind="phone", address=PHONE)
    services.add_blacklist(actor="t", recipient=person, reason="asked", source="console")
    services.delete_recipient(actor="t", recipient=person)
    assert not Recipient.objects.exists() and not Binding.objects.exists()
    services.bind_raw_address(kind="phone", address=PHONE)
    assert found("b", "users_binding", audience.blocked_binding()) == 1
