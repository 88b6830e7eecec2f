"""What became of a person, told from the slots of their message. Pure.

A slot is one step and account of a campaign's plan, and one bit; the sets of a group say over which slots it was tried,
delivered and so on. A person counts once, in the best that any slot reached.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Standing(StrEnum):
    """Where a target is counted; the last four together are "accepted" (提交成功数)."""

    INVALID = "invalid"
    BLOCKED = "blocked"
    REFUSED = "refused"
    IN_PROGRESS = "in_progress"
    RECALLED = "recalled"
    DELIVERED = "delivered"
    IN_WINDOW = "in_window"
    UNKNOWN = "unknown"
    UNDELIVERED = "undelivered"
    UNEXPLAINED = (
        "unexplained"  # final as if something had been accepted, and nothing was: the identities will not hold
    )


@dataclass(frozen=True, slots=True)
class Slot:
    """One step (from 0) and account of a plan."""

    bit: int
    step: int
    account_id: int
    account: str
    kind: str
    measurable: bool


@dataclass(frozen=True, slots=True)
class Group:
    """So many people with equal fate. The sets are sums of slot bits.

    `unknown`: closed without a receipt, or the outcome of the call will never be known; `waiting`: accepted, receipt
    window open; `unsure`: outcome of the call unknown so far; `later_first`: first delivered at the second step or later.
    """

    state: str
    reason: str
    tried: int
    delivered: int
    undelivered: int
    unknown: int
    waiting: int
    unsure: int
    was_read: bool
    was_clicked: bool
    later_first: bool
    people: int

    @property
    def accepted(self) -> int:
        """The slots a provider accepted, those of a call whose outcome nobody will know included."""
        return self.delivered | self.undelivered | self.unknown | self.waiting


BY_STATE = {
    "INVALID": Standing.INVALID,
    "BLOCKED": Standing.BLOCKED,
    "PLANNED": Standing.IN_PROGRESS,
    "ACTIVE": Standing.IN_PROGRESS,
    "FAILED": Standing.REFUSED,
    "EXPIRED": Standing.REFUSED,
    "CANCELLED": Standing.RECALLED,
}


def standing(group: Group) -> Standing:
    """Where the people of a group are counted. What a provider accepted outweighs what the message became later."""
    if group.accepted:
        return channel_standing(group, -1)
    if group.unsure:
        return Standing.IN_PROGRESS
    return BY_STATE.get(group.state, Standing.UNEXPLAINED)


def channel_standing(group: Group, bits: int) -> Standing:
    """As `standing`, looking only at the slots in `bits`; UNEXPLAINED where none of them was accepted."""
    if group.delivered & bits:
        return Standing.DELIVERED
    if not group.accepted & bits:
        return Standing.UNEXPLAINED
    if (group.waiting | group.unsure) & bits:
        return Standing.IN_WINDOW
    return Standing.UNKNOWN if group.unknown & bits else Standing.UNDELIVERED


def route(tried: int, slots: Sequence[Slot]) -> str:
    """The channels really tried in order of the plan: `push_jpush > sms_aliyun`, those of one step joined by ` + `."""
    steps: dict[int, list[str]] = {}
    for slot in sorted(slots, key=lambda one: one.step):
        if tried & slot.bit:
            steps.setdefault(slot.step, []).append(slot.kind)
    return " > ".join(" + ".join(sorted(set(kinds))) for kinds in steps.values())
