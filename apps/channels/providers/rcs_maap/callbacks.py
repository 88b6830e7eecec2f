"""What the platform calls us for: the proof of a call, and states of messages. Pure."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any, Literal

from apps.channels.contract import BadReceipt, HookRequest, ReceiptEvent
from apps.channels.providers.rcs_maap.codes import AS_SMS, FAILURES, STATES
from apps.channels.providers.rcs_maap.messages import reference_of
from apps.channels.wire.sms_receipts import national
from apps.channels.wire.wechat_crypt import require_fresh

SmsState = Literal["accepted", "delivered"]
WORDS = {AS_SMS: "It went as a short message.", "revokeFail": "The phone has the message already."}


def signature(token: str, timestamp: str, nonce: str) -> str:
    """sha256 in hex over the three in alphabetical order; the body is not part of it."""
    return hashlib.sha256("".join(sorted((token, timestamp, nonce))).encode()).hexdigest()


def require_proof(request: HookRequest, token: str) -> None:
    """Refuses a call whose headers do not prove the token, or are too old. Raises BadReceipt."""
    given = [request.headers.get(name, "") for name in ("signature", "timestamp", "nonce")]
    if not all(given) or not token:
        raise BadReceipt("The signature, its time stamp or its nonce is missing.")
    if not hmac.compare_digest(signature(token, given[1], given[2]).encode(), given[0].lower().encode()):
        raise BadReceipt("The signature is wrong.")
    require_fresh(given[1], request.received_at)


def document_of(request: HookRequest) -> dict[str, Any]:
    """The JSON object of a call, also where it stands in a part of a form. Raises BadReceipt."""
    body, kind = request.body, request.headers.get("content-type", "")
    if kind.lower().startswith("multipart/") and "\n" not in kind:
        whole = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
        parts = [part.get_payload(decode=True) for part in whole.walk() if not part.is_multipart()]
        body = next((part for part in parts if isinstance(part, bytes) and part.strip().startswith(b"{")), body)
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise BadReceipt("The body is not JSON.") from None
    if not isinstance(document, dict):
        raise BadReceipt("The body is no JSON object.")
    return document


def event_of(info: Mapping[str, Any], as_sms: SmsState) -> ReceiptEvent | None:
    """One state of one message; None where it is none of ours. Raises as reading a strange object does."""
    word = info["status"]
    state, reference = STATES[word], reference_of(info["messageId"])
    if not reference:
        return None
    code = str(info.get("errorCode") or word)
    words = FAILURES.get(code, "") if state == "failed" else WORDS.get(word, "")
    occurred_at = datetime.fromisoformat(info["dateTime"])
    if occurred_at.tzinfo is None:
        raise ValueError("a time without a zone")
    return ReceiptEvent(
        as_sms if word == AS_SMS else state,
        code if state == "failed" else word,
        occurred_at,
        reference,
        info["messageId"],
        user_of(info["senderAddress"]),
        words,
    )


def user_of(uri: str) -> str:
    """The number of a tel: (or sip:) address as addresses are kept: mainland 11 digits, others with a plus sign."""
    number = uri.partition(":")[2].partition("@")[0] or uri
    digits = national(number)
    return digits if len(digits) == 11 and digits.startswith("1") else f"+{digits}"
