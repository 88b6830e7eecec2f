"""The intent: rows of a window are committed to be sent, in one short transaction. From then on each is ambiguous until proved.

Everything that may still forbid a send (the rules of the gate, pause, cancel, kill switches, expiry) is read within the moment
before or counted in here, and the fence – the batch's epoch and the life left in its lease – is part of it.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import connection, transaction

from apps.campaigns.pipeline import canary, gate
from apps.campaigns.pipeline.columns import numbers, texts
from apps.campaigns.pipeline.doubt import in_doubt
from apps.campaigns.pipeline.order import Item, LeaseLost, NotNow, Order, Window
from apps.campaigns.pipeline.stops import STOPPED
from apps.channels.prices import PRICE_AT
from apps.partners.counting import Taken, give_back
from ums_site.clock import boottime
from ums_site.failpoints import failpoint

FENCE = """
UPDATE campaigns_batch b SET lease_until = now() + make_interval(secs => %s)
FROM campaigns_campaign c, ums_channels_channelaccount a
WHERE b.id = %s AND b.epoch = %s AND b.state = 'LEASED' AND b.lease_until > now() + make_interval(secs => %s)
  AND c.id = b.campaign_id AND a.id = b.account_id
RETURNING c.state, a.state, a.open_until > now() AND NOT (b.lane = 'otp' AND a.faults = 0),
       c.expires_at <= now(), now(), coalesce({price}, a.price), {stopped}
""".format(stopped=STOPPED, price=PRICE_AT.format(account="a.id", message_class="c.message_class", at="now()"))
INTEND = """
WITH v AS (
    SELECT * FROM unnest(%s::bigint[], %s::smallint[], %s::text[], %s::text[], %s::bigint[], %s::smallint[])
    AS v(id, number, key, shown, call_ref, pieces)
), started AS (
    UPDATE campaigns_delivery d
    SET state = 'SENDING', epoch = %s, attempts = v.number, burnt = burnt + 1, provider_key = v.key, call_ref = v.call_ref,
        first_intent_at = coalesce(first_intent_at, now()), held_until = NULL, reason = '', pieces = v.pieces
    FROM v WHERE d.id = v.id AND d.batch_id = %s AND d.state IN ('PENDING', 'HELD') AND d.id BETWEEN %s AND %s
    RETURNING d.id, v.number, d.epoch, v.shown
)
INSERT INTO campaigns_attempt (delivery_id, number, epoch, key, intent_at)
SELECT id, number, epoch, shown, now() FROM started RETURNING delivery_id
"""
NOT_SENT = """
UPDATE campaigns_delivery d SET state = CASE WHEN v.state <> 'HELD' AND {in_doubt} THEN 'UNKNOWN_FINAL' ELSE v.state END,
       reason = v.reason, held_until = v.held_until, epoch = %s
FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::timestamptz[]) AS v(id, state, reason, held_until)
WHERE d.id = v.id AND d.batch_id = %s AND d.state IN ('PENDING', 'HELD') AND d.id BETWEEN %s AND %s
""".format(in_doubt=in_doubt("d"))


def intend(order: Order, groups: list[list[Item]], not_sent: list[Item]) -> Window:
    """Commits the intent for `groups` and the refusals of `not_sent`. Raises LeaseLost or NotNow, then nothing is written."""
    timers, batch = settings.UMS_TIMERS, order.batch
    began = boottime()
    with transaction.atomic(), connection.cursor() as cursor:
        room = None
        if order.campaign.canary_left is not None:
            room = canary.lock_left(cursor, order.campaign.pk)
        cursor.execute(FENCE, [timers.lease, batch.pk, batch.epoch, timers.lease_margin])
        held = cursor.fetchone()
        if held is None:
            raise LeaseLost
        campaign_state, account_state, breaker_open, expired, now, price, stopped_by_hand = held
        if campaign_state == "PAUSED" or (stopped_by_hand and campaign_state != "CANCELLED"):
            raise NotNow("READY")
        if account_state != "ACTIVE" or breaker_open:  # also where another sender has opened it since the lease
            raise NotNow("READY")
        stopped = "expired" if expired else "campaign_cancelled" if campaign_state == "CANCELLED" else ""
        if stopped:
            not_sent = not_sent + [item for group in groups for item in group]
            groups = []
        if room is not None:
            groups = _within(groups, room)
        gate.take(cursor, gate.Asked(order, now, price), [item for group in groups for item in group])
        not_sent = not_sent + [item for group in groups for item in group if not item.sendable]
        groups = [[item for item in group if item.sendable] for group in groups]
        _write_not_sent(cursor, order, not_sent, stopped)
        gate.note_marks(cursor, order, [] if stopped else not_sent)  # what is over is neither held nor judged
        started = _write_intents(cursor, order, [group for group in groups if group])
        give_back(cursor, _taken_in_vain(groups, started))
        if room is not None:
            firsts = [item for group in groups for item in group if item.number == 1 and item.delivery_id in started]
            canary.use(cursor, order.campaign.pk, len(firsts))
        failpoint("intent_before_commit")
    kept = [[item for item in group if item.delivery_id in started] for group in groups]
    return Window([group for group in kept if group], began + timers.start_by, now, price)


def _within(groups: list[list[Item]], room: int) -> list[list[Item]]:
    """Without the first tries that the canary has no room for: they keep their turn."""
    firsts = [item.delivery_id for group in groups for item in group if item.number == 1 and item.sendable]
    late = set(firsts[room:])
    return [[item for item in group if item.delivery_id not in late] for group in groups]


def _taken_in_vain(groups: list[list[Item]], started: set[int]) -> list[Taken]:
    return [one for group in groups for item in group if item.delivery_id not in started for one in item.took]


def _write_intents(cursor: Any, order: Order, groups: list[list[Item]]) -> set[int]:
    if not groups:
        return set()
    items = [item for group in groups for item in group]
    refs = [group[0].delivery_id if len(group) > 1 else None for group in groups for _item in group]
    ids = [item.delivery_id for item in items]
    columns = [
        numbers(ids),
        numbers([item.number for item in items]),
        texts([item.key for item in items]),
        texts([item.envelope.key if item.envelope else "" for item in items]),
        numbers(refs),
        numbers([item.pieces for item in items]),
    ]
    cursor.execute(INTEND, [*columns, order.batch.epoch, order.batch.pk, min(ids), max(ids)])
    return {row[0] for row in cursor.fetchall()}


def _write_not_sent(cursor: Any, order: Order, items: list[Item], stopped: str) -> None:
    if not items:
        return
    ids = [item.delivery_id for item in items]
    states = [_state_of(item, stopped) for item in items]
    reasons = [stopped or item.refused or item.cancelled or item.held for item in items]
    held = [None if stopped else item.held_until for item in items]
    cursor.execute(NOT_SENT, [order.batch.epoch, ids, states, reasons, held, order.batch.pk, min(ids), max(ids)])


def _state_of(item: Item, stopped: str) -> str:
    if stopped or item.cancelled:
        return "CANCELLED"
    return "REJECTED" if item.refused else "HELD"
