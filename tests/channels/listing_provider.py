"""The provider behind `listing_kind`, on loopback, and how the kind becomes one of the registry's."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from apps.channels import registry
from tests.channels import listing_kind


class Provider(ThreadingHTTPServer):
    """`pages` is what it lists; `token` the one it takes, `given` how many it gave."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pages: list[list[list[str]]] = [[]]
        self.token, self.given, self.asked, self.seconds = "token-0", 0, 0, 7200
        self.secret = "the-secret"
        self.url = f"http://127.0.0.1:{self.server_port}"

    def answer(self, path: str, asked: dict[str, list[str]]) -> tuple[int, Any]:
        if path == "/token":
            if asked.get("secret") != [self.secret]:
                return 403, {"error": "secret"}
            self.given += 1
            self.token = f"token-{self.given}"
            return 200, {"token": self.token, "seconds": self.seconds}
        self.asked += 1
        if asked.get("token") != [self.token]:
            return 401, {}
        number = int(asked["page"][0])
        return 200, {"templates": self.pages[number - 1], "more": number < len(self.pages)}


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        status, said = self.server.answer(parts.path, parse_qs(parts.query))  # type: ignore[attr-defined]
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_given: object) -> None:
        """Says nothing."""


@contextmanager
def running() -> Iterator[Provider]:
    """The provider, served in a thread."""
    server = Provider()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def register(monkeypatch: pytest.MonkeyPatch) -> None:
    """One folder and one line of the registry, for the length of a test."""
    monkeypatch.setitem(sys.modules, "apps.channels.providers.listing.adapter", listing_kind)
    monkeypatch.setitem(registry.KINDS, "listing", "Listing")
