"""What official accounts and mini programs have in common at WeChat: access token, answers, callbacks.

Source: contract sheet wechat_oa, sections 2, 4 and 7, which holds for mini programs too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from apps.channels.contract import (
    Account,
    Adapter,
    BadReceipt,
    ConfigField,
    HookReply,
    HookRequest,
    HttpAnswer,
    HttpRequest,
    ReceiptEvent,
    Token,
)
from apps.channels.outcomes import Misconfigured, Outcome, Rejected, StaleToken, Throttled, Unavailable, Unknown
from apps.channels.wire.day_quota import until_midnight
from apps.channels.wire.json_answer import dumps, json_object, no_answer
from apps.channels.wire.wechat_crypt import WechatCrypt, require_fresh
from apps.channels.wire.wechat_events import WechatEvent, encrypted_text, required

MINUTE = timedelta(minutes=1)
JSON_HEADERS = ["Content-Type: application/json"]
QUOTA = "45009"
Refusal = Rejected | Misconfigured | StaleToken | Throttled | Unavailable | Unknown

_RID = re.compile(r"rid: ?([0-9a-f]{8}(?:-[0-9a-f]{8}){2})").search
_NUMBER = re.compile(r"-?[0-9]{1,9}").fullmatch
_KEY = re.compile(r"data\.([a-z_]{1,30}[0-9]{0,3})\b").search

_SECRET = "AppID and AppSecret do not belong together."
_LIST = "The address of this machine is not on the account's IP allow-list."
_GRANT = "The account has no permission for this call."

# Every kind of the platform takes these over into its own table.
COMMON_CODES: tuple[Refusal, ...] = (
    Unknown("-1", "The provider was busy."),
    StaleToken("40001", "The access token is not valid."),
    StaleToken("40014", "The access token is not valid."),
    StaleToken("42001", "The access token has ended."),
    Misconfigured("41001", "The call carried no access token."),
    Misconfigured("40002", "The provider does not take this way of asking for a token."),
    Misconfigured("40013", "The AppID is not valid."),
    Misconfigured("40125", _SECRET),
    Misconfigured("40164", _LIST),
    Misconfigured("40243", "The AppSecret is frozen."),
    Misconfigured("41002", "The AppID is missing."),
    Misconfigured("41004", "The AppSecret is missing."),
    Misconfigured("89501", _LIST),
    Misconfigured("89503", "The address of this machine waits for the administrator's confirmation."),
    Misconfigured("89506", _LIST),
    Misconfigured("89507", _LIST),
    Misconfigured("48001", _GRANT),
    Misconfigured("48004", "The provider has banned this call for the account."),
    Throttled(QUOTA, "The account's quota of calls is used up."),
    Throttled("45011", "Too many calls in this minute.", MINUTE),
    Throttled("43108", "Another message to this person is being sent.", timedelta(seconds=3), "recipient"),
    Rejected("40003", "The openid is not one of this account."),
    Rejected("43101", "The person refused, or no subscription of theirs is left."),
    Rejected("40037", "The template does not exist or is not the account's.", "content"),
    Rejected("40165", "The path of the mini program's page is not valid.", "content"),
    Rejected("41030", "The page is not in the published mini program.", "content"),
    Rejected("44002", "The body was empty.", "content"),
    Rejected("45168", "The text holds a forbidden word.", "content"),
    Rejected("47001", "The body was not in the provider's form.", "content"),
    Rejected("47003", "A value does not fit its field of the template.", "content"),
)

COMMON_FIELDS: tuple[ConfigField, ...] = (
    ConfigField("app_id", "AppID", help="Basic configuration of the account in the provider's console."),
    ConfigField("app_secret", "AppSecret", secret=True, help="Beside the AppID; shown once, when it is reset."),
    ConfigField("base_url", "Endpoint", type="url", default="https://api.weixin.qq.com"),
    ConfigField(
        "token_mode",
        "Access token",
        type="choice",
        choices=("stable", "classic"),
        default="stable",
        required=False,
        help="Stable tokens do not disturb other systems that use the same AppID; classic ones end each other.",
    ),
    ConfigField(
        "callback_token",
        "Callback token",
        secret=True,
        required=False,
        help="Token of the message push settings in the provider's console; without it no callback is believed.",
    ),
    ConfigField(
        "callback_aes_key",
        "EncodingAESKey",
        secret=True,
        required=False,
        help="43 characters, beside the token. Choose the secure mode there.",
    ),
    ConfigField(
        "plain_callbacks",
        "Believe callbacks in clear",
        type="boolean",
        default=False,
        required=False,
        help="Only for accounts in plain mode: the signature does not cover the body of a callback in clear.",
    ),
)


class WechatPlatform(Adapter):
    """Base of the kinds of this platform. Subclasses set `codes` and say what is sent and heard."""

    uses_token = True
    hook_trust = "signature"
    hook_answer = ("text/plain", b"success")
    codes: Mapping[str, Refusal]

    def check_config(self, config: Mapping[str, Any]) -> dict[str, str]:
        problems = super().check_config(config)
        url = urlsplit(str(config.get("base_url", "")))
        if "base_url" not in problems and (url.scheme not in ("http", "https") or not url.netloc):
            problems["base_url"] = "Endpoint must begin with https:// and name a host."
        if any(c.isspace() for c in str(config.get("app_id", ""))):
            problems["app_id"] = "AppID may not hold blanks or line ends."
        if config.get("token_mode") not in (None, "", "stable", "classic"):
            problems["token_mode"] = "Access token must be stable or classic."
        if config.get("callback_aes_key") and not _crypt(config).check_key():
            problems["callback_aes_key"] = "EncodingAESKey must be the 43 characters that the provider shows."
        return problems

    # tokens

    def build_token(self, account: Account, now: datetime) -> HttpRequest:
        """stable_token without force, so that nobody else's token ends; or the classic call."""
        config = account.config
        if config.get("token_mode") == "classic":
            query = f"appid={quote(config['app_id'], safe='')}&secret={quote(config['app_secret'], safe='')}"
            return HttpRequest("GET", f"{_base(config)}/cgi-bin/token?grant_type=client_credential&{query}", [])
        document = {
            "grant_type": "client_credential",
            "appid": config["app_id"],
            "secret": config["app_secret"],
            "force_refresh": False,
        }
        return HttpRequest("POST", f"{_base(config)}/cgi-bin/stable_token", JSON_HEADERS, dumps(document).encode())

    def read_token(self, account: Account, answer: HttpAnswer) -> Token | Outcome:
        body = json_object(answer)
        if isinstance(body, Unknown):
            return body
        value, valid = body.get("access_token"), body.get("expires_in")
        good = isinstance(value, str) and value and isinstance(valid, int) and valid > 0
        if answer.status == 200 and good and str(body.get("errcode", 0)) == "0":
            return Token(str(value), timedelta(seconds=int(valid or 0)))
        outcome = self.refusal(body, answer)
        return Misconfigured(outcome.code, _SECRET) if isinstance(outcome, StaleToken) else outcome

    # calls

    def post(self, account: Account, path: str, document: Mapping[str, Any]) -> HttpRequest:
        """A call with the account's token; that stands in the address, as the provider wants it."""
        url = f"{_base(account.config)}{path}?access_token={quote(account.token, safe='')}"
        return HttpRequest("POST", url, JSON_HEADERS, dumps(document).encode())

    def refusal(self, body: Mapping[str, Any], answer: HttpAnswer) -> Refusal:
        """What `errcode` means; its own words add nothing but the field at fault and the number for support."""
        code = str(body.get("errcode", ""))
        if answer.status != 200 or code == "0" or not _NUMBER(code):
            return no_answer(answer)
        outcome = self.codes.get(code)
        if outcome is None:
            return Unknown(code, "A code that is in no table.", unmapped=True)
        said = str(body.get("errmsg", ""))
        if isinstance(outcome, Throttled):
            back = MINUTE if "minute" in said else until_midnight(answer)
            return replace(outcome, retry_after=back) if code == QUOTA else outcome
        return _with_details(outcome, said)

    # callbacks

    def verify_hook(self, account: Account, request: HookRequest) -> bytes:
        """Both signatures, the age, and the receiver inside the encryption. In clear only where the account says so."""
        crypt, query = _crypt(account.config), request.query
        if not crypt.token:
            raise BadReceipt("The account has no callback token.")
        stamp, nonce = query.get("timestamp", ""), query.get("nonce", "")
        crypt.verify(query.get("signature", ""), stamp, nonce)
        require_fresh(stamp, request.received_at)
        if request.method == "GET":
            return query.get("echostr", "").encode()
        encrypted = encrypted_text(request.body)
        if encrypted:
            crypt.verify(query.get("msg_signature", ""), stamp, nonce, encrypted)
            return crypt.open(encrypted)
        if not is_on(account.config.get("plain_callbacks")):
            raise BadReceipt("The callback is not encrypted; choose the secure mode in the provider's console.")
        return request.body

    def greet_hook(self, account: Account, request: HookRequest, body: bytes) -> HookReply | None:
        return HookReply(body, "text/plain") if request.method == "GET" and body else None


def is_on(value: object) -> bool:
    """Whether a boolean setting is on, however a form wrote it."""
    return str(value).lower() in ("true", "1", "on", "yes")


def accepted_id(body: Mapping[str, Any], answer: HttpAnswer) -> str | None:
    """The provider's id of a message it took over, "" where it names none; None where it did not take it."""
    errcode = body.get("errcode")
    if answer.status != 200 or isinstance(errcode, bool) or str(errcode) != "0":
        return None
    msgid = body.get("msgid")
    return str(msgid) if isinstance(msgid, int | str) and not isinstance(msgid, bool) and msgid else ""


def subscription_receipts(event: WechatEvent, codes: Mapping[str, Refusal]) -> list[ReceiptEvent]:
    """What `subscribe_msg_sent_event` says; every ErrorCode but 0 is a failure. Raises BadReceipt."""
    out = []
    for entry in event.entries:
        msgid, code = required(entry, "MsgID", "ErrorCode")
        words = codes[code].words if code in codes else ""
        state: Literal["delivered", "failed"] = "delivered" if code == "0" else "failed"
        out.append(ReceiptEvent(state, code[:80], event.at, provider_id=msgid, address=event.openid, words=words))
    return out


def listed(value: object) -> tuple[str, ...]:
    """The parts of a setting that are divided by commas."""
    return tuple(part.strip() for part in str(value or "").split(",") if part.strip())


def _base(config: Mapping[str, Any]) -> str:
    return str(config["base_url"]).rstrip("/")


def _crypt(config: Mapping[str, Any]) -> WechatCrypt:
    return WechatCrypt(
        str(config.get("callback_token") or ""),
        str(config.get("callback_aes_key") or ""),
        str(config.get("app_id") or ""),
    )


def _with_details(outcome: Refusal, said: str) -> Refusal:
    """`said` is never shown whole: it may repeat what was sent."""
    field = _KEY(said) if isinstance(outcome, Rejected) and outcome.code == "47003" else None
    rid = _RID(said)
    more = (f" Field {field[1]}." if field else "") + (f" Request id {rid[1]}." if rid else "")
    return replace(outcome, words=outcome.words + more) if more else outcome
