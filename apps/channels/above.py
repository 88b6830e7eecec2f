"""What the pages of accounts show of apps that stand above this one: today's figures, people, texts.

This app may not import them. The app that knows them all hands in one object by `register` when it starts; without it
the pages go without.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from apps.channels.models import ChannelAccount


@dataclass(frozen=True, slots=True)
class Figures:
    """Deliveries of one account: what was first tried today, and in the last hour. `waiting`: not tried yet, or held.

    taken: accepted by the provider; delivered: of those, told by a receipt; cost in the account's currency.
    """

    tried: int = 0
    taken: int = 0
    delivered: int = 0
    refused: int = 0
    unknown: int = 0
    waiting: int = 0
    pieces: int = 0
    cost: Decimal = Decimal(0)
    hour_tried: int = 0
    hour_taken: int = 0
    hour_failed: int = 0


@dataclass(frozen=True, slots=True)
class Bound:
    """One binding that an account could write to; `refusal` says why it may not, `where` is its scope in words."""

    id: int
    masked: str
    where: str
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Blank:
    """A variable of a text, with what stands in it for a person."""

    name: str
    label: str
    value: str = ""


class Above(Protocol):
    """What is handed in. Nothing in it may raise for an account of a kind without texts or people."""

    def figures(self) -> Mapping[int, Figures]:
        """By account id; accounts without any deliveries are left out."""

    def may_see_people(self, actor: Any) -> bool:
        """Whether this operator may look people up."""

    def bindings(self, user_id: str, account: ChannelAccount) -> Sequence[Bound] | None:
        """Bindings of the account's address kind that it may be meant for; None where nobody has this user id."""

    def opened(self, binding_id: int, user_id: str, account: ChannelAccount) -> str:
        """The address of one of `bindings`, in clear. Raises AccountError."""

    def refusal(self, address: str, account: ChannelAccount) -> str:
        """Why an address typed in must not be written to; empty where nothing speaks against it."""

    def texts(self, kind: str) -> Sequence[tuple[int, str]]:
        """(id, name) of published versions with a body for the kind, the newest of each template, by name."""

    def blanks(self, actor: Any, text_id: int, kind: str, user_id: str) -> Sequence[Blank]:
        """The variables of that body, filled for the person as far as the operator may see; else with examples.

        Looking at a person's values is on record. Raises AccountError.
        """

    def content(self, text_id: int, kind: str, values: Mapping[str, str]) -> Mapping[str, Any]:
        """The body with these values. Raises AccountError with a sentence per variable."""

    def words_against(self, content: Mapping[str, Any], account: ChannelAccount) -> str:
        """Why this text must not be sent (a sensitive word); empty where nothing speaks against it."""


_registered: list[Above] = []


def register(one: Above) -> None:
    """Called once by the app that stands above."""
    _registered[:] = [one]


def above() -> Above | None:
    """What was handed in."""
    return _registered[0] if _registered else None


def figures_of(account_id: int) -> Figures | None:
    """Of one account; None where nobody counts."""
    known = above()
    return known.figures().get(account_id, Figures()) if known else None
