"""Contacts: what each person was sent of late, kept exactly in one row, so that caps and the duplicate guard hold for all.

A message takes its place in the transaction of its intent, in the statement that looks: the row is locked from then until
the commit, so two dispatchers never share the last place, and a place vanishes with an intent that fails. A message
counts once, at its first intent: its id in the row is its pass for every later step, retry and reissue. Rows are locked
in the order of their subjects.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection

from apps.campaigns.pipeline.columns import numbers, texts
from apps.campaigns.spans import counted_after, longest

DUPLICATE = "duplicate_content"
CAP = "frequency_cap"
DEFAULT_HOURS: Mapping[str, int] = {"marketing": 24, "transactional": 24, "otp": 0}
SHORTEST_MEMORY = timedelta(days=1)  # so that a retry finds its message in the row, however short the caps are

ALL = """
SELECT (SELECT json_agg(json_build_array(code, most, span_count, span_unit, zone, classes, business_line_id, channel_kind)
                        ORDER BY id)::text FROM campaigns_frequencycap WHERE active),
       (SELECT json_agg(json_build_array(business_line_id, message_class, window_hours))::text FROM campaigns_duplicateguard)
"""


class Cap(NamedTuple):
    """A cap as it is asked; `line` and `kind` where it counts only what is sent for that line, over that kind."""

    code: str
    most: int
    span_count: int
    span_unit: str
    zone: str
    classes: Sequence[str]
    line: int | None
    kind: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What holds for messages of one class and line over one kind: caps, and for how long a text is a repetition."""

    message_class: str
    line: int
    kind: str
    caps: tuple[Cap, ...]
    repeats: timedelta
    memory: timedelta  # how long contacts are kept, for whatever cap or guard there is


class Place(NamedTuple):
    """A message that asks to be sent: to whom, and the hash of its text."""

    subject: bytes
    message_id: int
    content: int


class Refused(NamedTuple):
    """`rule` is a reason code, `cap` the code of the cap that is full."""

    rule: str
    cap: str


def subject_of(recipient_id: int | None, address_hash: bytes) -> bytes:
    """The key of a person's row, or of an address that belongs to nobody."""
    return address_hash if recipient_id is None else recipient_id.to_bytes(8, "big", signed=True)


# An expression over one row's `contacts`: '' where the message may go, else why not. One sort of branch a rule.
REPEATED = """WHEN (SELECT bool_or(o.message_id <> {message} AND o.at > %(repeats_after)s)
      AND NOT bool_or(o.message_id = {message}) FROM unnest({contacts}) o WHERE o.content = {content})
 THEN 'duplicate_content'"""
FULL = """WHEN (SELECT count(DISTINCT o.message_id) FILTER (WHERE o.at > %(after{n})s AND o.class = ANY(%(classes{n})s)
                                                    AND {counted}) >= %(most{n})s
      AND NOT bool_or(o.message_id = {message} AND {same_kind}) FROM unnest({contacts}) o)
 THEN 'frequency_cap ' || %(code{n})s"""
TAKE = """
WITH asked AS (
    SELECT decode(subject, 'hex') AS subject, message_id, content
    FROM unnest(%(subjects)s::text[], %(messages)s::bigint[], %(contents)s::bigint[]) AS a(subject, message_id, content)
    ORDER BY subject
)
INSERT INTO campaigns_contact AS c (subject, last_at, contacts)
SELECT subject, now(), ARRAY[ROW(now(), message_id, content, %(line)s, %(class)s, %(kind)s, true)::campaigns_contacted]
FROM asked
ON CONFLICT (subject) DO UPDATE SET last_at = now(), contacts =
    ARRAY(SELECT o FROM unnest(c.contacts) o WHERE o.at > %(keep_after)s) || CASE
    WHEN EXISTS (SELECT 1 FROM unnest(c.contacts) o WHERE o.message_id = {message} AND o.kind = %(kind)s
                 AND o.content = {content}) THEN '{{}}'::campaigns_contacted[]
    ELSE ARRAY[ROW(now(), {message}, {content}, %(line)s, %(class)s, %(kind)s, NOT EXISTS (
        SELECT 1 FROM unnest(c.contacts) o WHERE o.message_id = {message}))::campaigns_contacted] END
WHERE {verdict} = ''
RETURNING encode(subject, 'hex')
"""
WHY = """
SELECT a.message_id, {verdict} FROM campaigns_contact c
JOIN unnest(%(subjects)s::text[], %(messages)s::bigint[], %(contents)s::bigint[]) AS a(subject, message_id, content)
  ON c.subject = decode(a.subject, 'hex')
"""
EXCLUDED = {"message": "(excluded.contacts[1]).message_id", "content": "(excluded.contacts[1]).content"}
ASKED = {"message": "a.message_id", "content": "a.content"}
GIVE_BACK = """
UPDATE campaigns_contact c SET contacts = ARRAY(
    SELECT o FROM unnest(c.contacts) o WHERE o.at <> %(now)s OR o.message_id <> ALL(v.messages))
FROM (SELECT decode(subject, 'hex') AS subject, array_agg(message_id) AS messages
      FROM unnest(%(subjects)s::text[], %(messages)s::bigint[]) AS a(subject, message_id) GROUP BY 1) v
WHERE c.subject = v.subject
"""
FORGET = "DELETE FROM campaigns_contact WHERE last_at < now() - %s"


def limits_of(message_class: str, line: int, kind: str) -> Limits:
    """What caps and guards say of such messages now, read in one statement."""
    caps, guards = _read()
    concerned = tuple(one for one in caps if _concerns(one, message_class, line) and one.kind in ("", kind))
    hours = guards.get((line, message_class), guards.get((None, message_class), DEFAULT_HOURS.get(message_class, 0)))
    return Limits(message_class, line, kind, concerned, timedelta(hours=hours), _memory(caps, guards))


Guards = Mapping[tuple[int | None, str], int]


def _read() -> tuple[list[Cap], Guards]:
    with connection.cursor() as cursor:
        cursor.execute(ALL)
        caps, guards = (json.loads(held or "[]") for held in cursor.fetchone())
    return [Cap(*row) for row in caps], {(line, message_class): hours for line, message_class, hours in guards}


def _concerns(cap: Cap, message_class: str, line: int) -> bool:
    return message_class in cap.classes and cap.line in (None, line)


def _memory(caps: Sequence[Cap], guards: Guards) -> timedelta:
    spans = [longest(cap.span_count, cap.span_unit) for cap in caps]
    return max([SHORTEST_MEMORY, *spans, *[timedelta(hours=hours) for hours in guards.values()]])


def take(cursor: Any, limits: Limits, places: Sequence[Place], now: datetime) -> dict[int, Refused]:
    """Takes a place for each message in its subject's row; message id -> why, for those that found none.

    Runs in the caller's transaction, whose time `now` is. Of several messages to one subject the first is asked first.
    """
    refused: dict[int, Refused] = {}
    waiting = list(places)
    while waiting:
        turn: dict[bytes, Place] = {}
        for place in waiting:
            turn.setdefault(place.subject, place)
        waiting = [place for place in waiting if turn[place.subject] is not place]
        refused |= _take_turn(cursor, limits, [turn[subject] for subject in sorted(turn)], now)
    return refused


def _take_turn(cursor: Any, limits: Limits, places: Sequence[Place], now: datetime) -> dict[int, Refused]:
    """`places` have different subjects, in order."""
    values = {**_limit_values(limits.caps, limits.repeats, now), **_place_values(limits, places)}
    values["keep_after"] = now - limits.memory
    cursor.execute(TAKE.format(verdict=_verdict(limits, "c.contacts", EXCLUDED), **EXCLUDED), values)
    granted = {bytes.fromhex(row[0]) for row in cursor.fetchall()}
    full = [place for place in places if place.subject not in granted]
    if not full:
        return {}
    cursor.execute(WHY.format(verdict=_verdict(limits, "c.contacts", ASKED)), values | _place_values(limits, full))
    found = {message: Refused(*(why.split(" ", 1) if " " in why else (why, ""))) for message, why in cursor.fetchall()}
    return {place.message_id: found[place.message_id] for place in full}


def _place_values(limits: Limits, places: Sequence[Place]) -> dict[str, Any]:
    return {
        "subjects": texts([place.subject.hex() for place in places]),
        "messages": numbers(place.message_id for place in places),
        "contents": numbers(place.content for place in places),
        "line": limits.line,
        "class": limits.message_class,
        "kind": limits.kind,
    }


def _verdict(limits: Limits, contacts: str, asked: Mapping[str, str]) -> str:
    branches = [REPEATED.format(contacts=contacts, **asked)] if limits.repeats else []
    branches += [_full(number, cap, contacts, asked["message"]) for number, cap in enumerate(limits.caps)]
    return f"CASE {' '.join(branches)} ELSE '' END" if branches else "''"


def _full(number: int, cap: Cap, contacts: str, message: str) -> str:
    """A cap of a kind counts messages that went over it; any other counts a message where it first went."""
    counted = [f"o.kind = %(of_kind{number})s" if cap.kind else "o.first"]
    counted += [f"o.line = %(of_line{number})s"] if cap.line is not None else []
    same_kind = f"o.kind = %(of_kind{number})s" if cap.kind else "true"
    words = {"n": number, "counted": " AND ".join(counted), "same_kind": same_kind}
    return FULL.format(contacts=contacts, message=message, **words)


def _limit_values(caps: Sequence[Cap], repeats: timedelta, now: datetime) -> dict[str, Any]:
    values: dict[str, Any] = {"repeats_after": now - repeats}
    for number, cap in enumerate(caps):
        values |= {
            f"after{number}": counted_after(cap.span_count, cap.span_unit, cap.zone, now),
            f"classes{number}": list(cap.classes),
            f"most{number}": cap.most,
            f"code{number}": cap.code,
            f"of_kind{number}": cap.kind,
            f"of_line{number}": cap.line,
        }
    return values


def give_back(cursor: Any, taken: Sequence[tuple[bytes, int]], now: datetime) -> None:
    """Takes out again what this transaction, of time `now`, put in for these subjects and messages."""
    subjects = texts([subject.hex() for subject, _message in taken])
    messages = numbers(message for _subject, message in taken)
    cursor.execute(GIVE_BACK, {"subjects": subjects, "messages": messages, "now": now})


def full_now(message_class: str, line: int, kinds: Sequence[str], now: datetime) -> tuple[str, list[Any]] | None:
    """SQL over alias r: a cap is full for this person now, whichever of these kinds the message takes; None: no cap.

    For a forecast only: what is sent until then is not known. A cap of one kind is asked where it is the only kind.
    """
    asked = [
        one for one in _read()[0] if _concerns(one, message_class, line) and (not one.kind or set(kinds) == {one.kind})
    ]
    if not asked:
        return None
    clauses, values = [], []
    for cap in asked:
        clauses.append(
            "(SELECT count(DISTINCT o.message_id) FROM unnest(c.contacts) o WHERE o.at > %s AND o.class = ANY(%s)"
            f"{' AND o.kind = %s' if cap.kind else ' AND o.first'}{' AND o.line = %s' if cap.line is not None else ''}) >= %s"
        )
        values += [counted_after(cap.span_count, cap.span_unit, cap.zone, now), list(cap.classes)]
        values += [*([cap.kind] if cap.kind else []), *([cap.line] if cap.line is not None else []), cap.most]
    sql = f"EXISTS (SELECT 1 FROM campaigns_contact c WHERE c.subject = int8send(r.id) AND ({' OR '.join(clauses)}))"
    return sql, values


def forget() -> None:
    """Removes the rows of those to whom nothing was sent for longer than any cap or guard looks back."""
    with connection.cursor() as cursor:
        cursor.execute(FORGET, [_memory(*_read())])
