"""What JPush is sent: an account's settings in its form, notifications, the bodies of its two kinds of push."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring  # the encoder's own C function where there is one
from typing import Any

from apps.channels.contract import Envelope

dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True, repr=False)
class Prepared:
    """What stays the same for all calls of one account, already in the provider's form."""

    push_url: str
    batch_url: str
    status_url: str
    headers: list[str]
    platform: str
    options: str
    channel: str


def prepare(config: Mapping[str, Any]) -> Prepared:
    login = b64encode(f"{config['app_key']}:{config['master_secret']}".encode()).decode()
    options: dict[str, Any] = {
        "time_to_live": integer(config.get("time_to_live"), 86400),
        "apns_production": config.get("apns_production", True) not in (False, "false", "False", "0", 0),
    }
    if config.get("classification") not in (None, ""):
        options["classification"] = int(config["classification"])
    vendors = vendor_channels(config)
    if vendors:
        options["third_party_channel"] = vendors
    names = platforms(config)
    channel = config.get("channel_id")
    return Prepared(
        push_url=config["base_url"].rstrip("/") + "/v3/push",
        batch_url=config["base_url"].rstrip("/") + "/v3/push/batch/regid/single",
        status_url=config["report_base_url"].rstrip("/") + "/v3/status/message",
        headers=[f"Authorization: Basic {login}", "Content-Type: application/json"],
        platform='"all"' if "all" in names else dumps(names),
        options=dumps(options)[1:-1],
        channel=f',"channel_id":{encode_basestring(channel)}' if channel else "",
    )


def notification(content: Mapping[str, Any], reference: str, channel: str) -> tuple[str, str]:
    """The android and the ios object; both carry the reference under extras."""
    alert = encode_basestring(content.get("alert") or "")
    extra = content.get("extras")
    extras = dumps({**extra, "delivery": reference}) if extra else f'{{"delivery":"{reference}"}}'
    if content.get("title"):
        title = encode_basestring(content["title"])
        android = f'{{"alert":{alert},"title":{title}{channel},"extras":{extras}}}'
        return android, f'{{"alert":{{"title":{title},"body":{alert}}},"sound":"default","extras":{extras}}}'
    return f'{{"alert":{alert}{channel},"extras":{extras}}}', f'{{"alert":{alert},"sound":"default","extras":{extras}}}'


def sendno(one: Envelope) -> int:
    return int(one.reference, 36) % 2147483646 + 1


def integer(value: Any, default: int) -> int:
    try:
        return default if value in (None, "") else int(value)
    except (TypeError, ValueError):
        return -1


def platforms(config: Mapping[str, Any]) -> list[str]:
    return [name.strip() for name in str(config.get("platform") or "android,ios").split(",") if name.strip()]


def vendor_channels(config: Mapping[str, Any]) -> dict[str, Any]:
    value = config.get("third_party_channel") or {}
    if isinstance(value, str):
        value = json.loads(value)
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _shown(content: Mapping[str, Any], reference: str, channel: str) -> str:
    android, ios = notification(content, reference, channel)
    return f'{{"alert":{encode_basestring(content["alert"])},"android":{android},"ios":{ios}}}'


def push_body(ready: Prepared, envelopes: Sequence[Envelope]) -> bytes:
    """The body of /v3/push: the first envelope's text for all, under its key."""
    first = envelopes[0]
    devices = ",".join([encode_basestring(one.address) for one in envelopes])
    return (
        f'{{"cid":{encode_basestring(first.key)},"platform":{ready.platform},'
        f'"audience":{{"registration_id":[{devices}]}},"notification":{_shown(first.content, first.reference, ready.channel)},'
        f'"options":{{"sendno":{sendno(first)},{ready.options}}}}}'
    ).encode()


def batch_body(ready: Prepared, envelopes: Sequence[Envelope]) -> bytes:
    """The body of /v3/push/batch/regid/single: each envelope's own text under its own key."""
    entries = [
        f'{encode_basestring(one.key)}:{{"platform":{ready.platform},"target":{encode_basestring(one.address)},'
        f'"notification":{_shown(one.content, one.reference, ready.channel)},'
        f'"options":{{"sendno":{sendno(one)},{ready.options}}}}}'
        for one in envelopes
    ]
    return f'{{"pushlist":{{{",".join(entries)}}}}}'.encode()
