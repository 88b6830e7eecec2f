"""The open connections of one worker: a client for each account, so that one account's calls never wait for another's."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from django.conf import settings

from apps.campaigns.pipeline.sessions import Sessions
from apps.channels.contract import Answer, TransportFault
from apps.channels.models import ChannelAccount
from apps.channels.registry import adapter
from apps.channels.transport.apprise import AppriseClient
from apps.channels.transport.egress import Egress
from apps.channels.transport.http import HttpClient
from apps.channels.transport.smtp import SmtpClient

Client = HttpClient | SmtpClient | Sessions | AppriseClient
Heard = tuple[Any, Answer | TransportFault]  # what was given to a client's `start` with a call, and how the call ended


@dataclass(slots=True)
class Tally:
    """How the calls of an account have gone of late: what its breaker is judged by."""

    good: int = 0
    bad: int = 0


class Transports:
    """Clients by account id, kept for a slice of time; `close` says goodbye on all connections."""

    def __init__(self) -> None:
        self._clients: dict[int, Client] = {}
        self._tallies: defaultdict[int, Tally] = defaultdict(Tally)

    def tally(self, account: ChannelAccount) -> Tally:
        """The count of this account's calls, kept from one batch to the next."""
        return self._tallies[account.pk]

    def of(self, account: ChannelAccount) -> Client:
        """The client for this account, made at its first use."""
        client = self._clients.get(account.pk)
        if client is None:
            cap = settings.UMS_TIMERS.t_http
            egress = Egress(settings.UMS_EGRESS_ALLOW)
            transport = adapter(account.kind).transport
            if transport == "smtp":
                client = SmtpClient(timeout_s=cap)
            elif transport == "apprise":
                client = AppriseClient(account.max_in_flight, cap, egress)
            else:
                client = HttpClient(account.max_in_flight, cap, egress=egress)
            self._clients[account.pk] = client
        return client

    def close(self) -> None:
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
