"""Reap: what beat does every second. Every statement is idempotent; any number of beats may run it at once."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from apps.campaigns.ambiguity import History, after_crash
from apps.campaigns.approving import expire_approvals
from apps.campaigns.models import Batch
from apps.campaigns.pipeline.failover import fail_over
from apps.campaigns.pipeline.money import keep_budgets
from apps.campaigns.pipeline.offline import expire_due
from apps.campaigns.pipeline.over import end_what_is_over
from apps.campaigns.pipeline.pulse import judge_canaries, pause_what_fails
from apps.campaigns.pipeline.settle import settle_batch
from apps.campaigns.scheduling import launch_due
from apps.campaigns.states import MessageClass
from apps.channels.contract import Account
from apps.channels.models import ChannelAccount
from apps.channels.registry import adapter, session_kinds
from ums_site.clock import transaction_now
from ums_site.database import again_after_deadlock
from ums_site.queues import ring_now

LAUNCH = """
UPDATE campaigns_campaign SET state = 'EXPANDING', started_at = now(),
       expand_end = coalesce((SELECT max(id) FROM users_recipient), 0)
WHERE state = 'SCHEDULED' AND scheduled_at <= now()
"""
LOST_LEASES = """
UPDATE campaigns_batch SET state = 'READY', owner = '', suspect_epoch = epoch,
       suspect_at = lease_until + make_interval(secs => %s), lease_until = NULL
WHERE state = 'LEASED' AND lease_until < now()
"""
# Looking through the messages of a large campaign, of which a few wait for a receipt for days, takes as long as it is large:
# it is done every second for the first of these many, and the more seldom the larger, once a minute at least.
OFTEN = 20_000
FINISHED = f"""
UPDATE campaigns_campaign c SET state = 'FINISHED', finished_at = now()
WHERE c.state = 'RUNNING' AND floor(extract(epoch FROM now()))::bigint % least(60, 1 + c.planned_count / {OFTEN}) = 0
AND NOT EXISTS (
    SELECT 1 FROM campaigns_batch b WHERE b.campaign_id = c.id
    AND (b.state <> 'DONE' OR b.suspect_at IS NOT NULL)
) AND NOT EXISTS (
    SELECT 1 FROM campaigns_message m WHERE m.campaign_id = c.id AND m.id > c.id - (3600000::bigint << 22)
    AND m.state IN ('PLANNED', 'ACTIVE')
) RETURNING c.id
"""
LANES_WITH_WORK = """
SELECT lane FROM campaigns_batch WHERE state = 'READY' AND not_before <= now()
   AND account_id NOT IN (SELECT id FROM ums_channels_channelaccount WHERE kind = ANY(%s)) GROUP BY lane
UNION SELECT lane FROM campaigns_batch WHERE follow_up_at <= now() GROUP BY lane
UNION SELECT lane FROM campaigns_campaign WHERE state = 'EXPANDING'
UNION SELECT lane FROM campaigns_savedmessage WHERE state = 'SAVED' AND due_at <= now() GROUP BY lane
UNION SELECT 'receipts' WHERE EXISTS (SELECT 1 FROM campaigns_batch WHERE poll_at <= now())
   OR EXISTS (SELECT 1 FROM campaigns_batch WHERE recall_at <= now())
   OR EXISTS (SELECT 1 FROM campaigns_receiptinbox WHERE state IN ('NEW', 'UNMATCHED') AND next_try_at <= now())
   OR EXISTS (SELECT 1 FROM campaigns_reply WHERE handled_at IS NULL)
UNION SELECT 'work' WHERE EXISTS (
    SELECT 1 FROM users_peopleimport WHERE state = 'WAITING'
    OR (state = 'RUNNING' AND heartbeat_at < now() - interval '30 s'))
   OR EXISTS (SELECT 1 FROM ums_channels_templaterefresh WHERE state = 'WAITING'
              OR (state = 'RUNNING' AND heartbeat_at < now() - interval '60 s'))
   OR EXISTS (SELECT 1 FROM campaigns_forecast WHERE state = 'WAITING'
              OR (state = 'RUNNING' AND heartbeat_at < now() - interval '30 s'))
   OR EXISTS (SELECT 1 FROM campaigns_targetlist WHERE state = 'WAITING'
              OR (state = 'RUNNING' AND heartbeat_at < now() - interval '30 s'))
   OR EXISTS (SELECT 1 FROM campaigns_campaign WHERE figures IS NULL AND started_at IS NOT NULL
              AND state IN ('FINISHED', 'CANCELLED'))
   OR EXISTS (SELECT 1 FROM campaigns_experiencedue WHERE due_at <= now())
   OR EXISTS (SELECT 1 FROM campaigns_experiencemark WHERE looked_at < now() - interval '60 s'
              AND batch_id < (SELECT coalesce(max(id), 0) FROM campaigns_batch))
   OR EXISTS (SELECT 1 FROM campaigns_replay WHERE state = 'WAITING'
              OR (state = 'RUNNING' AND heartbeat_at < now() - interval '60 s'))
"""


def tick() -> None:
    """Launches what is due, takes back lost leases, finishes campaigns, and rings the lanes that have work."""
    expire_approvals()
    launch_due()
    with connection.cursor() as cursor:
        cursor.execute(LAUNCH)
        cursor.execute(LOST_LEASES, [settings.UMS_TIMERS.grace])
        while _judge_suspect():
            pass
        keep_budgets()
        pause_what_fails()
        judge_canaries()
        expire_due()
        end_what_is_over()
        fail_over()
        cursor.execute(FINISHED)
        cursor.execute(LANES_WITH_WORK, [list(session_kinds())])
        for (lane,) in cursor.fetchall():
            ring_now(lane)


SUSPECTS = """
SELECT id, burnt, crashes, first_intent_at, call_ref IS NULL FROM campaigns_delivery
WHERE batch_id = %s AND id BETWEEN %s AND %s AND state = 'SENDING' AND epoch <= %s ORDER BY id FOR UPDATE
"""
JUDGE = """
UPDATE campaigns_delivery d SET state = v.state, reason = v.reason, held_until = v.held_until, crashes = crashes + 1,
       solo = %s, may_duplicate = d.may_duplicate OR v.stamp
FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::timestamptz[], %s::boolean[]) AS v(id, state, reason, held_until, stamp)
WHERE d.id = v.id AND d.state = 'SENDING'
"""
# With the moment when the first of them is tried again: what else waits in the batch may wait for longer.
TRY_AGAIN = """
UPDATE campaigns_batch b SET suspect_at = NULL, suspect_epoch = NULL, not_before = least(b.not_before, v.due),
       state = CASE WHEN v.due IS NOT NULL AND b.state = 'DONE' THEN 'READY' ELSE b.state END
FROM (SELECT %s::timestamptz AS due) v WHERE b.id = %s
"""


@again_after_deadlock
def _judge_suspect() -> bool:
    """Decides the rows that one dead worker left between intent and result; False where none is due."""
    with transaction.atomic(), connection.cursor() as cursor:
        batch = (
            Batch.objects.select_for_update(skip_locked=True, of=("self",))
            .select_related("campaign")
            .filter(suspect_at__lte=transaction_now())
            .first()
        )
        if batch is None:
            return False
        cursor.execute(SUSPECTS, [batch.pk, batch.first_delivery_id, batch.last_delivery_id, batch.suspect_epoch])
        rows = cursor.fetchall()
        account = ChannelAccount.objects.only("code", "kind", "config").get(pk=batch.account_id)
        capabilities = adapter(account.kind).capabilities_of(Account(account.code, account.kind, account.config))
        decided = [_decide(batch, capabilities, row, transaction_now()) for row in rows]
        if decided:
            alone = capabilities.recipients_per_call == 1 or not capabilities.reserves_keys
            cursor.execute(JUDGE, [alone, *[list(column) for column in zip(*decided, strict=True)]])
        cursor.execute(TRY_AGAIN, [min((one[3] for one in decided if one[1] == "HELD"), default=None), batch.pk])
        settle_batch(batch)
    return True


def _decide(batch: Batch, capabilities: Any, row: tuple[Any, ...], now: datetime) -> tuple[Any, ...]:
    delivery_id, burnt, crashes, first_intent_at, alone = row
    campaign = batch.campaign
    history = History(burnt, first_intent_at or now, campaign.expires_at, 0.5, alone)
    message_class = MessageClass(campaign.message_class)
    decided = after_crash(
        history, crashes + 1, capabilities, message_class, now, timedelta(seconds=settings.UMS_TIMERS.t_http)
    )
    return delivery_id, decided.state, decided.reason, decided.held_until, decided.stamp
