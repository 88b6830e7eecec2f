"""Counters of budgets and quotas: locked rows that are taken from in the transaction of what is counted, and given back to.

Whoever takes locks the counters in the order of their allowances, so that two never wait for one another; what is taken
commits or vanishes with the caller's transaction. Nobody can take more than there is, whatever runs beside.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import InternalError, connection

from apps.partners.models import Allowance, AllowanceUse
from apps.partners.periods import period_key

Statement = tuple[str, Sequence[Any]]
Taken = tuple[int, Decimal]  # a counter, and how much of it
FULL = "allowance_full "  # how the database says that there is no room; the id of the allowance follows


@dataclass(frozen=True, slots=True)
class Counted:
    """An allowance that counts what somebody is about to send; its limit is read when its counter is locked."""

    id: int
    unit: str
    period: str
    zone: str
    is_ceiling: bool


class Room(NamedTuple):
    """A locked counter and how much is left; `refuses`: what finds no room is called off."""

    use: int
    left: Decimal
    refuses: bool


CONCERNING = """
SELECT id, unit, period, zone, campaign_id IS NOT NULL AND unit = 'money' AND period = 'total' FROM partners_allowance
WHERE active AND (business_line_id = %s OR campaign_id = %s) AND message_class IN ('', %s) AND channel_kind IN ('', %s)
  AND (unit = 'pieces' OR (unit = 'money' AND currency = %s) OR (unit = 'messages' AND %s)) ORDER BY id
"""


def concerning(
    *, line: int, campaign: int, message_class: str, kind: str, currency: str, messages: bool
) -> list[Counted]:
    """The active allowances that count deliveries of this kind; those of messages only where `messages`."""
    with connection.cursor() as cursor:
        cursor.execute(CONCERNING, [line, campaign, message_class, kind, currency, messages])
        return [Counted(*row) for row in cursor.fetchall()]


# Makes the counters of a new period and locks all of them, in one order whether they were there or not; writes nothing else.
LOCK = """
INSERT INTO partners_allowanceuse (allowance_id, period, used)
SELECT a.id, v.period, 0 FROM unnest(%s::bigint[], %s::text[]) AS v(id, period) JOIN partners_allowance a ON a.id = v.id
ORDER BY a.id ON CONFLICT (allowance_id, period) DO UPDATE SET used = partners_allowanceuse.used WHERE false
"""
# A statement of its own: what was changed while the lock was waited for counts.
ROOMS = """
SELECT a.id, u.id, a.most - u.used, a.wall = 'refuse' FROM unnest(%s::bigint[], %s::text[]) AS v(id, period)
JOIN partners_allowance a ON a.id = v.id AND a.active
JOIN partners_allowanceuse u ON u.allowance_id = v.id AND u.period = v.period
"""


def lock(cursor: Any, counted: Sequence[Counted], now: datetime) -> dict[int, Room]:
    """Allowance id -> its room in the period of `now`, locked until the end of the transaction.

    Those that were switched off since they were read are not among them: they count nothing any more.
    """
    keys = [[one.id for one in counted], [period_key(one.period, one.zone, now) for one in counted]]
    cursor.execute(LOCK, keys)
    cursor.execute(ROOMS, keys)
    return {allowance: Room(*room) for allowance, *room in cursor.fetchall()}


TAKE = """
UPDATE partners_allowanceuse u SET used = u.used + v.amount,
       walled_at = CASE WHEN v.walled THEN coalesce(u.walled_at, now()) ELSE u.walled_at END
FROM unnest(%s::bigint[], %s::numeric[], %s::boolean[]) AS v(id, amount, walled) WHERE u.id = v.id
"""


def take(cursor: Any, amounts: Mapping[int, Decimal], walled: Iterable[int]) -> None:
    """Takes from counters that `lock` has locked, at most what is left; `walled` are those that had too little."""
    full = set(walled)
    uses = sorted({one for one, amount in amounts.items() if amount} | full)
    if uses:
        cursor.execute(TAKE, [uses, [amounts.get(use, Decimal(0)) for use in uses], [use in full for use in uses]])


GIVE_BACK = """
WITH locked AS (
    SELECT u.id, v.amount FROM unnest(%s::bigint[], %s::numeric[]) AS v(id, amount)
    JOIN partners_allowanceuse u ON u.id = v.id ORDER BY u.allowance_id FOR UPDATE OF u
)
UPDATE partners_allowanceuse u SET used = u.used - l.amount FROM locked l WHERE u.id = l.id
"""


def give_back(cursor: Any, taken: Iterable[Taken]) -> None:
    """Gives back what was taken for something that is surely not billed, to the period it was taken from."""
    amounts: Counter[int] = Counter()
    for use, amount in taken:
        amounts[use] += amount  # type: ignore[assignment]
    if amounts:
        cursor.execute(GIVE_BACK, [list(amounts), list(amounts.values())])


# The door of the API: quotas of messages, taken all or nothing in the very statement that stores the answer.
# A column, for a line and a class: the allowances that count its messages.
DOOR_COLUMN = """
(SELECT json_agg(json_build_array(a.id, a.period, a.zone))::text FROM partners_allowance a
 WHERE a.business_line_id = %s AND a.active AND a.unit = 'messages' AND a.message_class IN ('', %s))
"""
DOOR = """
INSERT INTO partners_allowanceuse (allowance_id, period, used)
SELECT a.id, v.period, within_allowance(v.amount, a.most, a.id)
FROM unnest(%s::bigint[], %s::text[], %s::numeric[]) AS v(id, period, amount) JOIN partners_allowance a ON a.id = v.id
ORDER BY a.id
ON CONFLICT (allowance_id, period) DO UPDATE SET used = within_allowance(
    partners_allowanceuse.used + excluded.used,
    (SELECT a.most FROM partners_allowance a WHERE a.id = excluded.allowance_id), excluded.allowance_id)
"""  # within_allowance(wanted, most, allowance) is `wanted`, or raises FULL


def at_the_door(column: str | None, messages: int, now: datetime) -> list[Statement]:
    """What must be written, with what DOOR_COLUMN said, to take `messages`; fails as FULL where there is no room."""
    if not column or not messages:
        return []
    found = sorted(json.loads(column))
    keys = [period_key(period, zone, now) for _id, period, zone in found]
    ids, amounts = ",".join(str(one[0]) for one in found), ",".join([str(messages)] * len(found))
    return [(DOOR, [f"{{{ids}}}", f"{{{','.join(keys)}}}", f"{{{amounts}}}"])]


class QuotaReached(Exception):
    """A quota of messages, `allowance` being its id, has no room for a call: nothing of it may be kept."""

    def __init__(self, allowance: int) -> None:
        super().__init__(f"allowance {allowance}")
        self.allowance = allowance


@contextmanager
def walls() -> Iterator[None]:
    """Turns the database's FULL into QuotaReached."""
    try:
        yield
    except InternalError as refused:
        if not str(refused).startswith(FULL):
            raise
        raise QuotaReached(int(str(refused).split()[1])) from refused


def note_wall(allowance: Allowance, now: datetime) -> None:
    """A call was refused: the wall of this period was reached, if it was not before. In a transaction of its own."""
    key = period_key(allowance.period, allowance.zone, now)
    use, _made = AllowanceUse.objects.get_or_create(allowance=allowance, period=key)
    if use.walled_at is None:
        AllowanceUse.objects.filter(pk=use.pk, walled_at__isnull=True).update(walled_at=now)
