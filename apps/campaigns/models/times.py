"""When things may be sent: schedules and their runs, working-day calendars, quiet hours."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.campaigns.models.policies import Policy
from apps.campaigns.models.story import Campaign
from apps.campaigns.states import MessageClass
from apps.partners.models import ApiKey, BusinessLine
from apps.templates.models import MessageTemplate, TemplateVersion

SHANGHAI = "Asia/Shanghai"
WEEKDAYS = [
    (0, _("Monday")), (1, _("Tuesday")), (2, _("Wednesday")), (3, _("Thursday")), (4, _("Friday")), (5, _("Saturday")),
    (6, _("Sunday")),
]  # fmt: skip


class Calendar(models.Model):
    """Which days are worked: weekdays off (Monday is 0), and the days that are not as their weekday says."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    weekend = ArrayField(models.SmallIntegerField(choices=WEEKDAYS), verbose_name=_("days off each week"), default=list)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        verbose_name = _("calendar")
        verbose_name_plural = _("calendars")

    def __str__(self) -> str:
        return self.name


class CalendarDay(models.Model):
    """A day that is off though its weekday is worked (a holiday), or worked though it is not (a make-up day)."""

    calendar = models.ForeignKey(Calendar, models.CASCADE, related_name="days", verbose_name=_("calendar"))
    day = models.DateField(_("day"))
    working = models.BooleanField(_("worked"))
    name = models.CharField(_("name"), max_length=100, blank=True)

    class Meta:
        verbose_name = _("special day")
        verbose_name_plural = _("special days")
        constraints = [models.UniqueConstraint(fields=["calendar", "day"], name="calendarday_once")]
        ordering = ["day"]

    def __str__(self) -> str:
        return f"{self.day} {self.name}".strip()


class Schedule(models.Model):
    """A recurring campaign: when (local wall time in a zone), and what it sends each time.

    `after_at` is the moment of the occurrence handled last, from which `next_at` follows; neither is computed from now.
    """

    class State(models.TextChoices):
        ACTIVE = "ACTIVE", _("active")
        PAUSED = "PAUSED", _("paused")
        ENDED = "ENDED", _("ended")

    class CatchUp(models.TextChoices):
        NONE = "none", _("nothing that is late")
        LATEST = "latest", _("the latest one only")
        ALL = "all", _("each one")

    class OnDayOff(models.TextChoices):
        SEND = "send", _("send all the same")
        SKIP = "skip", _("leave it out")
        NEXT = "next", _("on the next working day")
        PREVIOUS = "previous", _("on the working day before")

    name = models.CharField(_("name"), max_length=150)
    business_line = models.ForeignKey(BusinessLine, models.PROTECT, verbose_name=_("business line"))
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.ACTIVE)
    cron = models.CharField(_("when"), max_length=100)
    zone = models.CharField(_("time zone"), max_length=60, default=SHANGHAI)
    calendar = models.ForeignKey(Calendar, models.PROTECT, null=True, blank=True, verbose_name=_("calendar"))
    on_day_off = models.CharField(_("on a day off"), max_length=10, choices=OnDayOff.choices, default=OnDayOff.SEND)
    catch_up = models.CharField(_("made up for"), max_length=10, choices=CatchUp.choices, default=CatchUp.LATEST)
    misfire_grace = models.DurationField(_("made up for within"), default=timedelta(hours=1))
    starts_at = models.DateTimeField(_("from"), null=True, blank=True)
    ends_at = models.DateTimeField(_("until"), null=True, blank=True)
    message_class = models.CharField(_("class"), max_length=20, choices=[(c.value, c.value) for c in MessageClass])
    template = models.ForeignKey(MessageTemplate, models.PROTECT, verbose_name=_("message template"))
    template_version = models.ForeignKey(
        TemplateVersion, models.PROTECT, null=True, blank=True, verbose_name=_("template version")
    )
    policy = models.ForeignKey(Policy, models.PROTECT, verbose_name=_("policy"))
    audience = models.JSONField(_("audience"))
    pace_per_second = models.DecimalField(_("pace per second"), max_digits=13, decimal_places=6, null=True, blank=True)
    cost_ceiling = models.DecimalField(
        _("cost ceiling"), max_digits=14, decimal_places=5, null=True, blank=True, help_text=_("Of each campaign.")
    )
    expires_after = models.DurationField(_("expires after"), null=True, blank=True)
    after_at = models.DateTimeField()
    next_at = models.DateTimeField(_("next"), null=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, verbose_name=_("created by")
    )
    edited_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        verbose_name=_("last changed by"),
        related_name="+",
    )
    saved_key = models.ForeignKey(
        ApiKey, models.SET_NULL, null=True, related_name="+"
    )  # that gave it over the API, last
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("schedule")
        verbose_name_plural = _("schedules")
        indexes = [models.Index(fields=["next_at"], name="schedule_due", condition=models.Q(state="ACTIVE"))]

    def __str__(self) -> str:
        return self.name


class ScheduleRun(models.Model):
    """What became of one occurrence, named by the wall time that clocks showed; `why` is a code where it did not start."""

    class State(models.TextChoices):
        STARTED = "started", _("started")
        SKIPPED = "skipped", _("left out")
        MISSED = "missed", _("missed")
        FAILED = "failed", _("failed")

    schedule = models.ForeignKey(Schedule, models.PROTECT, related_name="runs", verbose_name=_("schedule"))
    occurrence_local = models.CharField(_("occurrence"), max_length=16)  # 2026-03-29T03:00
    nominal_at = models.DateTimeField(_("due at"))
    campaign = models.ForeignKey(Campaign, models.PROTECT, null=True, verbose_name=_("campaign"))
    state = models.CharField(_("state"), max_length=10, choices=State.choices)
    why = models.CharField(_("why"), max_length=300, blank=True)
    note = models.CharField(max_length=10, blank=True)  # gap, overlap, moved
    lateness = models.DurationField(_("late by"), null=True)
    at = models.DateTimeField(_("handled at"))

    class Meta:
        verbose_name = _("run")
        verbose_name_plural = _("runs")
        constraints = [models.UniqueConstraint(fields=["schedule", "occurrence_local"], name="schedulerun_once")]

    def __str__(self) -> str:
        return self.occurrence_local


class QuietHours(models.Model):
    """When nothing of these classes goes out, in the local time of a zone; `until` before `since` ends the next day."""

    class Days(models.TextChoices):
        EVERY = "every", _("the weekdays chosen")
        WORKING = "working", _("working days of the calendar")
        OFF = "off", _("days off of the calendar")

    class Action(models.TextChoices):
        DEFER = "defer", _("wait until they end")
        DROP = "drop", _("do not send at all")

    name = models.CharField(_("name"), max_length=100)
    active = models.BooleanField(_("in force"), default=True)
    classes = ArrayField(models.CharField(max_length=20), verbose_name=_("classes"))
    business_line = models.ForeignKey(
        BusinessLine, models.CASCADE, null=True, blank=True, verbose_name=_("business line"),
        help_text=_("Empty: every business line."),
    )  # fmt: skip
    region = models.CharField(
        _("region"), max_length=60, blank=True,
        help_text=_("The value of people's region attribute; for them it stands in place of the rules without a region. "
                    "Empty: everybody."),
    )  # fmt: skip
    since = models.TimeField(_("from"))
    until = models.TimeField(_("until"), help_text=_("Before “from”: it ends the next day. Equal: the whole day."))
    zone = models.CharField(_("time zone"), max_length=60, default=SHANGHAI)
    days = models.CharField(_("begin on"), max_length=10, choices=Days.choices, default=Days.EVERY)
    weekdays = ArrayField(
        models.SmallIntegerField(choices=WEEKDAYS), verbose_name=_("weekdays"), default=list, blank=True
    )
    calendar = models.ForeignKey(Calendar, models.PROTECT, null=True, blank=True, verbose_name=_("calendar"))
    action = models.CharField(_("what would go meanwhile"), max_length=10, choices=Action.choices, default=Action.DEFER)

    class Meta:
        verbose_name = _("quiet hours")
        verbose_name_plural = _("quiet hours")

    def __str__(self) -> str:
        return self.name


class BatchWait(models.Model):
    """That a whole batch was given back until a moment, for a reason that holds for all of its rows; one row each time."""

    batch_id = models.BigIntegerField()
    code = models.CharField(max_length=40)
    at = models.DateTimeField()
    until = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["batch_id", "code", "until"], name="batchwait_once")]
