"""Small independent clients: what the providers' documents say a caller does, written without the simulator's code."""

import base64
import hashlib
import hmac
import http.client
import json
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

REPOSITORY = Path(__file__).resolve().parents[2]
ALIYUN_KEY, ALIYUN_SECRET = "LTAI5tTestKey0000001", "TestSecret0000000000000000000001"
JPUSH_KEY, JPUSH_SECRET = "a1b2c3d4e5f6a1b2c3d4e5f6", "0123456789abcdef01234567"
DEADLINE_SECONDS = 15.0
NOTICE = {"SignName": "优选银行", "TemplateCode": "SMS_100000002", "TemplateParam": '{"name":"杜萍","balance":"12.50"}'}


class Reply(NamedTuple):
    """An HTTP answer with its body read."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def wait_for(condition: Callable[[], Any], what: str, seconds: float = DEADLINE_SECONDS) -> Any:
    """Return the first true value of the condition; fail when the deadline passes."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what}")


class Simulator:
    """A running simulator process."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder, ready = folder, folder / "ready.json"
        ready.unlink(missing_ok=True)
        command = [
            sys.executable,
            "-m",
            "simulator",
            "--state-dir",
            str(folder),
            "--ready-file",
            str(ready),
            *arguments,
        ]
        self.process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL)
        wait_for(lambda: ready.exists() or self.process.poll() is not None, "the ready file")
        self.ready = json.loads(ready.read_text())
        self.http, self.smtp = self.ready["http"], self.ready["smtp"]

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(10)

    def call(
        self, method: str, path: str, body: bytes | str | None = None, headers: dict[str, str] | None = None
    ) -> Reply:
        """Make one request on a connection of its own."""
        connection = http.client.HTTPConnection(urlsplit(self.http).netloc, timeout=10)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def control(self, document: dict[str, Any], status: int = 200) -> Any:
        reply = self.call("PUT", "/_sim/ctl", json.dumps(document))
        assert reply.status == status, reply.body
        return reply.json

    def stats(self) -> Any:
        return self.call("GET", "/_sim/stats").json

    def ledger(self, after: int = 0) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.call("GET", f"/_sim/ledger?after={after}").body.splitlines()]

    # --- Aliyun

    def aliyun(
        self, action: str, parameters: dict[str, str], form: dict[str, str] | None = None, **changes: str
    ) -> Reply:
        """Send one V3-signed request; changes replace header values before signing, or key and secret."""
        return self.call(*self._signed(action, parameters, form, changes))

    def aliyun_request(self, action: str, phones: str) -> tuple[str, str, bytes, dict[str, str]]:
        """Return a signed request, to be sent by hand: method, target, body, headers."""
        return self._signed(action, {"PhoneNumbers": phones, **NOTICE}, None, {})

    def _signed(
        self, action: str, parameters: dict[str, str], form: dict[str, str] | None, changes: dict[str, str]
    ) -> tuple[str, str, bytes, dict[str, str]]:
        secret, key = changes.pop("secret", ALIYUN_SECRET), changes.pop("key", ALIYUN_KEY)
        body = urlencode(form, quote_via=quote).encode() if form else b""
        headers = v3_headers(urlsplit(self.http).netloc, action, body)
        headers |= {name.replace("_", "-"): value for name, value in changes.items()}
        query = "&".join(f"{encode(name)}={encode(value)}" for name, value in sorted(parameters.items()))
        headers["Authorization"] = v3_authorization(key, secret, "POST", query, headers, body)
        return "POST", f"/?{query}", body, headers

    def send_sms(self, phones: str = "13800138000", out_id: str = "d-1", **changes: str) -> Reply:
        """Send a notice to one or more numbers."""
        parameters = {"PhoneNumbers": phones, "OutId": out_id, **NOTICE}
        return self.aliyun("SendSms", parameters | changes)

    # --- JPush

    def jpush(
        self, method: str, path: str, document: Any = None, key: str = JPUSH_KEY, secret: str = JPUSH_SECRET
    ) -> Reply:
        token = base64.b64encode(f"{key}:{secret}".encode()).decode()
        headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json;charset:utf-8"}
        return self.call(method, path, None if document is None else json.dumps(document), headers)

    def push(self, *rids: str, cid: str = "", **more: Any) -> Reply:
        body = push_body(*rids) | more
        return self.jpush("POST", "/v3/push", body | ({"cid": cid} if cid else {}))


def push_body(*rids: str) -> dict[str, Any]:
    """Return a correct push for these devices."""
    android = {"alert": "您的审批已通过", "title": "审批", "extras": {"delivery": "d-42"}}
    return {
        "platform": ["android", "ios"],
        "audience": {"registration_id": list(rids)},
        "notification": {"alert": "您的审批已通过", "android": android},
        "options": {"sendno": 7, "time_to_live": 86400, "apns_production": True},
    }


def encode(text: str) -> str:
    return quote(text, safe="~")


def v3_headers(host: str, action: str, body: bytes) -> dict[str, str]:
    headers = {
        "host": host,
        "x-acs-action": action,
        "x-acs-version": "2017-05-25",
        "x-acs-date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "x-acs-signature-nonce": uuid.uuid4().hex,
        "x-acs-content-sha256": hashlib.sha256(body).hexdigest(),
    }
    return headers | ({"content-type": "application/x-www-form-urlencoded"} if body else {})


def v3_authorization(key: str, secret: str, method: str, query: str, headers: dict[str, str], body: bytes) -> str:
    names = sorted(headers)
    lines = "".join(f"{name}:{headers[name].strip()}\n" for name in names)
    digest = hashlib.sha256(body).hexdigest()
    request = f"{method}\n/\n{query}\n{lines}\n{';'.join(names)}\n{digest}"
    text = "ACS3-HMAC-SHA256\n" + hashlib.sha256(request.encode()).hexdigest()
    sign = hmac.new(secret.encode(), text.encode(), "sha256").hexdigest()
    return f"ACS3-HMAC-SHA256 Credential={key},SignedHeaders={';'.join(names)},Signature={sign}"
