"""One signed SendSms the usual way, with the standard library's quote: the bytes are those of the bare loop."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from datetime import UTC, datetime
from urllib.parse import quote

SECRET = b"benchkeysecret"
EMPTY = hashlib.sha256(b"").hexdigest()
SIGNED = "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version"


def send_sms(host: str, reference: str, phone: str, params: dict[str, str]) -> tuple[str, dict[str, str]]:
    """URL and headers."""
    values = {
        "OutId": reference,
        "PhoneNumbers": phone,
        "SignName": "示例银行",
        "TemplateCode": "SMS_100000001",
        "TemplateParam": json.dumps(params, ensure_ascii=False, separators=(",", ":")),
    }
    query = "&".join(f"{name}={quote(value, safe='-_.~')}" for name, value in values.items())
    headers = {
        "x-acs-action": "SendSms",
        "x-acs-content-sha256": EMPTY,
        "x-acs-date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "x-acs-signature-nonce": secrets.token_hex(16),
        "x-acs-version": "2017-05-25",
    }
    signed = "".join(f"{name}:{value}\n" for name, value in headers.items())
    canonical = f"POST\n/\n{query}\nhost:{host}\n{signed}\n{SIGNED}\n{EMPTY}"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    signature = hmac.digest(SECRET, f"ACS3-HMAC-SHA256\n{digest}".encode(), "sha256").hex()
    headers["Authorization"] = f"ACS3-HMAC-SHA256 Credential=benchkeyid,SignedHeaders={SIGNED},Signature={signature}"
    return f"http://{host}/?{query}", headers
