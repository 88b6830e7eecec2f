"""What went over the wire in one exchange, fit to be shown: secrets, tokens and the address are covered. Pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

from apps.channels.contract import (
    Answer,
    AppriseAnswer,
    AppriseRequest,
    HttpAnswer,
    HttpRequest,
    MailAnswer,
    MailRequest,
    Request,
    TransportFault,
)

COVER = "●●●"
SHORTEST = 3  # what is shorter is no secret, and covering it would cover half of the text
SHOWN = 8000  # characters of a body
TELLING = ("authorization", "cookie", "token", "secret", "signature", "password")


@dataclass(frozen=True, slots=True)
class Exchanged:
    """One request with what came back, as text."""

    asked: str
    answered: str


def shown(request: Request, answer: Answer | TransportFault, hidden: Iterable[str]) -> Exchanged:
    """Both sides, with every form of the `hidden` values covered, and every header whose name tells of a secret."""
    covers = _forms(hidden)
    return Exchanged(_covered(_request(request), covers), _covered(_answer(answer), covers))


def _request(request: Request) -> str:
    if isinstance(request, HttpRequest):
        return _http(f"{request.method} {request.url}", request.headers, request.body or b"")
    if isinstance(request, MailRequest):
        envelope = [
            f"MAIL FROM:<{request.mail_from}> {request.mail_options}",
            f"RCPT TO:<{request.rcpt_to}> {request.rcpt_options}",
        ]
        return _http("\n".join(line.rstrip() for line in envelope), [], request.data)
    if isinstance(request, AppriseRequest):
        return _http(request.url.partition("://")[0] + f"://{COVER}", [], f"{request.title}\n{request.body}".encode())
    return "\n".join(part.hex(" ") for part in request.parts)


def _answer(answer: Answer | TransportFault) -> str:
    if isinstance(answer, TransportFault):
        return f"{answer.code}: {answer.words}"
    if isinstance(answer, HttpAnswer):
        headers = [f"{name}: {value}" for name, value in answer.headers.items()]
        return _http(f"HTTP {answer.status}", headers, answer.body)
    if isinstance(answer, AppriseAnswer):
        return answer.word
    if isinstance(answer, MailAnswer):
        return f"{answer.stage}: {answer.code} {answer.text}"
    return "\n".join(f"{answer.stage}: 0x{part.status:08x} {part.message_id}".rstrip() for part in answer.parts)


def _http(first: str, headers: Sequence[str], body: bytes) -> str:
    lines = [first, *(_header(line) for line in headers)]
    text = body.decode("utf-8", "replace")
    return "\n".join(lines) + (f"\n\n{text[:SHOWN]}" if text else "")


def _header(line: str) -> str:
    name, colon, _value = line.partition(":")
    return f"{name}: {COVER}" if colon and any(word in name.lower() for word in TELLING) else line


def _forms(hidden: Iterable[str]) -> list[str]:
    """Each value as it may stand in a request: plain, in a URL, in JSON, in Base64, in hex; the longest first."""
    found = set()
    for value in hidden:
        if len(value) >= SHORTEST:
            raw = value.encode()
            found |= {value, quote(value), quote(value, safe=""), quote_plus(value)}
            found |= {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
            found |= {base64.b64encode(raw).decode().rstrip("="), raw.hex(" "), raw.hex()}
    return sorted(found, key=len, reverse=True)


def _covered(text: str, covers: Sequence[str]) -> str:
    for one in covers:
        text = text.replace(one, COVER)
    return text
