"""RSA with SHA-256 (PKCS#1 v1.5), as providers sign: Alipay calls it RSA2, JSON Web Tokens RS256.

Keys come as people paste them: PEM, or the bare Base64 that a provider's console or key tool shows.
"""

from __future__ import annotations

import base64
import binascii

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_der_public_key

SMALLEST = 2048  # bits


def private_key(text: str, checked: bool = False) -> RSAPrivateKey:
    """The key of a PEM or a bare Base64 text, PKCS#1 or PKCS#8. Raises ValueError, without the text.

    Whether its primes are such takes 60 ms to find out: `checked` says that it was when the key was saved.
    """
    try:
        key = load_der_private_key(_der(text), None, unsafe_skip_rsa_key_validation=checked)
    except (ValueError, TypeError):
        raise ValueError("no RSA private key can be read") from None
    if not isinstance(key, RSAPrivateKey) or key.key_size < SMALLEST:
        raise ValueError("the key is not RSA of 2048 bits or more")
    return key


def public_key(text: str) -> RSAPublicKey:
    """As `private_key`, for the other half."""
    try:
        key = load_der_public_key(_der(text))
    except (ValueError, TypeError):
        raise ValueError("no RSA public key can be read") from None
    if not isinstance(key, RSAPublicKey) or key.key_size < SMALLEST:
        raise ValueError("the key is not RSA of 2048 bits or more")
    return key


def _der(text: str) -> bytes:
    lines = [line.strip() for line in text.replace("\\n", "\n").strip().splitlines()]
    try:
        return base64.b64decode("".join(line for line in lines if not line.startswith("-----")), validate=True)
    except binascii.Error:
        raise ValueError("not Base64") from None


def sign(key: RSAPrivateKey, message: bytes) -> str:
    """The signature in Base64; equal input gives equal output."""
    return base64.b64encode(key.sign(message, PKCS1v15(), SHA256())).decode()


def verifies(key: RSAPublicKey, message: bytes, signature: str) -> bool:
    """Whether the Base64 signature is that of `message` by the holder of `key`."""
    try:
        key.verify(base64.b64decode(signature, validate=True), message, PKCS1v15(), SHA256())
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True
