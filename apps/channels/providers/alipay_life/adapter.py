"""Alipay life account: single template messages over the open gateway, signed both ways; news about followers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from apps.channels.contract import (
    Account,
    Adapter,
    AddressEvent,
    Answer,
    Capabilities,
    ConfigField,
    ContentField,
    Envelope,
    HookReply,
    HookRequest,
    HttpAnswer,
    HttpRequest,
)
from apps.channels.outcomes import Accepted, Misconfigured, Outcome, Unknown
from apps.channels.providers.alipay_life import gateway
from apps.channels.providers.alipay_life.codes import CODES
from apps.channels.providers.alipay_life.signing import canonical, cert_key, cert_sn, encoded, inner, root_cert_sn
from apps.channels.wire import rsa
from apps.channels.wire.json_answer import dumps, json_object, no_answer

BEIJING = timezone(timedelta(hours=8))
SEND = "alipay.open.public.message.single.send"
CHECK = "alipay.open.public.follow.batchquery"
HEAD_COLOR, FIRST_COLOR, REMARK_COLOR = "#85be53", "#000000", "#999999"
ACTION_WIDTH = 16  # a Chinese character counts as two
FORM = "Content-Type: application/x-www-form-urlencoded;charset=utf-8"
CERTIFICATES = {"app_cert": cert_sn, "alipay_root_cert": root_cert_sn}
KEYWORD = re.compile(r"keyword[1-9][0-9]?").fullmatch
COLOR = re.compile(r"#[0-9a-fA-F]{6}").fullmatch


class AlipayLife(Adapter):
    """`clock` is a parameter so that a question can be made again byte for byte."""

    kind = "alipay_life"
    label = "Alipay life account"
    config_fields = (
        ConfigField("app_id", "Application id", help="Open platform console: the life account's application, 16 digits."),
        ConfigField(
            "private_key",
            "Application private key",
            secret=True,
            help="Made with the provider's key tool (RSA2, 2048 bits), PKCS#1 or PKCS#8; it never leaves this machine.",
        ),
        ConfigField(
            "alipay_public_key",
            "Alipay public key",
            help="Console, development settings: shown after the application's key was uploaded, and not that one. "
            "In certificate mode the text of alipayCertPublicKey_RSA2.crt.",
        ),
        ConfigField("base_url", "Gateway", type="url", default="https://openapi.alipay.com/gateway.do"),
        ConfigField("app_cert", "Application certificate", required=False, help="Certificate mode: appCertPublicKey.crt."),
        ConfigField("alipay_root_cert", "Alipay root certificates", required=False, help="Certificate mode: alipayRootCert.crt."),
        ConfigField(
            "app_auth_token",
            "Merchant's authorisation",
            secret=True,
            required=False,
            help="Only where the application acts for another merchant.",
        ),
        ConfigField(
            "callback_check",
            "Signature of gateway callbacks",
            type="choice",
            choices=("v2", "v1"),
            default="v2",
            required=False,
            help="v2 covers sign_type, v1 does not; the life account's is v2 as far as is known.",
        ),
    )  # fmt: skip
    content_fields = (
        ContentField("template_id", "Template id", literal=True, max_length=64, help="Of the account's own templates, not TM…."),
        ContentField("keywords", "Template values", mapping=True, help="Named keyword1, keyword2 and so on."),
        ContentField("first", "Opening line", required=False, max_length=200),
        ContentField("remark", "Closing line", required=False, max_length=200),
        ContentField("url", "Link", max_length=500),
        ContentField("action_name", "Text of the link", max_length=ACTION_WIDTH, help="8 Chinese or 16 Latin characters."),
        ContentField("head_color", "Colour", required=False, literal=True, max_length=7, help="Like #85be53."),
    )  # fmt: skip
    capabilities = Capabilities(address_kind="alipay")
    hook_answer = ("text/plain", b"success")
    hook_trust = "signature"
    verified_with = "python-alipay-sdk 3.4.0"

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self._keys: dict[str, tuple[Mapping[str, Any], Keys]] = {}

    def check_config(self, config: Mapping[str, Any]) -> dict[str, str]:
        problems = super().check_config(config)
        url = urlsplit(str(config.get("base_url", "")))
        if "base_url" not in problems and (url.scheme not in ("http", "https") or not url.netloc):
            problems["base_url"] = "Gateway must begin with https:// and name a host."
        if "app_id" not in problems and not str(config["app_id"]).isalnum():
            problems["app_id"] = "Application id has digits only."
        if "private_key" not in problems and not _readable(rsa.private_key, config["private_key"]):
            problems["private_key"] = "The private key cannot be read: RSA of 2048 bits, PKCS#1 or PKCS#8, is wanted."
        if "alipay_public_key" not in problems and not _readable(_their_key, config["alipay_public_key"]):
            problems["alipay_public_key"] = "The Alipay public key or certificate cannot be read."
        return problems | _certificate_problems(config)

    def check_content(self, content: Mapping[str, Any]) -> dict[str, str]:
        problems = super().check_content(content)
        action, url, color = content.get("action_name") or "", content.get("url") or "", content.get("head_color")
        if "action_name" not in problems and sum(1 if c.isascii() else 2 for c in action) > ACTION_WIDTH:
            problems["action_name"] = "The text of the link may have 8 Chinese or 16 Latin characters."
        if "url" not in problems and "$" not in url and urlsplit(url).scheme not in ("http", "https", "alipays"):
            problems["url"] = "The link must begin with https:// or alipays://."
        if "head_color" not in problems and color and not COLOR(color):
            problems["head_color"] = "A colour is written like #85be53."
        keywords = content.get("keywords")
        if "keywords" not in problems and not (isinstance(keywords, Mapping) and all(map(KEYWORD, keywords))):
            problems["keywords"] = "The values are named keyword1, keyword2 and so on."
        return problems

    def build(self, account: Account, envelopes: Sequence[Envelope], now: datetime) -> HttpRequest:
        (one,) = envelopes
        to = "to_user_id" if one.address.startswith("2088") else "to_open_id"
        content = one.content
        template = {"template_id": content["template_id"], "context": _context(content)}
        return self._request(account, SEND, dumps({to: one.address, "template": template}), now)

    def _request(self, account: Account, method: str, biz_content: str, now: datetime) -> HttpRequest:
        config, keys = account.config, self._keys_of(account)
        params = {
            "app_id": str(config["app_id"]),
            "method": method,
            "format": "json",
            "charset": "utf-8",
            "sign_type": "RSA2",
            "timestamp": f"{now.astimezone(BEIJING):%Y-%m-%d %H:%M:%S}",
            "version": "1.0",
            **keys.serials,
            **({"app_auth_token": config["app_auth_token"]} if config.get("app_auth_token") else {}),
        }
        signed = canonical(params | {"biz_content": biz_content})
        query = encoded(params | {"sign": rsa.sign(keys.own, signed.encode())})
        return HttpRequest(
            "POST", f"{config['base_url']}?{query}", [FORM], encoded({"biz_content": biz_content}).encode()
        )

    def _keys_of(self, account: Account) -> Keys:
        known = self._keys.get(account.code)
        if known is None or known[0] is not account.config:
            known = (account.config, _load(account.config))
            self._keys[account.code] = known
        return known[1]

    def read(self, account: Account, envelopes: Sequence[Envelope], answer: Answer) -> Outcome:
        return self._outcome(account, SEND, answer)

    def _outcome(self, account: Account, method: str, answer: Answer) -> Outcome:
        """Accepted("") only for a success that Alipay signed; a refusal may be unsigned, as the gateway's are."""
        body = json_object(answer)
        if isinstance(body, Unknown):
            return body
        assert isinstance(answer, HttpAnswer)
        text = answer.body.decode("utf-8", "replace")
        found = inner(text, method.replace(".", "_") + "_response") or inner(text, "error_response")
        if found is None:
            return no_answer(answer)
        said, signed = found
        code, sub_code = said.get("code"), said.get("sub_code")
        if code != "10000":
            return _refusal(code, sub_code, answer)
        if answer.status != 200:
            return no_answer(answer)
        sign, keys = body.get("sign"), self._keys_of(account)
        if keys.theirs_sn and body.get("alipay_cert_sn", keys.theirs_sn) != keys.theirs_sn:
            return Unknown("other_certificate", "The answer was signed under another Alipay certificate than ours.")
        if not isinstance(sign, str) or not rsa.verifies(keys.theirs, signed.encode(), sign):
            return Unknown("bad_signature", "The answer's signature does not match the Alipay public key.")
        return Accepted("")

    def build_check(self, account: Account) -> HttpRequest:
        """Asks for a page of followers: needs application, key and signature, and sends nothing."""
        return self._request(account, CHECK, "{}", self._clock())

    def read_check(self, account: Account, answer: Answer) -> Outcome:
        outcome = self._outcome(account, CHECK, answer)
        if isinstance(outcome, Unknown) and outcome.code in ("bad_signature", "other_certificate"):
            return Misconfigured(outcome.code, outcome.words)
        return outcome

    def verify_hook(self, account: Account, request: HookRequest) -> bytes:
        """The XML of `biz_content`, in UTF-8."""
        without = ("sign", "sign_type") if account.config.get("callback_check") == "v1" else ("sign",)
        return gateway.clear(request.body, self._keys_of(account).theirs, without)

    def greet_hook(self, account: Account, request: HookRequest, body: bytes) -> HookReply | None:
        return gateway.greeting(body, self._keys_of(account).own)

    def parse_hook(self, account: Account, request: HookRequest) -> list[AddressEvent]:
        return gateway.events(request.body, request.received_at)


@dataclass(frozen=True, slots=True)
class Keys:
    """What one account signs and verifies with. `serials`: the parameters of certificate mode."""

    own: RSAPrivateKey = field(repr=False)
    theirs: RSAPublicKey = field(repr=False)
    serials: Mapping[str, str]
    theirs_sn: str = ""


def _load(config: Mapping[str, Any]) -> Keys:
    own, theirs = rsa.private_key(config["private_key"], checked=True), config["alipay_public_key"]
    if not config.get("app_cert"):
        return Keys(own, _their_key(theirs), {})
    serials = {
        "app_cert_sn": cert_sn(config["app_cert"]),
        "alipay_root_cert_sn": root_cert_sn(config["alipay_root_cert"]),
    }
    return Keys(own, _their_key(theirs), serials, cert_sn(theirs))


def _their_key(text: str) -> RSAPublicKey:
    return cert_key(text) if "BEGIN CERTIFICATE" in text else rsa.public_key(text)


def _certificate_problems(config: Mapping[str, Any]) -> dict[str, str]:
    """Certificate mode wants all three; one that is missing or unreadable is named."""
    given = {name for name in CERTIFICATES if config.get(name)}
    problems = dict.fromkeys(set(CERTIFICATES) - given if given else (), "Certificate mode needs this one, too.")
    for name in given:
        if not _readable(CERTIFICATES[name], config[name]):
            problems[name] = "The certificate cannot be read: PEM text is wanted."
    if given and config.get("alipay_public_key") and "BEGIN CERTIFICATE" not in str(config["alipay_public_key"]):
        problems["alipay_public_key"] = "Certificate mode needs the Alipay certificate here."
    return problems


def _readable(load: Callable[[str], Any], text: Any) -> bool:
    try:
        load(str(text))
    except ValueError:
        return False
    return True


def _context(content: Mapping[str, Any]) -> dict[str, Any]:
    color = content.get("head_color") or HEAD_COLOR
    context: dict[str, Any] = {"head_color": color, "url": content["url"], "action_name": content["action_name"]}
    for name, value in content["keywords"].items():
        context[name] = {"color": color, "value": value}
    for name, own in (("first", FIRST_COLOR), ("remark", REMARK_COLOR)):
        if content.get(name):
            context[name] = {"color": own, "value": content[name]}
    return context


def _refusal(code: Any, sub_code: Any, answer: HttpAnswer) -> Outcome:
    """By `sub_code`; one that is in no table takes the class of its `code`, under its own name."""
    if not isinstance(code, str) or not code or code == "10000":
        return no_answer(answer)
    cause = sub_code if isinstance(sub_code, str) and sub_code else code
    outcome = CODES.get(cause)
    if outcome is not None:
        return outcome
    general = CODES.get(code)
    if general is None:
        return Unknown(cause[:80], "A code that is in no table.", unmapped=True)
    assert not isinstance(general, Accepted)
    return replace(general, code=cause[:80])
