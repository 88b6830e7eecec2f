"""The canary: so many of a campaign's sends go first, exactly, and the rest waits until they are judged (pulse.py).

A share is used up in the transaction of the intent, by what really goes: what the gate stops, a pace holds back or another
dispatcher was faster with uses none, so the verdict is about as many sends as were asked for.
"""

from __future__ import annotations

from typing import Any

from django.db import connection

LEFT = "SELECT canary_left FROM campaigns_campaign WHERE id = %s"
USE = """
UPDATE campaigns_campaign SET canary_left = canary_left - %(used)s,
       canary_judge_at = CASE WHEN canary_left = %(used)s THEN now() + make_interval(secs => canary_seconds) END
WHERE id = %(campaign)s
"""


def left_now(campaign_id: int) -> int | None:
    """How many first tries the canary has left, as a hint; None where there is none (any more)."""
    with connection.cursor() as cursor:
        cursor.execute(LEFT, [campaign_id])
        return cursor.fetchone()[0]


def lock_left(cursor: Any, campaign_id: int) -> int | None:
    """The same, to be relied on: nobody else uses any until this transaction ends. The first lock that an intent takes."""
    cursor.execute(f"{LEFT} FOR NO KEY UPDATE", [campaign_id])
    return cursor.fetchone()[0]


def use(cursor: Any, campaign_id: int, used: int) -> None:
    """So many first tries go, at most what `lock_left` said; never given back."""
    if used:
        cursor.execute(USE, {"used": used, "campaign": campaign_id})
