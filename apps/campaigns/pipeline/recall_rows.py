"""Rows of recall: which deliveries an order to take back concerns, what can be done for each, and what was done.

A delivery can be taken back where its kind offers it, in time, by the id that the provider gave, and only together with
everybody else of its call: a recall is of a call. What was taken back was accepted all the same, so no delivery moves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection

from apps.campaigns.models import Batch, RecallOrder
from apps.campaigns.pipeline.columns import numbers, texts
from apps.channels.contract import ReceiptEvent
from apps.channels.models import ChannelAccount
from apps.channels.registry import adapter, adapters
from ums_site.crypto import binding_place, keyring
from ums_site.ids import first_row_id

TAKEN = [
    "ACCEPTED",
    "DELIVERED",
    "READ",
    "CLICKED",
    "CLOSED",
    "UNKNOWN_FINAL",
]  # by a provider, as far as anybody knows
MAY_BE_TAKEN = ["PENDING", "HELD", "SENDING", "UNKNOWN"]
WITHOUT_LIMIT = timedelta(hours=24)  # how long it is tried where the provider names no limit
SOONEST, LATEST = timedelta(seconds=2), timedelta(minutes=30)
RECALLED_FACT = 1  # the hash of the one receipt that says so

# One row for each delivery taken; `code` says why it cannot be taken back, or is empty. `shared`: calls with others in them.
JUDGED = """
offer AS (
    SELECT * FROM unnest(%(accounts)s::bigint[], %(recalls)s::boolean[], %(withins)s::interval[], %(undelivered)s::boolean[])
    AS offer(account_id, recalls, within, undelivered)
), shared AS (
    SELECT DISTINCT e.batch_id, e.provider_id FROM campaigns_batch k
    JOIN campaigns_delivery e ON e.batch_id = k.id AND e.id BETWEEN k.first_delivery_id AND k.last_delivery_id
    WHERE k.id = ANY(%(batches)s::bigint[]) AND e.provider_id <> '' AND e.state = ANY(%(taken)s)
      AND NOT (%(whole)s OR e.message_id = ANY(%(messages)s::bigint[]))
), judged AS (
    SELECT d.id, d.message_id, d.campaign_id, d.batch_id, d.account_id, d.provider_id,
        coalesce(d.accepted_at + nullif(o.within, '0'), now() + %(without_limit)s) AS until,
        CASE WHEN NOT o.recalls THEN 'no_recall'
             WHEN d.provider_id = '' THEN 'no_provider_id'
             WHEN o.undelivered AND d.state IN ('DELIVERED', 'READ', 'CLICKED') THEN 'delivered_already'
             WHEN d.accepted_at + nullif(o.within, '0') <= now() THEN 'too_late'
             WHEN s.batch_id IS NOT NULL THEN 'shared_call' ELSE '' END AS code
    FROM campaigns_delivery d JOIN offer o ON o.account_id = d.account_id
    LEFT JOIN shared s ON s.batch_id = d.batch_id AND s.provider_id = d.provider_id
    WHERE {scope} AND d.state = ANY(%(taken)s)
)
"""
OF_CAMPAIGN = "d.campaign_id = %(campaign)s AND d.id >= %(first)s"
OF_MESSAGE = "d.message_id = %(message)s AND d.id >= %(first)s"
OF_BATCH = (
    "d.batch_id = %(batch)s AND d.id BETWEEN %(low)s AND %(high)s "
    "AND (%(whole)s OR d.message_id = ANY(%(messages)s::bigint[]))"
)
MAY_CHANGE = "r.state = 'REFUSED' AND r.code IN ('shared_call', 'no_provider_id')"  # by a later order, or result

FORESEEN = """
WITH {judged}
SELECT j.account_id, CASE WHEN r.delivery_id IS NULL OR {may_change} THEN j.code ELSE 'asked_already' END, count(*)
FROM judged j LEFT JOIN campaigns_recall r ON r.delivery_id = j.id GROUP BY 1, 2 ORDER BY 1, 2
"""
MARK = f"""
WITH {JUDGED.format(scope=OF_BATCH)}
INSERT INTO campaigns_recall AS r (delivery_id, message_id, campaign_id, batch_id, account_id, provider_id, until, state,
                                   code, ordered_at, done_at)
SELECT id, message_id, campaign_id, batch_id, account_id, provider_id, until,
       CASE WHEN code = '' THEN 'WAITING' ELSE 'REFUSED' END, code, now(), CASE WHEN code <> '' THEN now() END
FROM judged ORDER BY id
ON CONFLICT (delivery_id) DO UPDATE SET provider_id = excluded.provider_id, until = excluded.until,
       state = excluded.state, code = excluded.code, done_at = excluded.done_at
WHERE {MAY_CHANGE} AND excluded.code <> r.code
"""


def recalling_accounts(campaign_id: int) -> list[int]:
    """The accounts of a campaign's batches whose kind takes messages back."""
    kinds = [one.kind for one in adapters() if one.capabilities.recall]
    used = Batch.objects.filter(campaign_id=campaign_id).values("account_id")
    return list(ChannelAccount.objects.filter(kind__in=kinds, pk__in=used).values_list("pk", flat=True))


def foreseen(campaign_id: int, message_id: int = 0) -> list[tuple[int, str, int]]:
    """(account id, why not or "", deliveries) of what was accepted, were the campaign, or this message of it, recalled."""
    batches = _batches_of(message_id) if message_id else []
    ordered = _ordered(campaign_id)
    whole = ordered.whole or not message_id
    place = {
        "campaign": campaign_id,
        "message": message_id,
        "first": first_row_id(message_id or campaign_id),
        **_values(campaign_id, whole, [*ordered.messages, message_id], batches),
    }
    sql = FORESEEN.format(judged=JUDGED.format(scope=OF_MESSAGE if message_id else OF_CAMPAIGN), may_change=MAY_CHANGE)
    with connection.cursor() as cursor:
        cursor.execute(sql, place)
        return list(cursor.fetchall())


def mark(batch: Batch) -> None:
    """Writes a row for what was taken of a batch and is ordered to be taken back. Again, it adds what was taken since."""
    ordered = _ordered(batch.campaign_id)
    place = {"batch": batch.pk, "low": batch.first_delivery_id, "high": batch.last_delivery_id}
    with connection.cursor() as cursor:
        cursor.execute(MARK, place | _values(batch.campaign_id, ordered.whole, ordered.messages, [batch.pk]))


@dataclass(frozen=True, slots=True)
class _Ordered:
    whole: bool
    messages: list[int]


def _ordered(campaign_id: int) -> _Ordered:
    ids = list(RecallOrder.objects.filter(campaign_id=campaign_id).values_list("message_id", flat=True))
    return _Ordered(0 in ids, [one for one in ids if one])


def _values(campaign_id: int, whole: bool, messages: Sequence[int], batches: Sequence[int]) -> dict[str, Any]:
    used = Batch.objects.filter(campaign_id=campaign_id).values("account_id")
    accounts = list(ChannelAccount.objects.filter(pk__in=used).values_list("pk", "kind"))
    offers = [adapter(kind).capabilities for _pk, kind in accounts]
    return {
        "accounts": numbers(pk for pk, _kind in accounts),
        "recalls": [one.recall for one in offers],
        "withins": [one.recall_within for one in offers],
        "undelivered": [one.recall_undelivered for one in offers],
        "whole": whole,
        "messages": numbers(messages),
        "batches": numbers(batches),
        "taken": TAKEN,
        "without_limit": WITHOUT_LIMIT,
    }


BATCHES = "SELECT DISTINCT batch_id FROM campaigns_delivery WHERE message_id = %s AND id >= %s"


def _batches_of(message_id: int) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(BATCHES, [message_id, first_row_id(message_id)])
        return [row[0] for row in cursor.fetchall()]


def batches_of(message_id: int) -> list[Batch]:
    """The batches that a message's deliveries stand in."""
    return list(Batch.objects.filter(pk__in=_batches_of(message_id)).order_by("pk"))


GIVE_UP = """
UPDATE campaigns_recall SET state = 'REFUSED', code = 'too_late', done_at = now()
WHERE batch_id = %s AND delivery_id BETWEEN %s AND %s AND state = 'WAITING' AND until <= now()
"""
WAITING = """
SELECT r.provider_id, r.delivery_id, b.address, b.address_hash FROM campaigns_recall r
JOIN campaigns_delivery d ON d.id = r.delivery_id LEFT JOIN users_binding b ON b.id = d.binding_id
WHERE r.batch_id = %s AND r.delivery_id BETWEEN %s AND %s AND r.state = 'WAITING' ORDER BY r.delivery_id
"""


@dataclass(slots=True)
class Call:
    """What one call sent and is to be taken back. `addresses` lacks those of people deleted since."""

    provider_id: str
    deliveries: list[int]
    addresses: list[str]


def waiting(batch: Batch) -> list[Call]:
    """The calls of a batch that are to be taken back and were not; those whose time is over are given up."""
    place = [batch.pk, batch.first_delivery_id, batch.last_delivery_id]
    calls: dict[str, Call] = {}
    with connection.cursor() as cursor:
        cursor.execute(GIVE_UP, place)
        cursor.execute(WAITING, place)
        for provider_id, delivery_id, sealed, hashed in cursor.fetchall():
            call = calls.setdefault(provider_id, Call(provider_id, [], []))
            call.deliveries.append(delivery_id)
            if sealed is not None:
                call.addresses.append(keyring().open(sealed, binding_place(hashed)))
    return list(calls.values())


def begin(calls: Iterable[Call]) -> None:
    """Notes that these are about to be asked of the provider: whoever comes after a crash asks again."""
    ids = sorted(one for call in calls for one in call.deliveries)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE campaigns_recall SET tries = least(tries + 1, 32000), asked_at = now() "
            "WHERE delivery_id = ANY(%s::bigint[]) AND delivery_id BETWEEN %s AND %s AND state = 'WAITING'",
            [ids, ids[0], ids[-1]],
        )


FILE = """
WITH done AS (
    UPDATE campaigns_recall r SET state = v.state, code = v.code, words = v.words,
           done_at = CASE WHEN v.state IN ('RECALLED', 'REFUSED') THEN now() END
    FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[]) AS v(id, state, code, words)
    WHERE r.delivery_id = v.id AND r.delivery_id BETWEEN %s AND %s AND r.state = 'WAITING'
    RETURNING r.delivery_id, r.state
)
INSERT INTO campaigns_receipt (delivery_id, event_hash, state, code, words, occurred_at, received_at)
SELECT delivery_id, %s, 'RECALLED', '', '', now(), now() FROM done WHERE state = 'RECALLED' ON CONFLICT DO NOTHING
"""


def file(results: Iterable[tuple[Call, str, str, str]]) -> None:
    """Writes (call, state, code, words); what was taken back gets its receipt with it, once."""
    rows = sorted((one, *said) for call, *said in results for one in call.deliveries)
    if not rows:
        return
    ids, states, codes, words = (list(column) for column in zip(*rows, strict=True))
    columns = [numbers(ids), texts(states), texts([one[:100] for one in codes]), texts([one[:200] for one in words])]
    with connection.cursor() as cursor:
        cursor.execute(FILE, [*columns, ids[0], ids[-1], RECALLED_FACT])


TOLD = """
UPDATE campaigns_recall r SET state = v.state, code = v.code, words = v.words, done_at = now()
FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[]) AS v(id, state, code, words)
WHERE r.delivery_id = v.id AND r.delivery_id BETWEEN %s AND %s
  AND (r.state IN ('WAITING', 'ASKED') OR (v.state = 'RECALLED' AND r.state = 'REFUSED'))
"""


def told(verdicts: Mapping[int, ReceiptEvent]) -> None:
    """Delivery -> what the provider said later of its recall; call in the transaction that merges it."""
    if not verdicts:
        return
    ids = sorted(verdicts)
    events = [verdicts[one] for one in ids]
    states = ["RECALLED" if event.state == "recalled" else "REFUSED" for event in events]
    codes = ["" if event.state == "recalled" else event.code[:100] for event in events]
    columns = [numbers(ids), texts(states), texts(codes), texts([event.words[:200] for event in events])]
    with connection.cursor() as cursor:
        cursor.execute(TOLD, [*columns, ids[0], ids[-1]])


LOOK_AGAIN = f"""
WITH left_over AS (
    SELECT min(tries) AS tries, min(until) AS until FROM campaigns_recall
    WHERE batch_id = %(batch)s AND delivery_id BETWEEN %(low)s AND %(high)s AND state = 'WAITING'
), open AS (
    SELECT EXISTS (SELECT 1 FROM campaigns_delivery d WHERE {OF_BATCH} AND d.state = ANY(%(may_be)s)) AS held
)
UPDATE campaigns_batch b SET recall_at = CASE
    WHEN l.tries IS NOT NULL THEN
        least(now() + greatest(%(pause)s, least(%(latest)s, %(soonest)s * power(2, least(l.tries, 20) - 1))), l.until)
    WHEN o.held THEN now() + greatest(%(soonest)s, least(%(latest)s, (now() - %(since)s) / 2)) END
FROM left_over l, open o WHERE b.id = %(batch)s AND b.recall_at = %(claimed)s
"""


def look_again(batch: Batch, pause: timedelta) -> None:
    """Notes when the batch is asked about next: never where nothing waits and nothing may still be accepted.

    An order that came while the batch was worked on keeps it due.
    """
    orders = RecallOrder.objects.filter(campaign_id=batch.campaign_id).order_by("ordered_at")
    ordered = _ordered(batch.campaign_id)
    values = {
        "batch": batch.pk,
        "low": batch.first_delivery_id,
        "high": batch.last_delivery_id,
        "whole": ordered.whole,
        "messages": numbers(ordered.messages),
        "may_be": MAY_BE_TAKEN,
        "pause": pause,
        "latest": LATEST,
        "soonest": SOONEST,
        "since": orders.values_list("ordered_at", flat=True).last(),
        "claimed": batch.recall_at,
    }
    with connection.cursor() as cursor:
        cursor.execute(LOOK_AGAIN, values)
