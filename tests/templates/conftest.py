"""One template that uses every kind of channel, and the people who may work on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings
from django.utils import translation

if TYPE_CHECKING:  # a conftest is read before Django is ready
    from apps.operators.models import Operator
    from apps.templates.models import MessageTemplate

VARIABLES = [
    {"name": "name", "type": "text", "label": "姓名", "source": "attribute", "example": "张三"},
    {"name": "due", "type": "date", "label": "到期日", "source": "payload", "example": "2026-11-23"},
    {"name": "sum", "type": "money", "currency": "CNY", "label": "金额", "source": "payload", "example": "1234.5"},
]
BODIES: dict[str, dict[str, Any]] = {
    "sms_aliyun": {
        "sign_name": "优迈",
        "template_code": "SMS_1",
        "params": {"name": "${name}", "sum": "${sum}"},
        "text": "${name}您好，${due}到期，应还${sum}。",
    },
    "email_smtp": {
        "subject": "${due}账单",
        "text": "${name}，应还${sum}",
        "html": '<p>${name}，应还<b>${sum}</b></p><a href="https://bank.example/pay?who=${name}">还款</a>',
    },
    "push_jpush": {"title": "账单", "alert": "${name}，应还${sum}"},
}


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    """Findings are compared in the language of the code."""
    with translation.override("en"):
        yield


@pytest.fixture(autouse=True, scope="session")
def static_folder() -> None:
    """The middleware for static files warns where its folder is missing."""
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)


@pytest.fixture
def operator(db: None) -> Operator:
    from apps.operators.models import Operator

    return Operator.objects.create_user("li", password="x", is_staff=True)


@pytest.fixture
def draft(operator: Operator) -> Callable[..., MessageTemplate]:
    """Saves a draft of the bill, with what the test says otherwise."""
    from apps.templates import services

    def draft(**changes: Any) -> MessageTemplate:
        given: dict[str, Any] = {"code": "bill", "name": "账单", "variables": VARIABLES, "bodies": BODIES}
        return services.save_draft(actor=operator, **given | changes)

    return draft
