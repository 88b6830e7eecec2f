"""Quiet hours as rows: read as plain rules, saved, and what waits for them woken when they change."""

from __future__ import annotations

from django.conf import settings
from django.db import connection, transaction
from django.utils.translation import gettext as _

from apps.campaigns.calendars import working_days
from apps.campaigns.errors import CampaignError
from apps.campaigns.models import QuietHours
from apps.campaigns.quiet import QuietRule
from apps.campaigns.recurrence import BadRule, zone_of
from apps.campaigns.states import MessageClass
from apps.operators import audit
from apps.users.protection import regions_are_known

# What waits is judged anew: the rows that were held one by one, and the batches that were given back whole. Also of a
# campaign that is paused, and of a batch that is leased, which is given back as due with its first row.
WAKE = """
WITH held AS (
    UPDATE campaigns_delivery d SET held_until = now() FROM campaigns_batch b
    WHERE (b.state = 'LEASED' OR b.state IN ('READY', 'WAITING') AND b.not_before > now()) AND d.batch_id = b.id
      AND d.id BETWEEN b.first_delivery_id AND b.last_delivery_id AND d.state = 'HELD'
      AND d.reason IN ('quiet_hours', 'quiet_until_expiry')
    RETURNING d.batch_id
)
UPDATE campaigns_batch SET not_before = now() WHERE state IN ('READY', 'WAITING') AND not_before > now() AND (
    id IN (SELECT batch_id FROM held) OR id IN (SELECT batch_id FROM campaigns_batchwait WHERE until > now()))
"""


def quiet_rules(message_class: str, line: int) -> list[QuietRule]:
    """The quiet hours in force for a class and business line."""
    held = QuietHours.objects.filter(active=True, classes__contains=[message_class]).select_related("calendar")
    return [as_rule(one) for one in held if one.business_line_id in (None, line)]


def as_rule(held: QuietHours) -> QuietRule:
    """One row as the pure module takes it."""
    by_calendar = held.days != QuietHours.Days.EVERY and held.calendar is not None
    return QuietRule(
        classes=frozenset(held.classes),
        since=held.since,
        until=held.until,
        zone=held.zone,
        line=held.business_line_id,
        region=held.region,
        weekdays=frozenset(held.weekdays),
        days=held.days,  # type: ignore[arg-type]
        calendar=working_days(held.calendar) if by_calendar and held.calendar else None,
        drops=held.action == QuietHours.Action.DROP,
    )


@transaction.atomic
def save_quiet_hours(*, actor: object, hours: QuietHours) -> QuietHours:
    """Saves quiet hours; they count from the next window on, the first of a class from the next lease on.

    Raises CampaignError naming the field at fault.
    """
    check_quiet_hours(hours)
    verb = "change_quiet_hours" if hours.pk else "add_quiet_hours"
    hours.save()
    with connection.cursor() as cursor:
        cursor.execute(WAKE)
    audit.record(actor=actor, verb=verb, what=hours, detail=_said(hours))
    return hours


@transaction.atomic
def remove_quiet_hours(*, actor: object, hours: QuietHours) -> None:
    """Takes quiet hours away; what waited for them goes."""
    audit.record(actor=actor, verb="remove_quiet_hours", what=hours, detail=_said(hours))
    hours.delete()
    with connection.cursor() as cursor:
        cursor.execute(WAKE)


def check_quiet_hours(hours: QuietHours) -> None:
    """Raises CampaignError naming the field at fault."""
    if not hours.name.strip():
        raise CampaignError(_("Give the quiet hours a name."), "name")
    if not hours.classes or set(hours.classes) - set(MessageClass):
        raise CampaignError(_("Choose at least one class."), "classes")
    try:
        zone_of(hours.zone)
    except BadRule as bad:
        raise CampaignError(_("No such time zone: write one such as Asia/Shanghai or Europe/Berlin."), "zone") from bad
    if hours.days == QuietHours.Days.EVERY and not hours.weekdays:
        raise CampaignError(_("Choose the weekdays on which they begin."), "weekdays")
    if hours.days != QuietHours.Days.EVERY and hours.calendar is None:
        raise CampaignError(_("Choose the calendar that says which days are off."), "calendar")
    if hours.region and not regions_are_known():
        said = _("People have no open attribute “%(key)s” that says their region: declare it under Attributes first.")
        raise CampaignError(said % {"key": settings.UMS_REGION_ATTRIBUTE}, "region")


def _said(hours: QuietHours) -> dict[str, object]:
    return {
        "name": hours.name, "active": hours.active, "classes": list(hours.classes), "line": hours.business_line_id,
        "region": hours.region, "since": str(hours.since), "until": str(hours.until), "zone": hours.zone,
        "days": hours.days, "weekdays": list(hours.weekdays), "action": hours.action,
    }  # fmt: skip
