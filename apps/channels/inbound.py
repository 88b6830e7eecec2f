"""What comes in over an account's session, read the way `hooks` reads what comes to a hook.

Requests of a gateway are kept one behind the other, as they came: each begins with its own length, in SMPP and in CMPP.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from apps.channels.contract import Account, Adapter, BadReceipt, HookEvent, InboundPdu


def joined(inbounds: Iterable[InboundPdu]) -> bytes:
    """Several requests as one body of the inbox."""
    return b"".join(one.pdu for one in inbounds)


def heard(kind: Adapter, account: Account, body: bytes, received_at: datetime) -> list[HookEvent]:
    """The events in a body. One request that cannot be read keeps nobody else's from being heard.

    Raises BadReceipt where none can be read.
    """
    events: list[HookEvent] = []
    refused: list[BadReceipt] = []
    count = 0
    for pdu in _apart(body):
        count += 1
        try:
            events += kind.parse_inbound(account, InboundPdu(pdu, received_at))
        except BadReceipt as bad:
            refused.append(bad)
    if refused and len(refused) == count:
        raise refused[0]
    return events


def _apart(body: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(body):
        length = max(4, int.from_bytes(body[at : at + 4], "big"))
        yield body[at : at + length]
        at += length
