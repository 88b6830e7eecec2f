"""Over: what still waits of a campaign that was cancelled or has expired is called off, whether or not it could be sent now.

Who sends does the same on the way, but nobody leases what waits for a paused account, an open breaker, a switch, a canary, a
paused campaign or next month's budget. Beat does it for them, batch by batch, so that every message ends in its time.
"""

from __future__ import annotations

from django.db import connection, transaction

from apps.campaigns.models import Batch
from apps.campaigns.pipeline.doubt import in_doubt
from apps.campaigns.pipeline.settle import settle_batch
from apps.campaigns.states import LANE_OF
from ums_site.database import again_after_deadlock
from ums_site.failpoints import failpoint
from ums_site.ids import first_row_id

AT_ONCE = 20  # batches a beat ends: it has other things to do as well
# Not what a dead worker left: that is judged before. Of paused campaigns the batches are set aside.
OVER = """
SELECT b.id FROM campaigns_batch b JOIN campaigns_campaign c ON c.id = b.campaign_id
WHERE b.state = 'READY' AND b.suspect_at IS NULL AND (c.state = 'CANCELLED' OR c.expires_at <= now())
UNION ALL
SELECT b.id FROM campaigns_campaign c JOIN campaigns_batch b ON b.campaign_id = c.id
WHERE c.lane = ANY(%s) AND c.state = 'PAUSED' AND c.expires_at <= now() AND b.state = 'WAITING' AND b.suspect_at IS NULL
LIMIT %s
"""
WAITING = "d.batch_id = %(batch)s AND d.id BETWEEN %(first)s AND %(last)s AND d.state IN ('PENDING', 'HELD')"
LOCK_MESSAGES = f"""
SELECT 1 FROM campaigns_message m WHERE m.id IN (SELECT d.message_id FROM campaigns_delivery d WHERE {WAITING})
  AND m.id BETWEEN %(oldest)s AND %(last)s ORDER BY m.id FOR UPDATE
"""
CALL_OFF = f"""
UPDATE campaigns_delivery d SET state = CASE WHEN {in_doubt("d")} THEN 'UNKNOWN_FINAL' ELSE 'CANCELLED' END,
       reason = %(reason)s, held_until = NULL
WHERE {WAITING}
"""


def end_what_is_over() -> int:
    """Ends the next batches that are over; how many. Any number of beats may run it at once."""
    with connection.cursor() as cursor:
        cursor.execute(OVER, [list(LANE_OF.values()), AT_ONCE])
        ids = [row[0] for row in cursor.fetchall()]
    return sum(_end(batch_id) for batch_id in ids)


@again_after_deadlock
@transaction.atomic
def _end(batch_id: int) -> bool:
    """Calls off what waits in one batch and decides its messages, unless somebody has it in hand."""
    batch = (
        Batch.objects.select_for_update(skip_locked=True, of=("self",))
        .select_related("campaign__template_version", "campaign__business_line")
        .filter(pk=batch_id, state__in=["READY", "WAITING"], suspect_at__isnull=True)
        .first()
    )
    if batch is None:
        return False
    place = {
        "batch": batch.pk,
        "first": batch.first_delivery_id,
        "last": batch.last_delivery_id,
        "oldest": first_row_id(batch.campaign_id),
        "reason": "campaign_cancelled" if batch.campaign.state == "CANCELLED" else "expired",
    }
    with connection.cursor() as cursor:
        cursor.execute(LOCK_MESSAGES, place)  # before their deliveries, as settle does
        cursor.execute(CALL_OFF, place)
        cursor.execute("UPDATE campaigns_batch SET state = 'DONE' WHERE id = %s", [batch.pk])
        settle_batch(batch)
        failpoint("over_before_commit")
    return True
