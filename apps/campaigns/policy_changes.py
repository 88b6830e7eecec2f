"""What differs between two versions of a policy, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from django.utils.translation import gettext as _

from apps.campaigns.policy_words import policy_in_words


@dataclass(frozen=True, slots=True)
class Line:
    """A sentence of a policy: `change` is "gone", "new" or "" where both versions say it."""

    words: str
    change: str


def changes(before: Mapping[str, Any], after: Mapping[str, Any], names: Mapping[str, str]) -> list[Line]:
    """The sentences of both, in order; what went stands before what came in its place."""
    old, new = _numbered(before, names), _numbered(after, names)
    lines: list[Line] = []
    for tag, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            lines += [Line(words, "") for words in old[a:b]]
        else:
            lines += [Line(words, "gone") for words in old[a:b]] + [Line(words, "new") for words in new[c:d]]
    return lines


def _numbered(plan: Mapping[str, Any], names: Mapping[str, str]) -> list[str]:
    count = len(plan.get("steps", []))
    sentences = policy_in_words(plan, names)
    steps = [_("Step %(number)s: %(words)s") % {"number": n, "words": w} for n, w in enumerate(sentences[:count], 1)]
    return steps + sentences[count:]
