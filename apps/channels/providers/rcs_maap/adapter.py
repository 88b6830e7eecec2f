"""5G messages over the platform of China Telecom and China Unicom (MaaP northbound V1.0.4): JSON, one recipient a call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote, urlsplit

from apps.channels.contract import (
    Account,
    Adapter,
    Answer,
    BadReceipt,
    Capabilities,
    ConfigField,
    Envelope,
    HookReply,
    HookRequest,
    HttpAnswer,
    HttpRequest,
    ReceiptEvent,
    Receipts,
    Token,
)
from apps.channels.outcomes import Accepted, Misconfigured, Outcome, Rejected, StaleToken, Unknown
from apps.channels.providers.rcs_maap.callbacks import SmsState, document_of, event_of, require_proof
from apps.channels.providers.rcs_maap.codes import CODES
from apps.channels.providers.rcs_maap.messages import CONTENT_FIELDS, message_id, message_list, problems_of
from apps.channels.wire.json_answer import dumps, json_object, no_answer
from apps.channels.wire.sms_receipts import international, is_number

TRAFFIC = ("", "advertisement", "payment", "premium", "subscription", "token")
REPORTS = ["sent", "delivered", "displayed", "failed", "deliveredToNetwork"]


class RcsMaap(Adapter):
    kind = "rcs_maap"
    label = "5G message (Telecom/Unicom)"
    config_fields = (
        ConfigField(
            "base_url", "Platform address", type="url", help="Told at onboarding: https:// and the server root."
        ),
        ConfigField("chatbot_id", "Chatbot id", help="Platform, the chatbot's developer page."),
        ConfigField("sender_address", "Sender address", help="The chatbot's URI: sip:106…@botplatform.rcs.…"),
        ConfigField("app_id", "App id", help="Developer page, development mode."),
        ConfigField("app_key", "App key", secret=True, help="Same page."),
        ConfigField(
            "callback_token",
            "Callback token",
            secret=True,
            help="The random word agreed on with the platform; it signs what the platform tells us.",
        ),
        ConfigField(
            "callback_proof",
            "Proof of callbacks",
            type="choice",
            choices=("token", "address"),
            default="token",
            required=False,
            help="address: for a platform that signs with something else; then only the secret address protects the hook.",
        ),
        ConfigField("api_version", "Interface version", default="v1", required=False),
        ConfigField("bot_version", "Chatbot version", default='+g.gsma.rcs.botversion="#=1"', required=False),
        ConfigField(
            "sms_fallback",
            "Short message instead",
            type="boolean",
            default=True,
            required=False,
            help="Phones without 5G messages get the text as SMS from the platform. Put no SMS step behind this one then.",
        ),
        ConfigField(
            "store_offline",
            "Keep for phones that are off",
            type="boolean",
            default=True,
            required=False,
            help="Otherwise a phone that is off counts as one without 5G messages.",
        ),
        ConfigField(
            "sms_state",
            "deliveredToNetwork means",
            type="choice",
            choices=("delivered", "accepted"),
            default="delivered",
            required=False,
            help="The specification says both: the short message was delivered, and it was sent.",
        ),
        ConfigField("traffic_type", "Traffic type", type="choice", choices=TRAFFIC, default="", required=False),
    )
    content_fields = CONTENT_FIELDS
    capabilities = Capabilities(
        address_kind="phone",
        echoes_reference=True,
        receipts=Receipts.PUSH,
        reports_read=True,
        recall=True,
        recall_undelivered=True,
        recall_told=True,
        offline_store=True,
    )
    hook_answer = ("application/json", b'{"errorCode":0,"errorMessage":"success"}')
    hook_trust = "signature"
    uses_token = True

    def check_config(self, config: Mapping[str, Any]) -> dict[str, str]:
        problems = super().check_config(config)
        url = urlsplit(str(config.get("base_url", "")))
        if "base_url" not in problems and (url.scheme not in ("http", "https") or not url.netloc):
            problems["base_url"] = "The platform address must begin with https:// and name a host."
        sender = str(config.get("sender_address") or "")
        if "sender_address" not in problems and not (sender.startswith("sip:") and "@" in sender):
            problems["sender_address"] = (
                "The sender address is a URI such as sip:106500000001@botplatform.rcs.example.cn."
            )
        for name in ("callback_proof", "sms_state", "traffic_type"):
            (field,) = (one for one in self.config_fields if one.name == name)
            if (config.get(name) or field.default) not in field.choices:
                problems[name] = f"{field.label} is one of its choices."
        if not str(config.get("api_version") or "v1").isalnum():
            problems["api_version"] = "The interface version is a word such as v1."
        return problems

    def check_content(self, content: Mapping[str, Any]) -> dict[str, str]:
        return problems_of(content) | super().check_content(content)

    def build(self, account: Account, envelopes: Sequence[Envelope], now: datetime) -> HttpRequest:
        """The message id says which delivery it is, and stays the same on every retry."""
        (one,) = envelopes
        config, content = account.config, one.content
        falls_back = _yes(config, "sms_fallback")
        document: dict[str, Any] = {
            "messageId": message_id(one.reference),
            "messageList": message_list(content),
            "destinationAddress": [_tel(one.address)],
            "senderAddress": config["sender_address"],
            "conversationId": f"conv-{one.reference}",
            "contributionId": one.reference,
            "serviceCapability": [
                {
                    "capabilityId": "ChatbotSA",
                    "version": config.get("bot_version") or '+g.gsma.rcs.botversion="#=1"',
                }
            ],
            "smsSupported": falls_back,
            "storeSupported": _yes(config, "store_offline"),
            "reportRequest": REPORTS,
        }
        if falls_back:
            document["smsContent"] = content.get("sms_text") or content["text"]
        if config.get("traffic_type"):
            document["trafficType"] = config["traffic_type"]
        return _post(account, "messages", document, now)

    def read(self, account: Account, envelopes: Sequence[Envelope], answer: Answer) -> Outcome:
        body = _success(answer)
        if not isinstance(body, dict):
            return body
        named = body.get("messageId")  # the specification says string and list
        first = named[0] if isinstance(named, list) and named else named
        return Accepted(first if isinstance(first, str) and first else message_id(envelopes[0].reference))

    def build_token(self, account: Account, now: datetime) -> HttpRequest:
        """Every fetch ends the token before it: there must be one for all processes."""
        config = account.config
        return _post(account, "accessToken", {"appId": config["app_id"], "appKey": config["app_key"]}, now)

    def read_token(self, account: Account, answer: HttpAnswer) -> Token | Outcome:
        body = _success(answer)
        if not isinstance(body, dict):
            if isinstance(body, StaleToken) and body.code == "40001":
                return Misconfigured(body.code, "The app key is wrong.")
            return Misconfigured(body.code, body.words) if isinstance(body, StaleToken | Rejected) else body
        value, seconds = body.get("accessToken"), body.get("expires")
        if not isinstance(value, str) or not value or not isinstance(seconds, int) or seconds <= 0:
            return Unknown("unreadable", "The answer holds no access token.")
        return Token(value, timedelta(seconds=seconds))

    def build_recall(self, account: Account, provider_id: str, addresses: Sequence[str], now: datetime) -> HttpRequest:
        """Taken only while no phone has the message."""
        document = {
            "messageId": provider_id,
            "destinationAddress": [_tel(one) for one in addresses],
            "status": "RevokeRequested",
        }
        return _post(account, "revoke", document, now)

    def read_recall(self, account: Account, answer: HttpAnswer) -> Outcome:
        """That the platform takes the request over; whether it was in time comes as revokeOk or revokeFail."""
        body = _success(answer)
        return Accepted("") if isinstance(body, dict) else body

    def verify_hook(self, account: Account, request: HookRequest) -> bytes:
        if (account.config.get("callback_proof") or "token") == "token":
            require_proof(request, str(account.config.get("callback_token") or ""))
        if request.headers.get("chatbotid", account.config["chatbot_id"]) != account.config["chatbot_id"]:
            raise BadReceipt("The call is for another chatbot.")
        return request.body

    def greet_hook(self, account: Account, request: HookRequest, body: bytes) -> HookReply | None:
        """The trial is a GET, and the answer stands in headers."""
        if request.method != "GET":
            return None
        echo = request.headers.get("echostr", "")
        if not echo.isascii() or not echo.isprintable():
            raise BadReceipt("The word to be given back cannot stand in a header.")
        return HookReply(b"", "text/plain", {"echoStr": echo, "appId": str(account.config["app_id"])})

    def parse_hook(self, account: Account, request: HookRequest) -> list[ReceiptEvent]:
        """States of messages; what people write, audits and complaints are no news for us."""
        infos = document_of(request).get("deliveryInfoList", [])
        as_sms: SmsState = "accepted" if account.config.get("sms_state") == "accepted" else "delivered"
        try:
            events = [event_of(info, as_sms) for info in infos]
        except (AttributeError, KeyError, TypeError, ValueError):
            raise BadReceipt("A report lacks a field or holds a value that cannot be read.") from None
        return [event for event in events if event is not None]


def _post(account: Account, path: str, document: Mapping[str, Any], now: datetime) -> HttpRequest:
    config = account.config
    base, version = str(config["base_url"]).rstrip("/"), config.get("api_version") or "v1"
    headers = [
        "Content-Type: application/json",
        "Accept: application/json",
        f"Date: {format_datetime(now.astimezone(UTC), usegmt=True)}",
    ]
    if path != "accessToken":
        headers.insert(0, f"Authorization: accessToken {account.token}")
    url = f"{base}/bot/{version}/{quote(str(config['chatbot_id']), safe=':@')}/{path}"
    return HttpRequest("POST", url, headers, dumps(document).encode())


def _success(answer: Answer) -> dict[str, Any] | Outcome:
    """The body of an answer with errorCode 0, else what its errorCode means, whatever the status."""
    body = json_object(answer)
    if isinstance(body, Unknown):
        return body
    assert isinstance(answer, HttpAnswer)
    code = body.get("errorCode")
    if isinstance(code, bool) or not isinstance(code, int | str) or code == "":
        return no_answer(answer)
    if str(code) == "0":
        return body if answer.status == 200 else no_answer(answer)
    return CODES.get(str(code)) or Unknown(str(code)[:80], "A code that is in no table.", unmapped=True)


def _tel(address: str) -> str:
    digits = international(address)
    if not is_number(digits):
        raise ValueError("The address is no telephone number.")
    return f"tel:+{digits}"


def _yes(config: Mapping[str, Any], name: str) -> bool:
    value = config.get(name, True)
    return value if isinstance(value, bool) else str(value).lower() not in ("", "0", "false", "no")
