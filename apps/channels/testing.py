"""One test message over an account, by hand, over the real transport."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils.translation import gettext as _

from apps.channels.contract import (
    Account,
    Answer,
    Envelope,
    HttpAnswer,
    HttpRequest,
    MailRequest,
    Request,
    TransportFault,
)
from apps.channels.errors import AccountError
from apps.channels.models import ChannelAccount
from apps.channels.outcomes import Accepted, Outcome, Unavailable, Unknown
from apps.channels.registry import adapter
from apps.channels.services import bucket_key, opened
from apps.channels.transport.http import fetch
from apps.channels.transport.smtp import SmtpClient
from apps.operators import audit
from ums_site.ids import first_id_at, to_base36

TEST_CELL = 255 << 14  # ids of rows are made in other cells: a receipt for a test meets no delivery


@dataclass(frozen=True, slots=True)
class TestSend:
    """What came of it: one of the six outcomes by name, the provider's code, a sentence, and the pieces billed."""

    outcome: str
    code: str
    words: str
    pieces: int

    @property
    def accepted(self) -> bool:
        return self.outcome == "Accepted"


def test_send(*, actor: object, account: ChannelAccount, address: str, content: Mapping[str, Any]) -> TestSend:
    """Sends one real message, also over a paused account: somebody asks for it. Takes one from the account's limit.

    Must not be called inside a transaction. The audit log gets the masked address, before and after the call.
    Raises AccountError with a sentence per content field, or for `address`; nothing was sent then.
    """
    kind = adapter(account.kind)
    if problems := kind.check_content(content):
        raise AccountError(problems)
    if not _granted(account):
        raise AccountError({"": _("The account is at its limit at the moment: try again in a moment.")})
    sender = opened(account)
    detail = {"code": account.code, "to": masked(address)}
    audit.record(actor=actor, verb="test_send", what=account, detail=detail)
    outcome = _sent(sender, address, content)
    code, words = getattr(outcome, "code", ""), getattr(outcome, "words", "")
    if isinstance(outcome, Accepted):
        words = _("The provider has taken the message.")
    result = TestSend(type(outcome).__name__, code, words, kind.pieces(content))
    answer = detail | {"outcome": result.outcome, "answer": result.code}
    audit.record(actor=actor, verb="test_send_answered", what=account, detail=answer)
    return result


def masked(address: str) -> str:
    """Enough to recognise one's own address, too little to write to it."""
    local, at, domain = address.partition("@")
    if at:
        return f"{local[:1]}***@{domain}"
    return f"{address[:3]}***{address[-2:]}" if len(address) > 8 else "***"


def _granted(account: ChannelAccount) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT take_tokens(%s, 1)", [bucket_key(account.pk)])
        return cursor.fetchone()[0] == 1


def _sent(account: Account, address: str, content: Mapping[str, Any]) -> Outcome:
    kind = adapter(account.kind)
    key = _key(account)
    if not isinstance(key, str):
        return key
    reference = to_base36(first_id_at(datetime.now(UTC)) | TEST_CELL | secrets.randbelow(1 << 14))
    envelope = Envelope(key=key, reference=reference, address=address, content=content)
    try:
        request = kind.build(account, [envelope], datetime.now(UTC))
    except ValueError as refused:
        raise AccountError({"address": str(refused)}) from refused
    answer = _call(request)
    if isinstance(answer, TransportFault):
        return (Unknown if answer.sent else Unavailable)(answer.code, answer.words)
    outcome = kind.read(account, [envelope], answer)
    return outcome[0] if not isinstance(outcome, Outcome) else outcome


def _key(account: Account) -> str | Outcome:
    """A key of ours, or one reserved at the provider; the outcome that refused it."""
    kind = adapter(account.kind)
    if not kind.capabilities.reserves_keys:
        return f"test{secrets.token_hex(12)}"
    answer = _call(kind.build_reserve(account, 1))
    if isinstance(answer, TransportFault):
        return Unavailable(answer.code, answer.words)  # no message was in it
    if not isinstance(answer, HttpAnswer):
        return Unknown("unreadable", _("The provider gave no key."))
    keys = kind.read_reserve(answer)
    return keys if isinstance(keys, Outcome) else keys[0]


def _call(request: Request) -> Answer | TransportFault:
    limit = settings.UMS_TIMERS.t_http
    return _submit(request, limit) if isinstance(request, MailRequest) else _fetch(request, limit)


def _fetch(request: HttpRequest, limit_s: float) -> HttpAnswer | TransportFault:
    return fetch(request, timeout_s=limit_s)


def _submit(request: MailRequest, limit_s: float) -> Answer | TransportFault:
    client = SmtpClient(timeout_s=limit_s)
    try:
        client.start(None, request)
        while True:
            for _tag, answer in client.poll(limit_s):
                return answer
    finally:
        client.close()
