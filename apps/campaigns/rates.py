"""How often what an account sends arrives, by class: from the stored figures of the last campaigns that are over."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from django.db import connection

from apps.campaigns.forecast_figures import Rate
from apps.campaigns.models import Campaign
from ums_site.clock import database_now
from ums_site.ids import first_id_at

MOST_CAMPAIGNS = 2000
LOOKED_BACK = timedelta(days=90)
RATES = """
SELECT f.key,
       sum(CASE WHEN (f.value ->> 'measurable')::boolean THEN (f.value ->> 'delivered')::bigint
                ELSE (f.value ->> 'accepted')::bigint END),
       sum(CASE WHEN (f.value ->> 'measurable')::boolean
                THEN (f.value ->> 'accepted')::bigint - (f.value ->> 'in_window')::bigint
                ELSE (f.value ->> 'tried')::bigint END)
FROM (
    SELECT figures FROM campaigns_campaign
    WHERE figures ? 'by_channel' AND message_class = %s AND id > %s ORDER BY id DESC LIMIT %s
) last, jsonb_each(last.figures -> 'by_channel') f
WHERE f.key = ANY(%s) GROUP BY f.key
"""


def delivered_rates(campaign: Campaign, accounts: Sequence[str]) -> dict[str, Rate]:
    """Account code -> what was seen of it with messages of this class; nothing seen is the prior alone.

    Where a channel tells of no delivery, what was taken of what was tried counts.
    """
    since = first_id_at(database_now() - LOOKED_BACK)
    with connection.cursor() as cursor:
        cursor.execute(RATES, [campaign.message_class, since, MOST_CAMPAIGNS, list(accounts)])
        seen = {code: Rate(int(good), int(tried)) for code, good, tried in cursor.fetchall()}
    return {code: seen.get(code, Rate()) for code in accounts}
