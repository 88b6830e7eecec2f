"""How often a person may be written to, what counts as the same message, who was spared, and who is left out."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.campaigns.spans import SpanUnit
from apps.campaigns.states import MessageClass
from apps.partners.models import BusinessLine

UNITS = [
    (SpanUnit.MINUTES.value, _("minutes")),
    (SpanUnit.HOURS.value, _("hours")),
    (SpanUnit.DAYS.value, _("days of 24 hours")),
    (SpanUnit.WEEKS.value, _("weeks")),
    (SpanUnit.CALENDAR_DAYS.value, _("calendar days")),
]
CLASS_CHOICES = [
    (MessageClass.MARKETING.value, _("Marketing")),
    (MessageClass.TRANSACTIONAL.value, _("Notice")),
    (MessageClass.OTP.value, _("One-time password")),
]


def own_zone() -> str:
    """The installation's time zone."""
    return str(settings.TIME_ZONE)


def marketing_only() -> list[str]:
    return [MessageClass.MARKETING.value]


class FrequencyCap(models.Model):
    """At most `most` messages of these classes to one person in any span, over all business lines and channels.

    With a business line or a channel kind it counts, and stops, only what is sent for or over that one.
    """

    code = models.SlugField(_("code"), unique=True, max_length=40)
    name = models.CharField(_("name"), max_length=100)
    most = models.PositiveIntegerField(_("messages at most"), validators=[MinValueValidator(1)])
    span_count = models.PositiveIntegerField(_("in a span of"), validators=[MinValueValidator(1)], default=1)
    span_unit = models.CharField(_("unit"), max_length=20, choices=UNITS, default=SpanUnit.DAYS.value)
    zone = models.CharField(_("time zone"), max_length=50, default=own_zone)
    classes = ArrayField(
        models.CharField(max_length=20, choices=CLASS_CHOICES), verbose_name=_("classes"), default=marketing_only
    )
    business_line = models.ForeignKey(
        BusinessLine, models.PROTECT, null=True, blank=True, verbose_name=_("business line")
    )
    channel_kind = models.CharField(_("kind of channel"), max_length=40, blank=True, default="")
    active = models.BooleanField(_("active"), default=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        verbose_name = _("frequency cap")
        verbose_name_plural = _("frequency caps")

    def __str__(self) -> str:
        return f"{self.name} ({self.code})"


class DuplicateGuard(models.Model):
    """For how long the same text to the same person counts as a repetition; where a class has no row, `DEFAULT_HOURS`."""

    business_line = models.ForeignKey(
        BusinessLine, models.CASCADE, null=True, blank=True, verbose_name=_("business line")
    )
    message_class = models.CharField(_("class"), max_length=20, choices=CLASS_CHOICES)
    window_hours = models.PositiveIntegerField(_("hours"))

    class Meta:
        verbose_name = _("duplicate guard")
        verbose_name_plural = _("duplicate guards")
        constraints = [
            models.UniqueConstraint(
                fields=["business_line", "message_class"], name="duplicate_guard_once", nulls_distinct=False
            )
        ]

    def __str__(self) -> str:
        return f"{self.business_line or '*'} · {self.message_class}"


class Contact(models.Model):
    """What one person, or one address of nobody, was sent of late. Written in the transaction of the intent, locked by it.

    subject: the person's id in eight bytes as int8send writes it, or the keyed hash of an address (32 bytes). Besides, the
    table has `contacts campaigns_contacted[]`: at, message_id, content, line, class, kind, first (see the migration).
    """

    subject = models.BinaryField(primary_key=True)
    last_at = models.DateTimeField()

    class Meta:
        db_table = "campaigns_contact"


class Withheld(models.Model):
    """A delivery that would have been sent, had a cap or the duplicate guard not stopped it; without any address.

    `rule` is the reason code, `cap` the code of the cap. `price` is what it would have cost.
    """

    delivery_id = models.BigIntegerField(primary_key=True)
    message_id = models.BigIntegerField()
    campaign_id = models.BigIntegerField()
    recipient_id = models.BigIntegerField(null=True)
    account_id = models.BigIntegerField()
    rule = models.CharField(_("rule"), max_length=40)
    cap = models.CharField(_("frequency cap"), max_length=40, default="")
    pieces = models.SmallIntegerField(_("pieces"))
    price = models.DecimalField(_("price"), max_digits=12, decimal_places=5)
    at = models.DateTimeField(_("at"))

    class Meta:
        managed = False
        db_table = "campaigns_withheld"
        verbose_name = _("message that would have been sent")
        verbose_name_plural = _("would have been sent")


class Holdout(models.Model):
    """People who are left out on purpose, so that what messages achieve can be compared with what happens without.

    Either `percent` of everybody, chosen by a hash of the recipient's id and `salt`, always the same people; or those who
    wear `tag`. No lines: all lines.
    """

    name = models.CharField(_("name"), max_length=100)
    percent = models.DecimalField(_("per cent of people"), max_digits=4, decimal_places=2, null=True, blank=True)
    tag = models.CharField(_("or people with the tag"), max_length=50, blank=True, default="")
    salt = models.CharField(_("salt"), max_length=32)
    classes = ArrayField(
        models.CharField(max_length=20, choices=CLASS_CHOICES), verbose_name=_("classes"), default=marketing_only
    )
    business_lines = models.ManyToManyField(BusinessLine, blank=True, verbose_name=_("business lines"))
    from_at = models.DateTimeField(_("from"))
    until_at = models.DateTimeField(_("until"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("holdout group")
        verbose_name_plural = _("holdout groups")

    def __str__(self) -> str:
        return self.name
