"""Variants of a channel's text: written in the form, judged and published like any other, and emptied away."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from apps.operators.models import Operator
from apps.templates import selectors, services
from apps.templates.errors import NotPublishable
from apps.templates.models import MessageTemplate
from tests.templates.conftest import BODIES
from tests.templates.test_console import EDIT, page, posted, signed_in

pytestmark = pytest.mark.django_db
Draft = Callable[..., MessageTemplate]
SHORT = {**BODIES["sms_aliyun"], "text": "${name}，应还${sum}。"}


def test_the_form_makes_a_variant_as_a_copy_and_writes_it_like_any_text(draft: Draft) -> None:
    template, client = draft(), signed_in(*EDIT)
    url = page("messagetemplate_change", template.pk)
    new = {"variant_rows__kind": ["sms_aliyun", "email_smtp"], "variant_rows__name": ["short", "short"]}
    assert client.post(url, posted(**new)).status_code == 302
    template.refresh_from_db()
    assert template.bodies == BODIES | {f"{kind}/short": BODIES[kind] for kind in ("sms_aliyun", "email_smtp")}

    shown = client.get(url).text
    assert "body__sms_aliyun/short__text" in shown and "/ short" in shown
    texts = {f"body__email_smtp/short__{field}": "" for field in BODIES["email_smtp"]}
    texts |= {"body__sms_aliyun/short__text": "${name}，应还${sum}。", "body__sms_aliyun/short__sign_name": "优迈"}
    texts |= {"body__sms_aliyun/short__template_code": "SMS_1"}
    assert client.post(url, posted(**texts)).status_code == 302
    template.refresh_from_db()
    assert set(template.bodies) == {*BODIES, "sms_aliyun/short"}, "what was emptied is gone"
    assert template.bodies["sms_aliyun/short"]["text"] == "${name}，应还${sum}。"


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("sms_aliyun", "Short!", "small letters"),
        ("sms_aliyun", "short", "is there already"),
        ("wecom_app", "short", "own text first"),
    ],
)
def test_the_form_says_what_is_wrong_with_a_variant(draft: Draft, kind: str, name: str, said: str) -> None:
    template = draft(bodies={**BODIES, "sms_aliyun/short": SHORT})
    new = {"variant_rows__kind": [kind], "variant_rows__name": [name]}
    answer = signed_in(*EDIT).post(page("messagetemplate_change", template.pk), posted(**new))
    assert answer.status_code == 200 and said in answer.text


def test_a_variant_is_linted_previewed_and_published_under_its_name(draft: Draft, operator: Operator) -> None:
    template = draft(bodies={**BODIES, "sms_aliyun/short": {**SHORT, "text": "${nmae}"}})
    (finding,) = [one for one in selectors.lint(template) if one.level == "error"]
    assert (finding.kind, finding.field) == ("sms_aliyun/short", "text") and "/ short /" in finding.place
    template = draft(template=template, bodies={**BODIES, "sms_aliyun/short": SHORT})
    assert (
        selectors.preview(template, "sms_aliyun/short", {"name": "李", "sum": 1}).content["text"].startswith("李，应还")
    )
    version = services.publish_version(actor=operator, template=template)
    assert list(selectors.kinds_of(version)) == list(version.bodies)
    assert (
        selectors.compiled(version.pk, "sms_aliyun/short").names != selectors.compiled(version.pk, "sms_aliyun").names
    )


def test_a_variant_needs_the_channels_own_text(draft: Draft, operator: Operator) -> None:
    with pytest.raises(NotPublishable, match="own text"):
        services.publish_version(actor=operator, template=draft(bodies={"sms_aliyun/short": SHORT}))
