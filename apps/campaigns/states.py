"""States and what may follow what, one table per machine. Pure: no Django, no database.

`mermaid(machine)` draws the diagram of docs/states.md, which a test compares with these tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class MessageClass(StrEnum):
    """What kind of message it is: decides lane, priority and the rules for unknown outcomes."""

    OTP = "otp"
    TRANSACTIONAL = "transactional"
    MARKETING = "marketing"


LANE_OF = {MessageClass.OTP: "otp", MessageClass.TRANSACTIONAL: "notice", MessageClass.MARKETING: "bulk"}


class CampaignState(StrEnum):
    DRAFT = "DRAFT"
    AWAITING_APPROVAL = "AWAITING_APPROVAL"  # somebody else must agree to exactly this
    SCHEDULED = "SCHEDULED"
    EXPANDING = "EXPANDING"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    FINISHED = "FINISHED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"  # not agreed to; what the console made can be changed and asked for again


class MessageState(StrEnum):
    PLANNED = "PLANNED"  # written, no delivery yet
    ACTIVE = "ACTIVE"  # a step of the policy is under way
    SUCCEEDED = "SUCCEEDED"  # the step's goal was reached
    FAILED = "FAILED"  # every step ended in a definite no
    UNKNOWN = "UNKNOWN"  # something may have arrived; nobody will ever know
    EXPIRED = "EXPIRED"  # its time ran out before anything was accepted
    CANCELLED = "CANCELLED"  # called off before anything was accepted
    INVALID = "INVALID"  # nobody to send to: unknown person, no usable address
    BLOCKED = "BLOCKED"  # a rule forbids it


class DeliveryState(StrEnum):
    PENDING = "PENDING"  # planned, never tried
    SENDING = "SENDING"  # intent committed: ambiguous until proved otherwise
    HELD = "HELD"  # waits for `held_until`, for its reason; surely not sent by the last try
    ACCEPTED = "ACCEPTED"  # the provider took it
    DELIVERED = "DELIVERED"
    READ = "READ"
    CLICKED = "CLICKED"  # read, and a link or button of it was used
    REJECTED = "REJECTED"  # definitely refused, or out of tries
    UNDELIVERED = "UNDELIVERED"  # accepted, then reported as failed
    CLOSED = "CLOSED"  # accepted, receipt window over, nothing heard
    UNKNOWN = "UNKNOWN"  # nobody knows whether it was accepted; being resolved
    UNKNOWN_FINAL = "UNKNOWN_FINAL"  # as above, and the time to resolve it is over
    CANCELLED = "CANCELLED"  # called off before it was sent: its reason says by what


class RecallState(StrEnum):
    WAITING = "WAITING"  # to be asked of the provider, perhaps again
    ASKED = "ASKED"  # the provider will try and tell
    RECALLED = "RECALLED"  # taken back
    REFUSED = "REFUSED"  # cannot be taken back: its code says why


class ApprovalState(StrEnum):
    PENDING = "PENDING"
    APPROVED = "APPROVED"  # by everybody who had to; it may start while the hash still holds
    REJECTED = "REJECTED"
    VOID = "VOID"  # what it was given for was changed or taken back
    EXPIRED = "EXPIRED"  # nobody decided in time, or it did not start in time


class BatchState(StrEnum):
    WAITING = "WAITING"  # its campaign is paused
    READY = "READY"
    LEASED = "LEASED"
    DONE = "DONE"


Moves = Mapping[str, frozenset[str]]


def _moves(table: dict[str, str]) -> Moves:
    return {state: frozenset(following.split()) for state, following in table.items()}


CAMPAIGN_MOVES = _moves(
    {
        "DRAFT": "AWAITING_APPROVAL SCHEDULED EXPANDING CANCELLED",
        "AWAITING_APPROVAL": "SCHEDULED EXPANDING REJECTED DRAFT CANCELLED",
        "SCHEDULED": "EXPANDING AWAITING_APPROVAL CANCELLED DRAFT PAUSED",
        "EXPANDING": "RUNNING PAUSED AWAITING_APPROVAL CANCELLED",
        "RUNNING": "PAUSED FINISHED CANCELLED",
        "PAUSED": "SCHEDULED EXPANDING RUNNING CANCELLED",
        "FINISHED": "",
        "CANCELLED": "",
        "REJECTED": "DRAFT",
    }
)
APPROVAL_MOVES = _moves(
    {
        "PENDING": "APPROVED REJECTED VOID EXPIRED",
        "APPROVED": "VOID EXPIRED",
        "REJECTED": "",
        "VOID": "",
        "EXPIRED": "",
    }
)
MESSAGE_MOVES = _moves(
    {
        "PLANNED": "ACTIVE INVALID BLOCKED EXPIRED CANCELLED",
        "ACTIVE": "SUCCEEDED FAILED UNKNOWN EXPIRED CANCELLED BLOCKED",
        "UNKNOWN": "SUCCEEDED FAILED",
        "FAILED": "SUCCEEDED",
        "SUCCEEDED": "",
        "EXPIRED": "SUCCEEDED",
        "CANCELLED": "SUCCEEDED",
        "INVALID": "",
        "BLOCKED": "",
    }
)
DELIVERY_MOVES = _moves(
    {
        "PENDING": "SENDING CANCELLED REJECTED",
        "HELD": "SENDING CANCELLED REJECTED ACCEPTED DELIVERED READ CLICKED UNDELIVERED UNKNOWN_FINAL",
        "SENDING": "ACCEPTED REJECTED UNKNOWN HELD PENDING DELIVERED READ CLICKED UNDELIVERED UNKNOWN_FINAL",
        "UNKNOWN": "ACCEPTED DELIVERED READ CLICKED UNDELIVERED REJECTED HELD UNKNOWN_FINAL",
        "UNKNOWN_FINAL": "ACCEPTED DELIVERED READ CLICKED UNDELIVERED",
        "ACCEPTED": "DELIVERED READ CLICKED UNDELIVERED CLOSED",
        "CLOSED": "DELIVERED READ CLICKED UNDELIVERED",
        "UNDELIVERED": "DELIVERED READ CLICKED",
        "DELIVERED": "READ CLICKED",
        "READ": "CLICKED",
        "CLICKED": "",
        "REJECTED": "",
        "CANCELLED": "",
    }
)
BATCH_MOVES = _moves(
    {"WAITING": "READY DONE", "READY": "LEASED WAITING DONE", "LEASED": "READY DONE WAITING", "DONE": "READY"}
)
RECALL_MOVES = _moves(
    {"WAITING": "ASKED RECALLED REFUSED", "ASKED": "RECALLED REFUSED", "REFUSED": "WAITING RECALLED", "RECALLED": ""}
)
MACHINES: Mapping[str, Moves] = {
    "campaign": CAMPAIGN_MOVES,
    "approval": APPROVAL_MOVES,
    "message": MESSAGE_MOVES,
    "delivery": DELIVERY_MOVES,
    "batch": BATCH_MOVES,
    "recall": RECALL_MOVES,
}

OPEN_DELIVERY = frozenset({"PENDING", "HELD", "SENDING"})
FINAL_MESSAGE = frozenset(MESSAGE_MOVES) - {"PLANNED", "ACTIVE"}


def may(machine: str, before: str, after: str) -> bool:
    """Whether `machine` may go from `before` to `after`."""
    return after in MACHINES[machine][before]


def mermaid(machine: str) -> str:
    """The state diagram of a machine, in mermaid's words, in table order."""
    lines = ["stateDiagram-v2"]
    for state, following in MACHINES[machine].items():
        lines += [f"    {state} --> {after}" for after in sorted(following)] or [f"    {state} --> [*]"]
    return "\n".join(lines)
