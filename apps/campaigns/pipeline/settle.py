"""Settle: messages whose deliveries moved are decided – the next step is planned, they wait, or they are final.

The message rows are locked before the facts are read, so of two workers that move different deliveries of one message
the later one sees both. Everything runs in the caller's transaction, together with what moved the deliveries.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from apps.campaigns.ambiguity import History, after_unknown_window
from apps.campaigns.models import Batch, Campaign
from apps.campaigns.pipeline.columns import numbers, texts
from apps.campaigns.pipeline.decisions import Decided, note
from apps.campaigns.pipeline.doubt import in_doubt
from apps.campaigns.pipeline.offline import KEPT, end_kept, keep
from apps.campaigns.pipeline.plan import loaded_plan, plan_steps
from apps.campaigns.policy import Plan
from apps.campaigns.reasons import message_reason, message_state
from apps.campaigns.states import MessageClass
from apps.campaigns.strategy import DeliveryFacts, Go, Hold, Stop, next_step, quiet_end
from apps.channels.contract import Capabilities
from apps.channels.models import ChannelAccount
from apps.channels.registry import adapter
from ums_site.clock import transaction_now
from ums_site.database import again_after_deadlock
from ums_site.ids import SHIFT, first_id_at, first_row_id

Facts = dict[int, list[DeliveryFacts]]
CHUNK = 2000
FIRST_POLL = timedelta(seconds=2)
POLL_BEFORE = timedelta(seconds=1.5)  # a decision that waits for a receipt is preceded by a question
POLL_GAP = timedelta(seconds=0.4)
CLOCKS_APART = timedelta(minutes=5)  # ids carry wall-clock time; this bounds the partitions that are read


def settle(campaign: Campaign, message_ids: Iterable[int], now: datetime) -> datetime | None:
    """Decides these messages of one campaign; returns when the next of those that wait must be looked at again."""
    ids = sorted(set(message_ids))
    waits = [_settle_chunk(campaign, ids[start : start + CHUNK], now) for start in range(0, len(ids), CHUNK)]
    return min((wait for wait in waits if wait is not None), default=None)


def _settle_chunk(campaign: Campaign, ids: Sequence[int], now: datetime) -> datetime | None:
    last = len(loaded_plan(campaign).steps)
    steps = _locked_steps(ids, last)
    if not steps:
        return None
    facts = _facts(campaign, sorted(steps), now)
    go, stops, wait = _decide(campaign, steps, facts, now)
    wanted = {message_id: decision.step for message_id, decision in go.items()}
    planned = plan_steps(campaign, wanted, _used(loaded_plan(campaign), wanted, facts))
    _note_reissues(steps, go, planned)
    lost = wanted.keys() - planned.keys()
    if lost:
        _exhaust(lost, last)
        more_go, more_stops, more_wait = _decide(campaign, dict.fromkeys(lost, last), facts, now)
        assert not more_go
        stops |= more_stops
        wait = min((one for one in (wait, more_wait) if one is not None), default=None)
    _finish(keep(campaign, stops, facts), facts)
    return wait


def _used(plan: Plan, wanted: Mapping[int, int], facts: Facts) -> dict[int, int]:
    """Message -> bits of the slots that it may not take at its step: all but the alternatives that are left there."""
    found: dict[int, int] = {}
    if not plan.chooses:
        return found
    for message_id, number in wanted.items():
        if number < len(plan.steps):
            step = plan.steps[number]
            tried = {one.channel.slot for one in facts[message_id] if one.step == number}
            if tried:
                found[message_id] = sum(one.bit for one in set(step.channels) - set(step.alternatives(tried)))
    return found


def _note_reissues(steps: Mapping[int, int], go: Mapping[int, Go], planned: Mapping[int, int]) -> None:
    """The ledger's lines for messages that go on: with what of which step, and why; or that nothing further reaches them."""
    lines = []
    for message_id, one in go.items():
        step = planned.get(message_id, one.step)
        rule = "alternative" if step == steps[message_id] else "reissue"
        lines.append(Decided(message_id, rule, "go" if message_id in planned else "stop", step, one.reason))
    with connection.cursor() as cursor:
        note(cursor, lines)


def _locked_steps(ids: Sequence[int], last: int) -> dict[int, int]:
    """Message id -> step, locked. Those given up or kept stand behind the last step: only news can change them."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id, CASE WHEN state = 'ACTIVE' AND reason <> '{KEPT}' THEN step ELSE %s END FROM campaigns_message "
            "WHERE id = ANY(%s::bigint[]) AND id BETWEEN %s AND %s "
            "AND state IN ('ACTIVE', 'UNKNOWN', 'FAILED', 'EXPIRED', 'CANCELLED') ORDER BY id FOR UPDATE",
            [last, numbers(ids), ids[0], ids[-1]] if ids else [last, numbers([]), 0, 0],
        )
        return dict(cursor.fetchall())


FACTS = """
SELECT message_id, step, account_id, state, accepted_at, reason FROM campaigns_delivery
WHERE message_id = ANY(%s::bigint[]) AND id > %s AND id < %s
"""


def _facts(campaign: Campaign, ids: Sequence[int], now: datetime) -> Facts:
    """The deliveries of each message; a delivery is younger than its message, which bounds the partitions read."""
    plan = loaded_plan(campaign)
    channels = {(step.number, one.account_id): one for step in plan.steps for one in step.channels}
    windows = dict(ChannelAccount.objects.filter(pk__in=plan.account_ids()).values_list("pk", "receipt_window"))
    facts: Facts = {one: [] for one in ids}
    with connection.cursor() as cursor:
        cursor.execute(FACTS, [numbers(ids), ids[0], first_id_at(now + CLOCKS_APART)])
        for message_id, step, account_id, state, accepted_at, reason in cursor.fetchall():
            channel = channels[step, account_id]
            facts[message_id].append(DeliveryFacts(step, channel, state, accepted_at, windows[account_id], reason))
    return facts


def _decide(
    campaign: Campaign, steps: dict[int, int], facts: Facts, now: datetime
) -> tuple[dict[int, Go], dict[int, Stop], datetime | None]:
    plan, message_class = loaded_plan(campaign), MessageClass(campaign.message_class)
    over = campaign.expires_at is not None and campaign.expires_at <= now
    go: dict[int, Go] = {}
    stops: dict[int, Stop] = {}
    waits: list[datetime] = []
    for message_id, step in steps.items():
        held = facts[message_id]
        decision = next_step(step, held, plan, message_class, now)
        if isinstance(decision, Go) and (over or campaign.state == "CANCELLED"):
            decision = next_step(len(plan.steps), held, plan, message_class, now)
        match decision:
            case Go():
                go[message_id] = decision
            case Stop():
                stops[message_id] = decision
            case Hold():
                waits += _looks(decision, held, plan, now)
    return go, stops, min(waits, default=None)


def _looks(hold: Hold, held: Sequence[DeliveryFacts], plan: Plan, now: datetime) -> list[datetime]:
    quiet = [end for one in held if (end := quiet_end(one, plan)) is not None and end > now]
    return quiet + ([hold.until] if hold.until is not None else [])


def _exhaust(ids: Collection[int], last: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE campaigns_message SET step = %s WHERE id = ANY(%s::bigint[]) AND id BETWEEN %s AND %s",
            [last, sorted(ids), min(ids), max(ids)],
        )


FINISH = """
UPDATE campaigns_message m SET state = v.state, reason = v.reason, finished_at = now()
FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS v(id, state, reason)
WHERE m.id = v.id AND m.id BETWEEN %s AND %s AND m.state <> v.state
  AND (m.state = 'ACTIVE' OR v.state = 'SUCCEEDED' OR (m.state = 'UNKNOWN' AND v.state = 'FAILED'))
"""
# Rule 1 of strategy.py as SQL over the deliveries that a statement just `moved`: where one arrived, its message
# succeeded, whatever the plan, the step, the class and the other deliveries say. Campaigns that want more of somebody
# than that it arrives are `strict`, and left to `settle`.
SUCCEED = """
UPDATE campaigns_message m SET state = 'SUCCEEDED', reason = '', finished_at = now()
FROM (SELECT DISTINCT message_id FROM moved
      WHERE state IN ('DELIVERED', 'READ', 'CLICKED') AND campaign_id <> ALL(%(strict)s::bigint[]) ORDER BY message_id) a
WHERE m.id = a.message_id AND m.id BETWEEN %(oldest)s AND %(newest)s
  AND m.state IN ('ACTIVE', 'UNKNOWN', 'FAILED', 'EXPIRED', 'CANCELLED')
RETURNING m.campaign_id, m.id
"""
CALL_OFF = f"""
UPDATE campaigns_delivery d SET state = CASE WHEN {in_doubt("d")} THEN 'UNKNOWN_FINAL' ELSE 'CANCELLED' END,
       reason = %s
WHERE message_id = ANY(%s::bigint[]) AND id > %s AND state IN ('PENDING', 'HELD')
"""


def _finish(stops: dict[int, Stop], facts: Facts) -> None:
    """Makes messages final and calls off what was still waiting for them."""
    if not stops:
        return
    ids = sorted(stops)
    verdicts = [_verdict(stops[one], facts[one]) for one in ids]
    with connection.cursor() as cursor:
        states, reasons = texts([v.state for v in verdicts]), texts([v.reason for v in verdicts])
        cursor.execute(FINISH, [numbers(ids), states, reasons, ids[0], ids[-1]])
    call_off([one for one in ids if any(held.state in ("PENDING", "HELD") for held in facts[one])])


def call_off(message_ids: Collection[int], reason: str = "no_longer_needed") -> int:
    """Deliveries of these messages that still wait are never sent; how many. The caller has locked the messages."""
    if not message_ids:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(CALL_OFF, [reason, sorted(message_ids), min(message_ids)])
        return int(cursor.rowcount)


def give_up(campaign: Campaign, message_id: int, reason: str, now: datetime) -> int:
    """Sends nothing more for a message, which waits only for news of what was sent; how many deliveries it called off.

    Call inside a transaction that has locked the message.
    """
    called_off = call_off([message_id], reason) + end_kept([message_id], "DISCARDED", message_state(reason), reason)
    _exhaust({message_id}, len(loaded_plan(campaign).steps))
    settle(campaign, [message_id], now)
    return called_off


def _verdict(stop: Stop, held: Sequence[DeliveryFacts]) -> Stop:
    """Where every delivery was called off rather than refused, the message is named by what called it off."""
    if stop.state != "FAILED" or not held or any(one.state != "CANCELLED" for one in held):
        return stop
    reasons = [one.reason for one in sorted(held, key=lambda one: one.step) if one.reason != "failover"]
    return Stop(message_state(reasons[-1]), message_reason(reasons[-1])) if reasons else stop


CLOSE = """
UPDATE campaigns_delivery d SET state = 'CLOSED', reason = 'receipt_window_over'
FROM ums_channels_channelaccount a
WHERE d.batch_id = %s AND d.id BETWEEN %s AND %s AND d.state = 'ACCEPTED' AND a.id = d.account_id
  AND d.accepted_at + a.receipt_window <= now()
"""
OPEN_ENDS = """
SELECT min(d.accepted_at + a.receipt_window) FILTER (WHERE d.state = 'ACCEPTED'),
       min(greatest(d.first_intent_at + a.unknown_window, now() + interval '5 s')) FILTER (WHERE d.state = 'UNKNOWN'),
       bool_or(d.state = 'UNKNOWN'), bool_or(d.state = 'ACCEPTED' OR (%s AND d.state = 'DELIVERED'))
FROM campaigns_delivery d JOIN ums_channels_channelaccount a ON a.id = d.account_id
WHERE d.batch_id = %s AND d.id BETWEEN %s AND %s
"""


def settle_batch(batch: Batch) -> None:
    """Closes and decides what is behind one batch, and notes when it must be looked at again. One transaction."""
    place = [batch.pk, batch.first_delivery_id, batch.last_delivery_id]
    asks = adapter(ChannelAccount.objects.only("kind").get(pk=batch.account_id).kind).capabilities
    reads = asks.reports_read and loaded_plan(batch.campaign).strict  # news after the delivered receipt decides as well
    reopened = False
    with connection.cursor() as cursor:
        now = transaction_now()
        cursor.execute(OPEN_ENDS, [reads, *place])
        receipts_end, unknown_end, unknown, accepted = cursor.fetchone()
        closing = receipts_end is not None and receipts_end <= now
        if closing:
            cursor.execute(CLOSE, place)
        if unknown:
            reopened = _close_unknown(batch, asks, now)
        wait = settle(batch.campaign, _undecided(batch), now)
        if closing or unknown:
            cursor.execute(OPEN_ENDS, [reads, *place])
            receipts_end, unknown_end, unknown, accepted = cursor.fetchone()
        look_at = min((one for one in (wait, receipts_end, unknown_end) if one is not None), default=None)
        poll = (accepted and asks.receipts.polled) or (unknown and asks.can_query)
        cursor.execute(
            "UPDATE campaigns_batch SET follow_up_at = %s, poll_at = CASE WHEN %s THEN coalesce(poll_at, %s) END, "
            "state = CASE WHEN %s AND state = 'DONE' THEN 'READY' ELSE state END, "
            "not_before = CASE WHEN %s THEN least(not_before, now()) ELSE not_before END WHERE id = %s",
            [look_at, bool(poll), _first_poll(now, look_at), reopened, reopened, batch.pk],
        )


# Rule 1 of strategy.py as SQL, for a plan whose only channel is done once it accepted: its messages have one delivery
# each, and those that came to anything else are left to `settle`.
REACHED = """
WITH reached AS (
    UPDATE campaigns_message m SET state = 'SUCCEEDED', reason = '', finished_at = now()
    FROM campaigns_delivery d
    WHERE d.batch_id = %(batch)s AND d.id BETWEEN %(first)s AND %(last)s
      AND d.state IN ('ACCEPTED', 'CLOSED', 'DELIVERED', 'READ', 'CLICKED')
      AND m.id = d.message_id AND m.id BETWEEN %(oldest)s AND %(newest)s
      AND m.state IN ('ACTIVE', 'UNKNOWN', 'FAILED', 'EXPIRED', 'CANCELLED')
)
SELECT message_id FROM campaigns_delivery
WHERE batch_id = %(batch)s AND id BETWEEN %(first)s AND %(last)s
  AND state NOT IN ('ACCEPTED', 'CLOSED', 'DELIVERED', 'READ', 'CLICKED')
"""
ALL_OF = "SELECT message_id FROM campaigns_delivery WHERE batch_id = %(batch)s AND id BETWEEN %(first)s AND %(last)s"


def _undecided(batch: Batch) -> list[int]:
    """The batch's messages that `settle` must decide; where acceptance is all, those accepted succeed here at once."""
    plan = loaded_plan(batch.campaign)
    at_once = len(plan.channels()) == 1 and plan.steps[0].until == "accepted"
    values = {
        "batch": batch.pk,
        "first": batch.first_delivery_id,
        "last": batch.last_delivery_id,
        "oldest": first_row_id(batch.campaign_id),
        "newest": batch.last_delivery_id + (int(CLOCKS_APART.total_seconds() * 1000) << SHIFT),
    }
    with connection.cursor() as cursor:
        cursor.execute(REACHED if at_once else ALL_OF, values)
        return [row[0] for row in cursor.fetchall()]


def _first_poll(now: datetime, look_at: datetime | None) -> datetime:
    """Two seconds on, or well before the next decision where that comes sooner."""
    if look_at is None:
        return now + FIRST_POLL
    return min(now + FIRST_POLL, max(now + POLL_GAP, look_at - POLL_BEFORE))


def _close_unknown(batch: Batch, capabilities: Capabilities, now: datetime) -> bool:
    """Unknown deliveries whose window is over become final, or are repeated where the class allows; True if any is."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT d.id, d.burnt, d.first_intent_at FROM campaigns_delivery d "
            "JOIN ums_channels_channelaccount a ON a.id = d.account_id WHERE d.batch_id = %s AND d.id BETWEEN %s AND %s "
            "AND d.state = 'UNKNOWN' AND coalesce((SELECT max(t.intent_at) FROM campaigns_attempt t "
            "WHERE t.delivery_id = d.id), now()) + a.unknown_window <= now()",
            [batch.pk, batch.first_delivery_id, batch.last_delivery_id],
        )
        over = cursor.fetchall()
        decided = [_unknown_over(batch.campaign, capabilities, row, now) for row in over]
        if decided:
            cursor.execute(
                "UPDATE campaigns_delivery d SET state = v.state, reason = v.reason, held_until = now(), "
                "may_duplicate = d.may_duplicate OR v.stamp "
                "FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::boolean[]) AS v(id, state, reason, stamp) "
                "WHERE d.id = v.id AND d.state = 'UNKNOWN'",
                [list(column) for column in zip(*decided, strict=True)],
            )
    return any(state == "HELD" for _id, state, _reason, _stamp in decided)


def _unknown_over(
    campaign: Campaign, capabilities: Capabilities, row: Sequence[Any], now: datetime
) -> tuple[int, str, str, bool]:
    delivery_id, burnt, first_intent_at = row
    history = History(burnt, first_intent_at or now, campaign.expires_at, 0.0)
    decided = after_unknown_window(capabilities, MessageClass(campaign.message_class), history, now)
    return delivery_id, decided.state, decided.reason, decided.stamp


@again_after_deadlock
def follow_up_next(lane: str) -> bool:
    """Looks at one batch of the lane whose time has come; False where none is due."""
    with transaction.atomic():
        batch = (
            Batch.objects.select_for_update(skip_locked=True, of=("self",))
            .select_related("campaign")
            .filter(lane=lane, follow_up_at__lte=transaction_now())
            .order_by("follow_up_at")
            .first()
        )
        if batch is None:
            return False
        settle_batch(batch)
    return True
