"""Accounts on channels, their limits and their shared tokens."""

from __future__ import annotations

from django.core.validators import MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.channels.registry import adapter, kind_choices
from apps.partners.models import BusinessLine


class ChannelAccount(models.Model):
    """One configured sender (通道账号). Settings that are no secret stand in `config`, the others sealed in `secrets`."""

    class State(models.TextChoices):
        ACTIVE = "ACTIVE", _("active")
        PAUSED = "PAUSED", _("paused")

    code = models.SlugField(_("code"), unique=True, help_text=_("Globally unique; policies and bills name it."))
    name = models.CharField(_("name"), max_length=100)
    kind = models.CharField(_("channel kind"), max_length=40, choices=kind_choices)
    business_line = models.ForeignKey(
        BusinessLine,
        models.PROTECT,
        null=True,
        blank=True,
        verbose_name=_("business line"),
        help_text=_("Empty: every business line may use it."),
    )
    config = models.JSONField(_("settings"), default=dict)
    secrets = models.BinaryField(default=b"", editable=False)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.ACTIVE)
    rate_per_second = models.DecimalField(
        _("limit per second"),
        max_digits=9,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[MinValueValidator(0.01)],
        help_text=_("Recipients per second over all workers; empty: no limit."),
    )
    burst = models.PositiveIntegerField(_("burst"), default=1, help_text=_("How many may go at once after a rest."))
    max_in_flight = models.PositiveIntegerField(_("calls in flight per worker"), default=200)
    price = models.DecimalField(_("price per unit"), max_digits=10, decimal_places=5, default=0)
    currency = models.CharField(_("currency"), max_length=3, default="CNY")
    receipt_window = models.DurationField(
        _("receipt window"), help_text=_("After this no receipt is expected any more.")
    )
    unknown_window = models.DurationField(
        _("unknown window"),
        help_text=_("How long an unknown outcome waits for a receipt or an answer before it is final."),
    )
    hook_token = models.CharField(max_length=64, unique=True, editable=False)
    open_until = models.DateTimeField(_("breaker open until"), null=True, blank=True, editable=False)
    open_reason = models.CharField(_("breaker reason"), max_length=200, blank=True, editable=False)
    faults = models.PositiveIntegerField(_("faults in a row"), default=0, editable=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("channel account")
        verbose_name_plural = _("channel accounts")
        permissions = [("test_send", _("Can send a test message over an account"))]

    def __str__(self) -> str:
        return f"{self.name} ({self.code})"

    @property
    def adapter_label(self) -> str:
        return adapter(self.kind).label


class RateBucket(models.Model):
    """A token bucket as a row, taken from only by the SQL function `take_tokens(key, want)`."""

    key = models.CharField(max_length=60, primary_key=True)
    rate = models.FloatField()
    burst = models.FloatField()
    tokens = models.FloatField()
    refilled_at = models.DateTimeField()


class SharedToken(models.Model):
    """A provider's access token, one row for all processes; the row lock is the single flight."""

    account = models.ForeignKey(ChannelAccount, models.CASCADE)
    name = models.CharField(max_length=40)
    value = models.BinaryField(default=b"")
    expires_at = models.DateTimeField(null=True)
    refused_at = models.DateTimeField(null=True)
    version = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "name"], name="shared_token_once")]


class UnmappedCode(models.Model):
    """A provider's code that no table knows, counted so that somebody maps it."""

    kind = models.CharField(_("channel kind"), max_length=40)
    code = models.CharField(_("code"), max_length=100)
    seen = models.PositiveBigIntegerField(_("times seen"), default=0)
    last_at = models.DateTimeField(_("last seen"))

    class Meta:
        verbose_name = _("unmapped code")
        verbose_name_plural = _("unmapped codes")
        constraints = [models.UniqueConstraint(fields=["kind", "code"], name="unmapped_once")]

    def __str__(self) -> str:
        return f"{self.kind}: {self.code}"
