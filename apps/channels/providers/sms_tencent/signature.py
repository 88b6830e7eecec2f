"""Tencent Cloud's request signature (TC3-HMAC-SHA256) for JSON bodies posted to "/".

Source: cloud.tencent.com, "signature method v3"; checked against the published vector and the official SDK.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

from apps.channels.contract import HttpRequest

CONTENT_TYPE = "application/json; charset=utf-8"
SIGNED = "content-type;host"
ALGORITHM = "TC3-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class Signer:
    """One secret at one endpoint; `service` is the first label of the provider's host."""

    url: str
    host: str
    secret_id: str
    secret_key: str = field(repr=False)
    service: str = "sms"

    @classmethod
    def at(cls, base_url: str, secret_id: str, secret_key: str, service: str = "sms") -> Signer:
        """For `base_url`; a port that the scheme implies is not part of the host that is signed."""
        parts = urlsplit(base_url)
        host = parts.netloc.removesuffix(":443" if parts.scheme == "https" else ":80")
        return cls(f"{parts.scheme}://{parts.netloc}/", host, secret_id, secret_key, service)

    def sign(self, body: bytes, timestamp: int) -> str:
        """The signature in hex; `timestamp` is in unix seconds, and the day in it is that of UTC, not of Beijing."""
        canonical = (
            f"POST\n/\n\ncontent-type:{CONTENT_TYPE}\nhost:{self.host}\n\n{SIGNED}\n{hashlib.sha256(body).hexdigest()}"
        )
        text = f"{ALGORITHM}\n{timestamp}\n{self._scope(timestamp)}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        day = f"{datetime.fromtimestamp(timestamp, UTC):%Y-%m-%d}"
        key = hmac.digest(f"TC3{self.secret_key}".encode(), day.encode(), "sha256")
        for part in (self.service, "tc3_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        return hmac.digest(key, text.encode(), "sha256").hex()

    def _scope(self, timestamp: int) -> str:
        return f"{datetime.fromtimestamp(timestamp, UTC):%Y-%m-%d}/{self.service}/tc3_request"

    def request(self, action: str, version: str, region: str, body: bytes, now: datetime) -> HttpRequest:
        """The signed POST. `now` is aware; the provider takes it within 5 minutes."""
        timestamp = int(now.timestamp())
        credential = f"{self.secret_id}/{self._scope(timestamp)}"
        signature = self.sign(body, timestamp)
        headers = [
            f"X-TC-Action: {action}",
            f"X-TC-Version: {version}",
            f"X-TC-Timestamp: {timestamp}",
            f"X-TC-Region: {region}",
            f"Content-Type: {CONTENT_TYPE}",
            f"Authorization: {ALGORITHM} Credential={credential}, SignedHeaders={SIGNED}, Signature={signature}",
        ]
        return HttpRequest("POST", self.url, headers, body)
