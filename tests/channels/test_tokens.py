"""A shared token is fetched once, however many ask for it at once, and anew when the provider refuses it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.db import connection

from apps.channels import services, tokens
from apps.channels.contract import HttpAnswer, HttpRequest
from apps.channels.models import ChannelAccount, SharedToken
from apps.channels.transport.http import fetch

pytestmark = pytest.mark.django_db(transaction=True)
ASKERS = 8
SETTINGS = {"access_key_id": "id", "access_key_secret": "s", "base_url": "http://127.0.0.1:9"}


class TokenServer(ThreadingHTTPServer):
    """Counts the tokens it gives. Each answer waits until `together` is open, so that askers overlap for certain."""

    given = 0
    valid_s = 7200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Gives)
        self.together = threading.Event()
        self.together.set()


class _Gives(BaseHTTPRequestHandler):
    server: TokenServer

    def do_GET(self) -> None:
        self.server.together.wait(10)
        self.server.given += 1
        body = json.dumps({"access_token": f"t{self.server.given}", "expires_in": self.server.valid_s}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[TokenServer]:
    with TokenServer() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def account() -> ChannelAccount:
    fresh = ChannelAccount(code="a", name="A", kind="sms_aliyun")
    return services.save_account(actor="test", account=fresh, settings=SETTINGS)


def fetching(server: TokenServer) -> tokens.Fetch:
    def ask() -> tuple[str, timedelta]:
        answer = fetch(HttpRequest("GET", f"http://127.0.0.1:{server.server_port}/token", []), timeout_s=8)
        assert isinstance(answer, HttpAnswer)
        said = json.loads(answer.body)
        return said["access_token"], timedelta(seconds=said["expires_in"])

    return ask


def ask_all_at_once(server: TokenServer, account: ChannelAccount) -> list[tokens.HeldToken]:
    """Every asker has a connection of its own; the server answers nobody before all of them have come."""
    start = threading.Barrier(ASKERS, action=server.together.set)

    def ask() -> tokens.HeldToken:
        try:
            start.wait(10)
            return tokens.held(account, "access", fetching(server))
        finally:
            connection.close()

    server.together.clear()
    with ThreadPoolExecutor(ASKERS) as pool:
        return [one.result() for one in [pool.submit(ask) for _ in range(ASKERS)]]


def test_many_askers_fetch_once_and_once_more_after_a_refusal(server: TokenServer, account: ChannelAccount) -> None:
    assert {held.value for held in ask_all_at_once(server, account)} == {"t1"}
    assert server.given == 1
    assert [tokens.invalidate(account, "access", 1) for _ in range(3)] == [True, False, False]
    assert {held.value for held in ask_all_at_once(server, account)} == {"t2"}
    assert tokens.invalidate(account, "access", 1) is False, "a refusal of the old token must not cost the new one"
    assert tokens.token(account, "access", fetching(server)) == "t2"
    assert server.given == 2


def test_a_token_that_ends_is_fetched_again_and_lies_sealed(server: TokenServer, account: ChannelAccount) -> None:
    server.valid_s = 0
    assert [tokens.token(account, "access", fetching(server)) for _ in range(2)] == ["t1", "t2"]
    assert b"t2" not in bytes(SharedToken.objects.get().value)


def test_a_failed_fetch_leaves_the_next_one_free(server: TokenServer, account: ChannelAccount) -> None:
    def fails() -> tuple[str, timedelta]:
        raise ConnectionError("provider away")

    with pytest.raises(ConnectionError):
        tokens.token(account, "access", fails)
    assert tokens.token(account, "access", fetching(server)) == "t1"
