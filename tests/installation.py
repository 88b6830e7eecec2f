"""A small installation as rows: a business line with a key, three accounts that nobody calls, a published template."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # a conftest imports this before Django is ready
    from apps.channels.models import ChannelAccount
    from apps.partners.models import BusinessLine
    from apps.templates.models import TemplateVersion

ACTOR = "test"
NOWHERE = "http://127.0.0.1:9"
SETTINGS: dict[str, dict[str, Any]] = {
    "push_jpush": {"app_key": "a" * 24, "master_secret": "b" * 24, "base_url": NOWHERE, "report_base_url": NOWHERE},
    "sms_aliyun": {"access_key_id": "LTAI0000", "access_key_secret": "c" * 30, "base_url": NOWHERE},
    "email_smtp": {"host": "127.0.0.1", "port": 9, "security": "none", "from_address": "bank@example.com"},
}
BODIES: dict[str, dict[str, Any]] = {
    "push_jpush": {"title": "通知", "alert": "${name}，余额${balance}元"},
    "sms_aliyun": {
        "sign_name": "优迈",
        "template_code": "SMS_100000001",
        "params": {"name": "${name}", "balance": "${balance}"},
        "text": "${name}您好，您的余额为${balance}元。",
    },
}
VARIABLES = [
    {"name": "name", "type": "text", "label": "姓名", "source": "attribute", "example": "张三"},
    {"name": "balance", "type": "text", "label": "余额", "source": "attribute", "example": "1024.50"},
]


def business_line(code: str = "bank") -> tuple[BusinessLine, str]:
    """A line and the text of its API key."""
    from apps.partners.models import BusinessLine
    from apps.partners.services import issue_api_key, save_business_line

    line = save_business_line(actor=ACTOR, business_line=BusinessLine(code=code, name=code.title()))
    return line, issue_api_key(actor=ACTOR, business_line=line, label="test")[1]


def account(kind: str, code: str, price: str = "0") -> ChannelAccount:
    """An active account of the kind for everybody."""
    from apps.channels.models import ChannelAccount
    from apps.channels.services import save_account

    made = ChannelAccount(code=code, name=code, kind=kind, price=Decimal(price))
    return save_account(actor=ACTOR, account=made, settings=SETTINGS[kind])


def template(code: str = "balance", **changes: Any) -> TemplateVersion:
    """A published version with a body for push and short message."""
    from apps.templates.services import publish_version, save_draft

    content: dict[str, Any] = {"variables": VARIABLES, "bodies": BODIES} | changes
    draft = save_draft(actor=ACTOR, code=code, name=code, **content)
    return publish_version(actor=ACTOR, template=draft)
