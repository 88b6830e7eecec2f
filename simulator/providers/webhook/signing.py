"""What a careful subscriber checks before it believes an event (Standard Webhooks)."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

TOLERANCE_S = 300


class Untrusted(Exception):
    """The event is not believed; the sentence says why."""


def check(headers: Mapping[str, str], body: bytes, keys: Sequence[str], now: float) -> str:
    """Return the id of an event that one of the keys (``whsec_``, ``whpk_``) signed within five minutes; else Untrusted."""
    event_id, said, signed = (headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
    if not event_id or not said or not signed:
        raise Untrusted("missing required headers")
    if "." in event_id:
        raise Untrusted("the id holds a dot")
    if not said.isascii() or not said.isdigit() or abs(now - int(said)) > TOLERANCE_S:
        raise Untrusted("timestamp out of tolerance")
    content = f"{event_id}.{said}.".encode() + body
    found = [one.partition(",") for one in signed.split(" ")]
    if not any(_fits(key, version, value, content) for key in keys for version, _comma, value in found):
        raise Untrusted("no matching signature")
    return event_id


def _fits(key: str, version: str, value: str, content: bytes) -> bool:
    try:
        given = base64.b64decode(value, validate=True)
    except binascii.Error:
        return False
    raw = base64.b64decode(key.split("_", 1)[1])
    if key.startswith("whsec_"):
        return version == "v1" and hmac.compare_digest(hmac.new(raw, content, hashlib.sha256).digest(), given)
    try:
        Ed25519PublicKey.from_public_bytes(raw).verify(given, content)
    except (InvalidSignature, ValueError):
        return False
    return version == "v1a"
