"""Alipay's signatures (RSA2): of requests, of answers, of what comes to the gateway; serial numbers of certificates.

Sources: the provider's page on signing, both Python clients; vectors of the contract sheet are tests.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.oid import NameOID

SHORT = {
    NameOID.COMMON_NAME: "CN",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
    NameOID.ORGANIZATION_NAME: "O",
    NameOID.COUNTRY_NAME: "C",
    NameOID.LOCALITY_NAME: "L",
    NameOID.STATE_OR_PROVINCE_NAME: "ST",
}
RSA_WITH = "1.2.840.113549.1.1."  # signature algorithms of the RSA family


def canonical(params: Mapping[str, str], without: tuple[str, ...] = ("sign",)) -> str:
    """What is signed: `name=value` joined by &, sorted by name, values as they are; empty values are left out."""
    return "&".join(f"{name}={params[name]}" for name in sorted(params) if params[name] and name not in without)


def encoded(params: Mapping[str, str]) -> str:
    """The same parameters for transport."""
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in params.items())


def inner(text: str, key: str) -> tuple[dict[str, Any], str] | None:
    """The object under `key` of an answer and its exact text, which is what was signed; None where there is none."""
    name = text.find(f'"{key}"')
    colon = text.find(":", name)
    start = text.find("{", colon)
    if name < 0 or colon < 0 or start < 0 or text[colon + 1 : start].strip():
        return None
    try:
        said, end = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        return None
    return (said, text[start:end]) if isinstance(said, dict) else None


def cert_sn(pem: str) -> str:
    """The serial number that requests carry for the application's certificate. Raises ValueError."""
    return _sn(x509.load_pem_x509_certificate(pem.encode()))


def root_cert_sn(pem: str) -> str:
    """That of a bundle of root certificates: of those with an RSA signature, joined. Raises ValueError."""
    found = [one for one in x509.load_pem_x509_certificates(pem.encode()) if _is_rsa(one)]
    if not found:
        raise ValueError("no root certificate with an RSA signature")
    return "_".join(_sn(one) for one in found)


def cert_key(pem: str) -> RSAPublicKey:
    """The public key in a certificate. Raises ValueError."""
    key = x509.load_pem_x509_certificate(pem.encode()).public_key()
    if not isinstance(key, RSAPublicKey):
        raise ValueError("the certificate's key is not RSA")
    return key


def _is_rsa(certificate: x509.Certificate) -> bool:
    return certificate.signature_algorithm_oid.dotted_string.startswith(RSA_WITH)


def _sn(certificate: x509.Certificate) -> str:
    names = reversed(list(certificate.issuer))
    issuer = ",".join(f"{SHORT.get(one.oid, one.oid.dotted_string)}={one.value!s}" for one in names)
    return hashlib.md5(f"{issuer}{certificate.serial_number}".encode(), usedforsecurity=False).hexdigest()
