"""Feishu (Lark) announcements: message/v4/batch_send to up to 200 people, no idempotency, no receipt for each person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlsplit

from apps.channels.contract import (
    Account,
    Adapter,
    Answer,
    Capabilities,
    ConfigField,
    Envelope,
    HttpAnswer,
    HttpRequest,
    Token,
)
from apps.channels.outcomes import Accepted, Outcome, Rejected, Throttled, Unknown
from apps.channels.providers.feishu_announcement.codes import CODES, DAY_FULL, EVERYONE, INVALID
from apps.channels.wire.day_quota import until_midnight
from apps.channels.wire.feishu import called, succeeded, token_of, token_request
from apps.channels.wire.feishu_messages import CONTENT_FIELDS, message_of, problems_of, type_of

MAX_PEOPLE = 200
CONTENT_BYTES = 30_000
ID_TYPES = ("open_id", "union_id", "user_id")


class FeishuAnnouncement(Adapter):
    kind = "feishu_announcement"
    label = "Feishu announcement"
    config_fields = (
        ConfigField("app_id", "App ID", help="Developer console, the app, Credentials & Basic Info: cli_…"),
        ConfigField("app_secret", "App Secret", secret=True, help="Same page."),
        ConfigField(
            "base_url",
            "Endpoint",
            type="url",
            default="https://open.feishu.cn",
            help="https://open.larksuite.com outside China.",
        ),
        ConfigField(
            "receive_id_type",
            "Kind of id",
            type="choice",
            choices=ID_TYPES,
            default="open_id",
            required=False,
            help="Which of a person's ids the addresses are.",
        ),
        ConfigField(
            "recipients_per_call",
            "People per call",
            type="integer",
            default=MAX_PEOPLE,
            required=False,
            help="1 to 200 people that get equal text in one call.",
        ),
    )
    content_fields = CONTENT_FIELDS
    capabilities = Capabilities(address_kind="feishu", recipients_per_call=MAX_PEOPLE, recall=True)
    uses_token = True
    verified_with = "lark-oapi 1.7.5"

    def check_config(self, config: Mapping[str, Any]) -> dict[str, str]:
        problems = super().check_config(config)
        url = urlsplit(str(config.get("base_url", "")))
        if "base_url" not in problems and (url.scheme not in ("http", "https") or not url.netloc):
            problems["base_url"] = "The endpoint must begin with https:// and name a host."
        if config.get("receive_id_type") not in (None, "", *ID_TYPES):
            problems["receive_id_type"] = "The kind of id is open_id, union_id or user_id."
        if not 1 <= _integer(config.get("recipients_per_call"), MAX_PEOPLE) <= MAX_PEOPLE:
            problems["recipients_per_call"] = f"Must be a number from 1 to {MAX_PEOPLE}."
        return problems

    def check_content(self, content: Mapping[str, Any]) -> dict[str, str]:
        return problems_of(content, CONTENT_BYTES, CONTENT_BYTES) | super().check_content(content)

    def call_size(self, account: Account) -> int:
        return min(max(_integer(account.config.get("recipients_per_call"), MAX_PEOPLE), 1), MAX_PEOPLE)

    def build(self, account: Account, envelopes: Sequence[Envelope], now: datetime) -> HttpRequest:
        """Here the content is an object, and a card stands in a field of its own."""
        content = envelopes[0].content
        shape = type_of(content)
        document = {
            f"{_id_type(account)}s": [one.address for one in envelopes],
            "msg_type": shape,
            "card" if shape == "interactive" else "content": _content(shape, content),
        }
        return called(account, "POST", "message/v4/batch_send/", document)

    def read(self, account: Account, envelopes: Sequence[Envelope], answer: Answer) -> Outcome | Sequence[Outcome]:
        body = succeeded(answer, CODES)
        if not isinstance(body, dict):
            return _refusal(body, answer, len(envelopes))
        data = body.get("data")
        message_id = data.get("message_id") if isinstance(data, dict) else None
        if not isinstance(data, dict) or not isinstance(message_id, str) or not message_id:
            return Unknown("unreadable", "The answer holds no message id.")
        invalid = data.get(f"invalid_{_id_type(account)}s") or ()
        accepted = Accepted(message_id)
        outcomes = [INVALID if one.address in invalid else accepted for one in envelopes]
        return outcomes if INVALID in outcomes and len(outcomes) > 1 else outcomes[0]

    def build_token(self, account: Account, now: datetime) -> HttpRequest:
        return token_request(account)

    def read_token(self, account: Account, answer: HttpAnswer) -> Token | Outcome:
        return token_of(answer, CODES)

    def build_recall(self, account: Account, provider_id: str, addresses: Sequence[str], now: datetime) -> HttpRequest:
        """Takes the announcement back from all of its recipients."""
        return called(account, "DELETE", f"im/v1/batch_messages/{quote(provider_id, safe='')}")

    def read_recall(self, account: Account, answer: HttpAnswer) -> Outcome:
        body = succeeded(answer, CODES)
        return Accepted("") if isinstance(body, dict) else body


def _content(shape: str, content: Mapping[str, Any]) -> dict[str, Any]:
    made = message_of(content)
    return {"post": made} if shape == "post" else made


def _refusal(outcome: Outcome, answer: Answer, people: int) -> Outcome:
    """The day's quota names no time; a word about one person of several does not say about whom."""
    match outcome:
        case Throttled(code=code) if code == DAY_FULL and isinstance(answer, HttpAnswer):
            return replace(outcome, retry_after=until_midnight(answer))
        case Rejected(code=code, scope="recipient") if people > 1 and code not in EVERYONE:
            return replace(outcome, scope="call")
    return outcome


def _id_type(account: Account) -> str:
    return str(account.config.get("receive_id_type") or ID_TYPES[0])


def _integer(value: Any, default: int) -> int:
    try:
        return default if value in (None, "") else int(value)
    except (TypeError, ValueError):
        return -1
