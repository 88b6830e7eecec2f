"""What the same audience would have cost by the baseline plan: one message to everybody, over the plan's first way to them.

The plan is all by short message, or any policy that is chosen for the comparison. Nothing follows in it: what it would
have reached is who it would have written to.

The baseline is not a guess: for every valid target its own text is rendered and its pieces are counted. People are read
in chunks, so that a million need no more memory than a thousand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import connection

from apps.campaigns.models import Campaign, Policy
from apps.campaigns.pipeline.window import values_of
from apps.campaigns.policy import BadPolicy, freeze, load
from apps.channels.models import ChannelAccount
from apps.channels.prices import prices_of_class
from apps.channels.registry import adapter
from apps.channels.selectors import account_facts, usable_accounts
from apps.templates.errors import NoBody
from apps.templates.render import RenderError
from apps.templates.selectors import compiled
from apps.users.audience import blocked_binding, blocked_way
from ums_site.crypto import SealBroken
from ums_site.ids import first_row_id

CHUNK = 5000
SHORT_MESSAGES = "sms_"  # every kind of short message channel begins like this


@dataclass(frozen=True, slots=True)
class Baseline:
    """`people` would have been written to, with `pieces` billed units for `cost` in `currency` over `account` (codes).

    `policy`: the name of the policy that it is; empty for all by short message.
    """

    people: int
    pieces: int
    cost: Decimal
    currency: str
    account: str
    policy: str = ""


def baseline_accounts(campaign: Campaign) -> tuple[str, list[ChannelAccount]]:
    """The name of the chosen baseline policy and its accounts in order.

    By default no name, and one account: the first short message account of the campaign's policy, else the cheapest active
    one its line may use that the template has a text for. Empty where there is none.
    """
    chosen = Policy.objects.filter(code=campaign.baseline_code).first() if campaign.baseline_code else None
    if chosen is not None:
        try:
            plan = load(freeze(chosen.plan, account_facts(campaign.business_line)))
        except BadPolicy:
            return chosen.name, []
        held = ChannelAccount.objects.in_bulk(plan.account_ids())
        order = [held[one] for one in dict.fromkeys(channel.account_id for channel in plan.channels())]
        return chosen.name, [one for one in order if one.kind in campaign.template_version.bodies]
    short = [one.account_id for one in load(campaign.plan).channels() if one.kind.startswith(SHORT_MESSAGES)]
    if short:
        return "", list(ChannelAccount.objects.filter(pk=short[0]))
    written = [kind for kind in campaign.template_version.bodies if kind.startswith(SHORT_MESSAGES) and "/" not in kind]
    return "", list(usable_accounts(campaign.business_line).filter(kind__in=written).order_by("price", "code")[:1])


def measure_baseline(campaign: Campaign) -> Baseline | None:
    """Counts the baseline over the campaign's valid targets; None where it cannot be told: no account, no text, or
    several currencies. Prices are those of the class when the campaign began.

    Somebody whose text cannot be made would not have been reached and costs nothing.
    """
    name, accounts = baseline_accounts(campaign)
    if not accounts or len({one.currency for one in accounts}) > 1:
        return None
    try:
        bodies = [compiled(campaign.template_version_id, one.kind) for one in accounts]
    except NoBody:
        return None
    prices = prices_of_class([one.pk for one in accounts], campaign.message_class, campaign.started_at)
    people, pieces, cost = 0, 0, Decimal(0)
    for place, *row in _reachable(campaign, accounts):
        body, kind = bodies[place], adapter(accounts[place].kind)
        try:
            content = body.render(values_of(body, *row))
        except (RenderError, SealBroken):
            continue
        billed = kind.pieces(content) if kind.capabilities.price_unit == "piece" else 1
        people, pieces, cost = people + 1, pieces + billed, cost + billed * prices[accounts[place].pk]
    return Baseline(people, pieces, cost, accounts[0].currency, ", ".join(one.code for one in accounts), name)


REACHABLE = """
SELECT * FROM (
    SELECT m.id, CASE {places} END AS place, r.user_id, r.attributes, r.sealed_attributes, p.sealed
    FROM campaigns_message m
    LEFT JOIN users_recipient r ON r.id = m.recipient_id
    LEFT JOIN campaigns_messagepayload p ON p.message_id = m.id
    WHERE m.campaign_id = %s AND m.id > %s AND m.id <= %s AND m.state NOT IN ('INVALID', 'BLOCKED')
) one WHERE place IS NOT NULL ORDER BY id LIMIT %s
"""
PLACE = """
WHEN EXISTS (
    SELECT 1 FROM users_binding b
    WHERE (b.recipient_id = m.recipient_id OR b.id = m.binding_id) AND b.address_kind = %s AND b.state = 'ACTIVE'
      AND (b.scope = 'everywhere' OR (b.scope = 'business_line' AND b.scope_id = %s)
           OR (b.scope = 'account' AND b.scope_id = %s))
      AND NOT {blocked}
) AND NOT (r.id IS NOT NULL AND {forbidden}) THEN {place}
"""


def _reachable(campaign: Campaign, accounts: Sequence[ChannelAccount]) -> Iterator[Sequence[Any]]:
    """(place in `accounts`, user id, attributes, sealed attributes, sealed payload) of everybody whom one of them reaches."""
    places, given = "", []
    for place, account in enumerate(accounts):
        way: dict[str, Any] = {
            "message_class": campaign.message_class, "business_line_id": campaign.business_line_id,
            "account_id": account.pk, "kind": account.kind,
        }  # fmt: skip
        blocked, blocked_values = blocked_binding(**way)
        forbidden, forbidden_values = blocked_way(**way)
        places += PLACE.format(blocked=blocked, forbidden=forbidden, place=place)
        kind = adapter(account.kind).capabilities.address_kind
        given += [kind, campaign.business_line_id, account.pk, *blocked_values, *forbidden_values]
    sql = REACHABLE.format(places=places)
    after, last = _span(campaign.pk)
    while True:
        with connection.cursor() as cursor:
            cursor.execute(sql, [*given, campaign.pk, after, last, CHUNK])
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
