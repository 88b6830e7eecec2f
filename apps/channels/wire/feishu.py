"""What all kinds of Feishu (Lark) share: the answer's `code`, the gateway's codes, the tenant's token, the callback scheme.

Source: open.feishu.cn, pages of the contract sheet (feishu 2, 5.1, 8); marks of confidence stand in the kinds' READMEs.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from apps.channels.contract import Account, Answer, BadReceipt, HookRequest, HttpAnswer, HttpRequest, Token
from apps.channels.outcomes import Misconfigured, Outcome, Rejected, StaleToken, Throttled, Unknown
from apps.channels.wire.json_answer import dumps, json_object, no_answer

JSON_HEADER = "Content-Type: application/json; charset=utf-8"
OLDEST = timedelta(hours=8)  # a callback is repeated for up to six hours
LARGEST = 256 * 1024

GATEWAY: tuple[Rejected | Misconfigured | StaleToken | Throttled | Unknown, ...] = (
    StaleToken("99991663", "The access token is not valid any more."),
    StaleToken("99991664", "The access token is not valid any more."),
    StaleToken("99991671", "The access token has not the provider's form."),
    Misconfigured("99991661", "The call carried no access token."),
    Misconfigured("99991668", "The access token is of the wrong kind."),
    Misconfigured("99991677", "The access token is of the wrong kind."),
    Misconfigured("99991672", "The app has not been granted the permission for this call."),
    Misconfigured("99991679", "The app has not been granted the permission for this call."),
    Misconfigured("99991401", "The address of this machine is not on the app's allow-list."),
    Misconfigured("99991403", "The tenant has used up its calls of this month."),
    Misconfigured("10003", "The App ID or the App Secret is not valid."),
    Misconfigured("10014", "There is no such app, or its secret is wrong."),
    Throttled("99991400", "Too many calls of this app."),
    Rejected("99992351", "The id is not valid for this app."),
    Rejected("99992352", "The id is not valid for this app."),
    Rejected("99992353", "The id is not valid for this app."),
    Unknown("2200", "The provider had an error of its own."),
)


def base_of(account: Account) -> str:
    """The endpoint without a slash at its end."""
    return str(account.config["base_url"]).rstrip("/")


def called(account: Account, method: str, path: str, document: Mapping[str, Any] | None = None) -> HttpRequest:
    """A call under /open-apis/ with the account's token."""
    headers = [f"Authorization: Bearer {account.token}"]
    body = None
    if document is not None:
        headers.append(JSON_HEADER)
        body = dumps(document).encode()
    return HttpRequest(method, f"{base_of(account)}/open-apis/{path}", headers, body)


def succeeded(answer: Answer, codes: Mapping[str, Outcome]) -> dict[str, Any] | Outcome:
    """The body of an answer with code 0, else what its code means; the code counts before the HTTP status."""
    body = json_object(answer)
    if isinstance(body, Unknown):
        return body
    assert isinstance(answer, HttpAnswer)
    code = body.get("code")
    if not isinstance(code, int) or isinstance(code, bool) or answer.status >= 500:
        return no_answer(answer)
    if code == 0:
        return body if answer.status == 200 else no_answer(answer)
    outcome = codes.get(str(code))
    if outcome is None:
        return Unknown(str(code), "A code that is in no table.", unmapped=True)
    if isinstance(outcome, Throttled) and outcome.retry_after is None:
        return replace(outcome, retry_after=_reset(answer))
    return outcome


def _reset(answer: HttpAnswer) -> timedelta | None:
    """The seconds that the gateway asks for, a day at most."""
    seconds = answer.headers.get("x-ogw-ratelimit-reset", "")
    if not seconds.isascii() or not seconds.isdigit() or len(seconds) > 9:
        return None
    return timedelta(seconds=min(max(int(seconds), 1), 86400))


def token_request(account: Account) -> HttpRequest:
    """Asks for the tenant's token; the same one comes back while it has half an hour or more."""
    document = {"app_id": account.config["app_id"], "app_secret": account.config["app_secret"]}
    url = f"{base_of(account)}/open-apis/auth/v3/tenant_access_token/internal"
    return HttpRequest("POST", url, [JSON_HEADER], dumps(document).encode())


def token_of(answer: HttpAnswer, codes: Mapping[str, Outcome]) -> Token | Outcome:
    """The token, or what stands for its refusal; here the gateway's codes mean what they say, whatever calls make of them."""
    body = succeeded(answer, {**codes, **{one.code: one for one in GATEWAY}})
    if not isinstance(body, dict):
        return Misconfigured(body.code, body.words) if isinstance(body, StaleToken | Rejected) else body
    value, seconds = body.get("tenant_access_token"), body.get("expire")
    if not isinstance(value, str) or not value or not isinstance(seconds, int) or seconds <= 0:
        return Unknown("unreadable", "The answer holds no access token.")
    return Token(value, timedelta(seconds=seconds))


@dataclass(frozen=True, slots=True)
class FeishuCrypt:
    """One app's callback secrets: AES-256-CBC under SHA-256 of the Encrypt Key, and a signature over the raw body."""

    encrypt_key: str = field(repr=False)
    verification_token: str = field(default="", repr=False)

    def sign(self, timestamp: str, nonce: str, body: bytes) -> str:
        """Hex SHA-256 over timestamp, nonce, key and the bytes of the body."""
        return hashlib.sha256(f"{timestamp}{nonce}{self.encrypt_key}".encode() + body).hexdigest()

    def opened(self, request: HookRequest) -> bytes:
        """The clear JSON of an authentic request. Raises BadReceipt.

        A trial of the address may come without a signature: that it was encrypted with the key is the proof.
        """
        signature = request.headers.get("x-lark-signature", "")
        if signature:
            timestamp = request.headers.get("x-lark-request-timestamp", "")
            wanted = self.sign(timestamp, request.headers.get("x-lark-request-nonce", ""), request.body)
            if not hmac.compare_digest(wanted.encode(), signature.encode()):
                raise BadReceipt("The signature does not match.")
            _require_fresh(timestamp, request.received_at)
        clear = self._decrypted(_json(request.body).get("encrypt"))
        event = _json(clear)
        header = event.get("header")
        told = header.get("token") if isinstance(header, dict) else event.get("token")
        if not signature and event.get("type") != "url_verification":
            raise BadReceipt("The request carries no signature.")
        if self.verification_token and not hmac.compare_digest(str(told).encode(), self.verification_token.encode()):
            raise BadReceipt("The verification token does not match.")
        return clear

    def _decrypted(self, encrypted: Any) -> bytes:
        try:
            sealed = base64.b64decode(str(encrypted), validate=True)
        except (binascii.Error, ValueError):
            sealed = b""
        if len(sealed) < 32 or len(sealed) % 16:
            raise BadReceipt("The encrypted text cannot be read.")
        key = hashlib.sha256(self.encrypt_key.encode()).digest()
        opener = Cipher(algorithms.AES(key), modes.CBC(sealed[:16])).decryptor()
        padded = opener.update(sealed[16:]) + opener.finalize()
        fill = padded[-1]
        if not 1 <= fill <= 16 or padded[-fill:] != bytes([fill]) * fill:
            raise BadReceipt("The encrypted text cannot be read.")
        return padded[:-fill]


def _require_fresh(timestamp: str, received_at: datetime) -> None:
    if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 12:
        raise BadReceipt("The time stamp cannot be read.")
    if abs(received_at.timestamp() - int(timestamp)) > OLDEST.total_seconds():
        raise BadReceipt("The time stamp is too old.")


def _json(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body) if len(body) <= LARGEST else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise BadReceipt("The body is not a JSON object.")
    return found


def robot_sign(timestamp: str, secret: str) -> str:
    """What a group robot with a signing secret wants: the key is the time stamp and the secret, the message is empty."""
    return base64.b64encode(hmac.digest(f"{timestamp}\n{secret}".encode(), b"", "sha256")).decode()
