"""App push over Apple's APNs: HTTP/2, one device a call, a token that is signed here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid5

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
    Token,
)
from apps.channels.outcomes import Accepted, Outcome, Unknown
from apps.channels.providers.push_apns.codes import CODES
from apps.channels.wire.json_answer import dumps, json_object, no_answer
from apps.channels.wire.jwt import BadKey, signed, signing_key

MESSAGE_IDS = UUID("6f7a2c8e-59d1-5b0a-9a3e-2f1f6f7c1c55")  # our own name space: the same delivery has the same apns-id
MAX_PAYLOAD_BYTES = 4096
MAX_TTL_S = 30 * 86400
TOKEN_STEP_S = 1200  # the provider refuses two tokens made within 20 minutes: all made in one step are the same bytes
TOKEN_GOOD_S = 3300  # it takes a token for an hour, by its own clock


class PushApns(Adapter):
    kind = "push_apns"
    label = "App push (APNs)"
    config_fields = (
        ConfigField(
            "private_key",
            "Signing key (.p8)",
            secret=True,
            help="developer.apple.com, certificates, identifiers & profiles, keys: the text of the file, loaded once.",
        ),
        ConfigField("key_id", "Key id", help="Same page: the 10 characters beside the key."),
        ConfigField("team_id", "Team id", help="developer.apple.com, membership details: 10 characters."),
        ConfigField("topic", "Topic", help="The app's bundle id, e.g. com.example.app."),
        ConfigField(
            "base_url",
            "Endpoint",
            type="url",
            default="https://api.push.apple.com",
            help="https://api.sandbox.push.apple.com for apps that were not installed from a store.",
        ),
        ConfigField(
            "push_type",
            "Push type",
            type="choice",
            choices=("alert", "background"),
            default="alert",
            required=False,
            help="alert shows the text, background only wakes the app.",
        ),
        ConfigField(
            "priority",
            "Priority",
            type="choice",
            choices=("10", "5", "1"),
            default="10",
            required=False,
            help="10 at once, 5 with regard to the battery, 1 without waking the device; background is sent with 5.",
        ),
        ConfigField(
            "time_to_live",
            "Seconds kept for offline devices",
            type="integer",
            default=86400,
            required=False,
            help="0 tries once and keeps nothing; 30 days at most.",
        ),
        ConfigField("thread_id", "Group on the device", required=False, help="Messages of one group are stacked."),
    )
    content_fields = (
        ContentField("title", "Title", required=False, max_length=200),
        ContentField("alert", "Text", max_length=2000, multiline=True),
        ContentField("extras", "Extra values for the app", required=False, mapping=True),
    )
    capabilities = Capabilities(address_kind="apns", offline_store=True)
    uses_token = True
    verified_with = "aioapns 4.0"

    def check_config(self, config: Mapping[str, Any]) -> dict[str, str]:
        problems = super().check_config(config)
        url = urlsplit(str(config.get("base_url", "")))
        if "base_url" not in problems and (url.scheme not in ("http", "https") or not url.netloc):
            problems["base_url"] = "The endpoint must begin with https:// and name a host."
        for name in ("key_id", "team_id"):
            value = str(config.get(name) or "")
            if name not in problems and not (len(value) == 10 and value.isascii() and value.isalnum()):
                problems[name] = "It has 10 letters and digits."
        if not 0 <= _integer(config.get("time_to_live"), 0) <= MAX_TTL_S:
            problems["time_to_live"] = f"Must be a number from 0 to {MAX_TTL_S}."
        for name in ("push_type", "priority"):
            choices = next(field.choices for field in self.config_fields if field.name == name)
            if str(config.get(name) or choices[0]) not in choices:
                problems[name] = f"Must be one of {', '.join(choices)}."
        for name in ("topic", "thread_id"):
            if not str(config.get(name) or "x").isprintable():
                problems[name] = "It holds a control character."
        if "private_key" not in problems:
            try:
                signing_key(str(config["private_key"]), "ES256")
            except BadKey as bad:
                problems["private_key"] = str(bad)
        return problems

    def check_content(self, content: Mapping[str, Any]) -> dict[str, str]:
        problems = super().check_content(content)
        if "aps" in (content.get("extras") or {}):
            problems["extras"] = "The provider keeps this name for itself: aps."
        size = len(dumps(_payload(content, "0" * 13, "alert", "0" * 64)).encode())
        if "alert" not in problems and size > MAX_PAYLOAD_BYTES:
            problems["alert"] = f"Title, text and extras take {size} bytes, {MAX_PAYLOAD_BYTES} are allowed."
        return problems

    def build_token(self, account: Account, now: datetime) -> Token:
        """The same bytes for all who ask within 20 minutes, so that asking often makes no new token."""
        asked = int(now.timestamp())
        made = asked - asked % TOKEN_STEP_S
        config = account.config
        claims = {"iss": config["team_id"], "iat": made}
        value = signed(signing_key(str(config["private_key"]), "ES256"), claims, str(config["key_id"]))
        return Token(value, timedelta(seconds=made + TOKEN_GOOD_S - asked))

    def build(self, account: Account, envelopes: Sequence[Envelope], now: datetime) -> HttpRequest:
        """Carries the reference in the payload and as collapse id: a repeat replaces what the device shows."""
        config, one = account.config, envelopes[0]
        if not one.address.isascii() or not one.address.isalnum():
            raise ValueError("A device token is written with hexadecimal digits.")
        push_type = config.get("push_type") or "alert"
        ttl = _integer(config.get("time_to_live"), 86400)
        headers = [
            f"authorization: bearer {account.token}",
            f"apns-topic: {config['topic']}",
            f"apns-push-type: {push_type}",
            f"apns-priority: {5 if push_type == 'background' else config.get('priority') or 10}",
            f"apns-expiration: {int(now.timestamp()) + ttl if ttl else 0}",
            f"apns-collapse-id: {one.reference}",
            f"apns-id: {uuid5(MESSAGE_IDS, f'{account.code}/{one.reference}')}",
            "content-type: application/json",
        ]
        payload = _payload(one.content, one.reference, push_type, str(config.get("thread_id") or ""))
        url = f"{config['base_url'].rstrip('/')}/3/device/{one.address}"
        return HttpRequest("POST", url, headers, dumps(payload).encode(), http2=True)

    def read(self, account: Account, envelopes: Sequence[Envelope], answer: Answer) -> Outcome:
        """200 with an apns-id and nothing else is the positive sign."""
        assert isinstance(answer, HttpAnswer)
        apns_id = answer.headers.get("apns-id", "")
        if answer.status == 200 and apns_id and not answer.body and not answer.truncated:
            return Accepted(apns_id[:100])
        body = json_object(answer)
        if isinstance(body, Unknown):
            return body
        reason = body.get("reason")
        if answer.status == 200 or not isinstance(reason, str) or not reason:
            return no_answer(answer)
        return CODES.get(reason) or Unknown(reason[:80], "A code that is in no table.", unmapped=True)


def _payload(content: Mapping[str, Any], reference: str, push_type: str, thread_id: str) -> dict[str, Any]:
    aps: dict[str, Any] = {"content-available": 1}
    if push_type == "alert":
        title = {"title": str(content["title"])} if content.get("title") else {}
        aps = {"alert": title | {"body": str(content.get("alert") or "")}, "sound": "default"}
        aps |= {"thread-id": thread_id} if thread_id else {}
    shown = {} if push_type == "alert" else {"title": content.get("title") or "", "alert": content.get("alert") or ""}
    return {**shown, **(content.get("extras") or {}), "aps": aps, "delivery": reference}


def _integer(value: Any, default: int) -> int:
    try:
        return default if value in (None, "") else int(value)
    except (TypeError, ValueError):
        return -1
