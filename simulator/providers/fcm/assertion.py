"""Checks the assertion that a service account signs to get an access token (RFC 7523, RS256)."""

import base64
import binascii
import json
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

AUDIENCE = "https://oauth2.googleapis.com/token"  # also where the client was pointed elsewhere
SCOPES = frozenset(
    f"https://www.googleapis.com/auth/{name}" for name in ("firebase.messaging", "cloud-platform", "firebase")
)
LONGEST_LIFE_S, CLOCKS_APART_S = 3600, 300


class Refused(Exception):
    """No token: ``error`` is the word of RFC 6749, ``words`` its description."""

    def __init__(self, error: str, words: str) -> None:
        super().__init__(words)
        self.error, self.words = error, words


def public_key(pem: str) -> rsa.RSAPublicKey:
    """Read the public half of a key, given either half in PEM; ValueError if it is no RSA key."""
    if "PRIVATE" in pem:
        key: Any = load_pem_private_key(pem.encode(), None).public_key()
    else:
        key = load_pem_public_key(pem.encode())
    if not isinstance(key, rsa.RSAPublicKey):
        raise ValueError("not an RSA key")
    return key


def _part(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise Refused("invalid_grant", "Invalid JWT: not in base64url") from None


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(_part(text))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Refused("invalid_grant", "Invalid JWT: not an object of JSON")
    return found


def claimed_issuer(assertion: str) -> str:
    """Return who says that it signed; Refused if that cannot be read."""
    parts = assertion.split(".")
    if len(parts) != 3:
        raise Refused("invalid_grant", "Invalid JWT: three parts are needed")
    return str(_object(parts[1]).get("iss", ""))


def check(assertion: str, key: rsa.RSAPublicKey, key_id: str, now: float) -> None:
    """Check signature, key id, times, audience and scope; Refused says what is wrong."""
    head, body, signature = assertion.split(".")
    header, claims = _object(head), _object(body)
    if header.get("alg") != "RS256" or header.get("kid", key_id) != key_id:
        raise Refused("invalid_grant", "Invalid JWT: alg must be RS256, kid that of the key")
    try:
        key.verify(_part(signature), f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        raise Refused("invalid_grant", "Invalid JWT Signature.") from None
    issued, ends = claims.get("iat"), claims.get("exp")
    if not isinstance(issued, int) or not isinstance(ends, int) or not 0 < ends - issued <= LONGEST_LIFE_S:
        raise Refused("invalid_grant", "Invalid JWT: iat and exp must be at most an hour apart")
    if issued > now + CLOCKS_APART_S or ends < now:
        raise Refused("invalid_grant", "Invalid JWT: Token must be a short-lived token and in a reasonable timeframe")
    if claims.get("aud") != AUDIENCE:
        raise Refused("invalid_grant", "Invalid JWT: aud is not the token endpoint")
    if not SCOPES & set(str(claims.get("scope", "")).split()):
        raise Refused("invalid_scope", "No valid scope was asked for")
