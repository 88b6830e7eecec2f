"""The pulse of campaigns: what became of their tries minute by minute, and the rules that pause a campaign by it.

Each window adds its counts to one row, so what beat looks at does not grow with the campaign. A count that is lost with its
process makes a rule see a little less, never more.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import connection

from apps.campaigns.errors import CampaignError
from apps.campaigns.models import Campaign
from apps.campaigns.pipeline.replies import complaints_since
from apps.campaigns.pipeline.results import Result
from apps.campaigns.services import pass_canary, pause_campaign

SYSTEM = "system"
KEPT = timedelta(days=1)
FEWEST = 20  # messages of a campaign that is worth counting: one-time passwords come as campaigns of one
FIRST = 1000  # tries that are judged whatever time they took
COUNT = """
INSERT INTO campaigns_pulse AS p (campaign_id, minute, tried, failed, unknown)
VALUES (%s, date_trunc('minute', now()), %s, %s, %s)
ON CONFLICT (campaign_id, minute) DO UPDATE SET tried = p.tried + excluded.tried, failed = p.failed + excluded.failed,
  unknown = p.unknown + excluded.unknown
"""


def count(campaign: Campaign, results: Sequence[Result]) -> None:
    """Adds the ends of a window's tries; what is tried again is no end."""
    if campaign.audience["kind"] == "given" and campaign.planned_count < FEWEST:
        return
    states = [one.after.state for one in results]
    failed, unknown = states.count("REJECTED"), states.count("UNKNOWN")
    tried = states.count("ACCEPTED") + failed + unknown
    if tried:
        _add(campaign.pk, tried, failed, unknown)


def count_undelivered(campaign_id: int, undelivered: int) -> None:
    """Adds what providers reported as not delivered: as tried it was counted when it was accepted."""
    if undelivered:
        _add(campaign_id, 0, undelivered, 0)


def _add(campaign_id: int, tried: int, failed: int, unknown: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(COUNT, [campaign_id, tried, failed, unknown])


# Of running campaigns with a rule: their sums of the last minutes, and since they began or were last resumed (which
# forgets what was counted before).
LOOK = """
SELECT c.id, r.at_least, r.minutes, r.failed_percent, r.unknown_percent, r.complaints, coalesce(c.resumed_at, c.started_at),
       sum(p.tried) FILTER (WHERE p.minute > now() - make_interval(mins => r.minutes)),
       sum(p.failed) FILTER (WHERE p.minute > now() - make_interval(mins => r.minutes)),
       sum(p.unknown) FILTER (WHERE p.minute > now() - make_interval(mins => r.minutes)),
       sum(p.tried), sum(p.failed), sum(p.unknown)
FROM campaigns_campaign c JOIN campaigns_pauserule r ON r.message_class = c.message_class AND r.active
JOIN campaigns_pulse p ON p.campaign_id = c.id
WHERE c.state IN ('EXPANDING', 'RUNNING') GROUP BY c.id, r.id
"""


def pause_what_fails() -> None:
    """Pauses campaigns whose failures, unknown outcomes or complaints are over the rule of their class. Idempotent."""
    with connection.cursor() as cursor:
        cursor.execute(LOOK)
        rows = cursor.fetchall()
    for row in rows:
        why = _why(row)
        if why:
            _pause(row[0], why)


def _why(row: Sequence[Any]) -> str:
    """The evidence in one line, empty where nothing is wrong."""
    campaign_id, at_least, minutes, failed_most, unknown_most, complaints_most, since, *sums = row
    recent, whole = [int(one or 0) for one in sums[:3]], [int(one or 0) for one in sums[3:]]
    for words, (tried, failed, unknown) in ((f"last {minutes} min", recent), ("since the start", whole)):
        if tried < at_least or (words == "since the start" and tried > FIRST):
            continue
        if _percent(failed, tried) > failed_most:
            return f"auto: failed={failed} tried={tried} ({words})"
        if _percent(unknown, tried) > unknown_most:
            return f"auto: unknown={unknown} tried={tried} ({words})"
    complaints = complaints_since(since, campaign_id=campaign_id)
    return f"auto: complaints={complaints}" if complaints >= complaints_most else ""


def _percent(part: int, whole: int) -> Decimal:
    return Decimal(100 * part) / whole if whole else Decimal(0)


def _pause(campaign_id: int, why: str) -> None:
    try:
        pause_campaign(actor=SYSTEM, campaign=Campaign(pk=campaign_id), reason=why)
    except CampaignError:
        return  # somebody else was first


# Canaries that have had their share, and whose waiting time is over.
CANARIES = """
SELECT c.id, coalesce(r.failed_percent, 10), coalesce(r.unknown_percent, 1), x.tried, x.failed, x.unknown, x.unwritable
FROM campaigns_campaign c LEFT JOIN campaigns_pauserule r ON r.message_class = c.message_class AND r.active
CROSS JOIN LATERAL (
    SELECT count(*) AS tried, count(*) FILTER (WHERE d.state IN ('REJECTED', 'UNDELIVERED')) AS failed,
           count(*) FILTER (WHERE d.state IN ('UNKNOWN', 'UNKNOWN_FINAL')) AS unknown,
           count(*) FILTER (WHERE d.state = 'REJECTED' AND d.attempts = 0) AS unwritable
    FROM campaigns_delivery d WHERE d.campaign_id = c.id AND d.id >= c.id AND (d.attempts > 0 OR d.state = 'REJECTED')) x
WHERE c.state IN ('EXPANDING', 'RUNNING') AND c.canary_left = 0 AND c.canary_judge_at <= now()
"""


def judge_canaries() -> None:
    """Lets a campaign go on whose canary did well, and pauses one whose did not: one text that cannot be written is enough."""
    with connection.cursor() as cursor:
        cursor.execute(CANARIES)
        rows = cursor.fetchall()
    for campaign_id, failed_most, unknown_most, tried, failed, unknown, unwritable in rows:
        bad = unwritable or _percent(failed, tried) > failed_most or _percent(unknown, tried) > unknown_most
        if bad:
            _pause(campaign_id, f"canary: tried={tried} failed={failed} unknown={unknown} unwritable={unwritable}")
        else:
            pass_canary(
                actor=SYSTEM,
                campaign=Campaign(pk=campaign_id),
                verdict=f"tried={tried} failed={failed} unknown={unknown}",
            )


def forget() -> None:
    """Removes counts that no rule looks at any more."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM campaigns_pulse WHERE minute < now() - %s", [KEPT])
