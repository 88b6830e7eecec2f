"""Counts for screens that are dear to make: made anew for at most a tenth of the time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from django.core.cache import cache

BUSY_SHARE = 10
SHORTEST_SECONDS = 5.0
Found = TypeVar("Found")


def kept(key: str, count: Callable[[], Found]) -> Found:
    """What `count` found, at most five seconds ago, or ten times as long ago as counting takes."""
    held = cache.get(key)
    if held is None:
        begun = time.monotonic()
        held = count()
        cache.set(key, held, max(SHORTEST_SECONDS, (time.monotonic() - begun) * BUSY_SHARE))
    return held  # type: ignore[no-any-return]
