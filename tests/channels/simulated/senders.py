"""One account over its transport, as the pipeline uses both: tokens, sends, receipts, polls, recalls."""

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from apps.channels.contract import (
    Account,
    Adapter,
    Envelope,
    HookEvent,
    HookRequest,
    HttpAnswer,
    HttpRequest,
    ReceiptEvent,
    Token,
    TransportFault,
)
from apps.channels.hooks import heard
from apps.channels.outcomes import Outcome
from apps.channels.registry import adapter
from apps.channels.transport.http import HttpClient, fetch
from tests.channels.peers import HttpPeer

Said = Outcome | Sequence[Outcome] | TransportFault


def arrived(hook: HttpPeer, seen: int = 0) -> list[HookRequest]:
    """What came to a hook, as the product's door hands it on."""
    requests = []
    for head, body in list(zip(hook.heads, hook.bodies, strict=False))[seen:]:
        first, *lines = head.decode().split("\r\n")
        method, target, _ = first.split(" ", 2)
        named = (line.partition(": ") for line in lines if line)
        headers = {name.lower(): value for name, _colon, value in named}
        query = dict(parse_qsl(urlsplit(target).query, keep_blank_values=True))
        requests.append(HookRequest(headers, query, body, datetime.now(UTC), method))
    return requests


class Sender:
    """Sends over real HTTP; `account` carries the token in force."""

    def __init__(self, account: Account, client: HttpClient) -> None:
        self.account, self.client = account, client
        self.adapter: Adapter = adapter(account.kind)

    def sign_in(self) -> Token:
        """Fetch an access token and use it from now on."""
        asked = self.adapter.build_token(self.account, datetime.now(UTC))
        token = asked if isinstance(asked, Token) else self.adapter.read_token(self.account, answered(asked))
        assert isinstance(token, Token), token
        self.account = replace(self.account, token=token.value)
        return token

    def send(self, *groups: Sequence[Envelope]) -> list[Said]:
        """One outcome, list of outcomes or fault per call, in order."""
        now = datetime.now(UTC)
        for number, group in enumerate(groups):
            request = self.adapter.build(self.account, group, now)
            assert isinstance(request, HttpRequest)
            self.client.start(number, request)
        raw: dict[Any, HttpAnswer | TransportFault] = {}
        end = time.monotonic() + 20
        while self.client.in_flight:
            assert time.monotonic() < end
            raw.update(self.client.poll(0.5))
        return [
            one if isinstance(one, TransportFault) else self.adapter.read(self.account, group, one)
            for group, one in ((group, raw[number]) for number, group in enumerate(groups))
        ]

    def receipts(self, hook: HttpPeer) -> list[HookEvent]:
        """Events of every body that the hook has had."""
        return [event for request in arrived(hook) for event in heard(self.adapter, self.account, request)]

    def poll(self, provider_id: str, addresses: Sequence[str]) -> Sequence[ReceiptEvent]:
        """What the provider tells of one call when asked."""
        now = datetime.now(UTC)
        answer = answered(self.adapter.build_poll(self.account, provider_id, addresses, now))
        events = self.adapter.read_poll(self.account, provider_id, addresses, answer, now)
        assert not isinstance(events, Outcome), events
        return events

    def recall(self, provider_id: str, addresses: Sequence[str]) -> Outcome:
        """Take back what one call sent."""
        request = self.adapter.build_recall(self.account, provider_id, addresses, datetime.now(UTC))
        return self.adapter.read_recall(self.account, answered(request))

    def check(self) -> Outcome:
        """Whether the credentials are good."""
        request = self.adapter.build_check(self.account)
        assert isinstance(request, HttpRequest)
        return self.adapter.read_check(self.account, answered(request))


def answered(request: HttpRequest) -> HttpAnswer:
    """The answer to one call; fails where there is none."""
    answer = fetch(request)
    assert isinstance(answer, HttpAnswer), answer
    return answer
