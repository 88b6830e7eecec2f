"""Signatures of Standard Webhooks: over id, time and the very bytes of the body, one for each key in force."""

from __future__ import annotations

import binascii
import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterable

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SYMMETRIC, ASYMMETRIC = "whsec_", "whsk_"
KEY_BYTES = range(24, 65)  # of a symmetric key
SEED_BYTES = 32
_SEED_AND_PUBLIC_KEY = 64


def key_of(secret: str) -> bytes:
    """The key in `whsec_…` or `whsk_…`. Raises ValueError, without the secret in it, for anything else."""
    for prefix in (SYMMETRIC, ASYMMETRIC):
        if secret.startswith(prefix):
            try:
                key = b64decode(secret[len(prefix) :], validate=True)
            except binascii.Error:
                break
            if len(key) in (KEY_BYTES if prefix == SYMMETRIC else (SEED_BYTES, _SEED_AND_PUBLIC_KEY)):
                return key
            break
    raise ValueError(
        "The signing secret is neither whsec_ with 24 to 64 bytes in Base64 nor whsk_ with an ed25519 key."
    )


def signatures(secrets: Iterable[str], message_id: str, timestamp: int, body: bytes) -> str:
    """The value of the header webhook-signature; `timestamp` in Unix seconds. Raises ValueError for a secret that is none."""
    content = f"{message_id}.{timestamp}.".encode() + body
    return " ".join(_one(secret, content) for secret in secrets)


def _one(secret: str, content: bytes) -> str:
    key = key_of(secret)
    if secret.startswith(SYMMETRIC):
        return f"v1,{b64encode(hmac.digest(key, content, 'sha256')).decode()}"
    signed = Ed25519PrivateKey.from_private_bytes(key[:SEED_BYTES]).sign(content)
    return f"v1a,{b64encode(signed).decode()}"
