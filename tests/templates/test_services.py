"""Drafts, lint, publication, preview: against a real database."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from apps.operators.models import AuditEvent, Operator
from apps.templates import people, selectors, services
from apps.templates.errors import NoBody, NotPublishable, TemplateError
from apps.templates.models import MessageTemplate, TemplateVersion
from apps.templates.render import BadValue, MissingValue
from tests.templates.conftest import BODIES, VARIABLES

pytestmark = pytest.mark.django_db
Draft = Callable[..., MessageTemplate]
VALUES = {"name": "张三 & Söhne", "due": "2026-12-01", "sum": 99}


def found(template: MessageTemplate) -> list[tuple[str, str, str]]:
    return [(finding.level, finding.kind, finding.field) for finding in selectors.lint(template)]


def sms(**changes: Any) -> dict[str, Any]:
    return {"sms_aliyun": BODIES["sms_aliyun"] | changes}


def test_a_good_template_has_no_findings(draft: Draft) -> None:
    assert selectors.lint(draft()) == []


def test_drafts_keep_what_is_filled_in(draft: Draft) -> None:
    template = draft(
        bodies={"push_jpush": {"title": "", "alert": "a", "extras": {"k": ""}}, "email_smtp": {"subject": ""}},
        variables=[{"name": " x ", "type": "text", "label": "", "strange": "1"}],
    )
    template.refresh_from_db()
    assert template.bodies == {"push_jpush": {"alert": "a"}}
    assert template.variables == [{"name": "x", "type": "text"}]
    assert list(AuditEvent.objects.values_list("verb", "detail")) == [
        ("add_template", {"code": "bill", "kinds": ["push_jpush"]})
    ]


def test_a_code_belongs_to_one_template(draft: Draft) -> None:
    first = draft()
    with pytest.raises(TemplateError, match="choose a different one"):
        draft()
    draft(template=first, name="Bill")
    assert MessageTemplate.objects.get().name == "Bill"


@pytest.mark.parametrize(
    "wrong", [{"bodies": {"sms_aliyun": "x"}}, {"bodies": sms(text=5)}, {"variables": [{"name": 1}]}]
)
def test_drafts_of_a_wrong_shape_are_refused(draft: Draft, wrong: dict[str, Any]) -> None:
    with pytest.raises(TemplateError):
        draft(**wrong)


@pytest.mark.parametrize(
    ("changes", "finding", "said"),
    [
        ({"bodies": {}}, ("error", "", "bodies"), "at least one channel"),
        ({"bodies": {"fax": {"text": "x"}}}, ("error", "fax", ""), "not installed"),
        ({"bodies": sms(text="${other}")}, ("error", "sms_aliyun", "text"), "${other} is not declared"),
        ({"bodies": sms(params={"a": "${oops"})}, ("error", "sms_aliyun", "params"), "write ${name}"),
        ({"bodies": sms(colour="red")}, ("error", "sms_aliyun", "colour"), "no field colour"),
        ({"bodies": sms(template_code="")}, ("error", "sms_aliyun", "template_code"), "is required"),
        ({"bodies": sms(text="长" * 1100)}, ("error", "sms_aliyun", "text"), "are allowed"),
        ({"bodies": sms(text="${name}" + "长" * 80)}, ("warning", "sms_aliyun", ""), "2 pieces"),
        ({"variables": VARIABLES[:2]}, ("error", "sms_aliyun", "params"), "${sum} is not declared"),
        ({"variables": [*VARIABLES, VARIABLES[0]]}, ("error", "", "variables"), "declared twice"),
        ({"variables": [*VARIABLES, {"name": "x", "example": "1"}]}, ("warning", "", "variables"), "not used"),
        ({"variables": [*VARIABLES, {"name": "a b"}]}, ("error", "", "variables"), "letters, digits"),
        ({"variables": [*VARIABLES[:2], VARIABLES[2] | {"currency": "ABC"}]}, ("error", "", "variables"), "no currency"),
        ({"variables": [VARIABLES[0] | {"example": ""}, *VARIABLES[1:]]}, ("warning", "", "variables"), "no example"),
        ({"variables": [VARIABLES[1] | {"example": "soon"}, *VARIABLES[::2]]}, ("warning", "", "variables"), "does not fit"),
        (
            {"bodies": {"email_smtp": BODIES["email_smtp"] | {"html": '<p style="color:${name}">${sum}</p>'}}},
            ("error", "email_smtp", "html"),
            "${name} may stand",
        ),
        (
            {"bodies": {"email_smtp": BODIES["email_smtp"] | {"html": "<p onclick=x()>${sum}<script>x</script></p>"}}},
            ("warning", "email_smtp", "html"),
            "onclick, <script>",
        ),
    ],
)  # fmt: skip
def test_lint_names_field_and_remedy(
    draft: Draft, operator: Operator, changes: dict[str, Any], finding: tuple[str, str, str], said: str
) -> None:
    template = draft(**changes)
    assert finding in found(template)
    assert any(said in str(one) for one in selectors.lint(template))
    if finding[0] == "error":
        with pytest.raises(NotPublishable, match=".") as caught:
            services.publish_version(actor=operator, template=template)
        assert said in str(caught.value) and not TemplateVersion.objects.exists()
    elif not any(level == "error" for level, _kind, _field in found(template)):
        assert services.publish_version(actor=operator, template=template).number == 1


def test_versions_are_numbered_hashed_and_on_record(draft: Draft, operator: Operator) -> None:
    template = draft()
    first = services.publish_version(actor=operator, template=template)
    with pytest.raises(TemplateError, match="Nothing has changed since version 1"):
        services.publish_version(actor=operator, template=template)
    draft(template=template, bodies=sms(text="${name}${sum}${due}!"))
    second = services.publish_version(actor=operator, template=template)
    assert (first.number, second.number, first.published_by) == (1, 2, operator)
    assert first.content_hash != second.content_hash
    draft(template=template)
    third = services.publish_version(actor=operator, template=template)
    assert third.content_hash == first.content_hash
    event = AuditEvent.objects.filter(verb="publish_template").order_by("-id")[0]
    assert (event.actor, event.object_id) == ("li", str(third.pk))
    assert event.detail == {"code": "bill", "number": 3, "content_hash": third.content_hash}


def test_html_is_published_harmless(draft: Draft, operator: Operator) -> None:
    html = '<p>${name}${due}</p><script>x</script><a href="javascript:x">a</a><a href="https://a/?b=${sum}&c=1">b</a>'
    template = draft(bodies={"email_smtp": BODIES["email_smtp"] | {"html": html}})
    version = services.publish_version(actor=operator, template=template)
    clean = '<p>${name}${due}</p><a>a</a><a href="https://a/?b=${sum}&amp;c=1">b</a>'
    assert version.bodies["email_smtp"]["html"] == clean
    template.refresh_from_db()
    assert template.bodies["email_smtp"]["html"] == html
    with pytest.raises(TemplateError, match="Nothing has changed"):
        services.publish_version(actor=operator, template=template)


@pytest.mark.parametrize(
    "sql", ["UPDATE templates_templateversion SET number = 9", "DELETE FROM templates_templateversion"]
)
def test_the_database_refuses_to_change_a_version(draft: Draft, operator: Operator, sql: str) -> None:
    services.publish_version(actor=operator, template=draft())
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)
    assert TemplateVersion.objects.get().number == 1


@pytest.mark.django_db(transaction=True)
def test_two_publications_at_once_make_one_version(draft: Draft, operator: Operator) -> None:
    template = draft()

    def publish(_turn: int) -> str:
        try:
            services.publish_version(actor=operator, template=template)
            return "published"
        except TemplateError:
            return "refused"
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        outcomes = sorted(pool.map(publish, range(4)))
    assert outcomes == ["published", "refused", "refused", "refused"]
    assert TemplateVersion.objects.count() == 1


def test_compiled_bodies_are_kept_and_never_asked_again(
    draft: Draft, operator: Operator, django_assert_num_queries: Any
) -> None:
    version = services.publish_version(actor=operator, template=draft())
    body = selectors.compiled(version.pk, "sms_aliyun")
    with django_assert_num_queries(0):
        assert selectors.compiled(version.pk, "sms_aliyun") is body
    assert body.render(VALUES)["params"] == {"name": "张三 & Söhne", "sum": "¥99.00"}
    with pytest.raises(NoBody):
        selectors.compiled(version.pk, "fax")
    with pytest.raises(TemplateVersion.DoesNotExist):
        selectors.compiled(0, "sms_aliyun")


def test_language_decides_how_values_are_written(draft: Draft, operator: Operator) -> None:
    version = services.publish_version(actor=operator, template=draft(language="en"))
    text = selectors.compiled(version.pk, "sms_aliyun").render(VALUES)["text"]
    assert text == "张三 & Söhne您好，Dec 1, 2026到期，应还CN¥99.00。"


def test_preview_of_draft_and_version(draft: Draft, operator: Operator) -> None:
    template = draft()
    version = services.publish_version(actor=operator, template=template)
    for source in (template, version):
        mail = services.preview(source, "email_smtp", VALUES)
        assert "<p>张三 &amp; Söhne，应还<b>¥99.00</b></p>" in str(mail.content["html"])
        assert (mail.pieces, mail.problems) == (1, {})
        short = services.preview(source, "sms_aliyun", VALUES | {"name": "长" * 80})
        assert (short.pieces, short.price_unit) == (2, "piece")
    assert selectors.example_values(version) == {"name": "张三", "due": "2026-11-23", "sum": "1234.5"}
    assert services.preview(version, "sms_aliyun", selectors.example_values(version)).content["text"] == (
        "张三您好，2026年11月23日到期，应还¥1,234.50。"
    )


def test_preview_refuses_as_sending_would(draft: Draft) -> None:
    template = draft()
    with pytest.raises(MissingValue, match="due, sum"):
        services.preview(template, "email_smtp", {"name": "x"})
    with pytest.raises(BadValue, match="sum"):
        services.preview(template, "push_jpush", VALUES | {"sum": "much"})
    with pytest.raises(NoBody):
        services.preview(template, "fax", VALUES)


def test_people_answer_with_their_user_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "_lookups", [])
    assert people.values_of("li", "A1") is None
    people.register(lambda actor, user_id: {"name": f"{actor} sees"} if user_id == "A1" else None)
    assert people.values_of("li", "A1") == {"name": "li sees", "user_id": "A1"}
    assert people.values_of("li", "A2") is None
