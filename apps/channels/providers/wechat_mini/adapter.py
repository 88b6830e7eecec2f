"""WeChat mini program: subscribe message, one for each tap on "allow". Source: contract sheet wechat_mini."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from apps.channels.contract import (
    Account,
    Answer,
    Capabilities,
    ConfigField,
    ContentField,
    Envelope,
    HookEvent,
    HookRequest,
    HttpAnswer,
    HttpRequest,
    Receipts,
)
from apps.channels.outcomes import Accepted, Outcome, Unknown
from apps.channels.providers.wechat_mini.codes import CODES
from apps.channels.wire.json_answer import json_object
from apps.channels.wire.wechat_events import consent, read_event
from apps.channels.wire.wechat_fields import fitted, misfit
from apps.channels.wire.wechat_platform import (
    COMMON_FIELDS,
    WechatPlatform,
    accepted_id,
    is_on,
    listed,
    subscription_receipts,
)

SEND = "/cgi-bin/message/subscribe/send"
VERSIONS = ("formal", "trial", "developer")
LANGUAGES = ("zh_CN", "en_US", "zh_HK", "zh_TW")


class WechatMini(WechatPlatform):
    kind = "wechat_mini"
    label = "WeChat mini program"
    codes = CODES
    verified_with = "wechatpy 1.8.18"
    config_fields = (
        *COMMON_FIELDS,
        ConfigField(
            "miniprogram_state",
            "Version that a tap opens",
            type="choice",
            choices=VERSIONS,
            default="formal",
            required=False,
        ),
        ConfigField("lang", "Language", type="choice", choices=LANGUAGES, default="zh_CN", required=False),
        ConfigField(
            "subscribe_msgid",
            "Answers carry msgid",
            type="boolean",
            default=True,
            required=False,
            help="Receipts are matched by it. Switch it off if the provider's answers to you carry none.",
        ),
        ConfigField(
            "consent_templates",
            "Templates that need a yes",
            required=False,
            help="Template ids, divided by commas: who refuses one is not tried until they agree. Empty: any of them.",
        ),
    )
    content_fields = (
        ContentField("template_id", "Template id", literal=True, max_length=100),
        ContentField("data", "Template values", mapping=True, help="Every field of the template, none empty."),
        ContentField("page", "Page of the mini program", required=False, help="For example pages/index?id=1."),
    )
    capabilities = Capabilities(address_kind="wechat_mini", finds_by_provider_id=True, receipts=Receipts.PUSH)

    def check_config(self, config: Mapping[str, Any]) -> dict[str, str]:
        problems = super().check_config(config)
        for name, allowed in (("miniprogram_state", VERSIONS), ("lang", LANGUAGES)):
            if config.get(name) not in (None, "", *allowed):
                problems[name] = f"Must be one of {', '.join(allowed)}."
        return problems

    def check_content(self, content: Mapping[str, Any]) -> dict[str, str]:
        problems = super().check_content(content)
        wrong = misfit(content.get("data") or {})
        return problems | ({"data": wrong} if wrong else {})

    def build(self, account: Account, envelopes: Sequence[Envelope], now: datetime) -> HttpRequest:
        """One message for one openid."""
        (envelope,) = envelopes
        content, config = envelope.content, account.config
        document = {
            "touser": envelope.address,
            "template_id": content["template_id"],
            **({"page": content["page"]} if content.get("page") else {}),
            "miniprogram_state": config.get("miniprogram_state") or VERSIONS[0],
            "lang": config.get("lang") or LANGUAGES[0],
            "data": fitted(content["data"]),
        }
        return self.post(account, SEND, document)

    def read(self, account: Account, envelopes: Sequence[Envelope], answer: Answer) -> Outcome:
        body = json_object(answer)
        if isinstance(body, Unknown):
            return body
        assert isinstance(answer, HttpAnswer)
        msgid = accepted_id(body, answer)
        return self.refusal(body, answer) if msgid is None else Accepted(msgid)

    def parse_hook(self, account: Account, request: HookRequest) -> list[HookEvent]:
        event = read_event(request.body)
        config = account.config
        match event.name:
            case "subscribe_msg_sent_event":
                return [*subscription_receipts(event, CODES)] if is_on(config.get("subscribe_msgid", True)) else []
            case "subscribe_msg_popup_event" | "subscribe_msg_change_event":
                return [*consent(event, listed(config.get("consent_templates")))]
        return []
