"""What an answer means, by the words that the operator lists. Pure.

People answer "td", "ＴＤ", "T d.", "“退订”" or "回复TD": width, case, blanks, signs and a leading "回复" make no difference.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Meaning = Literal["unsubscribe", "subscribe", "complaint"]
_LEADING = ("回复", "回")
# Whoever writes that they have had enough is taken off, whatever else they write.
_ORDER: tuple[Meaning, ...] = ("unsubscribe", "subscribe", "complaint")


@dataclass(frozen=True, slots=True)
class Word:
    """One listed word, in its normal form."""

    word: str
    meaning: Meaning
    whole: bool


@dataclass(frozen=True, slots=True)
class Read:
    """`meaning` is what is to be done (empty: nothing), by which `word`; `complaint` is counted beside it."""

    meaning: str = ""
    word: str = ""
    complaint: bool = False


def normal(text: str) -> str:
    """Letters and digits only, in one width and in capitals."""
    held = unicodedata.normalize("NFKC", text).upper()
    return "".join(char for char in held if unicodedata.category(char)[0] in "LN")


def read(text: str, words: Iterable[Word]) -> Read:
    """The first meaning that fires: unsubscribe, then subscribe again, then a complaint."""
    said = normal(text)
    bare = next((said.removeprefix(lead) for lead in _LEADING if said.startswith(lead)), said)
    found = [one for one in words if one.word and (one.word in (said, bare) if one.whole else one.word in said)]
    complaint = any(one.meaning == "complaint" for one in found)
    for meaning in _ORDER:
        for one in found:
            if one.meaning == meaning:
                return Read(meaning, one.word, complaint)
    return Read()
