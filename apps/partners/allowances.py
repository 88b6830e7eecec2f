"""Budgets and quotas: set them, ask what is left of them, tell once a period that one is nearly or wholly used up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from apps.operators import audit
from apps.partners.models import Allowance, AllowanceUse, BusinessLine
from apps.partners.periods import next_begins, period_key
from ums_site.clock import database_now

CLOCK = "UMS"  # the actor of what happens by itself


class AllowanceError(ValueError):
    """`problems`: field -> a sentence with the remedy."""

    def __init__(self, problems: dict[str, str]) -> None:
        super().__init__(" ".join(problems.values()))
        self.problems = problems


@transaction.atomic
def save_allowance(*, actor: object, allowance: Allowance) -> Allowance:
    """Saves a new or changed allowance. Its limit, wall and end hold from the next window on, a new one from the next
    lease on, half a minute at most. What was used in the period stays used.

    With more room than before, those who wait for it are judged anew within a second. Raises AllowanceError.
    """
    problems = problems_of(allowance)
    if problems:
        raise AllowanceError(problems)
    before = Allowance.objects.select_for_update().filter(pk=allowance.pk).first() if allowance.pk else None
    if before is not None and _has_more_room(before, allowance):
        allowance.wake = True
        under_way = AllowanceUse.objects.filter(
            allowance=allowance, period=period_key(allowance.period, allowance.zone, database_now())
        )
        under_way.update(walled_at=None, wall_told_at=None, warned_at=None)
    allowance.save()
    verb = "add_allowance" if before is None else "change_allowance"
    audit.record(actor=actor, verb=verb, what=allowance, detail=_told(allowance))
    return allowance


def _has_more_room(before: Allowance, after: Allowance) -> bool:
    """Also where other things are counted from now on: who waits may pass."""
    same = ("business_line_id", "message_class", "channel_kind", "unit", "period", "zone", "currency", "wall")
    moved = any(getattr(before, name) != getattr(after, name) for name in same)
    return moved or after.most > before.most or (before.active and not after.active)


def _told(allowance: Allowance) -> dict[str, str]:
    line = allowance.business_line
    return {
        "name": allowance.name,
        "of": line.code if line else f"campaign {allowance.campaign_id}",
        "limit": f"{allowance.most.normalize():f} {allowance.unit} / {allowance.period}",
        "wall": allowance.wall,
        "active": str(allowance.active),
    }


def problems_of(allowance: Allowance) -> dict[str, str]:
    """Field -> a sentence with the remedy; empty for one that can be saved."""
    found: dict[str, str] = {}
    try:
        allowance.clean_fields(exclude=["business_line"])
    except ValidationError as refused:
        found = {name: " ".join(words) for name, words in refused.message_dict.items()}
    if (allowance.business_line_id is None) == (allowance.campaign_id is None):
        found["business_line"] = _("Choose the business line, or the one campaign, that it is for.")
    if "zone" not in found and not _is_zone(allowance.zone):
        found["zone"] = _("There is no such time zone: write one such as Asia/Shanghai.")
    if "most" not in found and allowance.most < 0:
        found["most"] = _("A limit is zero or more.")
    if allowance.unit != Allowance.Unit.MONEY and "most" not in found and allowance.most % 1:
        found["most"] = _("Messages and pieces are counted in whole numbers.")
    if allowance.unit == Allowance.Unit.MESSAGES and allowance.channel_kind:
        found["channel_kind"] = _(
            "A message counts before its channel is chosen: leave the channel out, or count pieces."
        )
    if not 1 <= (allowance.warn_at or 0) <= 100:
        found["warn_at"] = _("Between 1 and 100 percent.")
    return found


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


@transaction.atomic
def keep_ceiling(
    *, actor: object, campaign_id: int, name: str, most: Decimal | None, currency: str
) -> Allowance | None:
    """The ceiling of what a campaign may cost in all: made, changed, or taken away with None. Raises AllowanceError."""
    held = Allowance.objects.filter(campaign_id=campaign_id, unit="money", period="total").first()
    if most is None:
        if held is not None and held.active:
            held.active = False
            save_allowance(actor=actor, allowance=held)
        return None
    made = held or Allowance(campaign_id=campaign_id, unit="money", period="total")
    made.name, made.most, made.currency, made.active = name[:100], most, currency, True
    return save_allowance(actor=actor, allowance=made)


@dataclass(frozen=True, slots=True)
class Remaining:
    """What is left of an allowance in the period of the moment asked about; `resets_at` None: never by itself.

    `left` is never below zero. `percent` of the limit is used. `walled`: something found no room in this period.
    """

    allowance: Allowance
    used: Decimal
    left: Decimal
    percent: int
    resets_at: datetime | None
    walled: bool

    @property
    def warns(self) -> bool:
        return self.percent >= self.allowance.warn_at or self.walled

    @property
    def full(self) -> bool:
        return self.walled or not self.left


def remaining(line: BusinessLine | None, campaign: int | None = None, at: datetime | None = None) -> list[Remaining]:
    """What is left of every active allowance of the line, and of the campaign (its id) where one is named, at a moment.

    Two statements; `at` None is now. A later period than the one under way is still whole.
    """
    wanted = Q(business_line=line) if line is not None else Q(pk__in=[])
    if campaign is not None:
        wanted |= Q(campaign_id=campaign)
    return left_of(list(Allowance.objects.filter(wanted, active=True).order_by("pk")), at or database_now())


def left_of(allowances: list[Allowance], at: datetime) -> list[Remaining]:
    """The same of these allowances."""
    keys = {one.pk: period_key(one.period, one.zone, at) for one in allowances}
    uses = AllowanceUse.objects.filter(allowance__in=keys, period__in=set(keys.values()))
    by_key = {(use.allowance_id, use.period): use for use in uses}
    return [_remaining(one, by_key.get((one.pk, keys[one.pk])), at) for one in allowances]


def _remaining(allowance: Allowance, use: AllowanceUse | None, at: datetime) -> Remaining:
    used = use.used if use else Decimal(0)
    percent = int(used * 100 / allowance.most) if allowance.most else 100
    resets_at = next_begins(allowance.period, allowance.zone, at)
    walled = use is not None and use.walled_at is not None
    return Remaining(allowance, used, max(Decimal(0), allowance.most - used), percent, resets_at, walled)


def near_the_wall(at: datetime | None = None) -> list[Remaining]:
    """Active allowances that are used up as far as their warning says, or had no room for something."""
    active = list(Allowance.objects.filter(active=True).select_related("business_line"))
    return [one for one in left_of(active, at or database_now()) if one.warns]


NEAR = """
UPDATE partners_allowanceuse u SET warned_at = now() FROM partners_allowance a
WHERE a.id = u.allowance_id AND a.active AND u.warned_at IS NULL AND u.used * 100 >= a.most * a.warn_at
  AND (u.used > 0 OR u.walled_at IS NOT NULL)
RETURNING a.id, u.period, u.used::text
"""
AT_THE_WALL = """
UPDATE partners_allowanceuse u SET wall_told_at = now() FROM partners_allowance a
WHERE a.id = u.allowance_id AND a.active AND u.wall_told_at IS NULL AND u.walled_at IS NOT NULL
RETURNING a.id, u.period, u.used::text
"""


def tell() -> int:
    """Writes into the audit log, once a period, which allowances are nearly used up and which had no room; how many."""
    told = 0
    for sql, verb in ((NEAR, "allowance_nearly_used"), (AT_THE_WALL, "allowance_used_up")):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(sql)
            for allowance_id, period, used in sorted(cursor.fetchall()):
                allowance = Allowance.objects.get(pk=allowance_id)
                detail = {"name": allowance.name, "period": period, "used": used, "limit": str(allowance.most)}
                audit.record(actor=CLOCK, verb=verb, what=allowance, detail=detail)
                told += 1
    return told
