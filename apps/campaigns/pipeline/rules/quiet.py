"""Quiet hours at the gate: what would go meanwhile waits until they end, or is dropped.

A call may begin `start_by` seconds after its intent, so hours that begin within these count already. Where the hours are
the same for everybody of the order, the batch goes back whole with one row that says so (`whole`): writing two hundred
thousand deliveries as held, and again as sent, would say the same at the price of an expansion. Rows are held one by one
where people differ: by region, or by being on the whitelist, whom quiet hours do not concern.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection

from apps.campaigns.pipeline.columns import numbers
from apps.campaigns.pipeline.order import Item, Order
from apps.campaigns.pipeline.rules.rule import Asked, hold, stop
from apps.campaigns.quiet import Quiet, QuietRule, concerning, quiet_until
from apps.campaigns.quieting import quiet_rules
from apps.users.protection import has_whitelist

RULES, REGIONS = "quiet_rules", "quiet_regions"
REGIONS_OF = "SELECT id, attributes ->> %s FROM users_recipient WHERE id = ANY(%s::bigint[])"
NOTE = """
INSERT INTO campaigns_batchwait (batch_id, code, at, until) VALUES (%s, %s, %s, %s)
ON CONFLICT (batch_id, code, until) DO NOTHING
"""


class QuietRuleOfGate:
    """Holds rows until the hours end; it counts nothing, but looks again in the intent's own transaction."""

    code = "quiet_hours"

    def concerns(self, order: Order) -> bool:
        order.settings[REGIONS] = {}
        return bool(_read_rules(order))

    def look(self, asked: Asked, items: Sequence[Item]) -> None:
        if any(one.region for one in asked.order.settings[RULES]):
            _read_regions(asked.order, items)
        _judge(asked, items)

    def take(self, cursor: Any, asked: Asked, items: Sequence[Item]) -> None:
        """The hours may have begun since the look."""
        _judge(asked, items)

    def whole(self, order: Order, now: datetime) -> datetime | None:
        """Until when the whole batch must wait, noted with it; None where it need not, or where people differ.

        Asked first of each window, by the hours as they are now: who waits for hours that were taken away waits in vain.
        """
        rules = _read_rules(order)
        over = order.campaign.expires_at is not None and order.campaign.expires_at <= now
        if over or order.campaign.state == "CANCELLED" or any(one.region for one in rules) or has_whitelist():
            return None
        quiet = _quiet(order, "", now)
        if quiet is None or quiet.drops:
            return None
        until, code = _at_most_its_life(order, quiet)
        with connection.cursor() as cursor:
            cursor.execute(NOTE, [order.batch.pk, code, now, until])
        return until


def _read_rules(order: Order) -> list[QuietRule]:
    rules = quiet_rules(order.campaign.message_class, order.campaign.business_line_id)
    order.settings[RULES] = rules
    return rules


def _read_regions(order: Order, items: Sequence[Item]) -> None:
    """Of those people of the window that were not read yet."""
    known = order.settings[REGIONS]
    wanted = {item.recipient_id for item in items if item.recipient_id is not None} - known.keys()
    if wanted:
        with connection.cursor() as cursor:
            cursor.execute(REGIONS_OF, [settings.UMS_REGION_ATTRIBUTE, numbers(sorted(wanted))])
            known.update(cursor.fetchall())


def _judge(asked: Asked, items: Sequence[Item]) -> None:
    found: dict[str, Quiet | None] = {}
    for item in items:
        if item.allowed:
            continue
        region = asked.order.settings[REGIONS].get(item.recipient_id) or ""
        if region not in found:
            found[region] = _quiet(asked.order, region, asked.now)
        quiet = found[region]
        if quiet is None:
            continue
        if quiet.drops:
            stop(item, QuietRuleOfGate.code)
        else:
            hold(item, *_held(asked.order, quiet))


def _held(order: Order, quiet: Quiet) -> tuple[str, datetime]:
    until, code = _at_most_its_life(order, quiet)
    return code, until


def _quiet(order: Order, region: str, now: datetime) -> Quiet | None:
    rules, campaign = concerning(order.settings[RULES], region), order.campaign
    what = (campaign.message_class, campaign.business_line_id, region)
    last_start = now + timedelta(seconds=settings.UMS_TIMERS.start_by)
    return quiet_until(rules, *what, now) or quiet_until(rules, *what, last_start)


def _at_most_its_life(order: Order, quiet: Quiet) -> tuple[datetime, str]:
    """The end, or the moment before it at which the campaign expires; then the reason says so."""
    expires_at = order.campaign.expires_at
    if expires_at is not None and expires_at < quiet.until:
        return expires_at, "quiet_until_expiry"
    return quiet.until, QuietRuleOfGate.code
