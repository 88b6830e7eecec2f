"""What arrives at an account's hook, in an order that no adapter can skip: authentic first, then read.

The secret address was compared before (the view), the size is bounded there, too. A provider's trial of the address is
answered at once; everything else is stored as it came and read when it is merged, by `heard`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from apps.channels.contract import Account, Adapter, HookEvent, HookReply, HookRequest


def greeting(kind: Adapter, account: Account, request: HookRequest) -> HookReply | None:
    """The answer to a trial of the address; None for everything else. Raises BadReceipt for a trial that is not authentic."""
    return kind.greet_hook(account, request, kind.verify_hook(account, request))


def heard(kind: Adapter, account: Account, request: HookRequest) -> Sequence[HookEvent]:
    """The events of an authentic request. Raises BadReceipt."""
    clear = kind.verify_hook(account, request)
    return kind.parse_hook(account, replace(request, body=clear))
