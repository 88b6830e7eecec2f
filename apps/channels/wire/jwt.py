"""Signed tokens that a provider wants from us: JSON Web Tokens (RFC 7519), ES256 and RS256 (RFC 7518, 3.3 and 3.4).

The claims carry the time, so the caller gives it; nothing here looks at a clock. ES256 is signed as RFC 6979 has it: the
same claims under the same key make the same token, and no bad source of randomness can give the key away.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any, Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_private_key

SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
P256_BYTES = 32
LEAST_RSA_BITS = 2048

_encoded = json.JSONEncoder(separators=(",", ":")).encode


class BadKey(ValueError):
    """What was given is no private key that can sign here; the sentence shows nothing of it."""


def signing_key(text: str, algorithm: Literal["ES256", "RS256"]) -> SigningKey:
    """A private key of its PEM text: of the curve P-256 for ES256, RSA of at least 2048 bits for RS256.

    A field of one line has swallowed the line breaks of many a key, so they may be missing, and may be written "\\n".
    Raises BadKey.
    """
    label, body = _parts(text)
    pem = f"-----BEGIN {label}-----\n{body}\n-----END {label}-----\n"
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadKey("The private key cannot be read.") from None
    if algorithm == "ES256":
        if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
            return key
        raise BadKey("The private key is not of the curve P-256.")
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= LEAST_RSA_BITS:
        return key
    raise BadKey("The private key is no RSA key of 2048 bits or more.")


def _parts(text: str) -> tuple[str, str]:
    """Label and base64 of a PEM text; a text without its frame is taken for PKCS #8, which providers hand out."""
    pieces = text.replace("\\n", "\n").split("-----")
    if len(pieces) == 1:
        return "PRIVATE KEY", "".join(pieces[0].split())
    if len(pieces) != 5 or not pieces[1].startswith("BEGIN "):
        raise BadKey("The private key is not framed by BEGIN and END as a PEM file is.")
    return pieces[1].removeprefix("BEGIN "), "".join(pieces[2].split())


def signed(key: SigningKey, claims: Mapping[str, Any], key_id: str = "") -> str:
    """The token in its compact form; its algorithm is the key's: ES256 or RS256. `key_id` becomes `kid`."""
    header = {"alg": "ES256" if isinstance(key, ec.EllipticCurvePrivateKey) else "RS256"}
    if key_id:
        header["kid"] = key_id
    header["typ"] = "JWT"
    text = f"{_base64url(_encoded(header).encode())}.{_base64url(_encoded(claims).encode())}"
    return f"{text}.{_base64url(_signature(key, text.encode()))}"


def _signature(key: SigningKey, data: bytes) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), hashes.SHA256())
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True)))
    return r.to_bytes(P256_BYTES, "big") + s.to_bytes(P256_BYTES, "big")


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")
