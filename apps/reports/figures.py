"""Figures of a campaign: every target accounted for, in distinct people, by the definitions of docs (T, I, X, V, S …).

Two statements whatever the size: one groups the campaign's messages by what became of each of their slots (a slot is a
step and an account of the frozen plan, written as one bit), one adds up pieces and money. What the groups mean is
decided in `standing.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple, TypedDict

from django.db import connection

from apps.campaigns.models import Campaign
from apps.campaigns.policy import load
from apps.channels.models import ChannelAccount
from apps.reports.standing import Group, Slot, Standing, channel_standing, route, standing
from ums_site.clock import database_now
from ums_site.ids import first_row_id

COUNTED = (
    "targets",
    "valid",
    "accepted",
    "read",
    "clicked",
    "reissued",
    "rescued",
    "delivered_on_several",
    *(str(one) for one in Standing if one is not Standing.UNEXPLAINED),
)
STRAY = Slot(bit=1 << 40, step=0, account_id=0, account="?", kind="?", measurable=False)


class ChannelFigures(TypedDict):
    """People of one account, and what their deliveries cost. `measurable`: a delivered receipt can come back.

    `failed_cost` is the part of `cost` that was billed for what was then reported as failed, to `billed_failed` people.
    """

    tried: int
    accepted: int
    delivered: int
    undelivered: int
    unknown: int
    in_window: int
    pieces: int
    cost: Decimal
    failed_cost: Decimal
    billed: int
    billed_failed: int
    measurable: bool


class RouteFigures(TypedDict):
    people: int
    delivered: int


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts are distinct people of one campaign; money is in `currency`, empty where accounts bill in several (then
    `cost` is None). Baseline and `saved` are None until the baseline was measured.

    `reissued`: a step of the policy was tried after another one had been. `rescued`: those, first delivered after the
    first step. Who was reached by no channel of the first step and went straight to the second is neither.
    `billed` people cost something; `billed_failed` of them something that was not delivered, `failed_cost` in all (None as
    `cost`). `without_room`: messages that wait because a budget or quota is used up.
    `in_progress` counts whoever nothing was accepted for and who is not final; `in_window` is a part of `accepted`.
    """

    targets: int
    invalid: int
    blocked: int
    valid: int
    accepted: int
    refused: int
    in_progress: int
    recalled: int
    delivered: int
    undelivered: int
    unknown: int
    in_window: int
    read: int
    clicked: int
    reissued: int
    rescued: int
    delivered_on_several: int
    pieces: int
    cost: Decimal | None
    currency: str
    as_of: datetime
    invalid_reasons: dict[str, int] = field(default_factory=dict)
    blocked_reasons: dict[str, int] = field(default_factory=dict)
    by_channel: dict[str, ChannelFigures] = field(default_factory=dict)
    by_route: dict[str, RouteFigures] = field(default_factory=dict)
    billed: int = 0
    billed_failed: int = 0
    failed_cost: Decimal | None = None
    without_room: int = 0
    baseline_cost: Decimal | None = None
    baseline_reach: int | None = None
    baseline_pieces: int | None = None
    baseline_policy: str = ""
    baseline_accounts: str = ""
    saved: Decimal | None = None

    @property
    def cost_per_delivered(self) -> Decimal | None:
        """What one person whom it surely reached has cost."""
        return self.cost / self.delivered if self.cost is not None and self.delivered else None

    def identities(self) -> dict[str, bool]:
        """What must always be true of the counts above, each under its formula."""
        return {
            "T = I + X + V": self.targets == self.invalid + self.blocked + self.valid,
            "V = S + SF + P + R": self.valid == self.accepted + self.refused + self.in_progress + self.recalled,
            "S = D + DF + U + in window": self.accepted
            == self.delivered + self.undelivered + self.unknown + self.in_window,
            "I = sum of its reasons": self.invalid == sum(self.invalid_reasons.values()),
            "X = sum of its reasons": self.blocked == sum(self.blocked_reasons.values()),
            "pieces = sum over accounts": self.pieces == sum(one["pieces"] for one in self.by_channel.values()),
            "cost = sum over accounts": self.cost is None
            or self.cost == sum((one["cost"] for one in self.by_channel.values()), Decimal(0)),
            "D = delivered over all routes": self.delivered == sum(one["delivered"] for one in self.by_route.values()),
        }

    @property
    def identities_hold(self) -> bool:
        return all(self.identities().values())

    @property
    def window_open(self) -> bool:
        """Whether a receipt or a result may still change these figures."""
        return bool(self.in_window or self.in_progress)


GROUPS = """
WITH slot (step, account_id, bit) AS (SELECT * FROM unnest(%(steps)s::smallint[], %(accounts)s::bigint[], %(bits)s::bigint[])),
person AS (
    SELECT d.message_id,
        coalesce(bit_or(coalesce(s.bit, %(stray)s)) FILTER (WHERE d.attempts > 0), 0) AS tried,
        coalesce(bit_or(coalesce(s.bit, %(stray)s)) FILTER (WHERE d.state IN ('DELIVERED', 'READ', 'CLICKED')), 0) AS delivered,
        coalesce(bit_or(coalesce(s.bit, %(stray)s)) FILTER (WHERE d.state = 'UNDELIVERED'), 0) AS undelivered,
        coalesce(bit_or(coalesce(s.bit, %(stray)s)) FILTER (WHERE d.state IN ('CLOSED', 'UNKNOWN_FINAL')), 0) AS unknown,
        coalesce(bit_or(coalesce(s.bit, %(stray)s)) FILTER (WHERE d.state = 'ACCEPTED'), 0) AS waiting,
        coalesce(bit_or(coalesce(s.bit, %(stray)s)) FILTER (WHERE d.state = 'UNKNOWN'), 0) AS unsure,
        coalesce(bool_or(d.state IN ('READ', 'CLICKED')), false) AS was_read,
        coalesce(bool_or(d.state = 'CLICKED'), false) AS was_clicked,
        coalesce(min(coalesce(d.receipt_at, d.accepted_at, d.first_intent_at, '-infinity'))
                     FILTER (WHERE d.step > 0 AND d.state IN ('DELIVERED', 'READ', 'CLICKED')), 'infinity')
        < coalesce(min(coalesce(d.receipt_at, d.accepted_at, d.first_intent_at, '-infinity'))
                     FILTER (WHERE d.step = 0 AND d.state IN ('DELIVERED', 'READ', 'CLICKED')), 'infinity') AS later_first
    FROM campaigns_delivery d LEFT JOIN slot s ON s.step = d.step AND s.account_id = d.account_id
    WHERE d.campaign_id = %(campaign)s AND d.id >= %(first)s
    GROUP BY d.message_id
)
SELECT m.state, CASE WHEN m.state IN ('INVALID', 'BLOCKED') THEN m.reason ELSE '' END AS reason,
    coalesce(p.tried, 0), coalesce(p.delivered, 0), coalesce(p.undelivered, 0), coalesce(p.unknown, 0),
    coalesce(p.waiting, 0), coalesce(p.unsure, 0), coalesce(p.was_read, false), coalesce(p.was_clicked, false),
    coalesce(p.later_first, false),
    count(*)
FROM campaigns_message m LEFT JOIN person p ON p.message_id = m.id
WHERE m.campaign_id = %(campaign)s AND m.id >= %(first)s
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
"""
MONEY = """
SELECT account_id, coalesce(sum(pieces) FILTER (WHERE cost IS NOT NULL), 0)::bigint AS pieces, coalesce(sum(cost), 0) AS cost,
       coalesce(sum(cost) FILTER (WHERE state = 'UNDELIVERED'), 0) AS failed_cost,
       count(DISTINCT message_id) FILTER (WHERE cost > 0) AS billed,
       count(DISTINCT message_id) FILTER (WHERE cost > 0 AND state = 'UNDELIVERED') AS billed_failed,
       count(DISTINCT message_id) FILTER (WHERE state = 'HELD' AND reason IN ('quota', 'campaign_ceiling')) AS without_room
FROM campaigns_delivery WHERE campaign_id = %s AND id >= %s GROUP BY GROUPING SETS ((account_id), ())
"""


class Money(NamedTuple):
    """Billed pieces and what they cost at the price of their time; people that were billed, and those of no avail."""

    pieces: int = 0
    cost: Decimal = Decimal(0)
    failed_cost: Decimal = Decimal(0)
    billed: int = 0
    billed_failed: int = 0
    without_room: int = 0


def campaign_figures(campaign_id: int) -> Figures:
    """The figures as of now. Raises Campaign.DoesNotExist."""
    campaign = Campaign.objects.only("id", "plan", "figures").get(pk=campaign_id)
    accounts = {one.pk: one for one in ChannelAccount.objects.filter(pk__in=load(campaign.plan).account_ids())}
    slots = _slots(campaign)
    as_of = database_now()
    groups = _groups(campaign_id, slots)
    money = _money(campaign_id)
    total = money.get(None, Money())
    by_channel = _by_channel(groups, slots, money)
    currencies = {one.currency for one in accounts.values()}
    currency = currencies.pop() if len(currencies) == 1 else ""
    cost = total.cost if currency else None
    return Figures(
        **_counts(groups, slots),
        pieces=total.pieces,
        billed=total.billed,
        billed_failed=total.billed_failed,
        failed_cost=total.failed_cost if currency else None,
        without_room=total.without_room,
        cost=cost,
        currency=currency,
        as_of=as_of,
        invalid_reasons=_reasons(groups, Standing.INVALID),
        blocked_reasons=_reasons(groups, Standing.BLOCKED),
        by_channel=by_channel,
        by_route=_by_route(groups, slots),
        **_baseline(campaign.figures, cost),
    )


def _slots(campaign: Campaign) -> list[Slot]:
    """One slot for each step and account, in the order of the plan."""
    found: dict[tuple[int, int], Slot] = {}
    for step in load(campaign.plan).steps:
        for one in step.channels:
            place = (step.number, one.account_id)
            bit = 1 << len(found)
            found.setdefault(place, Slot(bit, step.number, one.account_id, one.account, one.kind, one.measurable))
    return list(found.values())


def _groups(campaign_id: int, slots: Sequence[Slot]) -> list[Group]:
    values = {
        "campaign": campaign_id,
        "first": first_row_id(campaign_id),
        "steps": [slot.step for slot in slots],
        "accounts": [slot.account_id for slot in slots],
        "bits": [slot.bit for slot in slots],
        "stray": STRAY.bit,
    }
    with connection.cursor() as cursor:
        cursor.execute(GROUPS, values)
        return [Group(*row) for row in cursor.fetchall()]


def _money(campaign_id: int) -> dict[int | None, Money]:
    """By account id, and of all of them under None."""
    with connection.cursor() as cursor:
        cursor.execute(MONEY, [campaign_id, first_row_id(campaign_id)])
        return {account: Money(*counts) for account, *counts in cursor.fetchall()}


def _counts(groups: Iterable[Group], slots: Sequence[Slot]) -> dict[str, Any]:
    people = Counter(dict.fromkeys(COUNTED, 0))
    for group in groups:
        stands = standing(group)
        people["targets"] += group.people
        people["valid"] += group.people * (stands not in (Standing.INVALID, Standing.BLOCKED))
        people["accepted"] += group.people * bool(group.accepted)
        people[stands] += group.people
        people["read"] += group.people * group.was_read
        people["clicked"] += group.people * group.was_clicked
        reissued = len({slot.step for slot in slots if group.tried & slot.bit}) > 1
        people["reissued"] += group.people * reissued
        people["rescued"] += group.people * (reissued and group.later_first)
        people["delivered_on_several"] += group.people * (group.delivered.bit_count() > 1)
    return {name: people[name] for name in COUNTED}


def _reasons(groups: Iterable[Group], wanted: Standing) -> dict[str, int]:
    found: Counter[str] = Counter()
    for group in groups:
        if standing(group) is wanted:
            found[group.reason] += group.people
    return dict(found.most_common())


def _by_channel(
    groups: Sequence[Group], slots: Sequence[Slot], money: Mapping[int | None, Money]
) -> dict[str, ChannelFigures]:
    found: dict[str, ChannelFigures] = {}
    for account_id, account in {slot.account_id: slot.account for slot in slots}.items():
        mine = [slot for slot in slots if slot.account_id == account_id]
        bits = sum(slot.bit for slot in mine)
        people: Counter[str] = Counter()
        for group in groups:
            people["tried"] += group.people * bool(group.tried & bits)
            people["accepted"] += group.people * bool(group.accepted & bits)
            people[channel_standing(group, bits)] += group.people
        billed = money.get(account_id, Money())
        found[account] = ChannelFigures(
            tried=people["tried"],
            accepted=people["accepted"],
            delivered=people[Standing.DELIVERED],
            undelivered=people[Standing.UNDELIVERED],
            unknown=people[Standing.UNKNOWN],
            in_window=people[Standing.IN_WINDOW],
            pieces=billed.pieces,
            cost=billed.cost,
            failed_cost=billed.failed_cost,
            billed=billed.billed,
            billed_failed=billed.billed_failed,
            measurable=any(slot.measurable for slot in mine),
        )
    return found


def _by_route(groups: Iterable[Group], slots: Sequence[Slot]) -> dict[str, RouteFigures]:
    people: Counter[str] = Counter()
    delivered: Counter[str] = Counter()
    for group in groups:
        if group.tried or group.delivered:
            name = route(group.tried | group.delivered, [*slots, STRAY])
            people[name] += group.people
            delivered[name] += group.people * bool(group.delivered)
    return {name: RouteFigures(people=count, delivered=delivered[name]) for name, count in people.most_common()}


def _baseline(stored: Mapping[str, Any] | None, cost: Decimal | None) -> dict[str, Any]:
    """The measured baseline, where `finish_figures` stored one."""
    held = (stored or {}).get("baseline")
    if not held:
        return {}
    baseline_cost = Decimal(held["cost"])
    return {
        "baseline_cost": baseline_cost,
        "baseline_reach": held["people"],
        "baseline_pieces": held["pieces"],
        "baseline_policy": held.get("policy", ""),
        "baseline_accounts": held.get("account", ""),
        "saved": None if cost is None else baseline_cost - cost,
    }
