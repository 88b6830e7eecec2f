"""What the same audience would have cost by the baseline plan: one short message to everybody who can get one.

The baseline is not a guess: for every valid target its own text is rendered and its pieces are counted. People are read
in chunks, so that a million need no more memory than a thousand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import connection

from apps.campaigns.models import Campaign
from apps.campaigns.pipeline.window import values_of
from apps.campaigns.policy import load
from apps.channels.models import ChannelAccount
from apps.channels.registry import adapter
from apps.channels.selectors import usable_accounts
from apps.templates.errors import NoBody
from apps.templates.render import RenderError
from apps.templates.selectors import compiled
from apps.users.audience import blocked_binding
from ums_site.crypto import SealBroken
from ums_site.ids import first_row_id

CHUNK = 5000
SHORT_MESSAGES = "sms_"  # every kind of short message channel begins like this


@dataclass(frozen=True, slots=True)
class Baseline:
    """`people` would have been reached, with `pieces` billed units for `cost` in `currency` over account `account`."""

    people: int
    pieces: int
    cost: Decimal
    currency: str
    account: str


def baseline_account(campaign: Campaign) -> ChannelAccount | None:
    """The first short message account of the campaign's policy, else the cheapest active one its line may use that
    the template has a text for; None without any."""
    planned = [one.account_id for one in load(campaign.plan).channels() if one.kind.startswith(SHORT_MESSAGES)]
    if planned:
        return ChannelAccount.objects.filter(pk=planned[0]).first()
    written = [kind for kind in campaign.template_version.bodies if kind.startswith(SHORT_MESSAGES)]
    return usable_accounts(campaign.business_line).filter(kind__in=written).order_by("price", "code").first()


def measure_baseline(campaign: Campaign) -> Baseline | None:
    """Counts the baseline over the campaign's valid targets; None where it cannot be told (no account, no text).

    Somebody whose text cannot be made would not have been reached and costs nothing.
    """
    account = baseline_account(campaign)
    if account is None:
        return None
    try:
        body = compiled(campaign.template_version_id, account.kind)
    except NoBody:
        return None
    kind = adapter(account.kind)
    by_piece = kind.capabilities.price_unit == "piece"
    people = pieces = 0
    for row in _reachable(campaign, account):
        try:
            content = body.render(values_of(body, *row))
        except (RenderError, SealBroken):
            continue
        people += 1
        pieces += kind.pieces(content) if by_piece else 1
    return Baseline(people, pieces, pieces * account.price, account.currency, account.code)


REACHABLE = """
SELECT m.id, r.user_id, r.attributes, r.sealed_attributes, p.sealed
FROM campaigns_message m
LEFT JOIN users_recipient r ON r.id = m.recipient_id
LEFT JOIN campaigns_messagepayload p ON p.message_id = m.id
WHERE m.campaign_id = %s AND m.id > %s AND m.id <= %s AND m.state NOT IN ('INVALID', 'BLOCKED')
  AND EXISTS (
    SELECT 1 FROM users_binding b
    WHERE (b.recipient_id = m.recipient_id OR b.id = m.binding_id) AND b.address_kind = %s AND b.state = 'ACTIVE'
      AND (b.scope = 'everywhere' OR (b.scope = 'business_line' AND b.scope_id = %s)
           OR (b.scope = 'account' AND b.scope_id = %s))
      AND NOT {blocked}
  )
ORDER BY m.id LIMIT %s
"""


def _reachable(campaign: Campaign, account: ChannelAccount) -> Iterator[Sequence[Any]]:
    """(user id, attributes, sealed attributes, sealed payload) of everybody with an address for the account."""
    line, account_id = campaign.business_line_id, account.pk
    blocked, blocked_values = blocked_binding(
        message_class=campaign.message_class, business_line_id=line, account_id=account_id
    )
    address_kind = adapter(account.kind).capabilities.address_kind
    sql = REACHABLE.format(blocked=blocked)
    after, last = _span(campaign.pk)
    while True:
        values = [campaign.pk, after, last, address_kind, line, account_id, *blocked_values, CHUNK]
        with connection.cursor() as cursor:
            cursor.execute(sql, values)
            rows = cursor.fetchall()
        yield from (row[1:] for row in rows)
        if len(rows) < CHUNK:
            return
        after = rows[-1][0]


def _span(campaign_id: int) -> tuple[int, int]:
    """Ids of the campaign's messages: above the first, up to the last."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(min(id), 1) - 1, coalesce(max(id), 0) FROM campaigns_message "
            "WHERE campaign_id = %s AND id >= %s",
            [campaign_id, first_row_id(campaign_id)],
        )
        first, last = cursor.fetchone()
        return first, last
