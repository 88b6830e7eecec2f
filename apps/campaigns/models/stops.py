"""Stop switches, the rules by which campaigns pause themselves, and the pulse that those rules look at."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.campaigns.states import MessageClass

CLASS_CHOICES = [
    (MessageClass.MARKETING.value, _("Marketing")),
    (MessageClass.TRANSACTIONAL.value, _("Notice")),
    (MessageClass.OTP.value, _("One-time password")),
]


class StopSwitch(models.Model):
    """While it is set nothing that it names is sent: no new window opens, what is in flight ends. `key` is an id or a word."""

    class Scope(models.TextChoices):
        EVERYTHING = "everything", _("everything")
        BUSINESS_LINE = "business_line", _("a business line")
        CLASS = "class", _("a class of messages")
        CHANNEL = "channel", _("a kind of channel")
        ACCOUNT = "account", _("a channel account")
        TEMPLATE = "template", _("a message template")

    scope = models.CharField(_("what is stopped"), max_length=20, choices=Scope.choices)
    key = models.CharField(max_length=60, blank=True, default="")
    label = models.CharField(_("which"), max_length=200, blank=True, default="")
    reason = models.CharField(_("reason"), max_length=200)
    set_by = models.CharField(_("set by"), max_length=200)
    set_at = models.DateTimeField(_("set at"))
    until = models.DateTimeField(_("ends by itself at"), null=True, blank=True)
    released_by = models.CharField(_("released by"), max_length=200, blank=True, default="")
    released_at = models.DateTimeField(_("released at"), null=True)

    class Meta:
        verbose_name = _("stop switch")
        verbose_name_plural = _("stop switches")
        indexes = [models.Index(fields=["scope", "key"], name="stopswitch_set", condition=Q(released_at__isnull=True))]

    def __str__(self) -> str:
        return ": ".join(str(part) for part in (self.get_scope_display(), self.label) if part)


class PauseRule(models.Model):
    """When a campaign of a class pauses itself: shares of its tries, over its first thousand or any `minutes`."""

    message_class = models.CharField(_("class"), max_length=20, choices=CLASS_CHOICES, unique=True)
    active = models.BooleanField(_("active"), default=True)
    at_least = models.PositiveIntegerField(_("tries at least"), default=100, validators=[MinValueValidator(1)])
    minutes = models.PositiveIntegerField(
        _("in so many minutes"), default=5, validators=[MinValueValidator(1), MaxValueValidator(60)]
    )
    failed_percent = models.DecimalField(
        _("definite failures, percent"), max_digits=5, decimal_places=2, default=10,
        validators=[MinValueValidator(0), MaxValueValidator(100)],
    )  # fmt: skip
    unknown_percent = models.DecimalField(
        _("unknown outcomes, percent"), max_digits=5, decimal_places=2, default=1,
        validators=[MinValueValidator(0), MaxValueValidator(100)],
    )  # fmt: skip
    complaints = models.PositiveIntegerField(
        _("complaints by reply, at least"), default=10, validators=[MinValueValidator(1)]
    )

    class Meta:
        verbose_name = _("pause rule")
        verbose_name_plural = _("pause rules")

    def __str__(self) -> str:
        return str(self.get_message_class_display())


class Pulse(models.Model):
    """What became of a campaign's tries in one minute, added up window by window; dropped after a day."""

    campaign_id = models.BigIntegerField()
    minute = models.DateTimeField()
    tried = models.IntegerField(default=0)
    failed = models.IntegerField(default=0)
    unknown = models.IntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["campaign_id", "minute"], name="pulse_once")]
