"""The stage of the demo, the story tests and the fault tests: accounts on the simulated providers, a template, a policy.

Everything is made through the services that console and API use. Calling it twice changes nothing.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from apps.campaigns.drafting import save_policy
from apps.campaigns.models import DuplicateGuard, Policy
from apps.channels.models import ChannelAccount
from apps.channels.services import save_account
from apps.partners.models import BusinessLine
from apps.templates.models import MessageTemplate, TemplateVersion
from apps.templates.services import publish_version, save_draft
from apps.users.attributes import ensure_default_attributes

ACTOR = "demo"

# What the simulated providers accept (simulator/README.md); these are no secrets.
ALIYUN_KEY, ALIYUN_SECRET = "LTAI5tTestKey0000001", "TestSecret0000000000000000000001"
JPUSH_KEY, JPUSH_SECRET = "a1b2c3d4e5f6a1b2c3d4e5f6", "0123456789abcdef01234567"
SMTP_USER, SMTP_PASSWORD = "ums", "ums-secret"

VARIABLES = [
    {"name": "name", "type": "text", "label": "姓名", "example": "杜萍"},
    {"name": "balance", "type": "number", "label": "余额", "example": "5165.71"},
]
BODIES = {
    "push_jpush": {"title": "优选银行", "alert": "${name}，您的账户余额为${balance}元。"},
    "sms_aliyun": {
        "sign_name": "优选银行",
        "template_code": "SMS_100000002",
        "params": {"name": "${name}", "balance": "${balance}"},
        "text": "尊敬的${name}，您的账户余额为${balance}元。回T退订",
    },
    "email_smtp": {
        "subject": "${name}，您的月度账单",
        "text": "尊敬的${name}：\n\n您的账户余额为${balance}元。\n\n优选银行",
        "html": "<h2>月度账单</h2><p>尊敬的${name}：</p><p>您的账户余额为 <b>${balance} 元</b>。</p><p>优选银行</p>",
    },
}


def business_line() -> BusinessLine:
    """The line of demo and tests. The same text may go again at once: both are run again and again."""
    line = BusinessLine.objects.get_or_create(code="retail", defaults={"name": "零售业务"})[0]
    for message_class in ("marketing", "transactional"):
        DuplicateGuard.objects.get_or_create(
            business_line=line, message_class=message_class, defaults={"window_hours": 0}
        )
    return line


def accounts(http: str, smtp_host: str, smtp_port: int, receipt_window: timedelta, unknown_window: timedelta) -> None:
    """One account of each kind, pointed at the simulator; saved again where the simulator listens elsewhere now."""
    plain: dict[str, Any] = {"receipt_window": receipt_window, "unknown_window": unknown_window, "max_in_flight": 100}
    _account(
        "push-main",
        "App 推送",
        "push_jpush",
        {**plain, "price": Decimal("0")},
        {"app_key": JPUSH_KEY, "master_secret": JPUSH_SECRET, "base_url": http, "report_base_url": http},
    )
    _account(
        "sms-main",
        "阿里云短信",
        "sms_aliyun",
        {**plain, "price": Decimal("0.045")},
        {"access_key_id": ALIYUN_KEY, "access_key_secret": ALIYUN_SECRET, "base_url": http},
    )
    _account("mail-main", "邮件", "email_smtp", {**plain, "price": Decimal("0.001")},
             {"host": smtp_host, "port": smtp_port, "security": "none", "username": SMTP_USER, "password": SMTP_PASSWORD,
              "from_address": "service@bank.example", "from_name": "优选银行", "bounce_domain": "bounce.bank.example",
              "bounce_secret": "bounce-secret-of-the-demo", "hostname": "ums.bank.example"})  # fmt: skip


def _account(code: str, name: str, kind: str, plain: dict[str, Any], settings: dict[str, Any]) -> None:
    account = ChannelAccount.objects.filter(code=code).first() or ChannelAccount(code=code, kind=kind)
    account.name = name
    for column, value in plain.items():
        setattr(account, column, value)
    save_account(actor=ACTOR, account=account, settings=settings)


def template() -> TemplateVersion:
    """The published version of the demo's template."""
    ensure_default_attributes()
    held = MessageTemplate.objects.filter(code="monthly-statement").first()
    if held is None:
        held = save_draft(actor=ACTOR, code="monthly-statement", name="月度账单", variables=VARIABLES, bodies=BODIES)
    return held.versions.order_by("-number").first() or publish_version(actor=ACTOR, template=held)


def policy(wait: timedelta) -> Policy:
    """App push, by SMS whom it did not reach in time; an e-mail at once for the tag vip."""
    push_and_mail = [{"account": "push-main"}, {"account": "mail-main", "only_tag": "vip"}]
    plan = {
        "steps": [
            {"channels": push_and_mail, "mode": "all", "until": "delivered", "wait_seconds": wait.total_seconds()},
            {"channels": [{"account": "sms-main"}], "mode": "first", "until": "delivered"},
        ],
        "expires_seconds": 86400,
    }
    held = Policy.objects.filter(code="push-then-sms").first() or Policy(code="push-then-sms")
    held.name, held.plan = "推送未达补发短信", plan
    return save_policy(actor=ACTOR, policy=held)
