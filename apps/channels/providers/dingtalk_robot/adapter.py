"""DingTalk group robots: one message to the webhook of one group. Access token and signing secret are the address."""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

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
from apps.channels.outcomes import Accepted, Misconfigured, Outcome, Rejected
from apps.channels.providers.dingtalk_robot.codes import CODES, PROTECTED
from apps.channels.wire.dingtalk import body_of, refused
from apps.channels.wire.json_answer import dumps, no_answer

MAX_BYTES = 20_000
HEADERS = ["Content-Type: application/json; charset=utf-8"]
ALL = ("yes", "true", "1", "all")

_key = re.compile(r"[A-Za-z0-9-]{8,64}").fullmatch


def sign(secret: str, milliseconds: int) -> str:
    """The signature of a webhook call, not yet encoded for a URL; `milliseconds` since 1970."""
    return base64.b64encode(hmac.digest(secret.encode(), f"{milliseconds}\n{secret}".encode(), "sha256")).decode()


class DingtalkRobot(Adapter):
    kind = "dingtalk_robot"
    label = "DingTalk group robot"
    config_fields = (
        ConfigField("base_url", "Endpoint", type="url", default="https://oapi.dingtalk.com"),
        ConfigField(
            "secret",
            "Signing secret",
            secret=True,
            required=False,
            help="Group settings, robot, security: begins with SEC. For robots whose address has none of its own after a |.",
        ),
    )
    content_fields = (
        ContentField("title", "Title", required=False, max_length=100, help="With a title the text is markdown."),
        ContentField("text", "Text", multiline=True, max_length=5000),
        ContentField(
            "url", "Link", required=False, max_length=500, help="Makes a card with one button; needs a title."
        ),
        ContentField("button", "Text of the button", required=False, max_length=20),
        ContentField("at_mobiles", "Mobile numbers to mention", required=False, help="Divided by commas."),
        ContentField("at_user_ids", "Userids to mention", required=False, help="Divided by commas."),
        ContentField("at_all", "Mention everybody", required=False, literal=True, help="yes, or empty."),
    )
    capabilities = Capabilities(
        address_kind="dingtalk_group",
        address_limits=(AddressLimit(20, timedelta(minutes=1)),),
    )

    def check_config(self, config: Mapping[str, Any]) -> dict[str, str]:
        problems = super().check_config(config)
        url = urlsplit(str(config.get("base_url", "")))
        if "base_url" not in problems and (url.scheme not in ("http", "https") or not url.netloc):
            problems["base_url"] = "The endpoint must begin with https:// and name a host."
        if any(c.isspace() for c in str(config.get("secret") or "")):
            problems["secret"] = "The signing secret may not hold blanks or line ends."
        return problems

    def check_content(self, content: Mapping[str, Any]) -> dict[str, str]:
        problems = super().check_content(content)
        url = str(content.get("url") or "")
        if url and not content.get("title"):
            problems["title"] = "A card with a link needs a title."
        if (
            "url" not in problems
            and url
            and "$" not in url
            and urlsplit(url).scheme not in ("http", "https", "dingtalk")
        ):
            problems["url"] = "The link must begin with https:// or dingtalk://."
        if "text" not in problems and len(dumps(_message(content)).encode()) > MAX_BYTES:
            problems["text"] = f"The message takes more than {MAX_BYTES} bytes."
        return problems

    def build(self, account: Account, envelopes: Sequence[Envelope], now: datetime) -> HttpRequest:
        (one,) = envelopes
        key, secret = _robot(account, one)
        if not _key(key):
            raise ValueError("The access token of the webhook holds a character that it may not hold.")
        query = f"access_token={key}"
        if secret:
            milliseconds = int(now.timestamp() * 1000)
            query += f"&timestamp={milliseconds}&sign={quote(sign(secret, milliseconds), safe='')}"
        url = f"{str(account.config['base_url']).rstrip('/')}/robot/send?{query}"
        return HttpRequest("POST", url, HEADERS, dumps(_message(one.content)).encode())

    def read(self, account: Account, envelopes: Sequence[Envelope], answer: Answer) -> Outcome:
        """errcode 0 is all that is ever said: there is no id of the message."""
        body = body_of(answer)
        if not isinstance(body, dict):
            return body
        assert isinstance(answer, HttpAnswer)
        if body.get("errcode") == 0 and body.get("errcode") is not False:
            return Accepted("") if answer.status == 200 else no_answer(answer)
        outcome = refused(body, answer, CODES)
        own = not account.config.get("secret") or "|" in envelopes[0].address
        if isinstance(outcome, Misconfigured) and outcome.code == PROTECTED and own:
            return Rejected(outcome.code, outcome.words)  # this robot's own protection: the others are not concerned
        return outcome


def _robot(account: Account, envelope: Envelope) -> tuple[str, str]:
    """Access token and signing secret ("": the robot wants none)."""
    key, _bar, own = envelope.address.partition("|")
    return key, own or str(account.config.get("secret") or "")


def _names(value: Any) -> list[str]:
    return [name.strip() for name in str(value or "").split(",") if name.strip()]


def _message(content: Mapping[str, Any]) -> dict[str, Any]:
    """A text; with a title markdown; with title and link a card of one button."""
    title, text, url = content.get("title"), content.get("text") or "", content.get("url")
    at = {
        "atMobiles": _names(content.get("at_mobiles")),
        "atUserIds": _names(content.get("at_user_ids")),
        "isAtAll": str(content.get("at_all") or "").lower() in ALL,
    }
    if url and title:
        card = {"title": title, "text": text, "singleTitle": content.get("button") or "查看详情", "singleURL": url}
        return {"msgtype": "actionCard", "actionCard": card}
    if title:
        return {"msgtype": "markdown", "markdown": {"title": title, "text": text}, "at": at}
    return {"msgtype": "text", "text": {"content": text}, "at": at}
