"""Holdout groups: who is left out on purpose, found by a hash that is the same tomorrow and in any campaign."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Q

from apps.campaigns.models import Campaign, Holdout
from ums_site.ids import first_row_id

Condition = tuple[str, list[Any]]

CHOSEN = "('x' || left(md5(%s || ':' || r.id), 8))::bit(32)::bigint %% 10000 < %s"
TAGGED = "%s = ANY(r.tags)"


def held_out(campaign: Campaign) -> Condition | None:
    """SQL over alias r: this person is in a holdout group that is in force for the campaign; None where there is none."""
    clauses: list[str] = []
    values: list[Any] = []
    for one in in_force(campaign):
        if one.tag:
            clauses.append(TAGGED)
            values.append(one.tag)
        else:
            clauses.append(CHOSEN)
            values += [one.salt, int((one.percent or 0) * 100)]
    return (f"({' OR '.join(clauses)})", values) if clauses else None


def in_force(campaign: Campaign) -> list[Holdout]:
    """The groups that a campaign of this class and line leaves out, at the time when it begins."""
    begun = campaign.started_at or campaign.scheduled_at or campaign.created_at
    lines = Q(business_lines__isnull=True) | Q(business_lines=campaign.business_line_id)
    until = Q(until_at__isnull=True) | Q(until_at__gt=begun)
    found = Holdout.objects.filter(lines, until, from_at__lte=begun, classes__contains=[campaign.message_class])
    return list(found.distinct().order_by("id"))


class LeftOut(NamedTuple):
    """A campaign beside those whom it left out: of its `targets`, `held_out` were, and `reached` were reached."""

    campaign_id: int
    name: str
    targets: int
    held_out: int
    reached: int


FIGURES = """
SELECT c.id, c.name, count(*), count(*) FILTER (WHERE m.state = 'BLOCKED' AND m.reason = 'holdout'),
       count(*) FILTER (WHERE m.state = 'SUCCEEDED')
FROM campaigns_campaign c JOIN campaigns_message m ON m.campaign_id = c.id AND m.id > %s
WHERE c.id = ANY(%s) GROUP BY c.id, c.name HAVING count(*) FILTER (WHERE m.reason = 'holdout') > 0 ORDER BY c.id DESC
"""


def figures(holdout: Holdout, most: int = 20) -> list[LeftOut]:
    """The newest campaigns that a group was in force for, with the people left out; of several groups, those of all."""
    campaigns = Campaign.objects.filter(started_at__gte=holdout.from_at, message_class__in=holdout.classes)
    if holdout.until_at:
        campaigns = campaigns.filter(started_at__lt=holdout.until_at)
    if lines := list(holdout.business_lines.values_list("pk", flat=True)):
        campaigns = campaigns.filter(business_line_id__in=lines)
    ids = list(campaigns.order_by("-id").values_list("pk", flat=True)[:most])
    if not ids:
        return []
    with connection.cursor() as cursor:
        cursor.execute(FIGURES, [first_row_id(min(ids)), ids])
        return [LeftOut(*row) for row in cursor.fetchall()]
