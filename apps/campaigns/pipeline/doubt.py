"""Doubt: a delivery that waits to be tried again may have been accepted already, where an earlier call has no known end.

It may be tried again with the same key, but never be called refused or called off: the person may have the message.
"""

from __future__ import annotations


def in_doubt(delivery: str, before: str = "") -> str:
    """SQL over an alias of campaigns_delivery: some call of it (of a number below `before`) ended nobody knows how."""
    earlier = f" AND t.number < {before}" if before else ""
    return (
        f"({delivery}.attempts > 0 AND EXISTS (SELECT 1 FROM campaigns_attempt t "
        f"WHERE t.delivery_id = {delivery}.id AND t.outcome IN ('', 'unknown'){earlier}))"
    )
