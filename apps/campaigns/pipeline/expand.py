"""Expand: a campaign's audience becomes messages, chunk by chunk; each chunk is one transaction with its cursor.

Every target gets exactly one row: ACTIVE at the first step that reaches it, BLOCKED by the first rule that fires, or
INVALID where no channel of the policy reaches it. The campaign's row is locked while a chunk is written and its cursor
moves in the same transaction, so running twice, or two at once, adds nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connection, transaction

from apps.campaigns.approvals import stop_unapproved
from apps.campaigns.freezing import drop_parts
from apps.campaigns.models import AudiencePart, Campaign, TargetList
from apps.campaigns.pipeline.blocked_addresses import name_blocked_addresses
from apps.campaigns.pipeline.choice import choose
from apps.campaigns.pipeline.offline import save_unreachable
from apps.campaigns.pipeline.people_rules import forbidden
from apps.campaigns.pipeline.plan import (
    clear_planning,
    emit_deliveries,
    fill_from_messages,
    first_step,
    loaded_plan,
    reach_joins,
    slots_array,
)
from apps.campaigns.policy import Plan
from apps.campaigns.states import CampaignState
from apps.users.audience import condition
from ums_site.failpoints import failpoint
from ums_site.ids import first_row_id

CHUNK = 10_000


def expand_next(lane: str) -> bool:
    """Expands one chunk of one campaign of the lane; False where none waits (or another worker has them all)."""
    with transaction.atomic():
        campaign = (
            Campaign.objects.select_for_update(skip_locked=True, no_key=True)
            .filter(lane=lane, state=CampaignState.EXPANDING)
            .order_by("-priority", "id")
            .first()
        )
        if campaign is None:
            return False
        if not stop_unapproved(campaign):
            _expand_chunk(campaign)
        failpoint("expand_before_commit")
    failpoint("expand_after_commit")
    return True


def _expand_chunk(campaign: Campaign) -> None:
    kind = campaign.audience["kind"]
    if kind == "given":
        _expand_given(campaign)
    elif kind == "list":
        _expand_list(campaign)
    elif campaign.frozen_id:
        _expand_frozen(campaign)
    else:
        _expand_filter(campaign)


def _expand_filter(campaign: Campaign) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT max(id) FROM (SELECT id FROM users_recipient WHERE id > %s AND id <= %s ORDER BY id LIMIT %s) chunk",
            [campaign.expand_cursor, campaign.expand_end, CHUNK],
        )
        last = cursor.fetchone()[0]
    if last is None:
        _expanded(campaign)
        return
    clear_planning()
    fill_from_audience(campaign, campaign.expand_cursor + 1, last)
    _write_targets(campaign, last)


def _expand_frozen(campaign: Campaign) -> None:
    """The next part of a frozen audience: exactly its people, judged as they are now."""
    parts = AudiencePart.objects.filter(forecast_id=campaign.frozen_id, last_id__gt=campaign.expand_cursor)
    part = parts.order_by("last_id").first()
    if part is None:
        _expanded(campaign)
        drop_parts([campaign.frozen_id])
        return
    clear_planning()
    if part.ids:
        fill_from_frozen(campaign, part.ids)
    _write_targets(campaign, part.last_id)


def _write_targets(campaign: Campaign, last: int) -> None:
    """Makes messages and deliveries of `planning`, and moves the cursor."""
    save_unreachable(campaign)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO campaigns_message (id, campaign_id, recipient_id, state, reason, step, finished_at) "
            "SELECT message_id, %s, recipient_id, CASE state WHEN 'SAVED' THEN 'ACTIVE' ELSE state END, reason, "
            "coalesce(step, 0), CASE WHEN state IN ('ACTIVE', 'SAVED') THEN NULL ELSE now() END FROM planning",
            [campaign.pk],
        )
        targets = cursor.rowcount
    note_targets(loaded_plan(campaign))
    emit_deliveries(campaign)
    Campaign.objects.filter(pk=campaign.pk).update(expand_cursor=last, planned_count=campaign.planned_count + targets)


FILL_FROM_AUDIENCE = """
INSERT INTO planning (message_id, recipient_id, state, reason, step, bindings)
SELECT ums_id(), recipient_id,
       CASE WHEN forbidden IS NOT NULL THEN 'BLOCKED' WHEN step IS NULL THEN 'INVALID' ELSE 'ACTIVE' END,
       CASE WHEN forbidden IS NOT NULL THEN forbidden WHEN step IS NULL THEN 'no_usable_address' ELSE '' END,
       step, bindings
FROM (
    SELECT recipient_id, forbidden, bindings, {first_step} AS step FROM (
        SELECT r.id AS recipient_id, {forbidden} AS forbidden, {slots} AS bindings
        FROM users_recipient r {joins}
        WHERE r.id BETWEEN %s AND %s AND {audience}
        ORDER BY r.id
    ) reached
) decided
"""


def fill_from_audience(campaign: Campaign, first: int, last: int) -> None:
    """Fills `planning` with the audience among recipients `first` to `last`, judged and reached as they are now."""
    plan = loaded_plan(campaign)
    stopped, stopped_values = forbidden(campaign)
    audience, audience_values = condition(campaign.audience)
    joins, join_values = reach_joins(campaign, "b.recipient_id BETWEEN %s AND %s", [first, last])
    sql = FILL_FROM_AUDIENCE.format(
        first_step=first_step(plan), forbidden=stopped, slots=slots_array(plan), joins=joins, audience=audience
    )
    values: list[Any] = [*stopped_values, *join_values, first, last, *audience_values]
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
    name_blocked_addresses(campaign)
    choose(campaign, plan)


FILL_FROM_FROZEN = """
INSERT INTO planning (message_id, recipient_id, state, reason, step, bindings)
SELECT ums_id(), recipient_id,
       CASE WHEN gone THEN 'INVALID' WHEN forbidden IS NOT NULL THEN 'BLOCKED' WHEN step IS NULL THEN 'INVALID'
            ELSE 'ACTIVE' END,
       CASE WHEN gone THEN 'unknown_user' WHEN forbidden IS NOT NULL THEN forbidden
            WHEN step IS NULL THEN 'no_usable_address' ELSE '' END,
       step, bindings
FROM (
    SELECT recipient_id, gone, forbidden, bindings, {first_step} AS step FROM (
        SELECT f.id AS recipient_id, r.id IS NULL AS gone,
               CASE WHEN NOT coalesce({audience}, false) THEN 'left_audience' ELSE {forbidden} END AS forbidden,
               {slots} AS bindings
        FROM unnest(%s::bigint[]) AS f(id) LEFT JOIN users_recipient r ON r.id = f.id {joins}
        ORDER BY f.id
    ) reached
) decided
"""


def fill_from_frozen(campaign: Campaign, ids: Sequence[int]) -> None:
    """Fills `planning` with exactly these people; who is gone, or has left the audience since, is there with that reason."""
    plan = loaded_plan(campaign)
    stopped, stopped_values = forbidden(campaign)
    audience, audience_values = condition(campaign.audience)
    joins, join_values = reach_joins(campaign, "b.recipient_id BETWEEN %s AND %s", [ids[0], ids[-1]])
    sql = FILL_FROM_FROZEN.format(
        first_step=first_step(plan), forbidden=stopped, slots=slots_array(plan), joins=joins, audience=audience
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [*audience_values, *stopped_values, list(ids), *join_values])
    name_blocked_addresses(campaign)
    choose(campaign, plan)


# What was decided of every target, and which channels reached it then: a mark for each slot of the plan, in order.
NOTE_TARGETS = """
INSERT INTO campaigns_decision (message_id, step, rule, verdict, detail)
SELECT message_id, coalesce(step, 0), CASE reason WHEN '' THEN 'target' ELSE reason END,
       CASE state WHEN 'ACTIVE' THEN 'go' WHEN 'SAVED' THEN 'hold' ELSE 'stop' END, {reached}
FROM planning
"""


def note_targets(plan: Plan) -> None:
    """Writes the ledger's first line of everybody in `planning`."""
    marks = [f"CASE WHEN bindings[{one.slot + 1}] IS NULL THEN '-' ELSE '+' END" for one in plan.channels()]
    with connection.cursor() as cursor:
        cursor.execute(NOTE_TARGETS.format(reached=" || ".join(["'reached='", *marks])))


def _expand_given(campaign: Campaign) -> None:
    """Plans the next chunk of messages that the API wrote with the campaign."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, state FROM campaigns_message WHERE campaign_id = %s AND id > %s AND id <= %s ORDER BY id LIMIT %s "
            "FOR UPDATE",  # one that is taken back at this moment stays so
            [campaign.pk, max(campaign.expand_cursor, first_row_id(campaign.pk)), campaign.expand_end, CHUNK],
        )
        rows = cursor.fetchall()
    waiting = {row[0]: 0 for row in rows if row[1] == "PLANNED"}
    if waiting:
        fill_from_messages(campaign, waiting)
        _judge_given(campaign, min(waiting), max(waiting))
        note_targets(loaded_plan(campaign))
        emit_deliveries(campaign)
    if rows:
        Campaign.objects.filter(pk=campaign.pk).update(expand_cursor=rows[-1][0])
    if len(rows) < CHUNK:
        _expanded(campaign)


def _expand_list(campaign: Campaign) -> None:
    """The next rows of an imported list: each becomes one message with its values, then they are planned like any."""
    last = min(campaign.expand_cursor + CHUNK, _length_of_list(campaign))
    if campaign.expand_cursor >= last:
        _expanded(campaign)
        return
    fill_from_list(campaign, campaign.expand_cursor, last)
    note_targets(loaded_plan(campaign))
    emit_deliveries(campaign)
    count = campaign.planned_count + last - campaign.expand_cursor
    Campaign.objects.filter(pk=campaign.pk).update(expand_cursor=last, planned_count=count)


def _length_of_list(campaign: Campaign) -> int:
    return TargetList.objects.values_list("targets", flat=True).get(pk=campaign.audience["list"])


MESSAGES_OF_LIST = """
WITH target AS (
    SELECT ums_id() AS id, t.number, r.id AS recipient_id, t.binding_id, t.sealed,
           CASE WHEN t.user_id <> '' AND r.id IS NULL THEN 'unknown_user' ELSE '' END AS reason
    FROM campaigns_targetlistrow t LEFT JOIN users_recipient r ON t.user_id <> '' AND r.user_id = t.user_id
    WHERE t.target_list_id = %(list)s AND t.number > %(behind)s AND t.number <= %(last)s ORDER BY t.number
), payload AS (
    INSERT INTO campaigns_messagepayload (message_id, sealed) SELECT id, sealed FROM target WHERE sealed IS NOT NULL
), message AS (
    INSERT INTO campaigns_message (id, campaign_id, recipient_id, binding_id, state, reason, step, finished_at)
    SELECT id, %(campaign)s, recipient_id, binding_id, CASE reason WHEN '' THEN 'PLANNED' ELSE 'INVALID' END, reason, 0,
           CASE reason WHEN '' THEN NULL ELSE now() END FROM target
)
SELECT id, reason FROM target ORDER BY id
"""


def fill_from_list(campaign: Campaign, behind: int, last: int) -> None:
    """Writes the messages of rows `behind` + 1 to `last` of the campaign's list, and fills `planning` with all of them."""
    asked = {"list": campaign.audience["list"], "behind": behind, "last": last, "campaign": campaign.pk}
    with connection.cursor() as cursor:
        cursor.execute(MESSAGES_OF_LIST, asked)
        rows = cursor.fetchall()
    waiting = {message_id: 0 for message_id, reason in rows if not reason}
    clear_planning()
    if waiting:
        fill_from_messages(campaign, waiting)
        _judge_given(campaign, min(waiting), max(waiting))
    unknown = [message_id for message_id, reason in rows if reason]
    width = len(loaded_plan(campaign).channels())
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO planning (message_id, state, reason, bindings) SELECT id, 'INVALID', 'unknown_user', "
            "array_fill(NULL::bigint, ARRAY[%s]) FROM unnest(%s::bigint[]) AS v(id)",
            [width, unknown],
        )


def _judge_given(campaign: Campaign, first: int, last: int) -> None:
    stopped, values = forbidden(campaign)
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE planning p SET state = 'BLOCKED', reason = f.code FROM "
            f"(SELECT r.id, {stopped} AS code FROM users_recipient r WHERE r.id IN (SELECT recipient_id FROM planning)) f "
            f"WHERE f.id = p.recipient_id AND f.code IS NOT NULL",
            values,
        )
        cursor.execute(
            "UPDATE planning SET state = 'INVALID', reason = 'no_usable_address' WHERE state = 'ACTIVE' AND step IS NULL"
        )
        name_blocked_addresses(campaign)
        save_unreachable(campaign)
        cursor.execute(
            "UPDATE campaigns_message m SET state = CASE p.state WHEN 'SAVED' THEN 'ACTIVE' ELSE p.state END, "
            "reason = p.reason, step = coalesce(p.step, 0), "
            "finished_at = CASE WHEN p.state IN ('ACTIVE', 'SAVED') THEN NULL ELSE now() END "
            "FROM planning p WHERE m.id = p.message_id AND m.id BETWEEN %s AND %s",
            [first, last],
        )


def _expanded(campaign: Campaign) -> None:
    """The last chunk is behind: from now on the campaign is finished once no message is left open."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE campaigns_campaign SET state = 'RUNNING', expanded_at = now() WHERE id = %s AND state = 'EXPANDING'",
            [campaign.pk],
        )
