"""Failover: what waits for a vendor that has been out of order for a while goes over another vendor of the same channel.

Beat notes since when an account is in trouble (paused, its breaker not closed, it or its kind under a stop switch). Once
that is longer than the channel's `failover_seconds` and another vendor of the group is healthy, the deliveries that surely
were not sent are called off and planned anew over a healthy vendor that the message has not tried – call-off and plan in one
transaction, under the lock of their batch, which must not be leased nor have rows that a dead worker left. Twice, or by two
beats at once, it moves nothing further; whoever may have the message keeps the delivery that they may have it from.

Where no vendor can take over, and the step waits `wait_seconds` until *accepted*, what has waited that long for an account
in trouble is called off as well, and the next step follows. Pace, quiet hours and a paused campaign are no trouble.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from django.db import connection, transaction

from apps.campaigns.models import Batch, Campaign
from apps.campaigns.pipeline.choice import HEALTHY, healthy_accounts
from apps.campaigns.pipeline.decisions import Decided, note
from apps.campaigns.pipeline.doubt import in_doubt
from apps.campaigns.pipeline.loaded import loaded_plan
from apps.campaigns.pipeline.plan import emit_deliveries, fill_from_messages
from apps.campaigns.pipeline.settle import settle
from apps.campaigns.policy import Plan, Step, StepChannel
from ums_site.clock import transaction_now
from ums_site.failpoints import failpoint
from ums_site.ids import first_id_at, first_row_id

AT_ONCE = 20  # batches a beat moves: it has other things to do as well
NOTE_TROUBLE = f"""
INSERT INTO campaigns_accounttrouble (account_id, since)
SELECT a.id, now() FROM ums_channels_channelaccount a WHERE NOT ({HEALTHY}) OR a.faults > 0 ON CONFLICT DO NOTHING
"""
FORGET_TROUBLE = f"""
DELETE FROM campaigns_accounttrouble t USING ums_channels_channelaccount a
WHERE a.id = t.account_id AND {HEALTHY} AND a.faults = 0
"""
# Not those whose breaker lets one call through just now: it may show that the account works again.
IN_TROUBLE = f"""
SELECT t.account_id, extract(epoch FROM now() - t.since)::float8
FROM campaigns_accounttrouble t JOIN ums_channels_channelaccount a ON a.id = t.account_id WHERE NOT ({HEALTHY})
"""
WAITING = """
SELECT b.campaign_id, b.step, b.account_id, array_agg(b.id ORDER BY b.id)
FROM campaigns_batch b JOIN campaigns_campaign c ON c.id = b.campaign_id AND c.state IN ('EXPANDING', 'RUNNING')
WHERE b.state = 'READY' AND b.suspect_at IS NULL AND b.account_id = ANY(%s)
  AND (c.plan @? '$.steps[*].channels[*].group' OR c.plan @? '$.steps[*] ? (@.until == "accepted" && @.wait_seconds > 0)')
GROUP BY 1, 2, 3
"""
# Waits for the account, and surely was not sent: not tried, or every try was refused for certain.
MOVABLE = f"""
d.batch_id = %(batch)s AND d.id BETWEEN %(first)s AND %(last)s AND d.id < %(before)s AND d.accepted_at IS NULL
AND d.provider_key = '' AND d.provider_id = '' AND NOT d.may_duplicate AND NOT {in_doubt("d")}
AND (d.state = 'PENDING' OR (d.state = 'HELD'
     AND split_part(d.reason, ':', 1) IN ('account', 'token', 'throttled', 'unavailable', 'not_started')))
"""
LOCK_MESSAGES = f"""
SELECT m.id FROM campaigns_message m
WHERE m.id IN (SELECT d.message_id FROM campaigns_delivery d WHERE {MOVABLE})
  AND m.id BETWEEN %(oldest)s AND %(last)s AND m.state = 'ACTIVE' AND m.step = %(step)s ORDER BY m.id FOR UPDATE
"""
TRIED = """
SELECT message_id, account_id FROM campaigns_delivery
WHERE message_id = ANY(%s) AND step = %s AND id >= %s
"""
CALL_OFF = f"""
UPDATE campaigns_delivery d SET state = 'CANCELLED', reason = %(reason)s, held_until = NULL
WHERE {MOVABLE} AND d.message_id = ANY(%(ids)s) RETURNING d.message_id
"""
CAN_MOVE = "SELECT message_id FROM planning WHERE step = %s"
DONE = """
UPDATE campaigns_batch b SET state = 'DONE' WHERE b.id = %(batch)s AND NOT EXISTS (
    SELECT 1 FROM campaigns_delivery d WHERE d.batch_id = b.id AND d.id BETWEEN %(first)s AND %(last)s
    AND d.state IN ('PENDING', 'HELD'))
"""


class Ailing(NamedTuple):
    """Batches of one campaign that wait for the account of `slot`, and the healthy vendors that could take over.

    Where there are none, the rows that have waited for `patience` give way to the next step.
    """

    batches: list[int]
    step: Step
    slot: StepChannel
    others: frozenset[int]
    patience: timedelta = timedelta(0)


def fail_over() -> int:
    """Moves what waits for vendors in trouble; how many batches it moved something of. Any number may call it at once."""
    with connection.cursor() as cursor:
        cursor.execute(FORGET_TROUBLE)
        cursor.execute(NOTE_TROUBLE)
        cursor.execute(IN_TROUBLE)
        seconds = dict(cursor.fetchall())
    moved = 0
    for ailing in _ailing(seconds) if seconds else ():
        for batch_id in ailing.batches:
            moved += _move(batch_id, ailing)
            if moved >= AT_ONCE:
                return moved
    return moved


def _ailing(seconds: Mapping[int, float]) -> Iterator[Ailing]:
    """What has waited long enough and can go elsewhere; `seconds` says how long each account has been in trouble."""
    with connection.cursor() as cursor:
        cursor.execute(WAITING, [list(seconds)])
        rows = cursor.fetchall()
    campaigns = Campaign.objects.only("id", "plan").in_bulk({row[0] for row in rows})
    for campaign_id, number, account_id, batches in rows:
        plan = loaded_plan(campaigns[campaign_id])
        slot, step = plan.channel_of(number, account_id), plan.steps[number]
        others = _healthy_others(step, slot)
        if others and seconds[account_id] >= slot.failover_seconds:
            yield Ailing(batches, step, slot, others)
        elif not others and _gives_way(plan, step, seconds[account_id]):
            yield Ailing(batches, step, slot, others, step.wait or timedelta(0))


def _healthy_others(step: Step, slot: StepChannel) -> frozenset[int]:
    if slot.group is None:
        return frozenset()
    vendors = {one.account_id for one in step.channels if one.group == slot.group}
    return frozenset(healthy_accounts(vendors - {slot.account_id}))


def _gives_way(plan: Plan, step: Step, seconds: float) -> bool:
    """Whether the step is lost once its account was in trouble for that long; the last one waits on."""
    if step.until != "accepted" or step.wait is None or seconds < step.wait.total_seconds():
        return False
    return step is not plan.steps[-1] or (step.mode == "smart" and step.chooses)


@transaction.atomic
def _move(batch_id: int, ailing: Ailing) -> bool:
    """Moves what can be moved of one batch, unless somebody has it in hand; whether anything was."""
    batch = (
        Batch.objects.select_for_update(skip_locked=True, of=("self",))
        .select_related("campaign")
        .filter(pk=batch_id, state="READY", suspect_at__isnull=True)
        .first()
    )
    if batch is None:
        return False
    now = transaction_now()
    place = {
        "batch": batch.pk,
        "first": batch.first_delivery_id,
        "last": batch.last_delivery_id,
        "oldest": first_row_id(batch.campaign_id),
        "before": first_id_at(now - ailing.patience),
        "step": batch.step,
    }
    with connection.cursor() as cursor:
        cursor.execute(LOCK_MESSAGES, place)
        ids = [row[0] for row in cursor.fetchall()]
        if not ids:
            return False
        if ailing.others:
            moved = _to_other_vendors(cursor, batch, ailing, ids, place)
        else:
            cursor.execute(CALL_OFF, place | {"ids": ids, "reason": "not_accepted_in_time"})
            moved = [row[0] for row in cursor.fetchall()]
            settle(batch.campaign, moved, now)
        cursor.execute(DONE, place)
        failpoint("failover_before_commit")
    return bool(moved)


def _to_other_vendors(cursor: Any, batch: Batch, ailing: Ailing, ids: list[int], place: Mapping[str, Any]) -> list[int]:
    """Plans these messages, as far as another vendor reaches them, once more; returns which."""
    fill_from_messages(batch.campaign, dict.fromkeys(ids, batch.step), _closed(cursor, ids, batch, ailing))
    cursor.execute(CAN_MOVE, [batch.step])
    reached = [row[0] for row in cursor.fetchall()]
    cursor.execute(CALL_OFF, {**place, "ids": reached, "reason": "failover"})
    moved = [row[0] for row in cursor.fetchall()]
    cursor.execute("DELETE FROM planning WHERE message_id <> ALL(%s)", [moved])
    emit_deliveries(batch.campaign)
    note(cursor, [Decided(one, "failover", "go", batch.step, f"from={ailing.slot.account}") for one in moved])
    return moved


def _closed(cursor: Any, ids: list[int], batch: Batch, ailing: Ailing) -> dict[int, int]:
    """Message -> bits of the slots that it may not take: all but healthy vendors of this group that it has not tried."""
    open_slots = {one.account_id: one.bit for one in ailing.step.channels if one.group == ailing.slot.group}
    open_slots = {account: bit for account, bit in open_slots.items() if account in ailing.others}
    every = sum(one.bit for one in ailing.step.channels)
    closed = dict.fromkeys(ids, every & ~sum(open_slots.values()))
    cursor.execute(TRIED, [ids, batch.step, first_row_id(ids[0])])
    for message_id, account_id in cursor.fetchall():
        closed[message_id] |= open_slots.get(account_id, 0)
    return closed
