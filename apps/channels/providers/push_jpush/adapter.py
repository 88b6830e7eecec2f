"""App push over JPush (REST API v3): /v3/push to registration ids under a reserved cid, states asked later."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from json.encoder import encode_basestring  # the encoder's own C function where there is one
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
    ReceiptEvent,
    Receipts,
)
from apps.channels.outcomes import Accepted, Outcome, Rejected, Throttled, Unknown
from apps.channels.providers.push_jpush.codes import CODES, STATES

BEIJING = timezone(timedelta(hours=8))
MAX_DEVICES = 1000
ANDROID_BYTES = 4000
IOS_BYTES = 2000
MAX_TTL_S = 10 * 86400
STATE_WORDS = {"2": "The registration id is not of this app.", "3": "The device was no target of this message."}

_dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class PushJPush(Adapter):
    kind = "push_jpush"
    label = "App push (JPush)"
    config_fields = (
        ConfigField("app_key", "AppKey"),
        ConfigField("master_secret", "Master Secret", secret=True),
        ConfigField("base_url", "Push endpoint", type="url", default="https://api.jpush.cn"),
        ConfigField("report_base_url", "Report endpoint", type="url", default="https://report.jpush.cn"),
        ConfigField(
            "platform",
            "Platforms",
            default="android,ios",
            help='"all", or some of android, ios, quickapp, hmos divided by commas.',
        ),
        ConfigField(
            "recipients_per_call",
            "Devices per call",
            type="integer",
            default=MAX_DEVICES,
            required=False,
            help="1 to 1000 devices that get equal text in one call.",
        ),
        ConfigField(
            "time_to_live",
            "Seconds kept for offline devices",
            type="integer",
            default=86400,
            required=False,
            help="0 reaches devices online now only; more than 3 days need the provider's VIP.",
        ),
        ConfigField("apns_production", "iOS production environment", type="boolean", default=True, required=False),
        ConfigField(
            "classification",
            "Message class",
            type="choice",
            choices=("", "0", "1"),
            required=False,
            help="0 operation and marketing, 1 system.",
        ),
        ConfigField("channel_id", "Android notification channel", required=False),
        ConfigField(
            "third_party_channel",
            "Vendor channels",
            type="json",
            required=False,
            help="The provider's options.third_party_channel as a JSON object.",
        ),
    )
    content_fields = (
        ContentField("title", "Title", required=False, max_length=100),
        ContentField("alert", "Text", max_length=1000, multiline=True),
        ContentField("extras", "Extra values for the app", required=False, mapping=True),
    )
    capabilities = Capabilities(
        address_kind="jpush",
        recipients_per_call=MAX_DEVICES,
        idempotency=Idempotency.KEYED,
        idempotency_window=timedelta(days=1),
        reserves_keys=True,
        receipts=Receipts.POLL,
        poll_group=MAX_DEVICES,
        offline_store=True,
    )

    def __init__(self) -> None:
        self._settings: dict[str, tuple[Mapping[str, Any], _Prepared]] = {}

    def check_config(self, config: Mapping[str, Any]) -> dict[str, str]:
        problems = super().check_config(config)
        for name in ("base_url", "report_base_url"):
            url = urlsplit(str(config.get(name, "")))
            if name not in problems and (url.scheme not in ("http", "https") or not url.netloc):
                problems[name] = "The endpoint must begin with https:// and name a host."
        for name, low, high in (("recipients_per_call", 1, MAX_DEVICES), ("time_to_live", 0, MAX_TTL_S)):
            if not low <= _integer(config.get(name), low) <= high:
                problems[name] = f"Must be a number from {low} to {high}."
        unknown = set(_platforms(config)) - {"all", "android", "ios", "quickapp", "hmos"}
        if "platform" not in problems and unknown:
            problems["platform"] = "Platforms are all, android, ios, quickapp, hmos."
        try:
            _vendor_channels(config)
        except ValueError:
            problems["third_party_channel"] = "Vendor channels must be a JSON object."
        return problems

    def check_content(self, content: Mapping[str, Any]) -> dict[str, str]:
        problems = super().check_content(content)
        android, ios = _notification(content, "0" * 13, "")
        for part, size, limit in (
            ("Android", len(android.encode()), ANDROID_BYTES),
            ("iOS", len(ios.encode()), IOS_BYTES),
        ):
            if "alert" not in problems and size > limit:
                problems["alert"] = f"Title, text and extras take {size} bytes for {part}, {limit} are allowed."
        return problems

    def call_size(self, account: Account) -> int:
        return min(max(_integer(account.config.get("recipients_per_call"), MAX_DEVICES), 1), MAX_DEVICES)

    def build(self, account: Account, envelopes: Sequence[Envelope], now: datetime) -> HttpRequest:
        """/v3/push with the first envelope's key as cid: a retry must bring the same envelopes in the same order."""
        ready = self._prepared(account)
        first = envelopes[0]
        content = first.content
        android, ios = _notification(content, first.reference, ready.channel)
        devices = ",".join([encode_basestring(one.address) for one in envelopes])
        body = (
            f'{{"cid":{encode_basestring(first.key)},"platform":{ready.platform},'
            f'"audience":{{"registration_id":[{devices}]}},'
            f'"notification":{{"alert":{encode_basestring(content["alert"])},"android":{android},"ios":{ios}}},'
            f'"options":{{"sendno":{int(first.reference, 36) % 2147483646 + 1},{ready.options}}}}}'
        )
        return HttpRequest("POST", ready.push_url, ready.headers, body.encode())

    def _prepared(self, account: Account) -> _Prepared:
        known = self._settings.get(account.code)
        if known is None or known[0] is not account.config:
            known = (account.config, _prepare(account.config))
            self._settings[account.code] = known
        return known[1]

    def read(self, account: Account, envelopes: Sequence[Envelope], answer: Answer) -> Outcome:
        body = _answer_body(answer)
        if isinstance(body, Unknown):
            return body
        assert isinstance(answer, HttpAnswer)
        msg_id = body.get("msg_id")
        if answer.status == 200 and "error" not in body and isinstance(msg_id, str | int) and msg_id:
            return Accepted(str(msg_id))
        return _refusal(body, answer, len(envelopes))

    def build_reserve(self, account: Account, count: int) -> HttpRequest:
        ready = self._prepared(account)
        return HttpRequest(
            "GET", f"{ready.push_url}/cid?count={min(max(count, 1), MAX_DEVICES)}&type=push", ready.headers
        )

    def read_reserve(self, answer: HttpAnswer) -> Sequence[str] | Outcome:
        body = _answer_body(answer)
        if isinstance(body, Unknown):
            return body
        keys = body.get("cidlist")
        if answer.status == 200 and isinstance(keys, list) and keys and all(isinstance(k, str) and k for k in keys):
            return keys
        return _refusal(body, answer, 1)

    def build_poll(
        self, account: Account, provider_id: str, addresses: Sequence[str], sent_at: datetime
    ) -> HttpRequest:
        ready = self._prepared(account)
        body = _dumps(
            {
                "msg_id": int(provider_id) if provider_id.isdecimal() else provider_id,
                "registration_ids": list(addresses),
                "date": f"{sent_at.astimezone(BEIJING):%Y-%m-%d}",
            }
        )
        return HttpRequest("POST", ready.status_url, ready.headers, body.encode())

    def read_poll(
        self, account: Account, provider_id: str, addresses: Sequence[str], answer: HttpAnswer, now: datetime
    ) -> list[ReceiptEvent] | Outcome:
        """Only what is final makes an event; the provider gives no time of its own, `now` stands for it."""
        body = _answer_body(answer)
        if isinstance(body, Unknown):
            return body
        if answer.status != 200 or "error" in body:
            return _refusal(body, answer, 1)
        events = []
        for address in addresses:
            entry = body.get(address)
            code = str(entry.get("status")) if isinstance(entry, dict) else ""
            state = STATES.get(code)
            if state is not None:
                events.append(
                    ReceiptEvent(
                        state,
                        code,
                        now,
                        provider_id=provider_id,
                        address=address,
                        words=STATE_WORDS.get(code, ""),
                        bad_address=code == "2",
                    )
                )
        return events


@dataclass(frozen=True, slots=True, repr=False)
class _Prepared:
    """What stays the same for all calls of one account, already in the provider's form."""

    push_url: str
    status_url: str
    headers: list[str]
    platform: str
    options: str
    channel: str


def _prepare(config: Mapping[str, Any]) -> _Prepared:
    login = b64encode(f"{config['app_key']}:{config['master_secret']}".encode()).decode()
    options: dict[str, Any] = {
        "time_to_live": _integer(config.get("time_to_live"), 86400),
        "apns_production": config.get("apns_production", True) not in (False, "false", "False", "0", 0),
    }
    if config.get("classification") not in (None, ""):
        options["classification"] = int(config["classification"])
    vendors = _vendor_channels(config)
    if vendors:
        options["third_party_channel"] = vendors
    platforms = _platforms(config)
    channel = config.get("channel_id")
    return _Prepared(
        push_url=config["base_url"].rstrip("/") + "/v3/push",
        status_url=config["report_base_url"].rstrip("/") + "/v3/status/message",
        headers=[f"Authorization: Basic {login}", "Content-Type: application/json"],
        platform='"all"' if "all" in platforms else _dumps(platforms),
        options=_dumps(options)[1:-1],
        channel=f',"channel_id":{encode_basestring(channel)}' if channel else "",
    )


def _notification(content: Mapping[str, Any], reference: str, channel: str) -> tuple[str, str]:
    """The android and the ios object; both carry the reference under extras."""
    alert = encode_basestring(content.get("alert") or "")
    extra = content.get("extras")
    extras = _dumps({**extra, "delivery": reference}) if extra else f'{{"delivery":"{reference}"}}'
    if content.get("title"):
        title = encode_basestring(content["title"])
        android = f'{{"alert":{alert},"title":{title}{channel},"extras":{extras}}}'
        return android, f'{{"alert":{{"title":{title},"body":{alert}}},"sound":"default","extras":{extras}}}'
    return f'{{"alert":{alert}{channel},"extras":{extras}}}', f'{{"alert":{alert},"sound":"default","extras":{extras}}}'


def _integer(value: Any, default: int) -> int:
    try:
        return default if value in (None, "") else int(value)
    except (TypeError, ValueError):
        return -1


def _platforms(config: Mapping[str, Any]) -> list[str]:
    return [name.strip() for name in str(config.get("platform") or "android,ios").split(",") if name.strip()]


def _vendor_channels(config: Mapping[str, Any]) -> dict[str, Any]:
    value = config.get("third_party_channel") or {}
    if isinstance(value, str):
        value = json.loads(value)
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _answer_body(answer: Answer) -> dict[str, Any] | Unknown:
    if not isinstance(answer, HttpAnswer) or answer.truncated:
        return Unknown("truncated", "The answer was too long to be read.")
    try:
        body = json.loads(answer.body)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        return Unknown(f"http_{answer.status}", f"HTTP {answer.status} without a readable answer.")
    return body


def _refusal(body: Mapping[str, Any], answer: HttpAnswer, recipients: int) -> Outcome:
    error = body.get("error")
    code = str(error.get("code") or "") if isinstance(error, dict) else ""
    if not code:
        return Unknown(f"http_{answer.status}", f"HTTP {answer.status} without a readable answer.")
    outcome = CODES.get(code)
    if outcome is None:
        return Unknown(code[:80], "A code that is in no table.", unmapped=True)
    if isinstance(outcome, Rejected) and outcome.scope == "recipient" and recipients > 1:
        return replace(outcome, scope="call")
    if isinstance(outcome, Throttled) and outcome.retry_after is None:
        reset = answer.headers.get("x-rate-limit-reset", "")
        return replace(outcome, retry_after=timedelta(seconds=min(int(reset), 3600)) if reset.isdecimal() else None)
    return outcome
