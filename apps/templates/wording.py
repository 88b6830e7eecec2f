"""Sensitive words in rendered texts. Pure, but for the automaton that finds tens of thousands of them in one pass.

Texts and words are compared as people read them: full-width and other forms are folded (NFKC), letters are small,
and whatever stands between the characters of a word – blanks, zero-width and punctuation characters, tags of HTML – counts
for nothing. A word of Latin letters and digits only must stand alone: `sm` is not found in `some`. Traditional
and simplified characters are different ones: list both.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from html import unescape
from typing import Any, NamedTuple

import ahocorasick

_SEPARATORS = re.compile(r"[\W_]+")
_letters = re.compile(r"\w+").findall
_TAG = re.compile(r"<[^<>]*>")
_LATIN = re.compile(r"[0-9a-z]+\Z")


class Entry(NamedTuple):
    """A word of a list: ids of both, and the key that texts are searched for."""

    list_id: int
    entry_id: int
    key: str


class Hit(NamedTuple):
    """A word that was found; `place` is the path of the text in its content, such as `params.name`."""

    list_id: int
    entry_id: int
    place: str


def key_of(text: str) -> str:
    """What is left of a text, or a word, for the comparison."""
    if "<" in text:
        text = unescape(_TAG.sub("", text))
    kept = _SEPARATORS.sub("", text)
    if not unicodedata.is_normalized("NFKC", kept):
        kept = _SEPARATORS.sub("", unicodedata.normalize("NFKC", kept))
    return kept.lower()


def texts_of(content: object, place: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a content with its path, however deep; numbers as they are written."""
    if isinstance(content, str):
        yield place, content
    elif isinstance(content, Mapping):
        for name, held in content.items():
            yield from texts_of(held, f"{place}.{name}" if place else str(name))
    elif isinstance(content, (list, tuple)):
        for number, held in enumerate(content):
            yield from texts_of(held, f"{place}.{number}")
    elif content is not None and not isinstance(content, bool):
        yield place, str(content)


class Matcher:
    """Finds the words of many lists at once; never changes, and may be shared by threads.

    The automaton walks over bytes: a node has few children then, where it would have thousands of characters.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        held: dict[str, list[Entry]] = {}
        for entry in entries:
            held.setdefault(entry.key, []).append(entry)
        self._automaton: Any = ahocorasick.Automaton()
        for key, same in held.items():
            self._automaton.add_word(_bytes(key), same)
        if held:
            self._automaton.make_automaton()
        self._empty = not held

    def suspicious(self, content: Mapping[str, Any]) -> bool:
        """Whether `hits` has to be asked: false for nearly every content, and quick.

        All texts are searched as one, so a word may seem to reach from one into the next: `hits` tells.
        """
        if self._empty:
            return False
        joined = "".join(_strings(content, []))
        if "<" in joined:
            joined = "".join([key_of(text) for text in _strings(content, [])])
        key = "".join(_letters(joined)).replace("_", "")
        if not unicodedata.is_normalized("NFKC", key):
            key = key_of(key)
        return next(self._automaton.iter(_bytes(key.lower())), None) is not None

    def hits(self, content: Mapping[str, Any]) -> list[Hit]:
        """Every word in it, each once a place, in the order of the texts."""
        found: dict[Hit, None] = {}
        for place, text in texts_of(content):
            for entry in self.found_in(text):
                found[Hit(entry.list_id, entry.entry_id, place)] = None
        return list(found)

    def found_in(self, text: str) -> list[Entry]:
        """The words in one text."""
        if self._empty:
            return []
        key = key_of(text)
        matches = [entry for _end, same in self._automaton.iter(_bytes(key)) for entry in same]
        return [entry for entry in dict.fromkeys(matches) if _stands_alone(entry.key, text)]


def _strings(content: Mapping[str, Any], found: list[str]) -> list[str]:
    """As `texts_of`, without places: what every row costs."""
    for held in content.values():
        if held.__class__ is str:
            found.append(held)
        elif held.__class__ is dict:
            _strings(held, found)
        else:
            found += [text for _place, text in texts_of(held)]
    return found


def _bytes(text: str) -> str:
    return text.encode("utf-8", "surrogatepass").decode("latin-1")


def _stands_alone(key: str, text: str) -> bool:
    """Always true of words with other than Latin characters, which are written without blanks."""
    if not _LATIN.match(key):
        return True
    letters = r"[\W_]*".join(key)
    folded = unicodedata.normalize("NFKC", unescape(_TAG.sub("", text)) if "<" in text else text).lower()
    return re.search(rf"(?<![0-9a-z]){letters}(?![0-9a-z])", folded) is not None
