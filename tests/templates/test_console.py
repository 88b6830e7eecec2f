"""The console's pages of content: who may do what, and that the form keeps what was written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from apps.operators.models import AuditEvent, Operator
from apps.templates import people, services
from apps.templates.models import MessageTemplate, TemplateVersion
from apps.users import services as people_services
from apps.users.attributes import ensure_default_attributes
from apps.users.models import Recipient
from tests.templates.conftest import BODIES, VARIABLES

pytestmark = pytest.mark.django_db
Draft = Callable[..., MessageTemplate]
EDIT = ("view_messagetemplate", "add_messagetemplate", "change_messagetemplate", "delete_messagetemplate")


def signed_in(*permissions: str) -> Client:
    operator, _made = Operator.objects.get_or_create(username="wang", is_staff=True)
    operator.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client(headers={"accept-language": "en"})
    client.force_login(operator, backend="django.contrib.auth.backends.ModelBackend")
    return client


def page(name: str, *args: Any) -> str:
    return reverse(f"admin:templates_{name}", args=args)


def posted(**changes: Any) -> dict[str, Any]:
    """The form of the bill as a browser sends it, empty rows included."""
    form: dict[str, Any] = {"code": "bill", "name": "账单", "language": "zh_CN"}
    blank = {"name": "", "label": "", "type": "text", "currency": "", "source": "payload", "example": ""}
    for column in blank:
        form[f"variable_rows__{column}"] = [row.get(column, "") for row in [*VARIABLES, blank, blank]]
    for kind, body in BODIES.items():
        for field, held in body.items():
            if isinstance(held, dict):
                form[f"body__{kind}__{field}__key"] = [*held, ""]
                form[f"body__{kind}__{field}__text"] = [*held.values(), ""]
            else:
                form[f"body__{kind}__{field}"] = held
    return form | changes


@pytest.fixture
def known_people() -> Iterator[None]:
    """People with a name, looked up as the app above does."""
    ensure_default_attributes()
    person = people_services.ensure_recipient(actor="t", user_id="A1")
    people_services.set_attributes(actor="t", recipient=person, values={"city": "苏州"})

    def lookup(_actor: object, user_id: str) -> dict[str, Any] | None:
        found = Recipient.objects.filter(user_id=user_id).first()
        return found and {"name": f"住在{found.attributes['city']}的人"}

    before = list(people._lookups)
    people.register(lookup)
    yield
    people._lookups[:] = before


def test_pages_answer_to_those_who_may_see_them_only(draft: Draft, operator: Operator) -> None:
    template = draft()
    version = services.publish_version(actor=operator, template=template)
    pages = [page("messagetemplate_changelist"), page("messagetemplate_change", template.pk)]
    pages += [page("messagetemplate_preview", template.pk)]
    versions = [page("templateversion_changelist"), page("templateversion_change", version.pk)]
    versions += [page("templateversion_preview", version.pk)]
    for permission, answers in (("view_messagetemplate", pages), ("view_templateversion", versions)):
        for url in answers:
            assert signed_in(permission).get(url).status_code == 200, url
            assert signed_in().get(url).status_code == 403, url
            assert Client().get(url).status_code == 302, url


def test_who_may_only_look_sees_the_content_and_no_form(draft: Draft) -> None:
    template = draft()
    client = signed_in("view_messagetemplate")
    text = client.get(page("messagetemplate_change", template.pk)).text
    assert "应还" in text and "【优迈】张三您好" in text and "body__" not in text
    assert client.post(page("messagetemplate_change", template.pk), posted(name="x")).status_code == 403


def test_a_template_is_written_in_the_form(operator: Operator) -> None:
    client = signed_in(*EDIT)
    assert client.get(page("messagetemplate_add")).status_code == 200
    answer = client.post(page("messagetemplate_add"), posted())
    template = MessageTemplate.objects.get()
    assert answer.url == page("messagetemplate_change", template.pk)
    assert template.bodies == BODIES
    assert template.variables == VARIABLES
    assert AuditEvent.objects.get().actor == "wang"
    text = client.get(answer.url).text
    assert "Nothing was found to be wrong" in text
    assert "${name}您好，${due}到期，应还${sum}。" in text and 'value="SMS_1"' in text


def test_saving_what_the_form_shows_changes_nothing(draft: Draft) -> None:
    template = draft()
    changed = posted(body__sms_aliyun__text="a\r\nb", name="Bill")
    assert signed_in(*EDIT).post(page("messagetemplate_change", template.pk), changed).status_code == 302
    template.refresh_from_db()
    assert (template.name, template.bodies["sms_aliyun"]["text"]) == ("Bill", "a\nb")
    assert {kind: body for kind, body in template.bodies.items() if kind != "sms_aliyun"} == {
        kind: body for kind, body in BODIES.items() if kind != "sms_aliyun"
    }


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"variable_rows__name": ["name", "name", "sum", "", ""]}, "stands there twice"),
        ({"variable_rows__name": ["", "due", "sum", "", ""]}, "A row has no name"),
        ({"variable_rows__type": ["code", "date", "money", "text", "text"]}, "choose from the list"),
        ({"variable_rows__label": ["a\0b", "", "", "", ""]}, "Null characters"),
        ({"body__push_jpush__alert": "a\0b"}, "Null characters"),
        ({"code": "a b"}, "slug"),
    ],
)
def test_the_form_says_what_is_wrong(draft: Draft, changes: dict[str, Any], said: str) -> None:
    template = draft()
    answer = signed_in(*EDIT).post(page("messagetemplate_change", template.pk), posted(**changes))
    assert answer.status_code == 200 and said in answer.text
    template.refresh_from_db()
    assert template.bodies == BODIES


def test_publishing_needs_its_permission_and_the_shown_draft(draft: Draft) -> None:
    template = draft()
    url = page("messagetemplate_publish", template.pk)
    for permissions in (EDIT, ("publish_template",)):
        client = signed_in(*permissions)
        assert (client.get(url).status_code, client.post(url).status_code) == (403, 403)
    client = signed_in(*EDIT, "publish_template")
    shown = client.get(url).context["shown"]
    services.save_draft(
        actor="somebody", template=template, code="bill", name="账单", variables=VARIABLES, bodies=BODIES, language="en"
    )
    assert "changed meanwhile" in client.post(url, {"shown": shown}, follow=True).text
    assert not TemplateVersion.objects.exists()
    shown = client.get(url).context["shown"]
    assert "Version 1 is published" in client.post(url, {"shown": shown}, follow=True).text
    assert TemplateVersion.objects.get().published_by.username == "wang"
    assert "Nothing has changed since version 1" in client.post(url, {"shown": shown}, follow=True).text


def test_a_template_with_errors_shows_them_and_no_button(draft: Draft) -> None:
    template = draft(bodies={"sms_aliyun": BODIES["sms_aliyun"] | {"text": "${who}"}})
    client = signed_in(*EDIT, "publish_template")
    text = client.get(page("messagetemplate_publish", template.pk)).text
    assert "${who} is not declared" in text and "cannot be published before" in text
    client.post(page("messagetemplate_publish", template.pk))
    assert not TemplateVersion.objects.exists()


def test_preview_shows_bubble_mail_and_card(draft: Draft) -> None:
    text = signed_in(*EDIT).get(page("messagetemplate_preview", draft().pk)).text
    assert "【优迈】张三您好，2026年11月23日到期，应还¥1,234.50。" in text
    assert "35 characters" in text and "1 piece<" in text
    assert 'sandbox="" srcdoc="&lt;meta http-equiv=' in text and "&lt;p&gt;张三，应还&lt;b&gt;¥1,234.50" in text
    assert "<p>张三，应还¥1,234.50</p>" in text


def test_preview_with_a_person(draft: Draft, known_people: None) -> None:
    url = page("messagetemplate_preview", draft().pk)
    typed = {"typed__name": ["sum", ""], "typed__value": ["5", ""]}
    assert signed_in(*EDIT).post(url, {"user_id": "A1"} | typed).status_code == 403
    assert not AuditEvent.objects.filter(verb="preview_with_person").exists()
    client = signed_in(*EDIT, "view_recipient")
    text = client.post(url, {"user_id": "A1"} | typed).text
    assert "【优迈】住在苏州的人您好，2026年11月23日到期，应还¥5.00。" in text
    offered = client.get(url).context["form"]["typed"].initial
    assert [row["name"] for row in offered] == ["due", "sum"]  # a person's own values are not written over
    assert AuditEvent.objects.get(verb="preview_with_person").detail == {"user_id": "A1"}
    assert "no recipient with this user id" in client.post(url, {"user_id": "A2"} | typed).text


def test_preview_tells_what_a_person_lacks(draft: Draft, known_people: None) -> None:
    template = draft(variables=[*VARIABLES, {"name": "city", "source": "attribute", "example": "上海"}], bodies={
        "push_jpush": {"alert": "${city}${name}${due}${sum}"}
    })  # fmt: skip
    url = page("messagetemplate_preview", template.pk)
    client = signed_in(*EDIT, "view_recipient")
    assert "上海张三" in client.post(url, {}).text
    assert "No value for city." in client.post(url, {"user_id": "A1"}).text


def test_hostile_values_stay_text_on_the_page(draft: Draft) -> None:
    typed = {"typed__name": ["name"], "typed__value": ['"><script>alert(1)</script>']}
    text = signed_in(*EDIT).post(page("messagetemplate_preview", draft().pk), typed).text
    assert "<script>alert(1)" not in text and "&lt;script&gt;alert(1)" in text


def test_versions_cannot_be_changed_in_the_console(draft: Draft, operator: Operator) -> None:
    version = services.publish_version(actor=operator, template=draft())
    client = signed_in(
        "view_templateversion", "change_templateversion", "delete_templateversion", "add_templateversion"
    )
    assert client.post(page("templateversion_change", version.pk), {"number": 5}).status_code == 403
    assert client.post(page("templateversion_delete", version.pk), {"post": "yes"}).status_code == 403
    assert client.get(page("templateversion_add")).status_code == 403
    text = client.get(page("templateversion_change", version.pk)).text
    assert "${name}您好" in text and "应还¥1,234.50" in text


def test_only_drafts_that_were_never_published_can_be_deleted(draft: Draft, operator: Operator) -> None:
    kept, gone = draft(), draft(code="other")
    services.publish_version(actor=operator, template=kept)
    client = signed_in(*EDIT)
    assert client.post(page("messagetemplate_delete", kept.pk), {"post": "yes"}).status_code == 403
    assert client.post(page("messagetemplate_delete", gone.pk), {"post": "yes"}).status_code == 302
    assert list(MessageTemplate.objects.all()) == [kept]
    assert AuditEvent.objects.get(verb="delete_template").detail == {"code": "other"}
    with pytest.raises(services.TemplateError):
        services.delete_draft(actor=operator, template=kept)
