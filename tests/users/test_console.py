"""The console's pages of people: who may see them, what they do, and that no address stands on them in clear."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from apps.operators.models import AuditEvent, Operator
from apps.users import services
from apps.users.attributes import open_attributes
from apps.users.importing import job
from apps.users.models import Attribute, Binding, BlacklistEntry, PeopleImport, Recipient

pytestmark = pytest.mark.django_db
PHONE = "13800138000"
LISTS = ("recipient", "binding", "tag", "attribute", "blacklistentry", "consentrecord", "peopleimport")


def signed_in(*permissions: str, chief: bool = False) -> Client:
    operator = Operator.objects.create_user("li", password="x", is_staff=True, is_superuser=chief)
    operator.user_permissions.set(Permission.objects.filter(content_type__app_label="users", codename__in=permissions))
    client = Client()
    client.force_login(operator, backend="django.contrib.auth.backends.ModelBackend")
    return client


def page(name: str, *args: Any) -> str:
    return reverse(f"admin:users_{name}", args=args)


@pytest.fixture
def person(declared: None) -> Recipient:
    recipient = services.ensure_recipient(actor="t", user_id="A1")
    services.add_binding(actor="t", recipient=recipient, kind="phone", address=PHONE)
    services.set_attributes(actor="t", recipient=recipient, values={"name": "张三丰", "city": "苏州"})
    services.tag(actor="t", recipients=[recipient], tags=["vip"])
    services.add_blacklist(actor="t", kind="phone", address=PHONE, reason="asked", source="t")
    return recipient


@pytest.mark.parametrize("model", LISTS)
def test_lists_answer_to_those_who_may_see_them_only(person: Recipient, model: str) -> None:
    assert signed_in(f"view_{model}").get(page(f"{model}_changelist")).status_code == 200
    Operator.objects.all().delete()
    assert signed_in().get(page(f"{model}_changelist")).status_code == 403


def test_no_page_shows_an_address_or_a_sensitive_value(person: Recipient) -> None:
    client = signed_in(chief=True)
    pages = [page(f"{model}_changelist") for model in LISTS]
    pages += [page("recipient_change", person.pk), page("binding_change", Binding.objects.get().pk)]
    pages += [page("blacklistentry_change", BlacklistEntry.objects.get().pk)]
    for url in pages:
        answer = client.get(url)
        assert answer.status_code == 200, url
        assert PHONE not in answer.text and "张三丰" not in answer.text, url
    assert "138****8000" in client.get(page("recipient_change", person.pk)).text


@pytest.mark.parametrize(
    ("term", "hits"), [("A1", 1), ("A", 1), ("+86 138-0013-8000", 1), ("13800138001", 0), ("8000", 0)]
)
def test_search_by_user_id_or_whole_address(person: Recipient, term: str, hits: int) -> None:
    client = signed_in(chief=True)
    for model in ("recipient", "binding"):
        answer = client.get(page(f"{model}_changelist"), {"q": term})
        assert answer.context["cl"].result_count == hits


def test_a_person_is_added_and_edited(declared: None) -> None:
    client = signed_in("add_recipient", "change_recipient", "view_recipient")
    inline = {"bindings-TOTAL_FORMS": 0, "bindings-INITIAL_FORMS": 0}
    given = {"user_id": " A7 ", "tags_text": "vip | 新客", "attribute_name": "张三丰", "attribute_balance": "12.5"}
    assert client.post(page("recipient_add"), given | inline).status_code == 302
    person = Recipient.objects.get(user_id="A7")
    assert (person.tags, person.attributes) == (["vip", "新客"], {"balance": 12.5})
    assert open_attributes(person) == {"name": "张三丰"}
    url = page("recipient_change", person.pk)
    assert client.post(url, {"tags_text": "新客", "attribute_balance": ""} | inline).status_code == 302
    person.refresh_from_db()
    assert (person.tags, person.attributes, open_attributes(person)) == (["新客"], {}, {"name": "张三丰"})
    refused = client.post(
        url, {"tags_text": "", "attribute_balance": "much"} | inline, headers={"accept-language": "en"}
    )
    assert (refused.status_code, "it is not a number" in refused.text) == (200, True)


def test_blacklist_form_keeps_the_hash_only(declared: None) -> None:
    client = signed_in("add_blacklistentry", "view_blacklistentry")
    given = {
        "kind": "phone",
        "raw_address": "+86 " + PHONE,
        "scope": "everywhere",
        "reason": "asked",
        "effect": "block",
    }
    assert client.post(page("blacklistentry_add"), given | {"raw_address": "12"}).status_code == 200
    assert client.post(page("blacklistentry_add"), given | {"scope": "business_line"}).status_code == 200
    assert not BlacklistEntry.objects.exists()
    assert client.post(page("blacklistentry_add"), given).status_code == 302
    assert BlacklistEntry.objects.get().address_masked == "138****8000"


def test_reveal_needs_permission_and_reason(person: Recipient) -> None:
    url = page("binding_reveal", Binding.objects.get().pk)
    plain = signed_in("view_binding")
    assert plain.post(url, {"reason": "x"}).status_code == 403
    Operator.objects.all().delete()
    client = signed_in("view_binding", "reveal_address")
    assert client.get(url).status_code == 403
    assert client.post(url, {"reason": ""}).status_code == 302
    assert not AuditEvent.objects.filter(verb="reveal_address").exists()
    answer = client.post(url, {"reason": "complaint"})
    assert PHONE in answer.text
    assert "no-store" in answer["Cache-Control"]
    assert AuditEvent.objects.filter(verb="reveal_address").exists()


def uploaded(client: Client, text: str, **more: str) -> PeopleImport:
    file = SimpleUploadedFile("people.csv", text.encode("gb18030"))
    answer = client.post(page("peopleimport_add"), {"file": file, **more})
    order = PeopleImport.objects.latest("id")
    assert (answer.status_code, answer["Location"]) == (302, page("peopleimport_change", order.pk))
    return order


def test_upload_progress_result_and_refusals(declared: None) -> None:
    client = signed_in("add_peopleimport", "view_peopleimport", "download_rejects")
    order = uploaded(client, "user_id,phone\n张三,13800138000\n李四,12\n", dry_run="on")
    assert oct(Path(order.path).stat().st_mode)[-3:] == "600"
    progress = page("peopleimport_progress", order.pk)
    assert (client.get(progress).json()["over"], client.get(progress).json()["percent"]) == (False, 0)
    assert client.get(page("peopleimport_change", order.pk)).status_code == 200
    job.run_due()
    said = client.get(progress).json()
    assert (said["over"], said["percent"], said["rows_rejected"], said["recipients_added"]) == (True, 100, 1, 1)
    assert not Recipient.objects.exists(), "a dry run"
    shown = client.get(page("peopleimport_change", order.pk)).text
    rejects = page("peopleimport_rejects", order.pk)
    assert rejects in shown
    content = b"".join(client.get(rejects).streaming_content).decode("utf-8-sig")
    assert content.splitlines()[1].endswith("李四,12")
    assert AuditEvent.objects.filter(verb="download_rejects").count() == 1
    assert client.post(page("peopleimport_repeat", order.pk)).status_code == 302
    job.run_due()
    assert Recipient.objects.get().user_id == "张三"


def test_files_are_deleted_on_demand(declared: None, django_capture_on_commit_callbacks: Callable[..., Any]) -> None:
    client = signed_in("add_peopleimport", "view_peopleimport", "download_rejects")
    order = uploaded(client, "user_id,phone\n李四,12\n", dry_run="on")
    job.run_due()
    held = PeopleImport.objects.get(pk=order.pk)
    with django_capture_on_commit_callbacks(execute=True):
        client.post(page("peopleimport_forget", order.pk))
    assert not Path(held.path).exists() and not Path(held.rejects_path).exists()
    assert client.get(page("peopleimport_rejects", order.pk)).status_code == 404


def test_import_pages_keep_others_out(declared: None) -> None:
    order = uploaded(signed_in("add_peopleimport", "view_peopleimport"), "user_id\nA1\n")
    Operator.objects.all().delete()
    client = signed_in("view_recipient")
    assert client.get(page("peopleimport_progress", order.pk)).status_code == 403
    assert client.get(page("peopleimport_rejects", order.pk)).status_code == 403
    assert client.post(page("peopleimport_forget", order.pk)).status_code == 403
    assert client.post(page("peopleimport_repeat", order.pk)).status_code == 403
    assert client.get(page("peopleimport_add")).status_code == 403


def test_export_is_masked_disarmed_permitted_and_on_record(person: Recipient) -> None:
    Attribute.objects.create(key="motto", label="座右铭")
    services.set_attributes(actor="t", recipient=person, values={"city": "-x"})
    services.ensure_recipient(actor="t", user_id="=1+1")
    plain = signed_in("view_recipient")
    assert plain.get(page("recipient_export")).status_code == 403
    Operator.objects.all().delete()
    client = signed_in("view_recipient", "export_recipient")
    form = client.get(page("recipient_export"))
    assert form.status_code == 200
    chosen = {f"recipientresource_{name}": "on" for name in ("user_id", "tags", "attributes", "addresses")}
    text = client.post(page("recipient_export"), {"format": "0", "resource": "", **chosen}).content.decode()
    assert "'=1+1" in text and "138****8000" in text
    assert PHONE not in text and "张三丰" not in text
    assert AuditEvent.objects.get(verb="export").detail == {"people": 2}
