"""WeChat official account: template message, subscription notification (bizsend), customer-service message.

Source: contract sheet wechat_oa; marks of confidence stand in README.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
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
    Idempotency,
    ReceiptEvent,
    Receipts,
)
from apps.channels.outcomes import Accepted, Outcome, Unknown
from apps.channels.providers.wechat_oa.codes import CODES, STATE_WORDS, STATES
from apps.channels.wire.json_answer import json_object
from apps.channels.wire.wechat_events import WechatEvent, address_event, consent, read_event, required
from apps.channels.wire.wechat_fields import fitted, misfit
from apps.channels.wire.wechat_platform import (
    COMMON_FIELDS,
    WechatPlatform,
    accepted_id,
    is_on,
    listed,
    subscription_receipts,
)

TEMPLATE, SUBSCRIBE, CUSTOMER = "template", "subscribe", "customer"
TEXT_BYTES = 2048
GUARDED = timedelta(minutes=10)  # by client_msg_id


class WechatOa(WechatPlatform):
    kind = "wechat_oa"
    label = "WeChat official account"
    codes = CODES
    verified_with = "wechatpy 1.8.18"
    config_fields = (
        *COMMON_FIELDS,
        ConfigField(
            "subscribe_msgid",
            "Subscription answers carry msgid",
            type="boolean",
            default=False,
            required=False,
            help="Only if you have seen msgid in the provider's answers: then receipts of subscriptions are matched.",
        ),
        ConfigField(
            "consent_templates",
            "Templates that need a yes",
            required=False,
            help="Template ids, divided by commas: who refuses one of them is not tried until they agree again.",
        ),
    )
    content_fields = (
        ContentField(
            "message_type",
            "Kind of message",
            required=False,
            literal=True,
            help="template (the default), subscribe or customer.",
        ),
        ContentField("template_id", "Template id", required=False, literal=True, max_length=100),
        ContentField("data", "Template values", required=False, mapping=True),
        ContentField("text", "Text", required=False, multiline=True, help="Of a customer message."),
        ContentField("url", "Link", required=False, help="Where a tap leads."),
        ContentField("mini_appid", "AppID of a mini program", required=False, literal=True, max_length=64),
        ContentField("mini_path", "Page of the mini program", required=False),
    )
    capabilities = Capabilities(address_kind="wechat_oa", finds_by_provider_id=True, receipts=Receipts.PUSH)

    def capabilities_of(self, account: Account, content: Mapping[str, Any] | None = None) -> Capabilities:
        """Of the three messages only the template carries a key."""
        if content is None or _sort(content) != TEMPLATE:
            return self.capabilities
        return replace(self.capabilities, idempotency=Idempotency.KEYED, idempotency_window=GUARDED)

    def check_content(self, content: Mapping[str, Any]) -> dict[str, str]:
        problems = super().check_content(content)
        sort = _sort(content)
        if sort not in _MAKERS:
            return problems | {"message_type": "The kind of message is template, subscribe or customer."}
        if sort == CUSTOMER:
            return problems | _text_problems(content)
        for name, label in (("template_id", "Template id"), ("data", "Template values")):
            if not content.get(name):
                problems[name] = f"{label} is required."
        wrong = misfit(content.get("data") or {}) if sort == SUBSCRIBE else ""
        if wrong:
            problems["data"] = wrong
        return problems

    def build(self, account: Account, envelopes: Sequence[Envelope], now: datetime) -> HttpRequest:
        """One message for one openid. The key is `client_msg_id` where the call has one."""
        (envelope,) = envelopes
        path, make = _MAKERS[_sort(envelope.content)]
        return self.post(account, path, {"touser": envelope.address, **make(envelope)})

    def read(self, account: Account, envelopes: Sequence[Envelope], answer: Answer) -> Outcome:
        body = json_object(answer)
        if isinstance(body, Unknown):
            return body
        assert isinstance(answer, HttpAnswer)
        msgid = accepted_id(body, answer)
        if msgid is not None:
            return Accepted(msgid)
        return self.refusal(body, answer)

    def parse_hook(self, account: Account, request: HookRequest) -> list[HookEvent]:
        event = read_event(request.body)
        config = account.config
        match event.name:
            case "templatesendjobfinish":
                return [_template_receipt(event)]
            case "subscribe_msg_sent_event":
                return [*subscription_receipts(event, CODES)] if is_on(config.get("subscribe_msgid")) else []
            case "subscribe" | "unsubscribe":
                followed = event.name == "subscribe"
                return [address_event(event, followed, "followed" if followed else "unfollowed")]
            case "subscribe_msg_popup_event" | "subscribe_msg_change_event":
                needed = listed(config.get("consent_templates"))
                return [*consent(event, needed)] if needed else []
        return []


def _sort(content: Mapping[str, Any]) -> str:
    return str(content.get("message_type") or TEMPLATE)


def _text_problems(content: Mapping[str, Any]) -> dict[str, str]:
    text = content.get("text") or ""
    if not text:
        return {"text": "Text is required."}
    size = len(text.encode())
    return {"text": f"Text has {size} bytes, {TEXT_BYTES} are allowed."} if size > TEXT_BYTES else {}


def _template(envelope: Envelope) -> dict[str, Any]:
    content = envelope.content
    data = {name: {"value": str(value)} for name, value in content["data"].items()}
    return {
        "template_id": content["template_id"],
        **({"url": content["url"]} if content.get("url") else {}),
        **_mini_program(content),
        "client_msg_id": envelope.key,
        "data": data,
    }


def _subscription(envelope: Envelope) -> dict[str, Any]:
    content = envelope.content
    return {
        "template_id": content["template_id"],
        **({"page": content["url"]} if content.get("url") else {}),
        **_mini_program(content),
        "data": fitted(content["data"]),
    }


def _customer(envelope: Envelope) -> dict[str, Any]:
    return {"msgtype": "text", "text": {"content": envelope.content["text"]}}


def _mini_program(content: Mapping[str, Any]) -> dict[str, Any]:
    if not content.get("mini_appid"):
        return {}
    return {"miniprogram": {"appid": content["mini_appid"], "pagepath": content.get("mini_path") or ""}}


_MAKERS: dict[str, tuple[str, Callable[[Envelope], dict[str, Any]]]] = {
    TEMPLATE: ("/cgi-bin/message/template/send", _template),
    SUBSCRIBE: ("/cgi-bin/message/subscribe/bizsend", _subscription),
    CUSTOMER: ("/cgi-bin/message/custom/send", _customer),
}


def _template_receipt(event: WechatEvent) -> ReceiptEvent:
    msgid, said = required(event.fields, "MsgID", "Status")
    before, colon, why = said.lower().partition(":")
    status = f"{before.strip()}{colon}{why.strip()}"
    return ReceiptEvent(
        STATES.get(status, "failed"),
        status[:80],
        event.at,
        provider_id=msgid,
        address=event.openid,
        words=STATE_WORDS.get(status, ""),
    )
