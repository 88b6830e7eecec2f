"""WeCom group robots: one text to the webhook of one group. The key of the webhook is the address."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

from apps.channels.contract import (
    Account,
    Adapter,
    AddressLimit,
    Answer,
    Capabilities,
    ConfigField,
    ContentField,
    Envelope,
    HttpAnswer,
    HttpRequest,
)
from apps.channels.outcomes import Accepted, Outcome, Unknown
from apps.channels.providers.wecom_robot.codes import CODES
from apps.channels.wire.json_answer import dumps, json_object, no_answer

TEXT_BYTES = 2048
MARKDOWN_BYTES = 4096

_key = re.compile(r"[A-Za-z0-9-]{8,64}").fullmatch


class WecomRobot(Adapter):
    kind = "wecom_robot"
    label = "WeCom group robot"
    config_fields = (ConfigField("base_url", "Endpoint", type="url", default="https://qyapi.weixin.qq.com"),)
    content_fields = (
        ContentField("text", "Text", multiline=True, help="2048 bytes, as markdown 4096."),
        ContentField("format", "Format", required=False, literal=True, help="text (also if left empty) or markdown."),
        ContentField(
            "mentions",
            "Whom to mention",
            required=False,
            help="userids divided by commas, or @all; in a text, not in markdown.",
        ),
    )
    capabilities = Capabilities(
        address_kind="wecom_group",
        address_limits=(AddressLimit(20, timedelta(minutes=1)),),
    )

    def check_config(self, config: Mapping[str, Any]) -> dict[str, str]:
        problems = super().check_config(config)
        url = urlsplit(str(config.get("base_url", "")))
        if "base_url" not in problems and (url.scheme not in ("http", "https") or not url.netloc):
            problems["base_url"] = "The endpoint must begin with https:// and name a host."
        return problems

    def check_content(self, content: Mapping[str, Any]) -> dict[str, str]:
        problems = super().check_content(content)
        shape = str(content.get("format") or "text")
        if shape not in ("text", "markdown"):
            problems["format"] = "The format is text or markdown."
        if shape == "markdown" and content.get("mentions"):
            problems["mentions"] = "Markdown mentions people in its own text only: <@userid>."
        limit = MARKDOWN_BYTES if shape == "markdown" else TEXT_BYTES
        size = len(str(content.get("text") or "").encode())
        if size > limit:
            problems["text"] = f"It takes {size} bytes, {limit} are allowed."
        return problems

    def build(self, account: Account, envelopes: Sequence[Envelope], now: datetime) -> HttpRequest:
        (one,) = envelopes
        if not _key(one.address):
            raise ValueError("The key of the webhook holds a character that it may not hold.")
        base = str(account.config["base_url"]).rstrip("/")
        url = f"{base}/cgi-bin/webhook/send?{urlencode({'key': one.address})}"
        return HttpRequest("POST", url, ["Content-Type: application/json"], dumps(_message(one.content)).encode())

    def read(self, account: Account, envelopes: Sequence[Envelope], answer: Answer) -> Outcome:
        """errcode 0 is all that is ever said: there is no id of the message."""
        body = json_object(answer)
        if isinstance(body, Unknown):
            return body
        assert isinstance(answer, HttpAnswer)
        code = body.get("errcode")
        if answer.status != 200 or not isinstance(code, int) or isinstance(code, bool):
            return no_answer(answer)
        if code == 0:
            return Accepted("")
        return CODES.get(str(code)) or Unknown(str(code), "A code that is in no table.", unmapped=True)


def _message(content: Mapping[str, Any]) -> dict[str, Any]:
    shape = str(content.get("format") or "text")
    inner: dict[str, Any] = {"content": content["text"]}
    mentions = [name.strip() for name in str(content.get("mentions") or "").split(",") if name.strip()]
    if mentions:
        inner["mentioned_list"] = mentions
    return {"msgtype": shape, shape: inner}
