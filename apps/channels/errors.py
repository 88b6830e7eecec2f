"""What services of channels refuse, in words that the console may show."""

from __future__ import annotations

from collections.abc import Mapping


class AccountError(ValueError):
    """`problems` maps the name of a field (or "" for the whole) to a sentence with the remedy, never a secret."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{field}: {words}" if field else str(words) for field, words in problems.items()))
        self.problems = dict(problems)
