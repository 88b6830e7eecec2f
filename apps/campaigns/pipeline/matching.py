"""Matching: which delivery each event of a receipt is about – by our reference, else by the id that the provider gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from apps.campaigns.pipeline import provider_ids
from apps.campaigns.pipeline.columns import numbers
from apps.channels.contract import ReceiptEvent
from apps.channels.models import ChannelAccount
from apps.channels.registry import adapter
from apps.users.addressing import AddressRefused, hash_of
from ums_site.ids import from_base36


@dataclass(slots=True)
class Found:
    """Events with their deliveries, the places of those without one, and the campaigns concerned."""

    hits: list[tuple[ReceiptEvent, int]]
    unmatched: list[int]
    campaign_ids: set[int]


def matched(account: ChannelAccount, events: Sequence[ReceiptEvent], now: datetime) -> Found:
    """Where each event belongs: by our reference, or by the provider's id where the kind echoes nothing of ours."""
    places = range(len(events))
    named = [place for place in places if events[place].reference]
    if len(named) < len(events) and adapter(account.kind).capabilities.finds_by_provider_id:
        by_id = _by_provider_id(account, events, [place for place in places if not events[place].reference], now)
    else:
        named, by_id = list(places), Found([], [], set())
    asked = events if len(named) == len(events) else [events[place] for place in named]
    deliveries, campaign_ids = _find(account, asked)
    hits = [(event, one) for event, one in zip(asked, deliveries, strict=True) if one is not None]
    unmatched = [place for place, one in zip(named, deliveries, strict=True) if one is None]
    return Found(hits + by_id.hits, sorted(unmatched + by_id.unmatched), by_id.campaign_ids.union(campaign_ids))


def _by_provider_id(
    account: ChannelAccount, events: Sequence[ReceiptEvent], places: Sequence[int], now: datetime
) -> Found:
    filed = provider_ids.find(account.pk, (events[place].provider_id for place in places), now)
    kind = adapter(account.kind).capabilities.address_kind
    hits, unmatched = [], []
    for place in places:
        event = events[place]
        rows = filed.get(event.provider_id, [])
        if event.address:
            hashed = _hash(kind, event.address)
            rows = [row for row in rows if row.address_hash == hashed]
        if rows:
            hits.append((event, rows[-1]))  # an id that a gateway uses again means its latest message
        else:
            unmatched.append(place)
    campaign_ids = {row.campaign_id for _event, row in hits}
    return Found(provider_ids.joined(hits), unmatched, campaign_ids)


FIND = """
SELECT count(*), count(call_ref), array_agg(DISTINCT campaign_id) FROM campaigns_delivery
WHERE id = ANY(%s::bigint[]) AND id BETWEEN %s AND %s AND account_id = %s
"""
FIND_EACH = """
SELECT id, batch_id, call_ref FROM campaigns_delivery
WHERE id = ANY(%s::bigint[]) AND id BETWEEN %s AND %s AND account_id = %s
"""


def _find(account: ChannelAccount, events: Sequence[ReceiptEvent]) -> tuple[list[int | None], list[int]]:
    """The delivery of each event, and their campaigns. Where a reference names the first of a call, the address decides."""
    leads = [from_base36(event.reference) for event in events]
    known = sorted({lead for lead in leads if lead is not None})
    if not known:
        return [None] * len(events), []
    place = [numbers(known), known[0], known[-1], account.pk]
    with connection.cursor() as cursor:
        cursor.execute(FIND, place)
        count, shared, campaign_ids = cursor.fetchone()
        if shared or count < len(known):
            cursor.execute(FIND_EACH, place)
            rows = {row[0]: (row[1], row[2]) for row in cursor.fetchall()}
            return _each(cursor, account, list(zip(leads, events, strict=True)), rows), campaign_ids or []
    return leads, campaign_ids


def _each(
    cursor: Any,
    account: ChannelAccount,
    asked: Sequence[tuple[int | None, ReceiptEvent]],
    rows: Mapping[int, tuple[int, int | None]],
) -> list[int | None]:
    """As `_find`, where some references are not ours or stand for a call; rows: delivery -> (batch, first of its call)."""
    shared = {lead: batch for lead, (batch, call_ref) in rows.items() if call_ref is not None}
    members = _members(cursor, shared) if shared else {}
    kind = adapter(account.kind).capabilities.address_kind
    out: list[int | None] = []
    for lead, event in asked:
        if lead not in rows:
            out.append(None)
        elif lead in shared and event.address:
            out.append(members.get((lead, _hash(kind, event.address))))
        else:
            out.append(lead)
    return out


def _members(cursor: Any, shared: Mapping[int, int]) -> dict[tuple[int, bytes], int]:
    """(first delivery of a call, address hash) -> delivery, for calls with several recipients."""
    cursor.execute(
        "SELECT d.call_ref, b.address_hash, d.id FROM campaigns_batch k "
        "JOIN campaigns_delivery d ON d.batch_id = k.id AND d.id BETWEEN k.first_delivery_id AND k.last_delivery_id "
        "JOIN users_binding b ON b.id = d.binding_id WHERE k.id = ANY(%s) AND d.call_ref = ANY(%s::bigint[])",
        [sorted(set(shared.values())), sorted(shared)],
    )
    return {(row[0], bytes(row[1])): row[2] for row in cursor.fetchall()}


def _hash(kind: str, address: str) -> bytes:
    try:
        return hash_of(kind, address)
    except AddressRefused:
        return b""
