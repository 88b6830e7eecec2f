"""Sensitive words at the gate: every rendered text is searched, the values that stand in it too, on every channel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from apps.campaigns.pipeline.decisions import Decided, note
from apps.campaigns.pipeline.order import Item, Order
from apps.campaigns.pipeline.rules.rule import Asked, stop
from apps.templates.models import WordList
from apps.templates.wording import Hit
from apps.templates.words import Words, words_for

WORDS, WARNED = "words", "words_warned"
MOST_PLACE = 40  # a message's reason is short


class SensitiveWords:
    """Refuses texts with a word of a blocking list, for this way only: the next step may have another text.

    A word of a list that only warns is noted in the ledger. The word itself is nowhere written but as the id of its entry.
    """

    code = "sensitive_word"

    def concerns(self, order: Order) -> bool:
        campaign = order.campaign
        held = words_for(
            message_class=campaign.message_class, line=campaign.business_line_id, kind=order.account_row.kind
        )
        order.settings[WORDS] = held
        return held is not None

    def look(self, asked: Asked, items: Sequence[Item]) -> None:
        words: Words = asked.order.settings[WORDS]
        warned: dict[int, str] = asked.order.settings.setdefault(WARNED, {})
        last: tuple[Mapping[str, Any] | None, list[Hit]] = (None, [])  # what everybody gets is one object
        for item in items:
            if item.envelope is None:
                continue
            if item.envelope.content is not last[0]:
                last = item.envelope.content, words.hits(item.envelope.content)
            if last[1]:
                self._mark(item, last[1], words, warned)

    def _mark(self, item: Item, hits: list[Hit], words: Words, warned: dict[int, str]) -> None:
        blocking = [hit for hit in hits if words.action(hit) == WordList.Action.BLOCK]
        if blocking:
            stop(item, self.code, _told(blocking[0]))
        elif item.number == 1:
            warned[item.delivery_id] = _told(hits[0])

    def take(self, cursor: Any, asked: Asked, items: Sequence[Item]) -> None:
        """Notes the warnings of what goes."""
        warned: dict[int, str] = asked.order.settings.get(WARNED, {})
        if warned:
            step = asked.order.batch.step
            told = [(item.message_id, warned.pop(item.delivery_id)) for item in items if item.delivery_id in warned]
            note(cursor, [Decided(message, self.code, "let", step, detail) for message, detail in told])


def _told(hit: Hit) -> str:
    return f"list={hit.list_id} entry={hit.entry_id} at={hit.place[:MOST_PLACE]}"
