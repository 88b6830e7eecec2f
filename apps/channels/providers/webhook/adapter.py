"""Signed webhooks (Standard Webhooks): one event to the URL that a subscriber gave, whose answer is the receipt."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from apps.channels.contract import (
    Account,
    Adapter,
    Answer,
    Capabilities,
    ConfigField,
    ContentField,
    Envelope,
    HttpAnswer,
    HttpRequest,
    Idempotency,
)
from apps.channels.outcomes import Accepted, Outcome, Throttled, Unknown
from apps.channels.providers.webhook.codes import CODES
from apps.channels.providers.webhook.signature import key_of, signatures

MOST_BYTES = 20_000
LONGEST_EVENT_TYPE = 200
_EVENT_TYPE = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")
_ID = re.compile(r"[!-\-/-~]{1,200}")  # visible ASCII; a dot would make two readings of what is signed
_SECONDS = re.compile(r"\d{1,7}")

_dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Webhook(Adapter):
    kind = "webhook"
    label = "Webhook (signed)"
    config_fields = (
        ConfigField(
            "signing_secret",
            "Signing secret",
            secret=True,
            required=False,
            help="whsec_… (HMAC) or whsk_… (ed25519), made by you and given to subscribers. Not needed where every address "
            "brings its own behind a bar: https://…|whsec_…",
        ),
        ConfigField(
            "former_secret",
            "Former signing secret",
            secret=True,
            required=False,
            help="While subscribers change over, both sign; then leave it empty.",
        ),
        ConfigField(
            "event_type",
            "Event type",
            default="message.requested",
            required=False,
            help="What stands as type in each event: words divided by dots.",
        ),
        ConfigField(
            "allow_http",
            "Also addresses without TLS",
            type="boolean",
            default=False,
            required=False,
            help="For subscribers inside your own network; the text can be read on the way.",
        ),
    )
    content_fields = (
        ContentField("title", "Title", required=False, max_length=200),
        ContentField("text", "Text", multiline=True),
        ContentField("extras", "Extra values in data", required=False, mapping=True),
    )
    capabilities = Capabilities(
        address_kind="webhook",
        idempotency=Idempotency.KEYED,
        idempotency_window=timedelta(days=3),
        host_per_address=True,
    )
    verified_with = "standardwebhooks 1.1.0, svix 2.9.1"

    def check_config(self, config: Mapping[str, Any]) -> dict[str, str]:
        problems = super().check_config(config)
        for name in ("signing_secret", "former_secret"):
            if config.get(name):
                try:
                    key_of(str(config[name]))
                except ValueError as wrong:
                    problems[name] = str(wrong)
        event_type = str(config.get("event_type") or "message.requested")
        if not _EVENT_TYPE.fullmatch(event_type) or len(event_type) > LONGEST_EVENT_TYPE:
            problems["event_type"] = "Event type is made of letters, digits and _, in words divided by dots."
        return problems

    def check_content(self, content: Mapping[str, Any]) -> dict[str, str]:
        problems = super().check_content(content)
        size = len(_dumps(_data(content, "0" * 13)).encode())
        if not problems and size > MOST_BYTES:
            problems["text"] = f"Title, text and extra values take {size} bytes, {MOST_BYTES} are allowed."
        return problems

    def build(self, account: Account, envelopes: Sequence[Envelope], now: datetime) -> HttpRequest:
        """One event. Raises ValueError for an address that may not be called, and where nothing signs for it."""
        one = envelopes[0]
        url, _bar, own_secret = one.address.partition("|")
        _check_url(url, bool(account.config.get("allow_http")))
        if not _ID.fullmatch(one.key):
            raise ValueError("The key cannot be written as a webhook-id.")
        secrets = [own_secret] if own_secret else _secrets(account.config)
        if not secrets:
            raise ValueError("Neither the account nor the address has a signing secret.")
        event = {
            "type": str(account.config.get("event_type") or "message.requested"),
            "timestamp": f"{now:%Y-%m-%dT%H:%M:%SZ}",
            "data": _data(one.content, one.reference),
        }
        body = _dumps(event).encode()
        timestamp = int(now.timestamp())
        headers = [
            "Content-Type: application/json",
            f"webhook-id: {one.key}",
            f"webhook-timestamp: {timestamp}",
            f"webhook-signature: {signatures(secrets, one.key, timestamp, body)}",
        ]
        return HttpRequest("POST", url, headers, body, public_only=True)

    def read(self, account: Account, envelopes: Sequence[Envelope], answer: Answer) -> Outcome:
        """The status decides; the body is the subscriber's own and is not looked at."""
        if not isinstance(answer, HttpAnswer):
            return Unknown("unreadable", "The answer is not one of HTTP.")
        if 200 <= answer.status < 300:
            return Accepted("", delivered=True)
        outcome = CODES.get(str(answer.status))
        if outcome is None:
            return Unknown(str(answer.status), "A status that is in no table.", unmapped=True)
        return replace(outcome, retry_after=_retry_after(answer)) if isinstance(outcome, Throttled) else outcome


def _data(content: Mapping[str, Any], reference: str) -> dict[str, Any]:
    extras = content.get("extras") or {}
    data = {**extras, "delivery_id": reference, "text": content.get("text") or ""}
    return data | ({"title": content["title"]} if content.get("title") else {})


def _secrets(config: Mapping[str, Any]) -> list[str]:
    return [str(config[name]) for name in ("signing_secret", "former_secret") if config.get(name)]


def _check_url(url: str, allow_http: bool) -> None:
    parts = urlsplit(url)
    if parts.scheme not in (("https", "http") if allow_http else ("https",)) or not parts.hostname:
        raise ValueError("The address is not one of https." if not allow_http else "The address is not a web address.")
    if parts.username is not None or not url.isascii() or any(sign <= " " for sign in url):
        raise ValueError("The address holds a login, a blank or a character outside ASCII.")


def _retry_after(answer: HttpAnswer) -> timedelta | None:
    """Seconds, or a time that is read against the answer's own Date; None where neither can be read."""
    said = answer.headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(said):
        return timedelta(seconds=max(int(said), 1))
    try:
        wait = parsedate_to_datetime(said) - parsedate_to_datetime(answer.headers.get("date", ""))
    except (ValueError, TypeError):
        return None
    return wait if timedelta(0) < wait <= timedelta(days=32) else None
