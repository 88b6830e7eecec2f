"""An account tried by hand, over the real transport: its credentials asked for, or one test message sent."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils.translation import gettext as _

from apps.channels import tokens
from apps.channels.contract import (
    Account,
    Adapter,
    Answer,
    AppriseRequest,
    Envelope,
    HttpAnswer,
    HttpRequest,
    MailRequest,
    Request,
    SessionRequest,
    TransportFault,
)
from apps.channels.errors import AccountError
from apps.channels.exchange import COVER, Exchanged, shown
from apps.channels.models import ChannelAccount
from apps.channels.outcomes import Accepted, Outcome, StaleToken, Unavailable, Unknown
from apps.channels.registry import adapter
from apps.channels.services import bucket_key, opened
from apps.channels.transport.apprise import AppriseClient
from apps.channels.transport.egress import Egress
from apps.channels.transport.http import fetch
from apps.channels.transport.log_in import log_in
from apps.channels.transport.session import SessionClient
from apps.channels.transport.smtp import SmtpClient
from apps.operators import audit
from ums_site.ids import first_id_at, to_base36

TOKENS = re.compile(rb'"\w*(?:token|ticket|secret)\w*"\s*:\s*"([^"]+)"', re.IGNORECASE)
NOBODY: Mapping[str, Any] = {}
TEST_CELL = 255 << 14  # ids of rows are made in other cells: a receipt for a test meets no delivery


@dataclass(frozen=True, slots=True)
class TestSend:
    """What came of it: an outcome by name, the provider's code, a sentence, the pieces billed, and what went over the wire."""

    outcome: str
    code: str
    words: str
    pieces: int = 0
    exchanges: tuple[Exchanged, ...] = ()

    @property
    def accepted(self) -> bool:
        return self.outcome == "Accepted"


def test_send(
    *,
    actor: object,
    account: ChannelAccount,
    address: str,
    content: Mapping[str, Any],
    whose: Mapping[str, Any] = NOBODY,
) -> TestSend:
    """Sends one real message, also over a paused account: somebody asks for it. Takes one from the account's limit.

    Must not be called inside a transaction. The audit log gets the masked address, before and after the call, together
    with `whose` it is (ids only: the person, the binding, the text).
    Raises AccountError with a sentence per content field, or for `address`; nothing was sent then.
    """
    kind = adapter(account.kind)
    if problems := kind.check_content(content):
        raise AccountError(problems)
    if not _granted(account):
        raise AccountError({"": _("The account is at its limit at the moment: try again in a moment.")})
    detail = {"code": account.code, "to": masked(address), **whose}
    audit.record(actor=actor, verb="test_send", what=account, detail=detail)
    wire = _Wire([address])
    outcome = _sent(account, wire, address, content)
    words = _("The provider has taken the message.") if isinstance(outcome, Accepted) else ""
    result = _told(outcome, words, kind.pieces(content), wire)
    answer = detail | {"outcome": result.outcome, "answer": result.code}
    audit.record(actor=actor, verb="test_send_answered", what=account, detail=answer)
    return result


def check_account(*, actor: object, account: ChannelAccount) -> TestSend:
    """Asks the provider whether it takes the account's credentials; nothing is sent to anybody.

    A kind with access tokens fetches a new one, which all processes use from then on. Kinds that offer no such question
    say so. Must not be called inside a transaction.
    """
    kind, wire = adapter(account.kind), _Wire([])
    outcome = _checked(account, wire)
    words = _("The provider takes these credentials.")
    if outcome is None:
        result = TestSend("", "", _("This kind of channel can be tried by a test message only."))
    else:
        result = _told(outcome, words if isinstance(outcome, Accepted) else "", 0, wire)
    detail = {"code": account.code, "kind": kind.kind, "outcome": result.outcome, "answer": result.code}
    audit.record(actor=actor, verb="check_account", what=account, detail=detail)
    return result


def can_be_checked(account: ChannelAccount) -> bool:
    """Whether `check_account` has something to ask."""
    kind = adapter(account.kind)
    return kind.uses_token or type(kind).build_check is not Adapter.build_check


def _told(outcome: Outcome, words: str, pieces: int, wire: _Wire) -> TestSend:
    code, said = getattr(outcome, "code", ""), getattr(outcome, "words", "")
    return TestSend(type(outcome).__name__, code, words or said, pieces, tuple(wire.exchanges))


def _checked(row: ChannelAccount, wire: _Wire) -> Outcome | None:
    kind, account = adapter(row.kind), opened(row)
    wire.hide(account)
    if kind.uses_token:
        return _token_asked(row, wire)
    asked = kind.build_check(account)
    if asked is None:
        return None
    answer = wire.call(asked) if isinstance(asked, HttpRequest) else log_in(asked, settings.UMS_TIMERS.t_http)
    if isinstance(answer, TransportFault):
        return Unavailable(answer.code, answer.words)
    return kind.read_check(account, answer)


def _token_asked(row: ChannelAccount, wire: _Wire) -> Outcome:
    """A new token for all processes."""
    outcome: Outcome = Accepted("")
    try:
        wire.hidden.append(tokens.renewed(row, wire.ask_for_token).value)
    except tokens.TokenRefused as refused:
        outcome = refused.outcome
    except tokens.TokenBusy:
        outcome = Unavailable("busy", _("Another process is fetching the access token: try again."))
    wire.show_token_call(refused=not isinstance(outcome, Accepted))
    return outcome


def masked(address: str) -> str:
    """Enough to recognise one's own address, too little to write to it."""
    local, at, domain = address.partition("@")
    if at:
        return f"{local[:1]}***@{domain}"
    return f"{address[:3]}***{address[-2:]}" if len(address) > 8 else "***"


def _granted(account: ChannelAccount) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT take_calls(%s, '{1}')", [[bucket_key(account.pk)]])
        return cursor.fetchone()[0] == 1


def _sent(row: ChannelAccount, wire: _Wire, address: str, content: Mapping[str, Any]) -> Outcome:
    try:
        account, version = tokens.signed_in(row)
    except tokens.TokenRefused as refused:
        return refused.outcome
    wire.hide(account)
    key = _key(account, wire)
    if not isinstance(key, str):
        return key
    reference = to_base36(first_id_at(datetime.now(UTC)) | TEST_CELL | secrets.randbelow(1 << 14))
    envelope = Envelope(key=key, reference=reference, address=address, content=content)
    outcome = _asked(account, wire, envelope)
    if isinstance(outcome, StaleToken) and tokens.refused(row, version):
        account, version = tokens.signed_in(row)
        wire.hide(account)
        outcome = _asked(account, wire, envelope)
    return outcome


def _asked(account: Account, wire: _Wire, envelope: Envelope) -> Outcome:
    kind = adapter(account.kind)
    try:
        request = kind.build(account, [envelope], datetime.now(UTC))
    except ValueError as refused:
        raise AccountError({"address": str(refused)}) from refused
    answer = wire.call(request)
    if isinstance(answer, TransportFault):
        return answer.outcome()
    outcome = kind.read(account, [envelope], answer)
    return outcome[0] if not isinstance(outcome, Outcome) else outcome


def _key(account: Account, wire: _Wire) -> str | Outcome:
    """A key of ours, or one reserved at the provider; the outcome that refused it."""
    kind = adapter(account.kind)
    if not kind.capabilities.reserves_keys:
        return f"test{secrets.token_hex(12)}"
    answer = wire.call(kind.build_reserve(account, 1))
    if isinstance(answer, TransportFault):
        return Unavailable(answer.code, answer.words)  # no message was in it
    if not isinstance(answer, HttpAnswer):
        return Unknown("unreadable", _("The provider gave no key."))
    keys = kind.read_reserve(answer)
    return keys if isinstance(keys, Outcome) else keys[0]


class _Wire:
    """Makes the calls of one test and keeps what went over the wire, covered."""

    def __init__(self, hidden: Sequence[str]) -> None:
        self.hidden = list(hidden)
        self.exchanges: list[Exchanged] = []
        self._token_calls: list[tuple[HttpRequest, HttpAnswer | TransportFault]] = []

    def hide(self, account: Account) -> None:
        """Covers the account's secrets and its token from now on."""
        names = {one.name for one in adapter(account.kind).config_fields if one.secret}
        self.hidden += [str(value) for name, value in account.config.items() if name in names] + [account.token]

    def call(self, request: Request) -> Answer | TransportFault:
        limit = settings.UMS_TIMERS.t_http
        if isinstance(request, HttpRequest):
            answer: Answer | TransportFault = fetch(request, limit, egress=Egress(settings.UMS_EGRESS_ALLOW))
        else:
            answer = _submitted(request, limit)
        self.exchanges.append(shown(request, answer, self.hidden))
        return answer

    def ask_for_token(self, request: HttpRequest, *, timeout_s: float) -> HttpAnswer | TransportFault:
        answer = fetch(request, timeout_s=timeout_s)
        self._token_calls.append((request, answer))
        return answer

    def show_token_call(self, *, refused: bool) -> None:
        """The bodies stay covered: what buys a token is as good as the token. Only a refusal is read out."""
        for request, answer in self._token_calls:
            if isinstance(answer, HttpAnswer):
                self.hidden += [found.decode("utf-8", "replace") for found in TOKENS.findall(answer.body)]
                answer = answer if refused or not answer.body else replace(answer, body=COVER.encode())
            asked = replace(request, body=COVER.encode()) if request.body else request
            self.exchanges.append(shown(asked, answer, self.hidden))


def _submitted(request: MailRequest | SessionRequest | AppriseRequest, limit_s: float) -> Answer | TransportFault:
    """Over a connection of its own. Receipts that a session gets meanwhile are not acknowledged: they come again."""
    client: Any
    if isinstance(request, AppriseRequest):
        client = AppriseClient(1, limit_s, Egress(settings.UMS_EGRESS_ALLOW))
    else:
        client = (SmtpClient if isinstance(request, MailRequest) else SessionClient)(timeout_s=limit_s)
    try:
        client.start(None, request)
        while True:
            for _tag, answer in client.poll(limit_s):
                return answer
            if isinstance(request, SessionRequest):
                client.inbound()
    finally:
        client.close()
