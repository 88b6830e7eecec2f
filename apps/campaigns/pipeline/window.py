"""One window of a leased batch: read and render its rows, group them into calls, and commit the intent to send.

From the intent's commit on a row is ambiguous until its result is written. Everything that may still forbid a send
(blacklist, invalid address, expiry, pause, cancel, kill switch) is read within the moment before, and the fence – the
batch's epoch and the life left in its lease – is part of the intent's own transaction.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection, transaction

from apps.campaigns.ambiguity import History, repeat_counts
from apps.campaigns.models import Batch, Campaign
from apps.campaigns.pipeline.columns import numbers, texts
from apps.campaigns.pipeline.doubt import in_doubt
from apps.channels.contract import Account, Adapter, Envelope
from apps.channels.models import ChannelAccount
from apps.templates.render import CompiledBody, RenderError
from apps.users.attributes import open_sealed
from apps.users.audience import blocked_binding, blocked_recipient
from ums_site.clock import boottime, transaction_now
from ums_site.crypto import SealBroken, binding_place, keyring
from ums_site.ids import to_base36

_read = json.JSONDecoder().raw_decode  # all of it was written as one JSON object: json.loads looks behind its end again
PAYLOAD_PLACE = b"campaigns_messagepayload.sealed:"


class LeaseLost(Exception):
    """The fence did not hold: the batch belongs to somebody else, or its lease is too short to begin a call."""


class NotNow(Exception):
    """The campaign or account was stopped; `state` is what the batch goes to."""

    def __init__(self, state: str) -> None:
        super().__init__(state)
        self.state = state


class Rendered(NamedTuple):
    """A body for one person, or for all of an order; `refused` says why it cannot be sent."""

    content: Mapping[str, Any]
    pieces: int = 1
    refused: str = ""


@dataclass(slots=True)
class Order:
    """A leased batch with all that is the same for its rows."""

    batch: Batch
    campaign: Campaign
    account_row: ChannelAccount
    account: Account
    adapter: Adapter
    body: CompiledBody
    token_version: int = 0  # of the access token in `account`
    equal: Rendered | None = None  # what everybody gets, where the body names no variable
    cursor: int = 0  # rows up to this delivery id have had their turn in this lease


@dataclass(slots=True)
class Item:
    """One delivery in a window. `number` is its attempt.

    `refused` says why it is never sent, `cancelled` what called it off, `held` why it waits until `held_until`.
    """

    delivery_id: int
    number: int
    burnt: int
    solo: bool
    key: str
    first_intent_at: datetime | None
    address_hash: bytes = b""
    envelope: Envelope | None = field(default=None, repr=False)
    pieces: int = 1
    refused: str = ""
    cancelled: str = ""
    held: str = ""
    held_until: datetime | None = None

    @property
    def sendable(self) -> bool:
        return not (self.refused or self.cancelled or self.held)


@dataclass(slots=True)
class Window:
    """What was committed to be sent: groups of items, each one call. Calls may start until `start_by` (boot clock)."""

    groups: list[list[Item]]
    start_by: float
    now: datetime


CANDIDATES = """
SELECT d.id, d.attempts, d.burnt, d.solo, d.provider_key, d.first_intent_at, b.address, b.address_hash,
       NOT d.may_duplicate AND {in_doubt}, {values},
       CASE WHEN b.state <> 'ACTIVE' THEN 'address_invalid'
            WHEN {blocked_binding} OR (r.id IS NOT NULL AND {blocked_recipient}) THEN 'blacklisted' ELSE '' END
FROM campaigns_delivery d
JOIN users_binding b ON b.id = d.binding_id
{values_join}
WHERE d.id > %s AND d.id <= %s AND d.batch_id = %s
  AND (d.state = 'PENDING' OR (d.state = 'HELD' AND d.held_until <= now()))
ORDER BY d.id LIMIT %s
"""
PERSON_JOIN = "LEFT JOIN users_recipient r ON r.id = d.recipient_id"
PAYLOAD_JOIN = f"{PERSON_JOIN} LEFT JOIN campaigns_messagepayload p ON p.message_id = d.message_id"
NO_VALUES_JOIN = "CROSS JOIN LATERAL (SELECT d.recipient_id AS id) r"


def candidates(order: Order, most: int) -> list[Item]:
    """The next rows that are due, rendered; nothing is written. Moves the order's cursor."""
    line, account = order.campaign.business_line_id, order.batch.account_id
    by_address, address_values = blocked_binding(business_line_id=line, account_id=account)
    by_person, person_values = blocked_recipient(business_line_id=line, account_id=account)
    values, values_join = _values_columns(order)
    sql = CANDIDATES.format(
        values=values,
        values_join=values_join,
        blocked_binding=by_address,
        blocked_recipient=by_person,
        in_doubt=in_doubt("d"),
    )
    batch = order.batch
    first = max(order.cursor, batch.first_delivery_id - 1)
    if first >= batch.last_delivery_id:
        return []
    with connection.cursor() as cursor:
        cursor.execute(sql, [*address_values, *person_values, first, batch.last_delivery_id, batch.pk, most])
        rows = cursor.fetchall()
    if rows:
        order.cursor = rows[-1][0]
    if rows and order.equal is None and not order.body.needed:
        order.equal = _rendered(order, {})
    return [_item(order, row) for row in rows]


def _values_columns(order: Order) -> tuple[str, str]:
    """What a row's values stand in, and the joins for it: of no table where the body names no variable."""
    if not order.body.needed:
        return "NULL, NULL, NULL, NULL", NO_VALUES_JOIN
    given = order.campaign.audience["kind"] == "given"
    payload, join = ("p.sealed", PAYLOAD_JOIN) if given else ("NULL", PERSON_JOIN)
    return f"r.user_id, r.attributes, r.sealed_attributes, {payload}", join


def _item(order: Order, row: Sequence[Any]) -> Item:
    delivery_id, attempts, burnt, solo, key, first_intent_at, sealed, hashed, doubted, *values, stop = row
    item = Item(delivery_id, attempts + 1, burnt, solo, key, first_intent_at, bytes(hashed), cancelled=stop)
    if stop:
        return item
    try:
        address = keyring().open(sealed, binding_place(hashed))
        rendered = order.equal or _rendered(order, values_of(order.body, *values))
    except SealBroken:
        item.refused = "sealed_value_broken"
        return item
    if rendered.refused:
        item.refused = rendered.refused
        return item
    reference = to_base36(delivery_id)
    if doubted and _too_late(order, first_intent_at, rendered.content):
        item.cancelled = "key_too_old"
        return item
    item.pieces = rendered.pieces
    item.envelope = Envelope(key or reference, reference, address, rendered.content)
    return item


def _too_late(order: Order, first_intent_at: datetime | None, content: Mapping[str, Any]) -> bool:
    """Whether a repeat would be a second message: it was allowed a while ago, and may have waited for a pause to end."""
    timers = settings.UMS_TIMERS
    latest = transaction_now() + timedelta(seconds=timers.start_by)
    past = History(0, first_intent_at or latest, None, 0.0)
    can = order.adapter.capabilities_of(order.account, content)
    return not repeat_counts(can, past, latest, timedelta(seconds=timers.t_http))


def _rendered(order: Order, values: Mapping[str, object]) -> Rendered:
    try:
        content = order.body.render(values)
    except RenderError as error:
        return Rendered({}, refused=_short(str(error)))
    problems = order.adapter.check_content(content)
    if problems:
        return Rendered({}, refused=_short("; ".join(f"{name}: {words}" for name, words in problems.items())))
    return Rendered(content, order.adapter.pieces(content))


def values_of(
    body: CompiledBody, user_id: str | None, attributes: str | None, sealed: Any, payload: Any
) -> dict[str, object]:
    """The values that the body needs; what is sealed is opened only where a name is still missing."""
    values: dict[str, object] = _read(attributes)[0] if attributes else {}
    if user_id:
        values["user_id"] = user_id
        if sealed and not body.needed <= values.keys():
            values |= open_sealed(user_id, sealed)
    if payload:
        values |= _read(keyring().open(payload, PAYLOAD_PLACE))[0]
    return values


def _short(text: str) -> str:
    return text if len(text) <= 120 else text[:119] + "…"


FENCE = """
UPDATE campaigns_batch b SET lease_until = now() + make_interval(secs => %s)
FROM campaigns_campaign c, ums_channels_channelaccount a
WHERE b.id = %s AND b.epoch = %s AND b.state = 'LEASED' AND b.lease_until > now() + make_interval(secs => %s)
  AND c.id = b.campaign_id AND a.id = b.account_id
RETURNING c.state, a.state, a.open_until > now(), c.expires_at <= now(), now()
"""
INTEND = """
WITH v AS (
    SELECT * FROM unnest(%s::bigint[], %s::smallint[], %s::text[], %s::text[], %s::bigint[])
    AS v(id, number, key, shown, call_ref)
), started AS (
    UPDATE campaigns_delivery d
    SET state = 'SENDING', epoch = %s, attempts = v.number, burnt = burnt + 1, provider_key = v.key, call_ref = v.call_ref,
        first_intent_at = coalesce(first_intent_at, now()), held_until = NULL, reason = ''
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
        cursor.execute(FENCE, [timers.lease, batch.pk, batch.epoch, timers.lease_margin])
        held = cursor.fetchone()
        if held is None:
            raise LeaseLost
        campaign_state, account_state, breaker_open, expired, now = held
        if campaign_state == "PAUSED":
            raise NotNow("WAITING")
        if account_state != "ACTIVE" or breaker_open:  # also where another sender has opened it since the lease
            raise NotNow("READY")
        stopped = "expired" if expired else "campaign_cancelled" if campaign_state == "CANCELLED" else ""
        if stopped:
            not_sent = not_sent + [item for group in groups for item in group]
            groups = []
        _write_not_sent(cursor, order, not_sent, stopped)
        started = _write_intents(cursor, order, groups)
    kept = [[item for item in group if item.delivery_id in started] for group in groups]
    return Window([group for group in kept if group], began + timers.start_by, now)


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
