"""Feishu (Lark) group robots: one message to the webhook of one group. Key and signing secret are the address."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from apps.channels.contract import (
    Account,
    Adapter,
    AddressLimit,
    Answer,
    Capabilities,
    ConfigField,
    Envelope,
    HttpRequest,
)
from apps.channels.outcomes import Accepted, Outcome
from apps.channels.providers.feishu_robot.codes import CODES
from apps.channels.wire.feishu import JSON_HEADER, base_of, robot_sign, succeeded
from apps.channels.wire.feishu_messages import CONTENT_FIELDS, message_of, problems_of, type_of
from apps.channels.wire.json_answer import dumps

CONTENT_BYTES = 19_000  # of the 20 KB that a whole body may take

_address = re.compile(r"([A-Za-z0-9-]{8,64})(?:\|(\S{1,128}))?").fullmatch


class FeishuRobot(Adapter):
    kind = "feishu_robot"
    label = "Feishu group robot"
    config_fields = (
        ConfigField(
            "base_url",
            "Endpoint",
            type="url",
            default="https://open.feishu.cn",
            help="https://open.larksuite.com outside China.",
        ),
    )
    content_fields = CONTENT_FIELDS
    capabilities = Capabilities(
        address_kind="feishu_group",
        address_limits=(AddressLimit(5, timedelta(seconds=1)), AddressLimit(100, timedelta(minutes=1))),
    )

    def check_config(self, config: Mapping[str, Any]) -> dict[str, str]:
        problems = super().check_config(config)
        url = urlsplit(str(config.get("base_url", "")))
        if "base_url" not in problems and (url.scheme not in ("http", "https") or not url.netloc):
            problems["base_url"] = "The endpoint must begin with https:// and name a host."
        return problems

    def check_content(self, content: Mapping[str, Any]) -> dict[str, str]:
        return problems_of(content, CONTENT_BYTES, CONTENT_BYTES) | super().check_content(content)

    def build(self, account: Account, envelopes: Sequence[Envelope], now: datetime) -> HttpRequest:
        """Signed with `now` where the address has a secret behind a bar; the provider takes it for an hour."""
        (one,) = envelopes
        parts = _address(one.address)
        if parts is None:
            raise ValueError("The address is no key of a webhook, with or without a secret behind a bar.")
        document: dict[str, Any] = {}
        if parts[2]:
            stamp = str(int(now.timestamp()))
            document = {"timestamp": stamp, "sign": robot_sign(stamp, parts[2])}
        shape, made = type_of(one.content), message_of(one.content)
        document["msg_type"] = shape
        if shape == "interactive":
            document["card"] = made
        else:
            document["content"] = {"post": made} if shape == "post" else made
        url = f"{base_of(account)}/open-apis/bot/v2/hook/{parts[1]}"
        return HttpRequest("POST", url, [JSON_HEADER], dumps(document).encode())

    def read(self, account: Account, envelopes: Sequence[Envelope], answer: Answer) -> Outcome:
        """Code 0 is all that is ever said: there is no id of the message."""
        body = succeeded(answer, CODES)
        return Accepted("") if isinstance(body, dict) else body
