"""Recall: asking providers to take back what they accepted, where an order says so.

A batch is worked on like a poll, and each call like a send: intent commit, provider call outside any transaction, result
commit. To take back twice does no harm, so whatever was left without a result is asked again, at growing distances until
the provider's time for it is over. What the provider accepts only after the order is taken back as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.db import connection, transaction

from apps.campaigns.models import Batch
from apps.campaigns.pipeline import recall_rows
from apps.campaigns.pipeline.recall_rows import Call
from apps.campaigns.pipeline.transports import Client, Transports
from apps.channels.contract import Account, Adapter, HttpAnswer
from apps.channels.models import ChannelAccount
from apps.channels.outcomes import Accepted, Outcome, Rejected, StaleToken, Throttled
from apps.channels.registry import adapter
from apps.channels.tokens import TokenBusy, TokenRefused, refused, signed_in
from ums_site.clock import boottime, transaction_now
from ums_site.failpoints import failpoint

WHILE_ASKING = timedelta(seconds=60)
NONE = timedelta(0)
Said = tuple[Call, Outcome]


def recall_next(transports: Transports, stop_at: float) -> bool:
    """Takes back what is to be of one batch whose time has come; False where none is due."""
    batch = _claim()
    if batch is None:
        return False
    account = ChannelAccount.objects.get(pk=batch.account_id)
    with transaction.atomic():
        recall_rows.mark(batch)
        calls = recall_rows.waiting(batch)
    pause = NONE
    if calls:
        try:
            pause = _carry_out(transports.of(account), account, calls, stop_at)
        except TokenBusy:
            return True  # asked again when the claim runs out
    recall_rows.look_again(batch, pause)
    return True


CLAIM = """
UPDATE campaigns_batch SET recall_at = now() + %s WHERE id = (
    SELECT b.id FROM campaigns_batch b JOIN ums_channels_channelaccount a ON a.id = b.account_id
    WHERE b.recall_at <= now() AND (a.open_until IS NULL OR a.open_until <= now())
    ORDER BY b.recall_at FOR UPDATE OF b SKIP LOCKED LIMIT 1
) RETURNING id
"""


def _claim() -> Batch | None:
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, [WHILE_ASKING])
        row = cursor.fetchone()
    return Batch.objects.get(pk=row[0]) if row else None


def _carry_out(client: Client, account: ChannelAccount, calls: list[Call], stop_at: float) -> timedelta:
    """Asks for as many calls at once as the account may have in flight; returns how long it wants to be left alone."""
    kind = adapter(account.kind)
    pause = NONE
    for start in range(0, len(calls), account.max_in_flight):
        some = calls[start : start + account.max_in_flight]
        try:
            sender, token_version = signed_in(account)
        except TokenRefused as said:
            return max(pause, _write(kind, [(call, said.outcome) for call in some], begun=False))
        with transaction.atomic():
            recall_rows.begin(some)
        failpoint("before_recall")
        results = list(_asked(client, kind, sender, some))
        failpoint("after_recall")
        if any(isinstance(said, StaleToken) for _call, said in results):
            refused(account, token_version)
        pause = max(pause, _write(kind, results))
        if boottime() > stop_at or pause:
            break
    return pause


def _asked(client: Client, kind: Adapter, sender: Account, calls: list[Call]) -> Iterator[Said]:
    """The calls that were answered in a way that can be read, with what was said."""
    now = transaction_now()
    for call in calls:
        try:
            request = kind.build_recall(sender, call.provider_id, call.addresses, now)
        except ValueError as bad:
            yield call, Rejected("unreadable", str(bad))
            continue
        client.start(call, request, None)
    while client.in_flight:
        for call, answer in client.poll(0.2):
            if isinstance(answer, HttpAnswer):
                yield call, kind.read_recall(sender, answer)


def _write(kind: Adapter, results: list[Said], *, begun: bool = True) -> timedelta:
    """Writes what was said, in one transaction, and returns the longest time that the provider asked to wait."""
    with transaction.atomic():
        if not begun:
            recall_rows.begin([call for call, _said in results])
        recall_rows.file((call, *_standing(kind, said)) for call, said in results)
    waits = [said.retry_after or recall_rows.SOONEST for _call, said in results if isinstance(said, Throttled)]
    return max(waits, default=NONE)


def _standing(kind: Adapter, said: Outcome) -> tuple[str, str, str]:
    """State, code and words: everything but a yes and a definite no is asked again."""
    if isinstance(said, Accepted):
        return ("ASKED" if kind.capabilities.recall_told else "RECALLED"), "", ""
    return ("REFUSED" if isinstance(said, Rejected) else "WAITING"), said.code, said.words
