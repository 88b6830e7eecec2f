"""What sending cost in a span of days: one statement, added up by account, class, day, business line and campaign.

A delivery belongs to the day (in the console's time zone) on which its provider took it. Rows of one currency are never
added to those of another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.campaigns.models import Campaign
from apps.channels.models import ChannelAccount
from apps.partners.classes import CLASSES
from apps.partners.models import BusinessLine
from ums_site.ids import first_id_at

LONGEST = 92
HELD_AT_MOST = timedelta(days=35)  # a delivery is taken at most so long after it was made: a month's quota later


class Span(NamedTuple):
    """From the first to the last day, both included."""

    first: date
    last: date


class Only(NamedTuple):
    """Narrows costs down to one account, class or business line; None is all of them."""

    account: int | None = None
    message_class: str | None = None
    line: int | None = None


EVERYTHING = Only()


@dataclass(slots=True)
class Row:
    """Billed pieces and their cost in one currency; `failed_cost` is the part that was then reported as failed.

    `key` is what the row stands for: an account's or campaign's id, a class, a day.
    """

    key: Any
    label: str
    currency: str
    pieces: int = 0
    cost: Decimal = Decimal(0)
    failed_cost: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Costs:
    """The same money in six ways; `totals` has one row for each currency."""

    totals: list[Row]
    by_account: list[Row]
    by_class: list[Row]
    by_day: list[Row]
    by_line: list[Row]
    by_campaign: list[Row]


class _Group(NamedTuple):
    account: int
    message_class: str
    line: int
    campaign: int  # 0: what came over the API, each call a campaign of its own
    day: date
    pieces: int
    cost: Decimal
    failed_cost: Decimal


GROUPS = """
SELECT d.account_id, c.message_class, c.business_line_id, CASE WHEN c.source = 'api' THEN 0 ELSE c.id END,
       (d.accepted_at AT TIME ZONE %s)::date, sum(d.pieces)::bigint, sum(d.cost),
       coalesce(sum(d.cost) FILTER (WHERE d.state = 'UNDELIVERED'), 0)
FROM campaigns_delivery d JOIN campaigns_campaign c ON c.id = d.campaign_id
WHERE d.id >= %s AND d.id < %s AND d.cost IS NOT NULL AND d.accepted_at >= %s AND d.accepted_at < %s
  AND coalesce(d.account_id = %s, true) AND coalesce(c.message_class = %s, true) AND coalesce(c.business_line_id = %s, true)
GROUP BY 1, 2, 3, 4, 5
"""


def costs(span: Span, only: Only = EVERYTHING) -> Costs:
    """Everything that a provider took in these days, or only a part of it."""
    zone = timezone.get_current_timezone()
    begins = datetime(span.first.year, span.first.month, span.first.day, tzinfo=zone)
    after = span.last + timedelta(days=1)
    ends = datetime(after.year, after.month, after.day, tzinfo=zone)
    with connection.cursor() as cursor:
        ids = [max(0, first_id_at(begins - HELD_AT_MOST)), first_id_at(ends)]
        cursor.execute(GROUPS, [str(zone), *ids, begins, ends, *only])
        groups = [_Group(*row) for row in cursor.fetchall()]
    accounts = ChannelAccount.objects.in_bulk({one.account for one in groups})
    lines = BusinessLine.objects.in_bulk({one.line for one in groups})
    names = dict(Campaign.objects.filter(pk__in={one.campaign for one in groups}).values_list("pk", "name"))
    currency = {pk: one.currency for pk, one in accounts.items()}

    def added(key: Callable[[_Group], Any], label: Callable[[Any], str]) -> list[Row]:
        found: dict[Any, Row] = {}
        for one in groups:
            place = (key(one), currency[one.account])
            row = found.setdefault(place, Row(place[0], label(place[0]), place[1]))
            row.pieces += one.pieces
            row.cost += one.cost
            row.failed_cost += one.failed_cost
        return sorted(found.values(), key=lambda row: (-row.cost, row.label))

    return Costs(
        totals=added(lambda one: "", lambda _key: ""),
        by_account=added(lambda one: one.account, lambda key: str(accounts[key])),
        by_class=added(lambda one: one.message_class, lambda key: str(CLASSES.get(key, key))),
        by_day=sorted(added(lambda one: one.day, lambda key: key.isoformat()), key=lambda row: row.label),
        by_line=added(lambda one: one.line, lambda key: lines[key].name),
        by_campaign=added(lambda one: one.campaign, lambda key: names.get(key) or _("over the API")),
    )
