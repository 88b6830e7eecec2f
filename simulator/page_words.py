"""The words of the phone pages in both languages, and plain reasons for what did not arrive."""

import json
from pathlib import Path

WORDS: dict[str, dict[str, str]] = json.loads(Path(__file__).with_name("page_words.json").read_text("utf-8"))


def reason(fate: str, reached: bool, recalled: bool) -> str:
    """Return the key of the words that explain a message's state."""
    if recalled:
        return "recalled"
    if fate == "unknown":
        return "rid"
    if fate in ("delivered", "late") and not reached:
        return "waiting"
    return fate
