"""Accounts on channels, their limits and their shared tokens."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from typing import Any, Self

from django.core.validators import MinValueValidator
from django.db import models
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from apps.channels.registry import adapter, kind_choices
from apps.partners.classes import CLASSES
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
    pause_reason = models.CharField(_("reason of the pause"), max_length=200, blank=True, editable=False)
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
    bills_failed = models.BooleanField(
        _("bills what is not delivered"),
        default=True,
        help_text=_("What was taken and then reported as failed costs all the same. What was refused never does."),
    )
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
        permissions = [
            ("test_send", _("Can send a test message over an account")),
            ("test_send_raw", _("Can send a test message to any address typed in")),
        ]

    price_loaded: Decimal | None = None  # as it was read; a price that differs was set by whoever holds this object

    @classmethod
    def from_db(cls, db: str | None, field_names: Collection[str], values: Collection[Any]) -> Self:
        made = super().from_db(db, field_names, values)
        made.price_loaded = made.__dict__.get("price")
        return made

    def refresh_from_db(self, *args: Any, **kwargs: Any) -> None:
        super().refresh_from_db(*args, **kwargs)
        self.price_loaded = self.__dict__.get("price")

    def __str__(self) -> str:
        return f"{self.name} ({self.code})"

    @property
    def adapter_label(self) -> str:
        return adapter(self.kind).label


class AccountPrice(models.Model):
    """What a unit costs from `valid_from` until before `valid_to` (null: no end is set).

    The prices of an account for all classes follow each other without a gap; one for a class goes before them while it
    lasts. A trigger refuses any change of what was in force already; `ChannelAccount.price` is the one for all classes
    in force now.
    """

    account = models.ForeignKey(ChannelAccount, models.PROTECT, related_name="prices", verbose_name=_("account"))
    message_class = models.CharField(
        _("class"),
        max_length=20,
        blank=True,
        default="",
        help_text=_("Empty: every class that has no price of its own."),
    )
    price = models.DecimalField(_("price per unit"), max_digits=10, decimal_places=5, validators=[MinValueValidator(0)])
    valid_from = models.DateTimeField(_("valid from"))
    valid_to = models.DateTimeField(_("valid until"), null=True, blank=True)
    note = models.CharField(_("note"), max_length=200, blank=True)

    class Meta:
        verbose_name = _("price of an account")
        verbose_name_plural = _("prices of accounts")
        constraints = [
            models.UniqueConstraint(fields=["account", "message_class", "valid_from"], name="account_price_once"),
            models.UniqueConstraint(
                fields=["account", "message_class"],
                condition=models.Q(valid_to__isnull=True),
                name="account_price_one_open",
            ),
            models.CheckConstraint(
                condition=models.Q(valid_to__isnull=True) | models.Q(valid_to__gt=models.F("valid_from")),
                name="account_price_forward",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.account.code}: {self.price.normalize():f}"

    @property
    def class_label(self) -> str | Promise:
        return CLASSES.get(self.message_class, self.message_class)


class ProviderTemplate(models.Model):
    """A template as the provider of an account listed it when it was last asked."""

    class State(models.TextChoices):
        APPROVED = "approved", _("approved")
        PENDING = "pending", _("under review")
        REFUSED = "refused", _("refused")

    account = models.ForeignKey(ChannelAccount, models.CASCADE, verbose_name=_("account"))
    code = models.CharField(_("code"), max_length=200)
    name = models.CharField(_("name"), max_length=200, blank=True)
    text = models.TextField(_("text"), blank=True)
    state = models.CharField(_("state"), max_length=10, choices=State.choices)
    refreshed_at = models.DateTimeField(_("refreshed at"))

    class Meta:
        verbose_name = _("approved template")
        verbose_name_plural = _("approved templates")
        constraints = [models.UniqueConstraint(fields=["account", "code"], name="provider_template_once")]

    def __str__(self) -> str:
        return f"{self.code} {self.name}".rstrip()


class TemplateRefresh(models.Model):
    """The newest order to ask an account's provider for its templates; the work lane carries it out page by page."""

    class State(models.TextChoices):
        WAITING = "WAITING", _("waiting")
        RUNNING = "RUNNING", _("running")
        DONE = "DONE", _("done")
        FAILED = "FAILED", _("failed")

    account = models.OneToOneField(ChannelAccount, models.CASCADE, primary_key=True, related_name="template_refresh")
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.WAITING)
    requested_at = models.DateTimeField()
    heartbeat_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    next_page = models.PositiveIntegerField(default=1)
    epoch = models.PositiveIntegerField(default=0)  # starts; a runner of an older one writes no more
    found = models.PositiveIntegerField(default=0)
    words = models.CharField(max_length=200, blank=True)  # why it failed


class RateBucket(models.Model):
    """A token bucket as a row, taken from only by the SQL function `take_calls`."""

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
