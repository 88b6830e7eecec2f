"""Which lists of sensitive words apply where, and the automaton over all of them, kept until one changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

from django.db import connection
from django.utils.translation import gettext as _

from apps.templates.bodies import kind_of
from apps.templates.errors import TemplateError
from apps.templates.lint import Finding
from apps.templates.models import ListedWord, MessageTemplate, TemplateVersion, WordList
from apps.templates.render import BadTemplate, parse
from apps.templates.wording import Entry, Hit, Matcher, texts_of

Versions = tuple[tuple[int, int], ...]
LISTS = """
SELECT l.id, l.name, l.action, l.version, l.classes, l.kinds,
       ARRAY(SELECT businessline_id FROM templates_wordlist_business_lines b WHERE b.wordlist_id = l.id)
FROM templates_wordlist l WHERE l.active ORDER BY l.id
"""
_kept: tuple[Versions, Matcher] = ((), Matcher([]))
_lock = Lock()


@dataclass(frozen=True, slots=True)
class Listing:
    """An active list without its words."""

    id: int
    name: str
    action: str
    version: int
    classes: Sequence[str]
    kinds: Sequence[str]
    lines: Sequence[int]

    def concerns(self, message_class: str | None, line: int | None, kind: str | None) -> bool:
        """Whether it applies there; None asks for none in particular, and meets lists of everything only."""
        asked = ((self.classes, message_class), (self.lines, line), (self.kinds, kind))
        return all(not chosen or one in chosen for chosen, one in asked)


@dataclass(frozen=True, slots=True)
class Words:
    """The lists that apply somewhere, ready to be asked."""

    lists: Mapping[int, Listing]
    matcher: Matcher

    def hits(self, content: Mapping[str, Any]) -> list[Hit]:
        """The words of these lists in a content. Costs about two microseconds where there is none."""
        if not self.matcher.suspicious(content):
            return []
        return [hit for hit in self.matcher.hits(content) if hit.list_id in self.lists]

    def refuses(self, content: Mapping[str, Any]) -> bool:
        """Whether a word of a blocking list is in it."""
        return any(self.action(hit) == WordList.Action.BLOCK for hit in self.hits(content))

    def action(self, hit: Hit) -> str:
        return self.lists[hit.list_id].action


def words_for(*, message_class: str | None, line: int | None, kind: str | None) -> Words | None:
    """What applies to such messages, read now with one small statement; None where nothing does."""
    listings = _listings()
    applying = {one.id: one for one in listings if one.concerns(message_class, line, kind)}
    return Words(applying, _matcher(listings)) if applying else None


def refuse_words(content: Mapping[str, Any], *, line: int | None, kind: str) -> None:
    """For a text that somebody sends by hand. Raises TemplateError naming the list and the word."""
    words = words_for(message_class=None, line=line, kind=kind)
    for hit in words.hits(content) if words else ():
        if words and words.action(hit) == WordList.Action.BLOCK:
            raise TemplateError(_sentence(hit, words.lists[hit.list_id].name))


def findings(source: MessageTemplate | TemplateVersion) -> Iterator[Finding]:
    """Words in the fixed parts and examples of a template: errors where every message would be refused, else warnings."""
    listings = {one.id: one for one in _listings()}
    if not listings:
        return
    matcher = _matcher(list(listings.values()))
    for kind, body in source.bodies.items():
        for hit in matcher.hits({"bodies": _fixed(body)}):
            one = listings[hit.list_id]
            if one.kinds and kind_of(kind) not in one.kinds:
                continue
            always = one.action == WordList.Action.BLOCK and not one.classes and not one.lines
            field = hit.place.removeprefix("bodies.").partition(".")[0]
            yield Finding("error" if always else "warning", kind, field, _sentence(hit, one.name))


def _fixed(body: Mapping[str, Any]) -> dict[str, list[str]]:
    """The texts of a body cut at their placeholders: what stands in every message."""
    cut: dict[str, list[str]] = {}
    for place, text in texts_of(body):
        try:
            parts = parse(text).literals
        except BadTemplate:
            parts = (text,)
        cut.setdefault(place.partition(".")[0], []).extend(parts)
    return cut


def _sentence(hit: Hit, name: str) -> str:
    word = ListedWord.objects.filter(pk=hit.entry_id).values_list("word", flat=True).first()
    words = _("“%(word)s” stands on the list of sensitive words %(list)s: write it otherwise.")
    return words % {"word": word or "?", "list": name}


def _listings() -> list[Listing]:
    with connection.cursor() as cursor:
        cursor.execute(LISTS)
        return [Listing(*row) for row in cursor.fetchall()]


def _matcher(listings: Sequence[Listing]) -> Matcher:
    """The matcher of these versions: kept by the process, made anew where any of them differs."""
    global _kept
    versions = tuple((one.id, one.version) for one in listings)
    if _kept[0] != versions:
        with _lock:
            if _kept[0] != versions:
                rows = ListedWord.objects.filter(word_list_id__in=[one.id for one in listings])
                entries = [Entry(*row) for row in rows.values_list("word_list_id", "id", "key")]
                _kept = (versions, Matcher(entries))
    return _kept[1]
