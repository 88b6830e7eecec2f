"""What beat does about budgets: tells, pauses campaigns at their ceiling, and wakes who waits where there is more room."""

from __future__ import annotations

from django.db import connection, transaction

from apps.campaigns.errors import CampaignError
from apps.campaigns.models import Campaign
from apps.campaigns.services import pause_campaign
from apps.partners.allowances import CLOCK, tell

AT_CEILING = """
SELECT c.id FROM partners_allowance a JOIN partners_allowanceuse u ON u.allowance_id = a.id
JOIN campaigns_campaign c ON c.id = a.campaign_id
WHERE a.active AND a.campaign_id IS NOT NULL AND a.unit = 'money' AND a.period = 'total' AND u.walled_at IS NOT NULL
  AND c.state IN ('EXPANDING', 'RUNNING')
"""
MORE_ROOM = """
SELECT id, business_line_id, campaign_id FROM partners_allowance WHERE wake ORDER BY id FOR UPDATE SKIP LOCKED
"""
WAKE = """
WITH batch AS (
    SELECT b.id, b.first_delivery_id, b.last_delivery_id FROM campaigns_batch b
    JOIN campaigns_campaign c ON c.id = b.campaign_id
    WHERE b.state <> 'DONE' AND (c.business_line_id = %(line)s OR c.id = %(campaign)s)
), woken AS (
    UPDATE campaigns_delivery d SET held_until = now() FROM batch b
    WHERE d.batch_id = b.id AND d.id BETWEEN b.first_delivery_id AND b.last_delivery_id
      AND d.state = 'HELD' AND d.reason IN ('quota', 'campaign_ceiling')
    RETURNING d.batch_id
)
UPDATE campaigns_batch SET not_before = now() WHERE id IN (SELECT batch_id FROM woken) AND state <> 'LEASED'
"""


def keep_budgets() -> None:
    """All of it; any number of processes may call it at once."""
    tell()
    for campaign in Campaign.objects.raw(AT_CEILING):
        _pause(campaign)
    _wake()


def _pause(campaign: Campaign) -> None:
    try:
        pause_campaign(actor=CLOCK, campaign=campaign, reason="campaign_ceiling")
    except CampaignError:
        return  # somebody else was first


def _wake() -> None:
    """Who waits for an allowance that has more room now is judged anew."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(MORE_ROOM)
        for allowance, line, campaign in cursor.fetchall():
            cursor.execute(WAKE, {"line": line, "campaign": campaign})
            cursor.execute("UPDATE partners_allowance SET wake = false WHERE id = %s", [allowance])
