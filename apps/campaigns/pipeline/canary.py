"""The canary: so many of a campaign's sends go first, exactly, and the rest waits until they are judged (pulse.py)."""

from __future__ import annotations

from django.db import connection

TAKE_CANARY = """
WITH held AS (SELECT id, canary_left FROM campaigns_campaign WHERE id = %s FOR UPDATE)
UPDATE campaigns_campaign c SET canary_left = held.canary_left - least(held.canary_left, %s),
       canary_judge_at = CASE WHEN held.canary_left <= %s THEN now() + make_interval(secs => c.canary_seconds) END
FROM held WHERE c.id = held.id AND held.canary_left IS NOT NULL RETURNING least(held.canary_left, %s)
"""


def take_canary(campaign_id: int, want: int) -> int:
    """How many of `want` first tries the canary lets through; all where there is none (any more). Never given back."""
    with connection.cursor() as cursor:
        cursor.execute(TAKE_CANARY, [campaign_id, want, want, want])
        row = cursor.fetchone()
    return want if row is None else int(row[0])
