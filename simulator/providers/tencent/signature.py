"""Tencent Cloud's request signature TC3-HMAC-SHA256, checked over whichever headers the caller says are signed."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

ALGORITHM = "TC3-HMAC-SHA256"
AUTHORIZATION = re.compile(
    rf"{ALGORITHM} Credential=([^/,\s]+)/(\d{{4}}-\d\d-\d\d)/(\w+)/tc3_request, "
    r"SignedHeaders=([^,\s]+), Signature=([0-9a-f]{64})"
)


class Authorization(NamedTuple):
    """The parts of an Authorization header."""

    secret_id: str
    day: str
    service: str
    signed: list[str]
    signature: str


def parse_authorization(value: str) -> Authorization | None:
    """Read the header, None if it is none of this kind."""
    found = AUTHORIZATION.fullmatch(value.strip())
    return Authorization(found[1], found[2], found[3], found[4].split(";"), found[5]) if found else None


def utc_day(timestamp: int) -> str:
    """Return the day of a time stamp in UTC, as it must stand in the credential."""
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d")


def sign(
    secret: str,
    service: str,
    timestamp: int,
    headers: Mapping[str, str],
    signed: list[str],
    body: bytes,
    query: str = "",
) -> str:
    """Return the lower-case hex signature of a POST to the root; header values in lower case and without blanks around."""
    lines = "".join(f"{name}:{headers.get(name, '').strip().lower()}\n" for name in sorted(signed))
    names = ";".join(sorted(signed))
    canonical = f"POST\n/\n{query}\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    day = utc_day(timestamp)
    text = f"{ALGORITHM}\n{timestamp}\n{day}/{service}/tc3_request\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"TC3{secret}".encode()
    for part in (day, service, "tc3_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()
