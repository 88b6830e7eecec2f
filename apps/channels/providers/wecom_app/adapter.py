"""WeCom application messages: /cgi-bin/message/send to up to 1000 userids, lists of those who get nothing, no receipts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

from apps.channels.contract import (
    Account,
    Adapter,
    AddressEvent,
    AddressLimit,
    Answer,
    BadReceipt,
    Capabilities,
    ConfigField,
    ContentField,
    Envelope,
    HookReply,
    HookRequest,
    HttpAnswer,
    HttpRequest,
    Idempotency,
    Token,
)
from apps.channels.outcomes import Accepted, Misconfigured, Outcome, Rejected, StaleToken, Unknown
from apps.channels.providers.wecom_app.codes import ALL_OF_THEM, CODES, LISTS, MEMBER_EVENTS, NO_SUCH_MEMBER
from apps.channels.providers.wecom_app.messages import message_of, problems_of
from apps.channels.wire.json_answer import dumps, json_object, no_answer
from apps.channels.wire.wechat_crypt import WechatCrypt, require_fresh
from apps.channels.wire.wechat_xml import read_xml

MAX_MEMBERS = 1000
DEFAULT_INTERVAL_S, MAX_INTERVAL_S = 1800, 14400

_plain_userid = re.compile(r"(?!@all$)[^|\s]{1,64}", re.IGNORECASE).fullmatch


class WecomApp(Adapter):
    kind = "wecom_app"
    label = "WeCom app message"
    config_fields = (
        ConfigField("corpid", "Corp id", help="WeCom admin console, 我的企业, 企业ID."),
        ConfigField("agentid", "Agent id", type="integer", help="Admin console, 应用管理, the app, AgentId."),
        ConfigField("corpsecret", "App secret", secret=True, help="Same page as the agent id, Secret."),
        ConfigField("base_url", "Endpoint", type="url", default="https://qyapi.weixin.qq.com"),
        ConfigField(
            "recipients_per_call",
            "Members per call",
            type="integer",
            default=MAX_MEMBERS,
            required=False,
            help="1 to 1000 members that get equal text in one call.",
        ),
        ConfigField(
            "duplicate_check_interval",
            "Seconds without duplicates",
            type="integer",
            default=DEFAULT_INTERVAL_S,
            required=False,
            help="The provider shows an equal call once in this time; up to 14400, 0 switches it off.",
        ),
        ConfigField(
            "safe",
            "Confidential",
            type="choice",
            choices=("0", "1"),
            default="0",
            required=False,
            help="1 forbids members to forward the message and shows a watermark.",
        ),
        ConfigField(
            "callback_token",
            "Callback token",
            secret=True,
            required=False,
            help="The app, 接收消息, API接收, Token. Needed for news about members only.",
        ),
        ConfigField(
            "encoding_aes_key",
            "EncodingAESKey",
            secret=True,
            required=False,
            help="Same page, EncodingAESKey: 43 characters.",
        ),
    )
    content_fields = (
        ContentField("text", "Text", multiline=True, help="2048 bytes; as description of a card 512."),
        ContentField("title", "Title of the card", required=False),
        ContentField("url", "Link of the card", required=False),
        ContentField("button", "Button of the card", required=False, max_length=4),
        ContentField(
            "format",
            "Format",
            required=False,
            literal=True,
            help="text, markdown or card; left empty, a title makes a card.",
        ),
    )
    capabilities = Capabilities(
        address_kind="wecom",
        recipients_per_call=MAX_MEMBERS,
        idempotency=Idempotency.CONTENT,
        idempotency_window=timedelta(seconds=DEFAULT_INTERVAL_S),
        recall=True,
        recall_within=timedelta(hours=24),
        address_limits=(AddressLimit(30, timedelta(minutes=1)), AddressLimit(1000, timedelta(hours=1))),
    )
    hook_answer = ("text/plain", b"")
    hook_trust = "signature"
    uses_token = True
    verified_with = "wechatpy 1.8.18"

    def check_config(self, config: Mapping[str, Any]) -> dict[str, str]:
        problems = super().check_config(config)
        url = urlsplit(str(config.get("base_url", "")))
        if "base_url" not in problems and (url.scheme not in ("http", "https") or not url.netloc):
            problems["base_url"] = "The endpoint must begin with https:// and name a host."
        for name, low, high in (
            ("agentid", 1, 2**31),
            ("recipients_per_call", 1, MAX_MEMBERS),
            ("duplicate_check_interval", 0, MAX_INTERVAL_S),
        ):
            if name not in problems and not low <= _integer(config.get(name), low) <= high:
                problems[name] = f"Must be a number from {low} to {high}."
        key = str(config.get("encoding_aes_key") or "")
        if key and not WechatCrypt("", key, "").check_key():
            problems["encoding_aes_key"] = "The key has 43 letters and digits."
        return problems

    def check_content(self, content: Mapping[str, Any]) -> dict[str, str]:
        return problems_of(content) | super().check_content(content)

    def capabilities_of(self, account: Account, content: Mapping[str, Any] | None = None) -> Capabilities:
        """The provider compares calls for as long as the account asks it to, which may be not at all."""
        window = timedelta(seconds=_interval(account))
        guard = Idempotency.CONTENT if window else Idempotency.NONE
        return replace(self.capabilities, idempotency=guard, idempotency_window=window)

    def call_size(self, account: Account) -> int:
        return min(max(_integer(account.config.get("recipients_per_call"), MAX_MEMBERS), 1), MAX_MEMBERS)

    def build(self, account: Account, envelopes: Sequence[Envelope], now: datetime) -> HttpRequest:
        """The same envelopes in the same order give the same bytes, which is what the duplicate check compares."""
        config = account.config
        members = [one.address for one in envelopes]
        if not all(map(_plain_userid, members)):
            raise ValueError("A userid holds a character that it may not hold, or means everybody.")
        interval = _interval(account)
        document = {
            "touser": "|".join(members),
            **message_of(envelopes[0].content),
            "agentid": int(config["agentid"]),
            "safe": _integer(config.get("safe"), 0),
            "enable_duplicate_check": int(interval > 0),
        }
        if interval > 0:
            document["duplicate_check_interval"] = interval
        return _post(account, "message/send", document)

    def read(self, account: Account, envelopes: Sequence[Envelope], answer: Answer) -> Outcome | Sequence[Outcome]:
        body = _success(answer)
        if not isinstance(body, dict):
            return _for_several(body) if len(envelopes) > 1 else body
        left_out = {member: refused for name, refused in LISTS.items() for member in _members(body.get(name))}
        accepted = Accepted(str(body.get("msgid") or ""))
        if not left_out:
            return accepted
        outcomes = [left_out.get(one.address.lower(), accepted) for one in envelopes]
        return outcomes if len(outcomes) > 1 else outcomes[0]

    def build_token(self, account: Account, now: datetime) -> HttpRequest:
        """The provider gives the same token while it is valid."""
        query = urlencode({"corpid": account.config["corpid"], "corpsecret": account.config["corpsecret"]})
        return HttpRequest("GET", f"{_base(account)}/cgi-bin/gettoken?{query}", [])

    def read_token(self, account: Account, answer: HttpAnswer) -> Token | Outcome:
        body = _success(answer)
        if not isinstance(body, dict):
            return Misconfigured(body.code, body.words) if isinstance(body, StaleToken | Rejected) else body
        value, seconds = body.get("access_token"), body.get("expires_in")
        if not isinstance(value, str) or not value or not isinstance(seconds, int) or seconds <= 0:
            return Unknown("unreadable", "The answer holds no access token.")
        return Token(value, timedelta(seconds=seconds))

    def build_recall(self, account: Account, provider_id: str, addresses: Sequence[str], now: datetime) -> HttpRequest:
        """Takes the message back from all of its recipients; the provider knows no recall for some of them."""
        return _post(account, "message/recall", {"msgid": provider_id})

    def read_recall(self, account: Account, answer: HttpAnswer) -> Outcome:
        body = _success(answer)
        return Accepted("") if isinstance(body, dict) else body

    def build_lookup(self, account: Account, phone: str) -> HttpRequest:
        """Asks for a mainland mobile number, with or without +86."""
        return _post(account, "user/getuserid", {"mobile": phone.removeprefix("+86")})

    def read_lookup(self, account: Account, answer: HttpAnswer) -> str | Outcome:
        body = _success(answer)
        if isinstance(body, dict):
            return str(body.get("userid") or "").lower()
        return "" if body in NO_SUCH_MEMBER else body

    def verify_hook(self, account: Account, request: HookRequest) -> bytes:
        """GET carries the encrypted text in `echostr`, POST in the body's Encrypt."""
        crypt = WechatCrypt(
            str(account.config.get("callback_token") or ""),
            str(account.config.get("encoding_aes_key") or ""),
            str(account.config["corpid"]),
        )
        if not crypt.token or not crypt.aes_key:
            raise BadReceipt("The account has no callback token or no EncodingAESKey.")
        query = request.query
        sealed = query.get("echostr", "") if request.method == "GET" else read_xml(request.body).get("Encrypt", "")
        timestamp = query.get("timestamp", "")
        crypt.verify(query.get("msg_signature", ""), timestamp, query.get("nonce", ""), sealed)
        require_fresh(timestamp, request.received_at)
        return crypt.open(sealed)

    def greet_hook(self, account: Account, request: HookRequest, body: bytes) -> HookReply | None:
        return HookReply(body, "text/plain") if request.method == "GET" else None

    def parse_hook(self, account: Account, request: HookRequest) -> list[AddressEvent]:
        if request.method == "GET":
            return []
        event = read_xml(request.body)
        news = MEMBER_EVENTS.get(event.get("Event", ""))
        if event.get("MsgType") != "event" or news is None:
            return []
        try:
            occurred_at = datetime.fromtimestamp(int(event["CreateTime"]), UTC)
            return [AddressEvent(event["FromUserName"].lower(), *news, occurred_at)]
        except (KeyError, ValueError, OverflowError, OSError):
            raise BadReceipt("An event lacks a field or holds a value that cannot be read.") from None


def _base(account: Account) -> str:
    return str(account.config["base_url"]).rstrip("/")


def _post(account: Account, path: str, document: Mapping[str, Any]) -> HttpRequest:
    url = f"{_base(account)}/cgi-bin/{path}?{urlencode({'access_token': account.token})}"
    return HttpRequest("POST", url, ["Content-Type: application/json"], dumps(document).encode())


def _success(answer: Answer) -> dict[str, Any] | Outcome:
    """The body of an answer with errcode 0, else what its errcode means. The status is 200 in both cases."""
    body = json_object(answer)
    if isinstance(body, Unknown):
        return body
    assert isinstance(answer, HttpAnswer)
    code = body.get("errcode")
    if answer.status != 200 or not isinstance(code, int) or isinstance(code, bool):
        return no_answer(answer)
    if code == 0:
        return body
    return CODES.get(str(code)) or Unknown(str(code), "A code that is in no table.", unmapped=True)


def _for_several(outcome: Outcome) -> Outcome:
    """A word about one member of several does not say about which, unless it is about all of them."""
    if isinstance(outcome, Rejected) and outcome.scope == "recipient" and outcome.code != ALL_OF_THEM:
        return replace(outcome, scope="call")
    return outcome


def _members(found: Any) -> list[str]:
    """A list of userids, written with bars or as an array; the provider lists them in lower case."""
    parts = found if isinstance(found, list) else str(found or "").split("|")
    return [str(one).lower() for one in parts if one]


def _interval(account: Account) -> int:
    """Seconds in which an equal call is shown once; 0: each is."""
    return max(0, _integer(account.config.get("duplicate_check_interval"), DEFAULT_INTERVAL_S))


def _integer(value: Any, default: int) -> int:
    try:
        return default if value in (None, "") else int(value)
    except (TypeError, ValueError):
        return -1
