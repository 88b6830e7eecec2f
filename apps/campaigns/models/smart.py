"""What the smart order knows and by which weights it decides (scoring.py says how)."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.campaigns.scoring import Weights
from apps.campaigns.states import MessageClass

_DEFAULT = Weights()
_PART = [MinValueValidator(0), MaxValueValidator(1000)]
_ABOVE = [MinValueValidator(0.01), MaxValueValidator(1000)]


class SmartWeights(models.Model):
    """The weights of a class, or with an empty class those of every class that has none of its own."""

    message_class = models.CharField(
        _("class"), max_length=20, blank=True, unique=True, choices=[(c.value, c.value) for c in MessageClass]
    )
    reach = models.FloatField(_("weight of reach"), default=_DEFAULT.reach, validators=_PART)
    price = models.FloatField(_("weight of price"), default=_DEFAULT.price, validators=_PART)
    speed = models.FloatField(_("weight of speed"), default=_DEFAULT.speed, validators=_PART)
    strength = models.FloatField(
        _("strength of the class's rate"),
        default=_DEFAULT.strength,
        validators=_ABOVE,
        help_text=_("A person's own tries outweigh the class's rate once there are more of them than this."),
    )
    class_strength = models.FloatField(
        _("strength of the assumed rate"),
        default=_DEFAULT.class_strength,
        validators=_ABOVE,
        help_text=_("A class's own tries outweigh the assumed rate once there are more of them than this."),
    )
    prior_rate = models.FloatField(
        _("assumed delivered rate"),
        default=_DEFAULT.prior_rate,
        validators=[MinValueValidator(0), MaxValueValidator(1)],
        help_text=_("From 0 to 1; where nothing is known, and for channels that give no receipts."),
    )
    half_seconds = models.FloatField(
        _("seconds that count half"),
        default=_DEFAULT.half_seconds,
        validators=[MinValueValidator(0.1), MaxValueValidator(86400)],
        help_text=_("A channel that typically takes so long earns half of what speed can earn."),
    )
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        verbose_name = _("weights of the smart order")
        verbose_name_plural = _("weights of the smart order")

    def __str__(self) -> str:
        return self.message_class or "*"


class PersonExperience(models.Model):
    """Tries of one person over one account, as they counted at `at`: they fade from then on by scoring.HALF_LIFE."""

    pk = models.CompositePrimaryKey("recipient_id", "account_id")
    recipient_id = models.BigIntegerField()
    account_id = models.BigIntegerField()
    tried = models.FloatField()
    delivered = models.FloatField()
    timed = models.FloatField()
    log_seconds = models.FloatField()
    at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "campaigns_personexperience"


class ClassExperience(models.Model):
    """The same of all people of one class over one account."""

    pk = models.CompositePrimaryKey("message_class", "account_id")
    message_class = models.CharField(max_length=20)
    account_id = models.BigIntegerField()
    tried = models.FloatField()
    delivered = models.FloatField()
    timed = models.FloatField()
    log_seconds = models.FloatField()
    at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "campaigns_classexperience"


class Replay(models.Model):
    """A past campaign gone through once more with another plan, on paper. `figures` says what came of it (replay.py)."""

    class State(models.TextChoices):
        WAITING = "WAITING", _("waiting")
        RUNNING = "RUNNING", _("running")
        DONE = "DONE", _("done")
        FAILED = "FAILED", _("failed")

    campaign = models.ForeignKey("Campaign", models.CASCADE, verbose_name=_("campaign"))
    policy_name = models.CharField(_("policy"), max_length=120)
    plan = models.JSONField()
    weights = models.JSONField(default=dict)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.WAITING)
    cursor = models.BigIntegerField(default=0)
    seen = models.BigIntegerField(default=0)
    figures = models.JSONField(default=dict)
    fault = models.CharField(max_length=200, default="")
    heartbeat_at = models.DateTimeField(null=True)
    made_by = models.CharField(_("made by"), max_length=200)
    made_at = models.DateTimeField(_("made at"))
    finished_at = models.DateTimeField(_("finished at"), null=True)

    class Meta:
        verbose_name = _("replay")
        verbose_name_plural = _("replays")
        indexes = [
            models.Index(fields=["id"], name="replay_open", condition=models.Q(state__in=["WAITING", "RUNNING"])),
        ]

    def __str__(self) -> str:
        return f"{self.campaign_id}: {self.policy_name}"
