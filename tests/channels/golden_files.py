"""What the conformance suite knows of each kind: one JSON file and its recorded requests under golden/<kind>/.

A request is recorded as it stands when its file is missing and UMS_RECORD=1; read it before committing it.
"""

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from apps.channels.contract import (
    Account,
    Adapter,
    Answer,
    AppriseAnswer,
    AppriseRequest,
    Envelope,
    HookRequest,
    HttpAnswer,
    HttpRequest,
    MailAnswer,
    PartAnswer,
    Request,
    SessionAnswer,
    SessionLink,
    SessionRequest,
    SmtpServer,
)
from apps.channels.outcomes import Outcome
from apps.channels.registry import KINDS, adapter

GOLDEN = Path(__file__).parent / "golden"
NOW = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass
class Kind:
    """One kind with its fixture."""

    name: str
    given: dict[str, Any]
    adapter: Adapter
    codes: dict[str, Outcome]

    @property
    def account(self) -> Account:
        return Account("main", self.name, self.given["config"], self.given.get("token", ""))

    @property
    def secrets(self) -> list[str]:
        held = [str(self.given["config"][f.name]) for f in self.adapter.config_fields if f.secret]
        return held + ([self.given["token"]] if "token" in self.given else [])

    def envelopes(self, count: int = 1) -> list[Envelope]:
        return [Envelope(content=self.given["content"], **one) for one in self.given["envelopes"][:count]]

    def answer(self, given: dict[str, Any]) -> Answer:
        if self.adapter.transport == "smtp":
            return MailAnswer(given["stage"], given["code"], given["text"])
        if self.adapter.transport == "session":
            return SessionAnswer(given["stage"], tuple(PartAnswer(*part) for part in given["parts"]))
        if self.adapter.transport == "apprise":
            return AppriseAnswer(given["word"])
        return HttpAnswer(
            given["status"], given.get("headers", {}), given["body"].encode(), given.get("truncated", False)
        )

    def refusal(self, code: str, noise: str = "") -> Answer:
        """The provider's answer that carries this code."""
        given = dict(self.given["refused"])
        if self.adapter.transport == "session":
            stage, _colon, number = code.rpartition(":")
            return SessionAnswer("bind" if stage else "submit", (PartAnswer(int(number, 0), noise),))
        if self.adapter.transport == "apprise":
            return AppriseAnswer(code)
        field = "text" if self.adapter.transport == "smtp" else "body"
        if self.adapter.transport == "smtp":
            enhanced = "." in code
            given["code"] = int(code[0]) * 100 + 50 if enhanced else int(code)
            said = code.replace("x", "199") if enhanced else ""
        else:
            said = code
        if str(given[field]).startswith("{"):
            noise = json.dumps(noise, ensure_ascii=False)[1:-1]  # a secret may be JSON itself
        if given.get("status") == "$CODE":
            given["status"] = int(code)
        given[field] = given[field].replace("$CODE", said).replace("$NOISE", noise).strip()
        return self.answer(given)


def hook_request(given: dict[str, Any]) -> HookRequest:
    """A request at the hook as a fixture writes it; `received_at` is NOW unless it says otherwise."""
    received_at = datetime.fromisoformat(given["received_at"]) if "received_at" in given else NOW
    body = str(given.get("body", "")).encode()
    return HookRequest(given.get("headers", {}), given.get("query", {}), body, received_at, given.get("method", "POST"))


def kinds() -> list[Kind]:
    """Every kind of the registry; one without a fixture fails here."""
    return [_kind(name) for name in KINDS]


def _kind(name: str) -> Kind:
    given = json.loads((GOLDEN / name / "kind.json").read_text())
    seams = {
        seam: _always(datetime.fromisoformat(value) if seam == "clock" else value)
        for seam, value in given.get("seams", {}).items()
    }
    made = type(adapter(name))(**seams)
    return Kind(name, given, made, import_module(f"apps.channels.providers.{name}.codes").CODES)


def _always(value: Any) -> Any:
    return lambda: value


def written(request: Request | SessionLink | SmtpServer) -> bytes:
    """A request, or the link of a session or the server of a log-in, as it is recorded."""
    if isinstance(request, SessionLink | SmtpServer):
        return f"{request}\n".encode()
    if isinstance(request, SessionRequest):
        return "\n".join([str(request.link), *(part.hex() for part in request.parts), ""]).encode()
    if isinstance(request, AppriseRequest):
        return f"{request.url}\n\n{request.title}\n{request.body}\n".encode()
    if isinstance(request, HttpRequest):
        return "\n".join([f"{request.method} {request.url}", *request.headers, "", ""]).encode() + (request.body or b"")
    lines = [
        f"MAIL FROM:<{request.mail_from}> {request.mail_options}",
        f"RCPT TO:<{request.rcpt_to}> {request.rcpt_options}",
        "",
        "",
    ]
    return "\n".join(lines).encode() + request.data


def recorded(kind: Kind, name: str, request: Request | SessionLink | SmtpServer) -> bytes:
    """The recorded bytes of a request."""
    file = GOLDEN / kind.name / f"{name}.request"
    if not file.exists() and os.environ.get("UMS_RECORD") == "1":
        file.write_bytes(written(request))
    return file.read_bytes()
