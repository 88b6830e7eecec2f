"""What a provider takes for one address, known in advance: who is over it waits a little, or goes another way."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from apps.campaigns.pipeline import address_space
from apps.campaigns.pipeline.order import Item, Order
from apps.campaigns.pipeline.rules.rule import Asked, hold, stop

LIMITS = "address_limits"
NEXT_OF_SEVERAL = timedelta(seconds=1)
PATIENCE = timedelta(minutes=5)


class AddressLimits:
    """Holds a delivery whose address has had its share until there is room, where that is soon; else this way is closed.

    Soon is within PATIENCE and before the message expires. A closed way is `address_limit`: the next step or vendor may
    follow. Of several to one address in a window one goes now. Nothing here spares the person: see caps for that.
    """

    code = "address_limit"

    def concerns(self, order: Order) -> bool:
        declared = order.adapter.address_limits(order.account)
        order.settings[LIMITS] = address_space.limits_for(declared, order.campaign.message_class)
        return bool(order.settings[LIMITS][1])

    def look(self, asked: Asked, items: Sequence[Item]) -> None:
        """Nothing: the row that is looked at is the one that is taken."""

    def take(self, cursor: Any, asked: Asked, items: Sequence[Item]) -> None:
        counted_as, limits = asked.order.settings[LIMITS]
        hashes = [item.address_hash for item in items]
        full = address_space.take(cursor, asked.order.account_row.pk, hashes, limits, counted_as)
        served: set[bytes] = set()
        for item in items:
            if item.address_hash in full:
                self._turn_away(item, full[item.address_hash], asked)
            elif item.address_hash in served:
                hold(item, self.code, asked.now + NEXT_OF_SEVERAL)
            served.add(item.address_hash)

    def _turn_away(self, item: Item, until: datetime, asked: Asked) -> None:
        expires = asked.order.campaign.expires_at
        if until > asked.now + PATIENCE or (expires is not None and until >= expires):
            stop(item, self.code, f"until={until.isoformat(timespec='seconds')}")
        else:
            hold(item, self.code, until)

    def give_back(self, cursor: Any, asked: Asked, items: Sequence[Item]) -> None:
        """A call that a later rule stopped was none."""
        hashes = [item.address_hash for item in items]
        address_space.give_back(cursor, asked.order.account_row.pk, hashes, asked.order.settings[LIMITS][0], asked.now)
