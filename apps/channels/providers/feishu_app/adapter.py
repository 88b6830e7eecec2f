"""Feishu (Lark) messages to one person: im/v1/messages with a uuid, reads by push and by asking, recall, lookup."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from apps.channels.contract import (
    Account,
    Adapter,
    AddressLimit,
    Answer,
    BadReceipt,
    Capabilities,
    ConfigField,
    Envelope,
    HookReply,
    HookRequest,
    HttpAnswer,
    HttpRequest,
    Idempotency,
    ReceiptEvent,
    Receipts,
    Token,
)
from apps.channels.outcomes import Accepted, Outcome, Unknown
from apps.channels.providers.feishu_app.codes import CODES
from apps.channels.wire.feishu import FeishuCrypt, called, succeeded, token_of, token_request
from apps.channels.wire.feishu_messages import CONTENT_FIELDS, message_of, problems_of, type_of
from apps.channels.wire.json_answer import dumps

TEXT_BYTES = 150_000
OTHER_BYTES = 30_000
LONGEST_UUID = 50
ID_TYPES = ("open_id", "union_id", "user_id")
READ = "im.message.message_read_v1"


class FeishuApp(Adapter):
    kind = "feishu_app"
    label = "Feishu message"
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
            "encrypt_key",
            "Encrypt Key",
            secret=True,
            required=False,
            help="The app, Events & Callbacks, Encryption Strategy. Without it no read receipt is believed.",
        ),
        ConfigField(
            "verification_token",
            "Verification Token",
            secret=True,
            required=False,
            help="Same page as the Encrypt Key.",
        ),
    )
    content_fields = CONTENT_FIELDS
    capabilities = Capabilities(
        address_kind="feishu",
        idempotency=Idempotency.KEYED,
        idempotency_window=timedelta(hours=1),
        finds_by_provider_id=True,
        receipts=Receipts.BOTH,
        reports_read=True,
        poll_group=1,
        recall=True,
        address_limits=(AddressLimit(5, timedelta(seconds=1)),),
    )
    hook_trust = "signature"
    uses_token = True
    verified_with = "lark-oapi 1.7.5"

    def check_config(self, config: Mapping[str, Any]) -> dict[str, str]:
        problems = super().check_config(config)
        url = urlsplit(str(config.get("base_url", "")))
        if "base_url" not in problems and (url.scheme not in ("http", "https") or not url.netloc):
            problems["base_url"] = "The endpoint must begin with https:// and name a host."
        if config.get("receive_id_type") not in (None, "", *ID_TYPES):
            problems["receive_id_type"] = "The kind of id is open_id, union_id or user_id."
        return problems

    def check_content(self, content: Mapping[str, Any]) -> dict[str, str]:
        return problems_of(content, TEXT_BYTES, OTHER_BYTES) | super().check_content(content)

    def build(self, account: Account, envelopes: Sequence[Envelope], now: datetime) -> HttpRequest:
        (one,) = envelopes
        if len(one.key) > LONGEST_UUID:
            raise ValueError("The key of the delivery is longer than the provider takes.")
        document = {
            "receive_id": one.address,
            "msg_type": type_of(one.content),
            "content": dumps(message_of(one.content)),
            "uuid": one.key,
        }
        return called(account, "POST", f"im/v1/messages?receive_id_type={_id_type(account)}", document)

    def read(self, account: Account, envelopes: Sequence[Envelope], answer: Answer) -> Outcome:
        body = succeeded(answer, CODES)
        if not isinstance(body, dict):
            return body
        data = body.get("data")
        message_id = data.get("message_id") if isinstance(data, dict) else None
        if not isinstance(message_id, str) or not message_id:
            return Unknown("unreadable", "The answer holds no message id.")
        return Accepted(message_id)

    def build_token(self, account: Account, now: datetime) -> HttpRequest:
        return token_request(account)

    def read_token(self, account: Account, answer: HttpAnswer) -> Token | Outcome:
        return token_of(answer, CODES)

    def verify_hook(self, account: Account, request: HookRequest) -> bytes:
        key = str(account.config.get("encrypt_key") or "")
        if not key:
            raise BadReceipt("The account has no Encrypt Key.")
        return FeishuCrypt(key, str(account.config.get("verification_token") or "")).opened(request)

    def greet_hook(self, account: Account, request: HookRequest, body: bytes) -> HookReply | None:
        trial = _object(body)
        if trial.get("type") != "url_verification":
            return None
        return HookReply(dumps({"challenge": str(trial.get("challenge") or "")}).encode())

    def parse_hook(self, account: Account, request: HookRequest) -> list[ReceiptEvent]:
        body = _object(request.body)
        header = body.get("header") or {}
        try:
            if header.get("event_type") != READ:
                return []
            reader = body["event"]["reader"]
            read_at = _moment(reader["read_time"])
            address = str(reader["reader_id"].get(_id_type(account)) or "")
            return [_read(str(one), address, read_at) for one in body["event"]["message_id_list"]]
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError, OSError):
            raise BadReceipt("The event lacks a field or holds a value that cannot be read.") from None

    def build_poll(
        self, account: Account, provider_id: str, addresses: Sequence[str], sent_at: datetime
    ) -> HttpRequest:
        """The readers of one message, for seven days after it was sent."""
        query = urlencode({"user_id_type": _id_type(account), "page_size": 20})
        return called(account, "GET", f"im/v1/messages/{quote(provider_id, safe='')}/read_users?{query}")

    def read_poll(
        self,
        account: Account,
        provider_id: str,
        addresses: Sequence[str],
        answer: HttpAnswer,
        now: datetime,
        sent_at: datetime | None = None,
    ) -> list[ReceiptEvent] | Outcome:
        body = succeeded(answer, CODES)
        if not isinstance(body, dict):
            return body
        try:
            return [
                _read(provider_id, one["user_id"], _moment(one["timestamp"]))
                for one in body["data"].get("items") or []
                if one["user_id"] in addresses
            ]
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError, OSError):
            return Unknown("unreadable", "The list of readers cannot be read.")

    def build_recall(self, account: Account, provider_id: str, addresses: Sequence[str], now: datetime) -> HttpRequest:
        return called(account, "DELETE", f"im/v1/messages/{quote(provider_id, safe='')}")

    def read_recall(self, account: Account, answer: HttpAnswer) -> Outcome:
        body = succeeded(answer, CODES)
        return Accepted("") if isinstance(body, dict) else body

    def build_lookup(self, account: Account, phone: str) -> HttpRequest:
        """A mainland number goes without +86, any other with its plus sign."""
        path = f"contact/v3/users/batch_get_id?user_id_type={_id_type(account)}"
        return called(account, "POST", path, {"mobiles": [phone.removeprefix("+86")]})

    def read_lookup(self, account: Account, answer: HttpAnswer) -> str | Outcome:
        body = succeeded(answer, CODES)
        if not isinstance(body, dict):
            return body
        try:
            found = [str(one["user_id"]) for one in body["data"].get("user_list") or [] if one.get("user_id")]
        except (AttributeError, KeyError, TypeError):
            return Unknown("unreadable", "The list of people cannot be read.")
        return found[0] if found else ""


def _id_type(account: Account) -> str:
    return str(account.config.get("receive_id_type") or ID_TYPES[0])


def _read(message_id: str, address: str, read_at: datetime) -> ReceiptEvent:
    return ReceiptEvent("read", "read", read_at, provider_id=message_id, address=address)


def _moment(milliseconds: Any) -> datetime:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC)


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise BadReceipt("The body is not a JSON object.")
    return found
