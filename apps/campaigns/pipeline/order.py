"""A leased batch as the dispatcher holds it: the order that is the same for its rows, the rows, and the window of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from apps.campaigns.models import Batch, Campaign
from apps.channels.contract import Account, Adapter, Envelope
from apps.channels.models import ChannelAccount
from apps.templates.render import CompiledBody


class LeaseLost(Exception):
    """The fence did not hold: the batch belongs to somebody else, or its lease is too short to begin a call."""


class NotNow(Exception):
    """The campaign or account was stopped; `state` is what the batch goes to."""

    def __init__(self, state: str) -> None:
        super().__init__(state)
        self.state = state


class Rendered(NamedTuple):
    """A body for one person, or for all of an order; `refused` says why it cannot be sent."""

    content: Mapping[str, Any]
    pieces: int = 1
    refused: str = ""


@dataclass(slots=True)
class Order:
    """A leased batch with all that is the same for its rows."""

    batch: Batch
    campaign: Campaign
    account_row: ChannelAccount
    account: Account
    adapter: Adapter
    body: CompiledBody
    token_version: int = 0  # of the access token in `account`
    equal: Rendered | None = None  # what everybody gets, where the body names no variable
    rules: list[Any] | None = None  # those of the gate that concern it (gate.py), once they were asked
    settings: dict[str, Any] = field(default_factory=dict)  # what rules read once for this lease, under their own names
    cursor: int = 0  # rows up to this delivery id have had their turn in this lease

    @property
    def spare(self) -> int:
        """Tokens of the account's bucket that it leaves alone: a fifth of the burst is kept for one-time passwords."""
        return 0 if self.batch.lane == "otp" else self.account_row.burst // 5


@dataclass(slots=True)
class Item:
    """One delivery in a window. `number` is its attempt.

    `refused` says why it is never sent, `cancelled` what called it off, `held` why it waits until `held_until`.
    """

    delivery_id: int
    message_id: int
    recipient_id: int | None
    binding_id: int
    number: int
    burnt: int
    solo: bool
    key: str
    first_intent_at: datetime | None
    address_hash: bytes = b""
    envelope: Envelope | None = field(default=None, repr=False)
    pieces: int = 1
    allowed: bool = (
        False  # on the whitelist: what spares people (caps, quiet hours, duplicates, holdout) spares no such one
    )
    before: str = ""  # the reason that it was waiting for until now
    refused: str = ""
    cancelled: str = ""
    held: str = ""
    held_until: datetime | None = None
    doubted: bool = False  # a call before may have been accepted, and a repeat of it is known as such
    took: Sequence[tuple[int, Decimal]] = ()  # of budgets and quotas: counter, amount

    @property
    def sendable(self) -> bool:
        return not (self.refused or self.cancelled or self.held)


@dataclass(slots=True)
class Window:
    """What was committed to be sent: groups of items, each one call. Calls may start until `start_by` (boot clock)."""

    groups: list[list[Item]]
    start_by: float
    now: datetime
    price: Decimal  # of a unit, at the time of the intent
