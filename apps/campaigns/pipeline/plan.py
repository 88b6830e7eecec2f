"""Plan: messages that stand in the temporary table `planning` get the deliveries of their step, in batches.

`planning` holds, for each message, the bindings that reach its recipient: one place per slot of the frozen plan, null
where that channel does not. Filling it (from an audience chunk, or from messages whose step was lost) and emitting
deliveries from it are set-based; a step costs a handful of statements whatever the number of messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connection

from apps.campaigns.models import Campaign
from apps.campaigns.policy import Plan, StepChannel, load
from apps.users.audience import address_blocked_condition

BATCH_SIZE = 500

CREATE = """
CREATE TEMP TABLE IF NOT EXISTS planning (
    message_id bigint NOT NULL, recipient_id bigint, target_binding bigint, state text NOT NULL, reason text NOT NULL,
    step smallint, bindings bigint[] NOT NULL
) ON COMMIT DELETE ROWS
"""


def clear_planning() -> None:
    """Makes the table for this session where needed and empties it; call inside the transaction that fills it."""
    with connection.cursor() as cursor:
        cursor.execute(CREATE)
        cursor.execute("TRUNCATE planning")


def reach_sql(plan: Plan, campaign: Campaign, people: str, parameters: Sequence[Any]) -> tuple[str, list[Any]]:
    """Joins that give, for each slot k, a column `slot<k>.binding_id`, for the recipients that the SQL `people` names.

    `people` is a condition over alias b (users_binding), such as `b.recipient_id BETWEEN %s AND %s`: both sides of the
    join are bounded by it. Per address kind and scope the most specific binding wins, then the newest.
    """
    joins, values = [], []
    for channel in plan.channels():
        blocked, blocked_values = address_blocked_condition(campaign.business_line_id)
        tag = " AND %s = ANY(r.tags)" if channel.only_tag else ""
        joins.append(
            f"""LEFT JOIN (
                SELECT DISTINCT ON (b.recipient_id) b.recipient_id, b.id AS binding_id FROM users_binding b
                WHERE {people} AND b.address_kind = %s AND b.state = 'ACTIVE'
                  AND (b.scope = 'everywhere' OR (b.scope = 'business_line' AND b.scope_id = %s)
                       OR (b.scope = 'account' AND b.scope_id = %s))
                  AND NOT ({blocked})
                ORDER BY b.recipient_id, array_position(ARRAY['account', 'business_line', 'everywhere'], b.scope::text),
                         b.id DESC
            ) slot{channel.slot} ON slot{channel.slot}.recipient_id = r.id{tag}"""
        )
        values += [*parameters, channel.address_kind, campaign.business_line_id, channel.account_id, *blocked_values]
        values += [channel.only_tag] if channel.only_tag else []
    return "\n".join(joins), values


def slots_array(plan: Plan) -> str:
    """The SQL array of all slots' bindings, as `planning.bindings` holds them."""
    return "ARRAY[" + ", ".join(f"slot{channel.slot}.binding_id" for channel in plan.channels()) + "]::bigint[]"


def first_step_sql(plan: Plan, start: str = "0") -> str:
    """SQL over `bindings`: the first step from `start` on that reaches the person, null where none does."""
    cases = []
    for step in plan.steps:
        reached = " OR ".join(f"bindings[{channel.slot + 1}] IS NOT NULL" for channel in step.channels)
        cases.append(f"WHEN {step.number} >= {start} AND ({reached}) THEN {step.number}")
    return f"CASE {' '.join(cases)} END"


def emit_deliveries(campaign: Campaign, plan: Plan) -> int:
    """Writes deliveries and batches for the rows of `planning` in state ACTIVE at their step; returns how many.

    Batches of one slot hold at most BATCH_SIZE deliveries. A paced campaign's batches start one after another.
    """
    return sum(
        _emit_slot(campaign, channel, step.mode, [c.slot for c in step.channels if c.slot < channel.slot])
        for step in plan.steps
        for channel in step.channels
    )


EMIT = """
WITH chosen AS (
    SELECT message_id, recipient_id, bindings[%(place)s] AS binding_id, row_number() OVER () - 1 AS number
    FROM planning WHERE state = 'ACTIVE' AND step = %(step)s AND bindings[%(place)s] IS NOT NULL {earlier}
), made AS (
    INSERT INTO campaigns_delivery (id, message_id, campaign_id, batch_id, account_id, recipient_id, binding_id, step)
    SELECT ums_id(), message_id, %(campaign)s, %(first_batch)s + number / %(size)s, %(account)s, recipient_id, binding_id, %(step)s
    FROM chosen RETURNING id, batch_id
)
INSERT INTO campaigns_batch (id, campaign_id, account_id, step, lane, priority, state, not_before, first_delivery_id,
                             last_delivery_id, size, owner, epoch)
SELECT batch_id, %(campaign)s, %(account)s, %(step)s, %(lane)s, %(priority)s, %(state)s,
       {not_before}, min(id), max(id), count(*), '', 0
FROM made GROUP BY batch_id
RETURNING size
"""


def _emit_slot(campaign: Campaign, channel: StepChannel, mode: str, earlier_slots: list[int]) -> int:
    step = next(s.number for s in load_cached(campaign).steps if channel in s.channels)
    earlier = ""
    if mode == "first" and earlier_slots:
        earlier = "".join(f" AND bindings[{slot + 1}] IS NULL" for slot in earlier_slots)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM planning WHERE state = 'ACTIVE' AND step = %s", [step])
        most = cursor.fetchone()[0]
        if not most:
            return 0
        values = {
            "place": channel.slot + 1,
            "step": step,
            "campaign": campaign.pk,
            "account": channel.account_id,
            "first_batch": _reserve_batch_ids(cursor, -(-most // BATCH_SIZE)),
            "size": BATCH_SIZE,
            "lane": campaign.lane,
            "priority": campaign.priority,
            "state": "WAITING" if campaign.state == "PAUSED" else "READY",
        }
        cursor.execute(EMIT.format(earlier=earlier, not_before="now()"), values)
        return sum(row[0] for row in cursor.fetchall())


def _reserve_batch_ids(cursor: Any, count: int) -> int:
    """The first of `count` consecutive batch ids."""
    cursor.execute(
        "SELECT pg_advisory_xact_lock(%s); SELECT setval('campaigns_batch_id_seq', nextval('campaigns_batch_id_seq') + %s) - %s",
        [BATCH_IDS_LOCK, count - 1, count - 1],
    )
    return int(cursor.fetchone()[0])


BATCH_IDS_LOCK = 7_201_003


def load_cached(campaign: Campaign) -> Plan:
    """The campaign's frozen plan, read once per object."""
    held: Plan | None = campaign.__dict__.get("_loaded_plan")
    if held is None:
        held = campaign.__dict__["_loaded_plan"] = load(campaign.plan)
    return held


FILL_NEXT = """
INSERT INTO planning (message_id, recipient_id, target_binding, state, reason, step, bindings)
SELECT message_id, recipient_id, target_binding, 'ACTIVE', '', {first_step}, bindings FROM (
    SELECT m.id AS message_id, m.recipient_id, m.binding_id AS target_binding, wanted.step AS wanted_step,
           {slots} AS bindings
    FROM unnest(%s::bigint[], %s::smallint[]) AS wanted(id, step)
    JOIN campaigns_message m ON m.id = wanted.id AND m.id BETWEEN %s AND %s
    JOIN users_recipient r ON r.id = m.recipient_id
    {joins}
) found
"""


def plan_steps(campaign: Campaign, wanted: dict[int, int], now: datetime) -> set[int]:
    """Plans messages (id -> step to start at) whose rows the caller has locked; returns those that no step reaches.

    A message that an earlier step did not reach goes to the first later one that does. Messages addressed to a raw
    address (no recipient) have only the slots of that address's kind, at expand; no later step reaches them anew.
    """
    if not wanted:
        return set()
    plan = load_cached(campaign)
    ids = sorted(wanted)
    clear_planning()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT array_agg(recipient_id) FROM campaigns_message WHERE id = ANY(%s) AND id BETWEEN %s AND %s",
            [ids, ids[0], ids[-1]],
        )
        people = [one for one in cursor.fetchone()[0] or [] if one is not None]
        joins, values = reach_sql(plan, campaign, "b.recipient_id = ANY(%s)", [people])
        sql = FILL_NEXT.format(first_step=first_step_sql(plan, "wanted_step"), slots=slots_array(plan), joins=joins)
        steps = [wanted[one] for one in ids]
        cursor.execute(sql, [ids, steps, ids[0], ids[-1], *values])
        cursor.execute(
            "UPDATE campaigns_message m SET step = p.step FROM planning p "
            "WHERE m.id = p.message_id AND p.step IS NOT NULL AND m.id BETWEEN %s AND %s RETURNING m.id",
            [ids[0], ids[-1]],
        )
        planned = {row[0] for row in cursor.fetchall()}
    emit_deliveries(campaign, plan)
    return set(ids) - planned
