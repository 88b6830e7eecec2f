"""Poll: asking providers what became of deliveries, where they do not tell by themselves or an outcome is unknown.

A batch is asked about again and again at growing distances while anything of it is open. The calls are made outside any
transaction; what comes back is merged like any receipt, so asking twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from django.db import connection, transaction

from apps.campaigns.models import Batch
from apps.campaigns.pipeline.receipts import merge_events
from apps.campaigns.pipeline.settle import POLL_BEFORE, POLL_GAP
from apps.campaigns.pipeline.transports import Client, Transports
from apps.channels.contract import Account, Adapter, Envelope, HttpAnswer, HttpRequest, ReceiptEvent
from apps.channels.models import ChannelAccount
from apps.channels.outcomes import StaleToken
from apps.channels.registry import adapter
from apps.channels.tokens import TokenBusy, TokenRefused, refused, signed_in
from ums_site.clock import boottime, transaction_now
from ums_site.crypto import binding_place, keyring
from ums_site.ids import to_base36

SOONEST = timedelta(seconds=2)
LATEST = timedelta(minutes=30)
FURTHER = 0.5  # the next question comes after half of the time that has passed since acceptance
WHILE_ASKING = timedelta(seconds=60)


@dataclass(slots=True)
class Question:
    """One call: either a poll of one provider id for several deliveries, or a query for one delivery."""

    request: HttpRequest
    references: dict[str, str]  # address -> reference
    provider_id: str
    envelope: Envelope | None = None
    since: datetime | None = None  # when the youngest of the deliveries was accepted
    delivered: frozenset[str] = frozenset()  # addresses of which the same, told again, would be no news


def poll_next(transports: Transports, stop_at: float) -> bool:
    """Asks about one batch whose time has come; False where none is due."""
    batch = _claim()
    if batch is None:
        return False
    account = ChannelAccount.objects.get(pk=batch.account_id)
    try:
        sender, token_version = signed_in(account)
    except (TokenRefused, TokenBusy):
        return True  # asked again when the claim runs out; dispatch tells of a refusal in the account's breaker
    kind = adapter(account.kind)
    events: list[ReceiptEvent] = []
    client = transports.of(account)
    now = transaction_now()
    hear = partial(_hear, client, account, sender, token_version, now)
    for question in _questions(batch, kind, sender):
        client.start(question, question.request, None)
        if client.in_flight >= account.max_in_flight:
            events += hear()
        if boottime() > stop_at:
            break
    while client.in_flight:
        events += hear()
    with transaction.atomic():
        merge_events(account, events, transaction_now())
        _ask_again(batch, kind)
    return True


CLAIM = """
UPDATE campaigns_batch SET poll_at = now() + make_interval(secs => %s) WHERE id = (
    SELECT b.id FROM campaigns_batch b JOIN ums_channels_channelaccount a ON a.id = b.account_id
    WHERE b.poll_at <= now() AND (a.open_until IS NULL OR a.open_until <= now())
    ORDER BY b.poll_at FOR UPDATE OF b SKIP LOCKED LIMIT 1
) RETURNING id
"""


def _claim() -> Batch | None:
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, [WHILE_ASKING.total_seconds()])
        row = cursor.fetchone()
    return Batch.objects.get(pk=row[0]) if row else None


ASK_AGAIN = """
WITH left_over AS (
    SELECT min(coalesce(d.accepted_at, d.first_intent_at)) AS since
    FROM campaigns_delivery d JOIN ums_channels_channelaccount a ON a.id = d.account_id
    WHERE d.batch_id = %(batch)s AND d.id BETWEEN %(first)s AND %(last)s AND d.state = ANY(%(open)s)
      AND (d.state <> 'DELIVERED' OR d.accepted_at + a.receipt_window > now())
)
UPDATE campaigns_batch b SET poll_at = CASE WHEN l.since IS NULL THEN NULL ELSE
    least(now() + greatest(%(soonest)s, least(%(latest)s, (now() - l.since) * %(further)s)),
          CASE WHEN b.follow_up_at > now() + %(before)s + %(gap)s THEN b.follow_up_at - %(before)s END) END
FROM left_over l WHERE b.id = %(batch)s
"""


def _open_states(kind: Adapter) -> list[str]:
    """States about which the provider may still have news; a read receipt comes after the delivered one."""
    return ["ACCEPTED", "UNKNOWN", "DELIVERED"] if kind.capabilities.reports_read else ["ACCEPTED", "UNKNOWN"]


def _ask_again(batch: Batch, kind: Adapter) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            ASK_AGAIN,
            {
                "batch": batch.pk,
                "first": batch.first_delivery_id,
                "last": batch.last_delivery_id,
                "open": _open_states(kind),
                "soonest": SOONEST,
                "latest": LATEST,
                "further": FURTHER,
                "before": POLL_BEFORE,
                "gap": POLL_GAP,
            },
        )


OPEN = """
SELECT d.id, d.state, d.provider_id, coalesce(d.call_ref, d.id), coalesce(d.accepted_at, d.first_intent_at), b.address,
       b.address_hash
FROM campaigns_delivery d JOIN users_binding b ON b.id = d.binding_id
JOIN ums_channels_channelaccount a ON a.id = d.account_id
WHERE d.batch_id = %s AND d.id BETWEEN %s AND %s AND d.state = ANY(%s)
  AND (d.state = 'UNKNOWN' OR d.accepted_at + a.receipt_window > now()) ORDER BY d.id
"""


def _questions(batch: Batch, kind: Adapter, sender: Account) -> Iterator[Question]:
    """Polls grouped by provider id, and queries for what is unknown, as far as the kind can be asked."""
    with connection.cursor() as cursor:
        cursor.execute(OPEN, [batch.pk, batch.first_delivery_id, batch.last_delivery_id, _open_states(kind)])
        rows = cursor.fetchall()
    polled: dict[str, list[tuple[str, str, datetime, str]]] = {}
    for delivery_id, state, provider_id, call_ref, since, sealed, hashed in rows:
        address = keyring().open(sealed, binding_place(hashed))
        if state != "UNKNOWN" and kind.capabilities.receipts.polled:
            polled.setdefault(provider_id, []).append((address, to_base36(delivery_id), since, state))
        elif state == "UNKNOWN" and kind.capabilities.can_query:
            reference = to_base36(call_ref)
            envelope = Envelope(reference, reference, address, {})
            own = {address: to_base36(delivery_id)}
            yield Question(kind.build_query(sender, envelope, since), own, "", envelope)
    for provider_id, people in polled.items():
        for start in range(0, len(people), kind.capabilities.poll_group):
            some = people[start : start + kind.capabilities.poll_group]
            references = {address: reference for address, reference, _since, _state in some}
            request = kind.build_poll(sender, provider_id, [one[0] for one in some], some[0][2])
            delivered = frozenset(address for address, _reference, _since, state in some if state == "DELIVERED")
            youngest = max(one[2] for one in some)
            yield Question(request, references, provider_id, delivered=delivered, since=youngest)


def _hear(
    client: Client, account: ChannelAccount, sender: Account, token_version: int, now: datetime
) -> list[ReceiptEvent]:
    kind = adapter(account.kind)
    events: list[ReceiptEvent] = []
    for question, answer in client.poll(0.2):
        if not isinstance(answer, HttpAnswer):
            continue  # no answer: it is asked again later
        if question.envelope is not None:
            said = kind.read_query(sender, question.envelope, answer)
        else:
            said = kind.read_poll(sender, question.provider_id, list(question.references), answer, now, question.since)
        if isinstance(said, StaleToken):
            refused(account, token_version)  # asked again later, with a new one
        elif isinstance(said, Sequence):
            news = [one for one in said if one.state != "delivered" or one.address not in question.delivered]
            events += [_addressed(event, question) for event in news]
    return events


def _addressed(event: ReceiptEvent, question: Question) -> ReceiptEvent:
    """The event under the reference of its own delivery: the answer names the address that we asked about."""
    reference = question.references.get(event.address) or next(iter(question.references.values()))
    return ReceiptEvent(
        state=event.state,
        code=event.code,
        occurred_at=event.occurred_at,
        reference=reference,
        words=event.words,
        pieces=event.pieces,
        bad_address=event.bad_address,
    )
