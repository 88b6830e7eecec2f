"""What people did with a message, as the business line's own systems saw it: it was read, or something in it was clicked.

Few providers tell either. Such a report is merged like a provider's receipt: forward only, the same fact once, whatever the
order; a step that waited for it is over, and what it would have started next is called off.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from django.db import connection, transaction

from apps.campaigns.pipeline.columns import numbers, texts
from apps.campaigns.pipeline.receipts import merge_hits
from apps.campaigns.reasons import OWN_REPORT
from apps.channels.contract import ReceiptEvent
from apps.channels.models import ChannelAccount
from ums_site.clock import transaction_now
from ums_site.database import again_after_deadlock
from ums_site.ids import SHIFT


@dataclass(frozen=True, slots=True)
class Report:
    """One event. Its message is named by id, or by campaign and person; `account` where it went over several."""

    state: Literal["read", "clicked"]
    at: datetime | None = None  # None: now
    message_id: int = 0
    campaign_id: int = 0
    user_id: str = ""
    account: str = ""


# The delivery that each report is about: of those that were called and not refused the last one, of the line's own messages.
FIND = """
SELECT v.place, found.id, found.campaign_id, found.account_id
FROM unnest(%(messages)s::bigint[], %(campaigns)s::bigint[], %(people)s::text[], %(accounts)s::text[])
     WITH ORDINALITY AS v(message_id, campaign_id, user_id, account, place)
CROSS JOIN LATERAL (
    SELECT m.id FROM campaigns_message m JOIN campaigns_campaign c ON c.id = m.campaign_id
    WHERE v.message_id > 0 AND m.id = v.message_id AND c.business_line_id = %(line)s
    UNION ALL
    SELECT m.id FROM users_recipient r JOIN campaigns_campaign c ON c.id = v.campaign_id
    JOIN campaigns_message m ON m.campaign_id = c.id AND m.recipient_id = r.id
    WHERE v.message_id = 0 AND r.user_id = v.user_id AND c.business_line_id = %(line)s
      AND m.id >= c.id >> %(shift)s << %(shift)s
) of
CROSS JOIN LATERAL (
    SELECT d.id, d.campaign_id, d.account_id FROM campaigns_delivery d
    JOIN ums_channels_channelaccount a ON a.id = d.account_id
    WHERE d.message_id = of.id AND d.id >= of.id >> %(shift)s << %(shift)s AND d.attempts > 0
      AND d.state NOT IN ('REJECTED', 'CANCELLED') AND v.account IN ('', a.code)
    ORDER BY d.step DESC, d.id DESC LIMIT 1
) found
ORDER BY v.place
"""


@again_after_deadlock
def take_reports(*, business_line_id: int, reports: Sequence[Report]) -> list[int]:
    """Merges the reports in one transaction; returns the places of those about nothing that this line sent.

    Repeating a report with its time changes nothing.
    """
    with transaction.atomic():
        now = transaction_now()
        hits: dict[int, list[tuple[ReceiptEvent, int]]] = defaultdict(list)
        campaigns: dict[int, set[int]] = defaultdict(set)
        known = set()
        for place, delivery_id, campaign_id, account_id in _found(business_line_id, reports):
            said = reports[place - 1]
            hits[account_id].append(
                (ReceiptEvent(state=said.state, occurred_at=said.at or now, code=OWN_REPORT), delivery_id)
            )
            campaigns[account_id].add(campaign_id)
            known.add(place - 1)
        accounts = ChannelAccount.objects.in_bulk(list(hits))
        for account_id in sorted(hits):
            merge_hits(accounts[account_id], hits[account_id], campaigns[account_id], now)
    return [place for place in range(len(reports)) if place not in known]


def _found(business_line_id: int, reports: Sequence[Report]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(
            FIND,
            {
                "messages": numbers(one.message_id for one in reports),
                "campaigns": numbers(one.campaign_id for one in reports),
                "people": texts([one.user_id for one in reports]),
                "accounts": texts([one.account for one in reports]),
                "line": business_line_id,
                "shift": SHIFT,
            },
        )
        return list(cursor.fetchall())
