"""Receipts: what providers say later. Merging applies thousands at a time, forward only.

A receipt may come twice, in any order, before our own result is written, or for nobody: the same fact is one row, a
state only ever rises in rank, and a body with an event whose delivery is not there (yet) is tried again for three days.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from apps.campaigns.models import Campaign
from apps.campaigns.pipeline import inbox, pulse, recall_rows, replies
from apps.campaigns.pipeline.columns import numbers
from apps.campaigns.pipeline.matching import matched
from apps.campaigns.pipeline.plan import loaded_plan
from apps.campaigns.pipeline.settle import CLOCKS_APART, SUCCEED, call_off, settle
from apps.channels.contract import AddressEvent, ReceiptEvent, ReplyEvent
from apps.channels.models import ChannelAccount
from apps.channels.prices import PRICE_AT
from apps.channels.registry import adapter
from apps.users import reachability
from apps.users.reachability import Said
from ums_site.clock import transaction_now
from ums_site.database import again_after_deadlock
from ums_site.ids import SHIFT, first_row_id

AT_ONCE = 100  # bodies a merge takes, each of up to some hundreds of events
ENOUGH = 20_000  # events: a merge that has as many leaves the rest of its bodies to the next one
STATE_OF = {
    "accepted": "ACCEPTED",
    "delivered": "DELIVERED",
    "failed": "UNDELIVERED",
    "read": "READ",
    "clicked": "CLICKED",
    "recalled": "RECALLED",
    "recall_refused": "RECALL_REFUSED",
}
# News of a higher rank replaces what is known, never the other way round; a state that is not named has rank 0.
RANK = {"CLICKED": 6, "READ": 5, "DELIVERED": 4, "UNDELIVERED": 3, "CLOSED": 2, "REJECTED": 2, "ACCEPTED": 1}


@again_after_deadlock
def merge_next() -> int:
    """Merges the next bodies that are due; returns how many bodies."""
    with transaction.atomic():
        bodies = inbox.due(AT_ONCE)
        if not bodies:
            return 0
        now = transaction_now()
        accounts = ChannelAccount.objects.in_bulk({body.account_id for body in bodies})
        events: dict[int, list[ReceiptEvent]] = {}
        owners: dict[int, list[inbox.Body]] = {}
        addresses: list[Said] = []
        taken = count = 0
        for body in bodies:
            found = inbox.read(body, accounts.get(body.account_id))
            told = [event for event in found if isinstance(event, ReceiptEvent)]
            events.setdefault(body.account_id, []).extend(told)
            owners.setdefault(body.account_id, []).extend([body] * len(told))
            if answers := [event for event in found if isinstance(event, ReplyEvent)]:
                replies.store(accounts[body.account_id], answers)
            if len(told) < len(found):
                kind = adapter(accounts[body.account_id].kind).capabilities.address_kind
                addresses += [_said(kind, event) for event in found if isinstance(event, AddressEvent)]
            taken, count = taken + 1, count + len(found)
            if count >= ENOUGH:
                break
        for account_id, said in sorted(events.items()):
            if said:
                for place in merge_events(accounts[account_id], said, now):
                    owners[account_id][place].unmatched += 1
        reachability.note(addresses)
        inbox.file(bodies[:taken], now)
    return taken


def _said(kind: str, event: AddressEvent) -> Said:
    return Said(kind, event.address, event.reachable, event.reason, event.occurred_at, event.unionid)


PRICE = PRICE_AT.format(
    account="d.account_id",
    message_class="(SELECT c.message_class FROM campaigns_campaign c WHERE c.id = d.campaign_id)",
    at="coalesce(d.accepted_at, d.first_intent_at)",
)
MERGE = f"""
WITH fact AS MATERIALIZED (
    SELECT * FROM unnest(%(hashes)s::bigint[], %(states)s::text[], %(ranks)s::smallint[], %(codes)s::text[],
                         %(words)s::text[], %(times)s::timestamptz[])
    WITH ORDINALITY AS fact(event_hash, state, rank, code, words, at, number)
), kept AS (
    INSERT INTO campaigns_receipt (delivery_id, event_hash, state, code, words, occurred_at, received_at)
    SELECT v.id, event_hash, state, code, words, at, %(now)s
    FROM unnest(%(ids)s::bigint[], %(facts)s::integer[]) AS v(id, number) JOIN fact USING (number) ON CONFLICT DO NOTHING
), moved AS (
    UPDATE campaigns_delivery d SET state = f.state, receipt_at = %(now)s, held_until = NULL,
        accepted_at = coalesce(d.accepted_at, %(now)s),
        reason = CASE WHEN f.state = 'UNDELIVERED' THEN left(f.code, 120) ELSE '' END,
        cost = CASE WHEN f.state = 'UNDELIVERED' AND NOT %(bills_failed)s THEN 0
                    WHEN d.cost IS NULL OR (d.state = 'UNDELIVERED' AND NOT %(bills_failed)s)
                    THEN greatest(d.pieces, 1) * coalesce({PRICE}, %(price)s) ELSE d.cost END,
        pieces = greatest(d.pieces, 1)
    FROM unnest(%(best_ids)s::bigint[], %(best_facts)s::integer[]) AS v(id, number) JOIN fact f USING (number)
    WHERE d.id = v.id AND d.id BETWEEN %(low)s AND %(high)s AND d.attempts > 0 AND d.state <> 'CANCELLED'
      AND f.rank > CASE d.state {" ".join(f"WHEN '{state}' THEN {rank}" for state, rank in RANK.items())} ELSE 0 END
    RETURNING d.message_id, d.campaign_id, d.state
), arrived AS (
    {SUCCEED}
)
SELECT campaign_id, message_id, false, state = 'UNDELIVERED' FROM moved
WHERE state NOT IN ('DELIVERED', 'READ', 'CLICKED') OR campaign_id = ANY(%(strict)s::bigint[])
UNION ALL SELECT campaign_id, id, true, false FROM arrived WHERE campaign_id = ANY(%(several)s::bigint[])
"""


def merge_events(account: ChannelAccount, events: Sequence[ReceiptEvent], now: datetime) -> list[int]:
    """Applies events of one account and decides the messages concerned; returns the places of events without a delivery.

    Call inside a transaction, `now` being its time. Repeating it changes nothing.
    """
    found = matched(account, events, now)
    merge_hits(account, found.hits, found.campaign_ids, now)
    return found.unmatched


def merge_hits(
    account: ChannelAccount, hits: Sequence[tuple[ReceiptEvent, int]], campaign_ids: Collection[int], now: datetime
) -> None:
    """The same for events whose deliveries, all of this account and these campaigns, are known."""
    news = _News()
    for event, delivery_id in hits:
        news.add(delivery_id, event)
    if news.best:
        _apply(account, news, sorted(campaign_ids), now)
        _mark_bad_addresses(news.bad)
        recall_rows.told(news.verdicts)


@dataclass(slots=True)
class _News:
    """Events by delivery. Many say the same of different people: what is said (`facts`) is kept and sent once."""

    facts: dict[tuple[str, str, datetime, str], int] = field(default_factory=dict)  # -> its number, from 1
    ranks: list[int] = field(default_factory=lambda: [-1])  # by number
    pairs: set[tuple[int, int]] = field(default_factory=set)  # delivery, fact
    best: dict[int, int] = field(default_factory=dict)  # delivery -> the fact of the highest rank
    bad: set[int] = field(default_factory=set)  # deliveries to addresses that do not exist
    verdicts: dict[int, ReceiptEvent] = field(default_factory=dict)  # on recalls, which move no delivery

    def add(self, delivery_id: int, event: ReceiptEvent) -> None:
        said = (event.state, event.code, event.occurred_at, event.words)
        number = self.facts.get(said)
        if number is None:
            number = self.facts[said] = len(self.ranks)
            self.ranks.append(RANK.get(STATE_OF[event.state], 0))
        self.pairs.add((delivery_id, number))
        if self.ranks[number] > self.ranks[self.best.get(delivery_id, 0)]:
            self.best[delivery_id] = number
        if event.bad_address:
            self.bad.add(delivery_id)
        if event.state in ("recalled", "recall_refused"):
            self.verdicts[delivery_id] = event

    def values(self) -> dict[str, Any]:
        """The arrays of MERGE, in the order of the deliveries: rows are locked in one order by whoever merges."""
        pairs, best = sorted(self.pairs), sorted(self.best.items())
        return {
            "hashes": [_event_hash(state, code, at) for state, code, at, _words in self.facts],
            "states": [STATE_OF[state] for state, _code, _at, _words in self.facts],
            "ranks": self.ranks[1:],
            "codes": [code[:100] for _state, code, _at, _words in self.facts],
            "words": [words[:200] for _state, _code, _at, words in self.facts],
            "times": [at for _state, _code, at, _words in self.facts],
            "ids": numbers(delivery_id for delivery_id, _fact in pairs),
            "facts": numbers(number for _delivery_id, number in pairs),
            "best_ids": numbers(delivery_id for delivery_id, _fact in best),
            "best_facts": numbers(number for _delivery_id, number in best),
            "low": best[0][0],
            "high": best[-1][0],
        }


def _apply(account: ChannelAccount, news: _News, campaign_ids: Sequence[int], now: datetime) -> None:
    """Writes the news and decides the messages: those that arrived in the same statement, the others by `settle`."""
    campaigns = Campaign.objects.select_related("template_version").in_bulk(campaign_ids)
    values = news.values()
    several = [pk for pk, campaign in campaigns.items() if len(loaded_plan(campaign).channels()) > 1]
    strict = [pk for pk, campaign in campaigns.items() if loaded_plan(campaign).strict]
    values |= {
        "now": now,
        "price": account.price,
        "bills_failed": account.bills_failed,
        "several": several,
        "strict": strict,
    }
    values["oldest"] = first_row_id(min(campaign_ids))
    values["newest"] = values["high"] + (int(CLOCKS_APART.total_seconds() * 1000) << SHIFT)
    open_messages: dict[int, list[int]] = {}
    arrived: list[int] = []
    failed: Counter[int] = Counter()
    with connection.cursor() as cursor:
        cursor.execute(MERGE, values)
        for campaign_id, message_id, has_arrived, undelivered in cursor.fetchall():
            failed[campaign_id] += undelivered
            if has_arrived:
                arrived.append(message_id)
            else:
                open_messages.setdefault(campaign_id, []).append(message_id)
    call_off(arrived)
    for campaign_id, count in sorted(failed.items()):
        pulse.count_undelivered(campaign_id, count)
    for campaign_id, ids in sorted(open_messages.items()):
        settle(campaigns[campaign_id], ids, now)


def _event_hash(state: str, code: str, occurred_at: datetime) -> int:
    said = f"{state}|{code}|{occurred_at.isoformat()}".encode()
    return int.from_bytes(hashlib.blake2b(said, digest_size=8).digest(), "big", signed=True)


def _mark_bad_addresses(deliveries: Collection[int]) -> None:
    """Addresses that the provider says do not exist are not tried again, by anybody."""
    bad = sorted(deliveries)
    if bad:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE users_binding b SET state = 'INVALID' FROM campaigns_delivery d "
                "WHERE d.id = ANY(%s::bigint[]) AND d.id BETWEEN %s AND %s AND b.id = d.binding_id AND b.state = 'ACTIVE'",
                [bad, bad[0], bad[-1]],
            )
