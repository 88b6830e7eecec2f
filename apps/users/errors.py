"""What services refuse, in words that the console and the API may show."""

from __future__ import annotations

from django.utils.functional import Promise

from apps.users.importing.rejects import in_words


class PeopleError(ValueError):
    """A refusal. `words` is the untranslated reason, str() the reason in the active language; never an address."""

    def __init__(self, words: str | Promise, **params: object) -> None:
        super().__init__(words)
        self.words = str(words)
        self.params = params

    def __str__(self) -> str:
        return in_words(self.words, self.params)
