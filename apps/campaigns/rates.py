"""What became of the tries of the last 30 days, as seen from the steps of a plan: how often each reached its goal in time.

Read from deliveries themselves, so that any wait and any goal can be asked for: at most SAMPLE newest ones an account, of
batches taken at random. Those of the class count where there are ENOUGH, else those of all classes. A batch counts as soon
as nothing of it is open; before that, what is past the wait (a day at most) counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db import connection

from apps.campaigns.forecast_chances import ENOUGH, Chance, chance
from apps.campaigns.models import Campaign
from apps.campaigns.pipeline.plan import loaded_plan
from apps.campaigns.policy import Step, StepChannel
from apps.channels.models import ChannelAccount
from ums_site.clock import database_now
from ums_site.ids import first_id_at

LOOKED_BACK = timedelta(days=30)
MOST_CAMPAIGNS = 2000
SAMPLE = 10_000  # deliveries an account
BATCHES = 20  # of one campaign and account
PATIENCE = timedelta(days=1)  # what has no receipt by then is silent
OPEN = "('PENDING', 'HELD', 'SENDING', 'UNKNOWN')"
BATCHES_OF = f"""
SELECT id, account_id, first_delivery_id, last_delivery_id FROM (
    SELECT b.*, sum(b.size) OVER (PARTITION BY b.account_id ORDER BY c.id DESC, b.id) - b.size AS before
    FROM (SELECT id FROM campaigns_campaign WHERE id > %(since)s AND started_at IS NOT NULL
          AND (%(class)s = '' OR message_class = %(class)s) ORDER BY id DESC LIMIT {MOST_CAMPAIGNS}) c
    CROSS JOIN unnest(%(accounts)s::bigint[]) AS a(id)
    CROSS JOIN LATERAL (
        SELECT x.id, x.account_id, x.first_delivery_id, x.last_delivery_id, x.size FROM campaigns_batch x
        WHERE x.campaign_id = c.id AND x.account_id = a.id ORDER BY hashint8(x.id) LIMIT {BATCHES}
    ) b
) newest WHERE before < {SAMPLE}
"""
# When the goal of the step came: `receipt_at` is the moment of the state that stands, an earlier one is among the receipts.
CAME_AT = """
CASE WHEN s.until = 'accepted' THEN d.accepted_at
     WHEN s.until = 'delivered' AND NOT s.measurable THEN
         CASE WHEN d.state IN ('ACCEPTED', 'CLOSED', 'DELIVERED', 'READ', 'CLICKED') THEN d.accepted_at END
     WHEN d.state = (CASE s.until WHEN 'delivered' THEN 'DELIVERED' WHEN 'read' THEN 'READ' ELSE 'CLICKED' END)
         THEN d.receipt_at
     WHEN d.state IN ('READ', 'CLICKED') THEN (
         SELECT min(t.received_at) FROM campaigns_receipt t WHERE t.delivery_id = d.id AND t.state = ANY(
             CASE s.until WHEN 'delivered' THEN ARRAY['DELIVERED', 'READ', 'CLICKED']
                          WHEN 'read' THEN ARRAY['READ', 'CLICKED'] ELSE ARRAY['CLICKED'] END))
END
"""
BAD_ADDRESS = "EXISTS (SELECT 1 FROM users_binding g WHERE g.id = d.binding_id AND g.state = 'INVALID')"
OUTCOMES_OF = f"""
WITH batch AS MATERIALIZED ({BATCHES_OF}), seen AS (
    SELECT s.slot, d.state, d.accepted_at, {CAME_AT} AS came_at, s.wait, b.id AS batch_id,
           d.state IN ('DELIVERED', 'READ', 'CLICKED') AS arrived,
           d.state IN ('REJECTED', 'UNDELIVERED') AND {BAD_ADDRESS} AS dead,
           coalesce(d.accepted_at, d.first_intent_at) + least(s.wait, %(patience)s) <= now() AS over
    FROM batch b
    JOIN unnest(%(slots)s::int[], %(slot_accounts)s::bigint[], %(untils)s::text[], %(waits)s::interval[],
                %(measurable)s::boolean[]) AS s(slot, account_id, until, wait, measurable) ON s.account_id = b.account_id
    CROSS JOIN LATERAL (
        SELECT * FROM campaigns_delivery e WHERE e.batch_id = b.id
        AND e.id BETWEEN b.first_delivery_id AND b.last_delivery_id AND e.attempts > 0 AND e.state <> 'CANCELLED' OFFSET 0
    ) d
), judged AS (
    SELECT *, bool_or(state IN {OPEN} OR (came_at IS NULL AND (state = 'ACCEPTED' OR arrived) AND NOT over))
              OVER (PARTITION BY slot, batch_id) AS still_open
    FROM seen
)
SELECT slot, CASE
    WHEN came_at <= accepted_at + wait THEN CASE WHEN arrived THEN 'reached' ELSE 'quiet' END
    WHEN came_at IS NOT NULL THEN 'late' WHEN arrived THEN 'unread' WHEN dead THEN 'dead'
    WHEN state = 'REJECTED' THEN 'refused' WHEN state = 'UNDELIVERED' THEN 'failed'
    WHEN state = 'UNKNOWN_FINAL' THEN 'unknown' ELSE 'silent' END, count(*)
FROM judged WHERE state NOT IN {OPEN} AND (NOT still_open OR over) GROUP BY 1, 2
"""
# OFFSET keeps the planner from reading whole days of deliveries: batch by batch it is a range of the primary key.
Seen = dict[int, dict[str, int]]  # slot -> outcome -> tries


def chances_of(campaign: Campaign) -> dict[int, Chance]:
    """Slot -> how a try over it is expected to end."""
    plan = loaded_plan(campaign)
    accounts = {one.pk: one for one in ChannelAccount.objects.filter(pk__in=plan.account_ids())}
    slots = [(step, one) for step in plan.steps for one in step.channels]
    own = _seen(slots, accounts, campaign.message_class)
    scarce = [pair for pair in slots if sum(own.get(pair[1].slot, {}).values()) < ENOUGH]
    all_classes = _seen(scarce, accounts, "") if scarce else {}
    found = {}
    for step, one in slots:
        account, mine, others = accounts[one.account_id], own.get(one.slot, {}), all_classes.get(one.slot, {})
        of_class = sum(others.values()) <= sum(mine.values())
        found[one.slot] = chance(
            step, one, mine if of_class else others, account.receipt_window,
            of_class=of_class, bills_failed=account.bills_failed,
        )  # fmt: skip
    return found


def _seen(slots: Sequence[tuple[Step, StepChannel]], accounts: dict[int, ChannelAccount], message_class: str) -> Seen:
    """`message_class` "" is all of them."""
    channels = [one for _step, one in slots]
    values: dict[str, Any] = {
        "since": first_id_at(database_now() - LOOKED_BACK),
        "class": message_class,
        "accounts": sorted({one.account_id for one in channels}),
        "patience": PATIENCE,
        "slots": [one.slot for one in channels],
        "slot_accounts": [one.account_id for one in channels],
        "untils": [step.until for step, _one in slots],
        "waits": [
            accounts[one.account_id].receipt_window if step.wait is None else step.wait for step, one in slots
        ],
        "measurable": [one.measurable for one in channels],
    }  # fmt: skip
    found: Seen = {}
    with connection.cursor() as cursor:
        cursor.execute(OUTCOMES_OF, values)
        for slot, outcome, tries in cursor.fetchall():
            found.setdefault(slot, {})[outcome] = tries
    return found
