"""The open connections of one worker: a client for each account, so that one account's calls never wait for another's."""

from __future__ import annotations

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


class Transports:
    """Clients by account id, kept for a slice of time; `close` says goodbye on all connections."""

    def __init__(self) -> None:
        self._clients: dict[int, Client] = {}

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
