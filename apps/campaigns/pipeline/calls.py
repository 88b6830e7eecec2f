"""Which items of a window go out in one call."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from apps.campaigns.pipeline.order import Item, Order
from apps.campaigns.pipeline.pace import campaign_burst


def grouped(order: Order, items: Sequence[Item]) -> list[list[Item]]:
    """Items as calls: those that share a reserved key as they were, equal content up to the call size, others alone.

    Where calls carry own texts any content goes together, and a key that is one item's alone ties it to nobody.
    """
    size = order.adapter.call_size(order.account)
    if size == 1:
        return [[item] for item in items]
    if order.account_row.rate_per_second:
        size = min(size, max(1, order.account_row.burst - order.spare))
    if order.campaign.pace_per_second:
        size = min(size, int(campaign_burst(order.campaign.pace_per_second)))
    own_texts = order.adapter.own_texts(order.account)
    sharing = Counter(item.key for item in items if item.key) if keys_of_their_own(order) else None
    together: dict[str, list[Item]] = {}
    whole = set()
    written: dict[int, str] = {}  # by identity: equal content is one object where the body names no variable
    for item in items:
        assert item.envelope is not None
        alone = f"{item.delivery_id}" if item.solo else ""
        key = item.key if sharing is None or sharing[item.key] > 1 else ""
        text = "" if key or own_texts else _written(item.envelope.content, written)
        place = f"{key}|{alone}|{text}"
        together.setdefault(place, []).append(item)
        if key:
            whole.add(place)
    return [
        chunk for place, equal in together.items() for chunk in _chunks(equal, len(equal) if place in whole else size)
    ]


def _written(content: Mapping[str, Any], known: dict[int, str]) -> str:
    text = known.get(id(content))
    if text is None:
        text = known[id(content)] = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return text


def keys_of_their_own(order: Order) -> bool:
    """Whether each item of a call has a reserved key of its own, in place of one for the call."""
    return order.adapter.capabilities.key_per_recipient and order.adapter.own_texts(order.account)


def _chunks(items: list[Item], size: int) -> Iterator[list[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
