"""The words of the phone pages in both languages: the page itself, the looks, and what became of a message."""

import json
from collections.abc import Mapping
from pathlib import Path

from simulator.outside import Arrival

_TEXT: dict[str, dict[str, dict[str, str]]] = json.loads(Path(__file__).with_name("page_words.json").read_text("utf-8"))
WORDS = {language: parts["page"] for language, parts in _TEXT.items()}
LOOKS = {language: parts["looks"] for language, parts in _TEXT.items()}
STATES = {language: parts["states"] for language, parts in _TEXT.items()}


def state_of(arrival: Arrival, now: float) -> str:
    """Return the word for where a message stands: recalled, read, waiting, or its fate."""
    if arrival.recalled:
        return "recalled"
    if arrival.read_at and now >= arrival.read_at:
        return "read"
    return arrival.fate.word if now >= arrival.fate.at else "waiting"


def state_words(language: str, word: str, own: Mapping[str, str]) -> str:
    """Return what the page says of a state: the provider's own words, else the page's, else the word itself."""
    return own.get(word) or STATES[language].get(word, word)
