"""What a rule of the gate is, and how it marks a row. gate.py asks them; each has a module of its own beside this one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol, runtime_checkable

from apps.campaigns.pipeline.order import Item, Order


@dataclass(frozen=True, slots=True)
class Asked:
    """A window before its intent: the leased batch and the database's time."""

    order: Order
    now: datetime
    price: Decimal = Decimal(0)  # of a unit, valid at `now`; known once `take` is asked


class Rule(Protocol):
    """One rule of the gate; `code` is the reason that it leaves."""

    code: str

    def concerns(self, order: Order) -> bool:
        """Whether it may stop anything of this order."""

    def look(self, asked: Asked, items: Sequence[Item]) -> None:
        """Marks what must not go now. `items` are those that no rule before has stopped."""

    def take(self, cursor: Any, asked: Asked, items: Sequence[Item]) -> None:
        """Takes what is counted exactly, and marks what found no room; commits or fails with the intent."""


@runtime_checkable
class Returning(Protocol):
    """A rule whose counters must not keep what a later rule then stopped or held."""

    def give_back(self, cursor: Any, asked: Asked, items: Sequence[Item]) -> None:
        """Undoes what `take` counted for these in this transaction."""


def stop(item: Item, code: str, detail: str = "") -> None:
    """Calls the row off; its message is decided by `reasons.py`."""
    item.cancelled = f"{code}: {detail}" if detail else code


def hold(item: Item, code: str, until: datetime) -> None:
    """Lets the row wait until then; it is judged anew when its time has come."""
    item.held, item.held_until = code, until
