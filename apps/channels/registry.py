"""Every kind of channel, one line each. A new kind is its folder and one line here."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

from django.utils.translation import gettext_lazy

from apps.channels.contract import Adapter

KINDS: dict[str, str] = {
    "wechat_oa": "WechatOa",
    "wechat_mini": "WechatMini",
    "push_jpush": "PushJPush",
    "push_fcm": "PushFcm",
    "push_apns": "PushApns",
    "sms_aliyun": "SmsAliyun",
    "sms_smpp": "SmsSmpp",
    "sms_cmpp": "SmsCmpp",
    "sms_tencent": "SmsTencent",
    "alipay_life": "AlipayLife",
    "dingtalk_work": "DingtalkWork",
    "dingtalk_robot": "DingtalkRobot",
    "rcs_maap": "RcsMaap",
    "rcs_aliyun": "RcsAliyun",
    "email_smtp": "EmailSmtp",
    "webhook": "Webhook",
    "apprise": "Apprise",
    "wecom_app": "WecomApp",
    "wecom_robot": "WecomRobot",
    "feishu_app": "FeishuApp",
    "feishu_announcement": "FeishuAnnouncement",
    "feishu_robot": "FeishuRobot",
}


@cache
def adapter(kind: str) -> Adapter:
    """The adapter of a kind; KeyError for a kind that is not in the table."""
    module = import_module(f"apps.channels.providers.{kind}.adapter")
    made: Adapter = getattr(module, KINDS[kind])()
    return made


def adapters() -> list[Adapter]:
    """All adapters in table order."""
    return [adapter(kind) for kind in KINDS]


@cache
def session_kinds() -> tuple[str, ...]:
    """Kinds whose accounts keep a session: only their own gateway sends for them, no worker of a lane."""
    return tuple(one.kind for one in adapters() if one.transport == "session")


def kind_choices() -> list[tuple[str, Any]]:
    """For model fields and forms: a function, so that a new kind makes no migration; labels in the reader's language."""
    return [(one.kind, gettext_lazy(one.label)) for one in adapters()]
