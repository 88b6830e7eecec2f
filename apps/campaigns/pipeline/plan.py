"""Plan: the messages in the temporary table `planning` get the deliveries of their step, in batches.

`planning` holds for each message the bindings that reach its recipient: one place per slot of the frozen plan, null
where that channel does not; and in `chosen` the bits of the slots taken where its step has alternatives (choice.py).
Filling it and emitting deliveries from it are set-based: a step costs a handful of statements whatever the number of
messages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection

from apps.campaigns.models import Campaign
from apps.campaigns.pipeline.choice import choose, note_routes, taken
from apps.campaigns.pipeline.loaded import loaded_plan
from apps.campaigns.pipeline.people_rules import forbidden_way
from apps.campaigns.policy import Plan, Step, StepChannel
from apps.channels.contract import Account
from apps.channels.models import ChannelAccount
from apps.channels.registry import adapter
from apps.users.audience import blocked_binding, condition

BATCH_SIZE = 500
LARGEST_BATCH = 1000

CREATE = """
CREATE TEMP TABLE IF NOT EXISTS planning (
    message_id bigint NOT NULL, recipient_id bigint, state text NOT NULL, reason text NOT NULL,
    step smallint, bindings bigint[] NOT NULL, chosen bigint
) ON COMMIT DELETE ROWS
"""


def clear_planning() -> None:
    """Makes the table for this session where needed and empties it; call inside the transaction that fills it."""
    with connection.cursor() as cursor:
        cursor.execute(CREATE)
        cursor.execute("DELETE FROM planning")


def reach_joins(campaign: Campaign, people: str, people_values: Sequence[Any]) -> tuple[str, list[Any]]:
    """Joins on alias r (users_recipient) that give, for each slot k, the column `slot<k>.binding_id`.

    `people` is a condition over alias b (users_binding) such as `b.recipient_id BETWEEN %s AND %s`, so that both sides
    of the join are bounded. Of several bindings the most specific scope wins, then the newest.
    """
    joins: list[str] = []
    values: list[Any] = []
    for channel in loaded_plan(campaign).channels():
        blocked, blocked_values = blocked_binding(
            message_class=campaign.message_class,
            business_line_id=campaign.business_line_id,
            account_id=channel.account_id,
            kind=channel.kind,
        )
        forbidden, forbidden_values = forbidden_way(campaign, account_id=channel.account_id, kind=channel.kind)
        only, only_values = _only(channel)
        joins.append(
            f"""LEFT JOIN (
                SELECT DISTINCT ON (b.recipient_id) b.recipient_id, b.id AS binding_id FROM users_binding b
                WHERE {people} AND b.address_kind = %s AND b.state = 'ACTIVE'
                  AND (b.scope = 'everywhere' OR (b.scope = 'business_line' AND b.scope_id = %s)
                       OR (b.scope = 'account' AND b.scope_id = %s))
                  AND NOT {blocked}
                ORDER BY b.recipient_id, array_position(ARRAY['account', 'business_line', 'everywhere'], b.scope::text),
                         b.id DESC
            ) slot{channel.slot} ON slot{channel.slot}.recipient_id = r.id AND {forbidden} IS NULL{only}"""
        )
        values += [*people_values, channel.address_kind, campaign.business_line_id, channel.account_id]
        values += [*blocked_values, *forbidden_values, *only_values]
    return "\n".join(joins), values


def _only(channel: StepChannel) -> tuple[str, list[Any]]:
    """SQL over alias r, to follow a condition: that the person is one whom the channel is for."""
    if not channel.conditions:
        return "", []
    sql, values = condition(channel.conditions)
    return f" AND ({sql})", values


def _address_only(channel: StepChannel) -> tuple[str, list[Any]]:
    """The same for an address that a message names: without a person only what asks for no tag or attribute is met."""
    sql, values = _only(channel)
    if sql and set(channel.conditions) == {"tags_none"}:
        sql = f" AND coalesce({sql.removeprefix(' AND ')}, true)"
    return sql, values


def slots_array(plan: Plan) -> str:
    """SQL for `planning.bindings` over the joins of `reach_joins`."""
    return "ARRAY[" + ", ".join(f"slot{channel.slot}.binding_id" for channel in plan.channels()) + "]::bigint[]"


def first_step(plan: Plan, start: str = "0") -> str:
    """SQL over a column `bindings`: the first step from `start` on that reaches the person, null where none does."""
    cases = []
    for step in plan.steps:
        reached = " OR ".join(f"bindings[{channel.slot + 1}] IS NOT NULL" for channel in step.channels)
        cases.append(f"WHEN {start} <= {step.number} AND ({reached}) THEN {step.number}")
    return f"CASE {' '.join(cases)} END::smallint"


def emit_deliveries(campaign: Campaign) -> int:
    """Writes deliveries and batches for the ACTIVE rows of `planning`, each at its step; returns how many deliveries."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT step, count(*) FROM planning WHERE state = 'ACTIVE' GROUP BY step")
        messages = dict(cursor.fetchall())
    plan = loaded_plan(campaign)
    note_routes(plan)
    return sum(
        _emit_slot(campaign, step, channel, messages[step.number])
        for step in plan.steps
        if step.number in messages
        for channel in step.channels
    )


EMIT = """
WITH sent_to AS (
    SELECT message_id, recipient_id, bindings[%(place)s] AS binding_id, row_number() OVER () - 1 AS number
    FROM planning WHERE state = 'ACTIVE' AND step = %(step)s AND {taken}
), made AS (
    INSERT INTO campaigns_delivery (id, message_id, campaign_id, batch_id, account_id, recipient_id, binding_id, step)
    SELECT ums_id(), message_id, %(campaign)s, (%(batch_ids)s::bigint[])[number / %(size)s + 1], %(account)s,
           recipient_id, binding_id, %(step)s
    FROM sent_to RETURNING id, batch_id
)
INSERT INTO campaigns_batch (id, campaign_id, account_id, step, lane, priority, state, not_before, first_delivery_id,
                             last_delivery_id, size, owner, epoch)
SELECT batch_id, %(campaign)s, %(account)s, %(step)s, %(lane)s, %(priority)s, %(state)s, now(), min(id), max(id), count(*),
       '', 0
FROM made GROUP BY batch_id
RETURNING size
"""


def _batch_size(channel: StepChannel) -> int:
    """500 or fewer deliveries in whole calls; as many as one call takes where that is more, up to 1000."""
    kind = adapter(channel.kind)
    if kind.capabilities.recipients_per_call == 1:
        return BATCH_SIZE
    row = ChannelAccount.objects.only("code", "kind", "config").get(pk=channel.account_id)
    a_call = kind.call_size(Account(row.code, row.kind, row.config))
    return BATCH_SIZE // a_call * a_call or min(a_call, LARGEST_BATCH)


def _emit_slot(campaign: Campaign, step: Step, channel: StepChannel, messages: int) -> int:
    size = _batch_size(channel)
    with connection.cursor() as cursor:
        values = {
            "place": channel.slot + 1,
            "step": step.number,
            "campaign": campaign.pk,
            "account": channel.account_id,
            "batch_ids": _reserve_batch_ids(cursor, -(-messages // size)),
            "size": size,
            "lane": campaign.lane,
            "priority": campaign.priority,
            "state": "READY",
        }
        cursor.execute(EMIT.format(taken=taken(step, channel)), values)
        return sum(row[0] for row in cursor.fetchall())


def _reserve_batch_ids(cursor: Any, count: int) -> list[int]:
    """`count` batch ids; gaps are harmless. Nobody waits for anybody: a chunk of a million people holds up no password."""
    cursor.execute("SELECT nextval('campaigns_batch_id_seq') FROM generate_series(1, %s)", [count])
    return [row[0] for row in cursor.fetchall()]


FILL_FROM_MESSAGES = """
INSERT INTO planning (message_id, recipient_id, state, reason, step, bindings)
SELECT message_id, recipient_id, 'ACTIVE', '', {first_step}, bindings FROM (
    SELECT m.id AS message_id, m.recipient_id, wanted.step AS wanted_step, {slots} AS bindings
    FROM unnest(%s::bigint[], %s::smallint[], %s::bigint[]) AS wanted(id, step, used)
    JOIN campaigns_message m ON m.id = wanted.id AND m.id BETWEEN %s AND %s
    LEFT JOIN users_recipient r ON r.id = m.recipient_id
    LEFT JOIN users_binding b ON b.id = m.binding_id AND b.state = 'ACTIVE'
    {joins}
) found
"""


def fill_from_messages(campaign: Campaign, wanted: Mapping[int, int], used: Mapping[int, int] | None = None) -> None:
    """Fills `planning` for these messages (id -> step to start at); its step is null where no step reaches them.

    A message that names an address (`binding_id`) is reached over every channel of that address's kind. `used` has, by
    message, the bits of slots that may not be taken.
    """
    plan = loaded_plan(campaign)
    ids = sorted(wanted)
    slots, slot_values = _slots_of_messages(campaign, plan, masked=bool(used))
    clear_planning()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(array_agg(recipient_id), '{}') FROM campaigns_message "
            "WHERE id = ANY(%s) AND id BETWEEN %s AND %s AND recipient_id IS NOT NULL",
            [ids, ids[0], ids[-1]],
        )
        joins, values = reach_joins(campaign, "b.recipient_id = ANY(%s)", [cursor.fetchone()[0]])
        sql = FILL_FROM_MESSAGES.format(
            first_step=first_step(plan, "wanted_step"), slots=f"ARRAY[{slots}]::bigint[]", joins=joins
        )
        asked = [ids, [wanted[one] for one in ids], [(used or {}).get(one, 0) for one in ids], ids[0], ids[-1]]
        cursor.execute(sql, [*slot_values, *asked, *values])
    choose(campaign, plan)


def _slots_of_messages(campaign: Campaign, plan: Plan, masked: bool) -> tuple[str, list[Any]]:
    """SQL for the elements of `planning.bindings`: the person's binding, else the address that the message names."""
    slots: list[str] = []
    values: list[Any] = []
    for one in plan.channels():
        only, only_values = _address_only(one)
        blocked, blocked_values = blocked_binding(
            message_class=campaign.message_class,
            business_line_id=campaign.business_line_id,
            account_id=one.account_id,
            kind=one.kind,
        )
        named = f"b.address_kind = %s AND NOT {blocked}{only}"
        sql = f"coalesce(slot{one.slot}.binding_id, CASE WHEN {named} THEN b.id END)"
        slots.append(f"CASE WHEN used & {one.bit} = 0 THEN {sql} END" if masked else sql)
        values += [one.address_kind, *blocked_values, *only_values]
    return ", ".join(slots), values


def plan_steps(campaign: Campaign, wanted: Mapping[int, int], used: Mapping[int, int] | None = None) -> dict[int, int]:
    """Plans the next step of messages whose rows the caller has locked; returns their steps, of those that any reaches."""
    if not wanted:
        return {}
    fill_from_messages(campaign, wanted, used)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE campaigns_message m SET step = p.step FROM planning p "
            "WHERE m.id = p.message_id AND p.step IS NOT NULL AND m.id BETWEEN %s AND %s RETURNING m.id, m.step",
            [min(wanted), max(wanted)],
        )
        planned = dict(cursor.fetchall())
        cursor.execute("DELETE FROM planning WHERE step IS NULL")
    emit_deliveries(campaign)
    return planned
