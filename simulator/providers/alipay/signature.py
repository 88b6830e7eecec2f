"""RSA2 both ways: over a request's merged parameters, over the exact text of an answer, over a notification."""

import base64
import binascii
from collections.abc import Mapping
from functools import cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa


def content(parameters: Mapping[str, str], leave_out: tuple[str, ...] = ("sign",)) -> str:
    """Join what is signed: sorted by name, raw values, nothing empty."""
    pairs = [(name, value) for name, value in sorted(parameters.items()) if value and name not in leave_out]
    return "&".join("=".join(pair) for pair in pairs)


@cache
def _private(pem: str) -> rsa.RSAPrivateKey:
    key = serialization.load_pem_private_key(pem.encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


@cache
def _public(pem: str) -> rsa.RSAPublicKey:
    key = serialization.load_pem_public_key(pem.encode())
    assert isinstance(key, rsa.RSAPublicKey)
    return key


def sign(private_pem: str, text: bytes) -> str:
    """Return the signature in Base64."""
    return base64.b64encode(_private(private_pem).sign(text, padding.PKCS1v15(), hashes.SHA256())).decode()


def good(public_pem: str, text: bytes, signature: str) -> bool:
    """Tell whether the owner of the key signed the text."""
    try:
        _public(public_pem).verify(
            base64.b64decode(signature, validate=True), text, padding.PKCS1v15(), hashes.SHA256()
        )
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True
