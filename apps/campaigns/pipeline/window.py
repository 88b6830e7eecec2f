"""One window of a leased batch: its rows are read, judged by blacklist and address, and rendered. Nothing is written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection

from apps.campaigns.ambiguity import History, repeat_counts
from apps.campaigns.pipeline.doubt import in_doubt
from apps.campaigns.pipeline.order import Item, Order, Rendered
from apps.campaigns.states import MessageClass
from apps.channels.contract import Envelope
from apps.templates.render import UNSUBSCRIBE_URL, CompiledBody, RenderError
from apps.users import unsubscribing
from apps.users.attributes import open_sealed
from apps.users.audience import blocked_binding, blocked_recipient, blocked_way
from ums_site.clock import transaction_now
from ums_site.crypto import SealBroken, binding_place, keyring
from ums_site.ids import to_base36

_read = json.JSONDecoder().raw_decode  # all of it was written as one JSON object: json.loads looks behind its end again
PAYLOAD_PLACE = b"campaigns_messagepayload.sealed:"


CANDIDATES = """
SELECT d.id, d.message_id, d.recipient_id, d.binding_id, d.attempts, d.burnt, d.solo, d.provider_key, d.first_intent_at,
       d.reason, b.address, b.address_hash,
       NOT d.may_duplicate AND {in_doubt}, {values},
       CASE WHEN b.state IS DISTINCT FROM 'ACTIVE' THEN 'address_invalid'
            WHEN r.id IS NOT NULL AND {blocked_recipient} THEN 'blacklisted'
            WHEN {blocked_binding} THEN 'address_blacklisted'
            WHEN r.id IS NOT NULL AND {blocked_way} THEN 'way_blacklisted' ELSE '' END
FROM campaigns_delivery d
LEFT JOIN users_binding b ON b.id = d.binding_id
{values_join}
WHERE d.id > %s AND d.id <= %s AND d.batch_id = %s
  AND (d.state = 'PENDING' OR (d.state = 'HELD' AND d.held_until <= now()))
ORDER BY d.id LIMIT %s
"""
PERSON_JOIN = "LEFT JOIN users_recipient r ON r.id = d.recipient_id"
PAYLOAD_JOIN = f"{PERSON_JOIN} LEFT JOIN campaigns_messagepayload p ON p.message_id = d.message_id"
NO_VALUES_JOIN = "CROSS JOIN LATERAL (SELECT d.recipient_id AS id) r"


def candidates(order: Order, most: int) -> list[Item]:
    """The next rows that are due, rendered; nothing is written. Moves the order's cursor.

    One whose address was deleted meanwhile is among them, and called off: a row that nobody reads would wait for ever.
    """
    whose: dict[str, Any] = {
        "message_class": order.campaign.message_class, "business_line_id": order.campaign.business_line_id,
    }  # fmt: skip
    way: dict[str, Any] = {"account_id": order.batch.account_id, "kind": order.account_row.kind}
    by_person, person_values = blocked_recipient(**whose)
    by_address, address_values = blocked_binding(**whose, **way)
    by_way, way_values = blocked_way(**whose, **way)
    values, values_join = _values_columns(order)
    sql = CANDIDATES.format(
        values=values,
        values_join=values_join,
        blocked_binding=by_address,
        blocked_recipient=by_person,
        blocked_way=by_way,
        in_doubt=in_doubt("d"),
    )
    batch = order.batch
    first = max(order.cursor, batch.first_delivery_id - 1)
    if first >= batch.last_delivery_id:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            sql, [*person_values, *address_values, *way_values, first, batch.last_delivery_id, batch.pk, most]
        )
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
    given = order.campaign.audience["kind"] in ("given", "list")
    payload, join = ("p.sealed", PAYLOAD_JOIN) if given else ("NULL", PERSON_JOIN)
    return f"r.user_id, r.attributes, r.sealed_attributes, {payload}", join


def _item(order: Order, row: Sequence[Any]) -> Item:
    delivery_id, message_id, person, binding, attempts, burnt, solo, key, first_intent_at, before, *rest = row
    sealed, hashed, doubted, *values, stop = rest
    item = Item(
        delivery_id, message_id, person, binding, attempts + 1, burnt, solo, key, first_intent_at, bytes(hashed or b""),
        before=before, cancelled=stop, doubted=doubted,
    )  # fmt: skip
    if stop:
        return item
    try:
        address = keyring().open(sealed, binding_place(hashed))
        link = _link(order, message_id, person, binding)
        rendered = order.equal or _rendered(order, values_of(order.body, *values, unsubscribe_url=link))
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
    item.envelope = Envelope(key or reference, reference, address, rendered.content, link)
    return item


def _link(order: Order, message_id: int, person: int | None, binding: int) -> str:
    """The person's page to unsubscribe, where the text has it or marketing says it beside the text."""
    campaign = order.campaign
    beside = order.adapter.capabilities.unsubscribe_header and campaign.message_class == MessageClass.MARKETING
    if not beside and UNSUBSCRIBE_URL not in order.body.needed:
        return ""
    return unsubscribing.link(campaign.business_line_id, person, binding, message_id)


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
    body: CompiledBody,
    user_id: str | None,
    attributes: str | None,
    sealed: Any,
    payload: Any,
    unsubscribe_url: str = unsubscribing.SAMPLE,
) -> dict[str, object]:
    """The values that the body needs; what is sealed is opened only where a name is still missing.

    Without a message there is no link to unsubscribe: one of the same length stands for it.
    """
    values: dict[str, object] = _read(attributes)[0] if attributes else {}
    if user_id:
        values["user_id"] = user_id
        if sealed and not body.needed <= values.keys():
            values |= open_sealed(user_id, sealed)
    if payload:
        values |= _read(keyring().open(payload, PAYLOAD_PLACE))[0]
    if UNSUBSCRIBE_URL in body.needed:
        values.setdefault(UNSUBSCRIBE_URL, unsubscribe_url)
    return values


def _short(text: str) -> str:
    return text if len(text) <= 120 else text[:119] + "…"
