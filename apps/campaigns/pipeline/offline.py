"""Offline save: a message whose person cannot be reached now is kept, and planned once an address comes or they return.

Locks are taken in one order, message before saved row, as settle does: whoever looks at a saved message holds its message.
What makes a row due (a trigger on the addresses, the presence call, an operator) only writes `due_at`; releasing itself is
done here, in the lane of the campaign, and finds each message still kept or not at all.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.db import connection, transaction

from apps.campaigns.models import Campaign
from apps.campaigns.pipeline.columns import numbers, texts
from apps.campaigns.pipeline.decisions import Decided, note
from apps.campaigns.pipeline.plan import loaded_plan, plan_steps
from apps.campaigns.policy import OfflineSave
from apps.campaigns.strategy import DeliveryFacts, Stop
from apps.channels.contract import OFFLINE
from ums_site.failpoints import failpoint
from ums_site.ids import first_row_id

AT_ONCE = 500
LOOK_AGAIN = timedelta(minutes=1)  # an address that came while the row was being saved has not seen it
KEPT = "offline_saved"
UNREACHED = "state = 'INVALID' AND reason = 'no_usable_address' AND recipient_id IS NOT NULL"  # over `planning`

COLUMNS = (
    "(message_id, campaign_id, recipient_id, lane, step, collapse_key, why, state, released_by, saved_at, "
    "expires_at, due_at)"
)
FROM_PLANNING = f"""
WITH kept AS (
    UPDATE planning SET state = 'SAVED', reason = '{KEPT}', step = 0
    WHERE {UNREACHED}
    RETURNING message_id, recipient_id
)
INSERT INTO campaigns_savedmessage {COLUMNS}
SELECT message_id, %(campaign)s, recipient_id, %(lane)s, 0, %(key)s, 'no_usable_address', 'SAVED', '', now(), %(until)s,
       now() + %(again)s
FROM kept RETURNING recipient_id
"""
FROM_SETTLE = f"""
WITH kept AS (
    UPDATE campaigns_message m SET reason = '{KEPT}' FROM unnest(%(ids)s::bigint[], %(steps)s::smallint[], %(why)s::text[])
    AS v(id, step, why)
    WHERE m.id = v.id AND m.id BETWEEN %(low)s AND %(high)s AND m.state = 'ACTIVE' AND m.recipient_id IS NOT NULL
    RETURNING m.id, m.recipient_id, v.step, v.why
)
INSERT INTO campaigns_savedmessage AS s {COLUMNS}
SELECT id, %(campaign)s, recipient_id, %(lane)s, step, %(key)s, why, 'SAVED', '', now(), %(until)s, now() + %(again)s
FROM kept
ON CONFLICT (message_id) DO UPDATE SET state = 'SAVED', step = excluded.step, why = excluded.why, due_at = NULL, ended_at = NULL
WHERE s.state = 'RELEASED'
RETURNING message_id, recipient_id
"""
# An older one with the same key is looked at by `release_next`, which finds that it was replaced.
TELL_OLDER = """
UPDATE campaigns_savedmessage SET due_at = now()
WHERE recipient_id = ANY(%s::bigint[]) AND collapse_key = %s AND state = 'SAVED' AND campaign_id <> %s
  AND (due_at IS NULL OR due_at > now())
"""


def save_unreachable(campaign: Campaign) -> None:
    """Keeps those of `planning` whom no address reaches, where the policy says so. Call before messages are written."""
    rule = loaded_plan(campaign).offline
    if rule is None:
        return
    with connection.cursor() as cursor:
        cursor.execute(FROM_PLANNING, _values(campaign, rule))
        _tell_older(cursor, campaign, rule, [row[0] for row in cursor.fetchall()])


def keep(
    campaign: Campaign, stops: Mapping[int, Stop], facts: Mapping[int, Sequence[DeliveryFacts]]
) -> dict[int, Stop]:
    """Keeps those of the failed whose person is offline or has no address; returns the verdicts that stand.

    The caller has locked the messages. A kept message is decided by good news only.
    """
    rule = loaded_plan(campaign).offline
    if rule is None or campaign.state == "CANCELLED" or not stops:
        return dict(stops)
    wanted = {one: why for one, stop in stops.items() if (why := _why(stop, facts[one])) is not None}
    if not wanted:
        return dict(stops)
    ids = sorted(wanted)
    place = {"ids": numbers(ids), "low": ids[0], "high": ids[-1]}
    with connection.cursor() as cursor:
        columns = {"steps": numbers(wanted[one][0] for one in ids), "why": texts([wanted[one][1] for one in ids])}
        cursor.execute(FROM_SETTLE, {**_values(campaign, rule), **place, **columns})
        saved = cursor.fetchall()
        _tell_older(cursor, campaign, rule, [person for _message, person in saved])
        note(cursor, [Decided(one, KEPT, "hold", wanted[one][0], f"why={wanted[one][1]}") for one, _person in saved])
        cursor.execute(
            "SELECT message_id FROM campaigns_savedmessage WHERE state = 'SAVED' AND message_id = ANY(%s::bigint[])",
            [numbers(ids)],
        )
        kept = {row[0] for row in cursor.fetchall()}
    return {one: stop for one, stop in stops.items() if one not in kept}


def _why(stop: Stop, held: Sequence[DeliveryFacts]) -> tuple[int, str] | None:
    """(step to go on with, why) where a failed message can wait for its person."""
    if stop.state != "FAILED":
        return None
    if not held:
        return 0, "no_usable_address"
    offline = [one.step for one in held if one.reason == OFFLINE]
    return (min(offline), OFFLINE) if offline else None


def _values(campaign: Campaign, rule: OfflineSave) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT least(now() + %s, %s::timestamptz)", [rule.keep, campaign.expires_at])
        until = cursor.fetchone()[0]
    given = {"campaign": campaign.pk, "lane": campaign.lane, "key": rule.collapse_key}
    return {**given, "until": until, "again": LOOK_AGAIN}


def _tell_older(cursor: Any, campaign: Campaign, rule: OfflineSave, people: Sequence[int]) -> None:
    if rule.collapse_key and people:
        cursor.execute(TELL_OLDER, [numbers(people), rule.collapse_key, campaign.pk])


DUE = """
SELECT message_id FROM campaigns_savedmessage WHERE lane = %s AND state = 'SAVED' AND due_at <= now()
ORDER BY saved_at, message_id LIMIT %s
"""
LOCK_MESSAGES = """
SELECT id, state FROM campaigns_message WHERE id = ANY(%s::bigint[]) AND id BETWEEN %s AND %s
ORDER BY id FOR UPDATE SKIP LOCKED
"""
LOCK_SAVED = """
SELECT s.message_id, s.campaign_id, s.step, EXISTS (
    SELECT 1 FROM campaigns_savedmessage newer WHERE s.collapse_key <> '' AND newer.state = 'SAVED'
    AND newer.recipient_id = s.recipient_id AND newer.collapse_key = s.collapse_key AND newer.message_id > s.message_id)
FROM campaigns_savedmessage s WHERE s.message_id = ANY(%s::bigint[]) AND s.state = 'SAVED'
ORDER BY s.saved_at, s.message_id FOR UPDATE SKIP LOCKED
"""
END = """
UPDATE campaigns_savedmessage SET state = %s, due_at = NULL, ended_at = now() WHERE message_id = ANY(%s::bigint[])
"""


def release_next(lane: str) -> bool:
    """Plans the next kept messages of the lane that are due, oldest first; False where none is.

    Whom still no address reaches is kept on. Twice, or two at once, plans nobody twice: the state is read under the lock.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(DUE, [lane, AT_ONCE])
        ids = sorted(row[0] for row in cursor.fetchall())
        if not ids:
            return False
        cursor.execute(LOCK_MESSAGES, [numbers(ids), ids[0], ids[-1]])
        states = dict(cursor.fetchall())
        cursor.execute(LOCK_SAVED, [numbers(states)])
        rows = cursor.fetchall()
        over = [message for message, *_rest in rows if states[message] != "ACTIVE"]
        cursor.execute(END, ["OVER", numbers(over)])
        merged = [message for message, _campaign, _step, replaced in rows if replaced and message not in over]
        _end(cursor, merged, "MERGED", "CANCELLED", "merged")
        gone = {*over, *merged}
        waiting: dict[int, dict[int, int]] = {}
        for message, campaign_id, step, _replaced in rows:
            if message not in gone:
                waiting.setdefault(campaign_id, {})[message] = step
        for campaign_id, steps in waiting.items():
            _release(cursor, campaign_id, steps)
        failpoint("offline_before_commit")
    return bool(rows)


def _release(cursor: Any, campaign_id: int, steps: dict[int, int]) -> None:
    campaign = Campaign.objects.select_related("template_version", "business_line").get(pk=campaign_id)
    if campaign.state == "CANCELLED":
        _end(cursor, list(steps), "OVER", "CANCELLED", "campaign_cancelled")
        return
    planned = plan_steps(campaign, steps)
    ids = numbers(sorted(planned))
    cursor.execute(
        "UPDATE campaigns_message SET reason = '' WHERE id = ANY(%s::bigint[]) AND id >= %s",
        [ids, first_row_id(campaign_id)],
    )
    cursor.execute(END, ["RELEASED", ids])
    cursor.execute(
        "UPDATE campaigns_savedmessage SET due_at = NULL WHERE message_id = ANY(%s::bigint[]) AND state = 'SAVED'",
        [numbers(sorted(steps))],
    )
    note(cursor, [Decided(one, "offline_released", "go", step) for one, step in planned.items()])


def _end(cursor: Any, ids: Collection[int], saved_state: str, message_state: str, reason: str) -> None:
    """Makes kept messages final. The caller has locked them."""
    if not ids:
        return
    ordered = sorted(ids)
    cursor.execute(
        "UPDATE campaigns_message SET state = %s, reason = %s, finished_at = now() "
        "WHERE id = ANY(%s::bigint[]) AND id BETWEEN %s AND %s AND state = 'ACTIVE'",
        [message_state, reason, numbers(ordered), ordered[0], ordered[-1]],
    )
    cursor.execute(END, [saved_state, numbers(ordered)])
    note(cursor, [Decided(one, reason, "stop") for one in ordered])


EXPIRED = """
SELECT message_id FROM campaigns_savedmessage WHERE state = 'SAVED' AND expires_at <= now() ORDER BY expires_at LIMIT %s
"""


def expire_due() -> int:
    """Ends kept messages whose time is over; how many. Any number of beats may run it."""
    with connection.cursor() as cursor:
        cursor.execute(EXPIRED, [AT_ONCE])
        ids = [row[0] for row in cursor.fetchall()]
    return end_kept(ids, "EXPIRED", "EXPIRED", "offline_expired") if ids else 0


def end_kept(ids: Collection[int], saved_state: str, message_state: str, reason: str) -> int:
    """Ends those of the messages that are still kept; how many. A transaction of its own, or part of the caller's."""
    with transaction.atomic(), connection.cursor() as cursor:
        ordered = sorted(ids)
        cursor.execute(LOCK_MESSAGES, [numbers(ordered), ordered[0], ordered[-1]])
        locked = [row[0] for row in cursor.fetchall()]
        cursor.execute(LOCK_SAVED, [numbers(locked)])
        kept = [row[0] for row in cursor.fetchall()]
        _end(cursor, kept, saved_state, message_state, reason)
    return len(kept)
