"""Alibaba Cloud request signatures, V3 (ACS3-HMAC-SHA256) and V1 (HMAC-SHA1), as published by the provider."""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import quote

ALGORITHM = "ACS3-HMAC-SHA256"
EMPTY_HASH = hashlib.sha256(b"").hexdigest()
TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
AUTHORIZATION = re.compile(rf"{ALGORITHM}\s+Credential=([^,\s]+),\s*SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]+)")


class Authorization(NamedTuple):
    """The parts of a V3 Authorization header."""

    key: str
    signed_headers: list[str]
    signature: str


def percent(text: str) -> str:
    """Percent-encode by RFC 3986: blank %20, star %2A, tilde kept."""
    return quote(text, safe="-_.~")


def canonical_query(pairs: Iterable[tuple[str, str]]) -> str:
    """Return the pairs encoded and sorted by encoded name."""
    return "&".join(f"{name}={value}" for name, value in sorted((percent(n), percent(v)) for n, v in pairs))


def canonical_request(
    method: str,
    path: str,
    query: Iterable[tuple[str, str]],
    headers: Mapping[str, str],
    signed: list[str],
    body_hash: str,
) -> str:
    """Return the V3 canonical request over exactly the headers that are listed as signed."""
    lines = "".join(f"{name}:{headers.get(name, '').strip()}\n" for name in sorted(signed))
    return "\n".join((method, path, canonical_query(query), lines, ";".join(signed), body_hash))


def sign_v3(secret: str, request: str) -> str:
    """Return the lower-case hex signature of a canonical request."""
    digest = hashlib.sha256(request.encode()).hexdigest()
    return hmac.new(secret.encode(), f"{ALGORITHM}\n{digest}".encode(), "sha256").hexdigest()


def sign_v1(secret: str, method: str, parameters: Mapping[str, str]) -> str:
    """Return the base64 V1 signature over all parameters but ``Signature``."""
    query = canonical_query((name, value) for name, value in parameters.items() if name != "Signature")
    text = f"{method}&%2F&{percent(query)}"
    return base64.b64encode(hmac.digest(f"{secret}&".encode(), text.encode(), "sha1")).decode()


def parse_authorization(value: str) -> Authorization | None:
    """Read a V3 Authorization header, None if it is none."""
    found = AUTHORIZATION.fullmatch(value.strip())
    return Authorization(found[1], found[2].split(";"), found[3]) if found else None


def unsigned_headers(headers: Iterable[str], signed: list[str]) -> list[str]:
    """Return the headers that should have been signed (host, content-type, x-acs-*) and were not."""
    present = {name.lower() for name in headers}
    duty = {name for name in present if name.startswith("x-acs-") or name in ("host", "content-type")}
    return sorted((duty | {"host"}) - set(signed))


def parse_time(text: str) -> float | None:
    """Return epoch seconds of ``yyyy-MM-ddTHH:mm:ssZ``, None if it is written otherwise."""
    try:
        return datetime.strptime(text, TIME_FORMAT).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
