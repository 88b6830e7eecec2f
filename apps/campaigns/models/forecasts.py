"""Forecasts: what a campaign would do, made once, kept, and compared with what it did; and the audience frozen with it."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.campaigns.models.story import Campaign


class Forecast(models.Model):
    """One forecast of one campaign, made in chunks by lane `work`; its counts are the live progress of the page.

    `definition` is the hash of what was forecast (content, policy, audience, class). `targets` people were found at
    `as_of`; `digest` is SHA-256 over their ids, whose parts stand in `AudiencePart`. `figures` is None until it is done,
    `totals` what was added up so far. `seal` is a keyed hash over the figures that decide on approval.
    """

    class State(models.TextChoices):
        WAITING = "WAITING", _("waiting")
        RUNNING = "RUNNING", _("running")
        DONE = "DONE", _("done")
        FAILED = "FAILED", _("failed")

    campaign = models.ForeignKey(Campaign, models.CASCADE, related_name="forecasts", verbose_name=_("campaign"))
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.WAITING)
    definition = models.CharField(max_length=64, default="")
    as_of = models.DateTimeField(_("as of"), null=True)
    made_at = models.DateTimeField(_("made at"), null=True)
    made_by = models.CharField(_("made by"), max_length=200)
    targets = models.BigIntegerField(_("targets"), default=0)
    digest = models.CharField(max_length=64, default="")
    seal = models.BinaryField(default=b"", editable=False)
    reached_id = models.BigIntegerField(default=0)
    last_id = models.BigIntegerField(default=0)
    people = models.BigIntegerField(default=0)  # to be looked at, about
    seen = models.BigIntegerField(default=0)
    totals = models.JSONField(default=dict)
    figures = models.JSONField(null=True)
    actual = models.JSONField(null=True)  # the figures that it was compared with, once the campaign is over
    epoch = models.IntegerField(default=0)
    heartbeat_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=200, default="")

    class Meta:
        verbose_name = _("forecast")
        verbose_name_plural = _("forecasts")
        indexes = [
            models.Index(
                fields=["heartbeat_at"], name="forecast_due", condition=models.Q(state__in=["WAITING", "RUNNING"])
            )
        ]

    def __str__(self) -> str:
        return f"{self.campaign} {self.as_of:%Y-%m-%d %H:%M}" if self.as_of else str(self.campaign)


class AudiencePart(models.Model):
    """Some thousand ids of a frozen audience, in order. Dropped once the campaign has messages for all of them."""

    forecast = models.ForeignKey(Forecast, models.CASCADE, related_name="parts", db_index=False)
    last_id = models.BigIntegerField()
    ids = ArrayField(models.BigIntegerField())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["forecast", "last_id"], name="audience_part_once")]
