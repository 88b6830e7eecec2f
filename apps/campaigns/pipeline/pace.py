"""Pace: a call takes its tokens from the account's and the campaign's bucket at the moment it begins, and not before.

What was granted earlier would arrive in a crowd wherever something stood still in between: a commit, a busy machine, a
provider that holds all lines. So rows are committed to be sent only up to what the buckets hold, and each call then waits
for its tokens and for a free line; one that gets none by the window's `start_by` was never begun, and comes again.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from django.db import connection

from apps.campaigns.pipeline.order import Item, Order
from apps.channels.services import bucket_key


def is_paced(order: Order) -> bool:
    """Whether a bucket limits its calls."""
    return bool(order.account_row.rate_per_second or order.campaign.pace_per_second)


def affordable(order: Order, groups: list[list[Item]], before: Sequence[int]) -> list[list[Item]]:
    """The first groups that may begin now, after the calls of the sizes `before`; takes nothing."""
    sizes = [*before, *[len(group) for group in groups]]
    return groups[: max(0, _calls(order, sizes, taking=False) - len(before))]


def take(order: Order, sizes: Sequence[int]) -> int:
    """How many of the first calls of these sizes may begin now; their tokens are taken, and never given back."""
    return _calls(order, sizes, taking=True)


def next_token_in(order: Order) -> float:
    """Seconds until the slower bucket has gained a token, between 0.1 and 1."""
    slowest = min(float(rate) for rate in (order.account_row.rate_per_second, order.campaign.pace_per_second) if rate)
    return min(1.0, max(0.1, 1.0 / slowest))


def campaign_key(campaign_id: int) -> str:
    """The key of a campaign's row in RateBucket."""
    return f"campaign:{campaign_id}"


def campaign_burst(pace_per_second: Decimal) -> float:
    """How many of a campaign may go at once: a tenth of a second's share, one at least."""
    return max(1.0, float(pace_per_second) * 0.1)


def _calls(order: Order, sizes: Sequence[int], *, taking: bool) -> int:
    return take_calls([bucket_key(order.account_row.pk), campaign_key(order.campaign.pk)], sizes, order.spare, taking)


def take_calls(keys: Sequence[str], sizes: Sequence[int], spare: int = 0, taking: bool = True) -> int:
    """How many of the first calls, each of so many messages, the buckets of all `keys` allow now. A key without a row has
    no limit; the first bucket keeps `spare` tokens back for whoever may not wait."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT take_calls(%s, %s, %s, %s)", [list(keys), list(sizes), spare, taking])
        return int(cursor.fetchone()[0])
