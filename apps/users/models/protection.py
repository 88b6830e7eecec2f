"""Who must not, or may always, be written to, and what people agreed to: blacklist, whitelist, consent ledger."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.channels.families import ways
from apps.partners.models import BusinessLine
from apps.users.models.people import Recipient, Scope


class MessageClass(models.TextChoices):
    """The classes of messages, as campaigns know them, in the words of the pages of people."""

    OTP = "otp", _("One-time password")
    TRANSACTIONAL = "transactional", _("Notice")
    MARKETING = "marketing", _("Marketing")


class BlacklistEntry(models.Model):
    """Who must not be written to (block), or whom caps and quiet hours do not hold back (allow): a person, an address, or
    everybody of a region.

    `channel` is the one way that it is about: a kind of channel (`sms_aliyun`) or the family of some (`sms`); none means
    every way. `region` is matched with the people's attribute of that name, as quiet hours match it. `classes` are the
    message classes it counts for, in order of their names; none means all. `origin` tells what people asked for themselves
    (consent) from what operators entered: giving consent again lifts only the former.
    """

    class Effect(models.TextChoices):
        BLOCK = "block", _("blacklist")
        ALLOW = "allow", _("whitelist")

    class Origin(models.TextChoices):
        OPERATOR = "operator", _("entered")
        CONSENT = "consent", _("consent withdrawn")

    effect = models.CharField(
        _("list"), max_length=10, choices=Effect.choices, default=Effect.BLOCK, db_default="block"
    )
    recipient = models.ForeignKey(Recipient, models.CASCADE, null=True, blank=True, verbose_name=_("recipient"))
    address_kind = models.CharField(_("address kind"), max_length=20, blank=True)
    address_hash = models.BinaryField(null=True, editable=False)
    address_masked = models.CharField(_("address"), max_length=200, blank=True)
    region = models.CharField(_("region"), max_length=60, blank=True, default="", db_default="")
    channel = models.CharField(_("channel kind"), max_length=40, blank=True, default="", db_default="")
    classes = ArrayField(
        models.CharField(max_length=20, choices=MessageClass.choices), verbose_name=_("message classes"), default=list,
        blank=True, db_default=[],
    )  # fmt: skip
    scope = models.CharField(_("scope"), max_length=20, choices=Scope.choices, default=Scope.EVERYWHERE)
    scope_id = models.BigIntegerField(_("scope id"), default=0)
    origin = models.CharField(
        _("origin"), max_length=10, choices=Origin.choices, default=Origin.OPERATOR, db_default="operator"
    )
    reason = models.CharField(_("reason"), max_length=200)
    source = models.CharField(_("source"), max_length=60)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("blacklist entry")
        verbose_name_plural = _("blacklist and whitelist")
        constraints = [
            models.CheckConstraint(
                condition=Q(recipient__isnull=False, address_hash__isnull=True, region="")
                | Q(recipient__isnull=True, address_hash__isnull=False, region="")
                | (Q(recipient__isnull=True, address_hash__isnull=True) & ~Q(region="")),
                name="blacklist_one_subject",
            ),
            models.UniqueConstraint(
                fields=[
                    "recipient",
                    "address_hash",
                    "region",
                    "effect",
                    "channel",
                    "scope",
                    "scope_id",
                    "origin",
                    "classes",
                ],
                name="blacklist_once",
                nulls_distinct=False,
            ),
        ]
        indexes = [
            models.Index(fields=["address_hash"], name="blacklist_hash", condition=Q(address_hash__isnull=False)),
            models.Index(fields=["effect"], name="blacklist_allowed", condition=Q(effect="allow")),
            models.Index(fields=["region"], name="blacklist_region", condition=~Q(region="")),
            models.Index(
                fields=["recipient"],
                name="blacklist_one_way",
                condition=Q(recipient__isnull=False) & (~Q(channel="") | Q(scope=Scope.ACCOUNT)),
            ),
        ]

    def __str__(self) -> str:
        return self.address_masked or self.region or str(self.recipient)

    @property
    def way(self) -> str:
        """The one way that it is about, in words; empty for every way."""
        return str(ways().get(self.channel, self.channel)) if self.channel else ""


class ConsentRecord(models.Model):
    """That a person, or whoever has an address, agreed or took it back, with the evidence. Rows never change (a trigger).

    `recipient_id` is no foreign key: the proof outlives the person's rows, which say whose it was. `message_class` and
    `business_line` are what it is about; empty means all of them. `evidence` is what was said or shown, `reference` where
    to find it: the id of a message, of a form, of a reply. Of what is brought in from elsewhere `said_at` is when they said
    so, `obtained` where, `text_version` which version of the words they saw, `operator` who heard it; `at` is when we did.
    """

    class State(models.TextChoices):
        GIVEN = "given", _("given")
        WITHDRAWN = "withdrawn", _("withdrawn")

    class Source(models.TextChoices):
        CONSOLE = "console", _("console")
        API = "api", _("API")
        LINK = "link", _("unsubscribe link")
        REPLY = "reply", _("reply")
        IMPORT = "import", _("import")
        DELETION = "deletion", _("kept when the person was deleted")

    recipient_id = models.BigIntegerField(null=True)
    address_kind = models.CharField(_("address kind"), max_length=20, blank=True)
    address_hash = models.BinaryField(null=True, editable=False)
    address_masked = models.CharField(_("address"), max_length=200, blank=True)
    message_class = models.CharField(_("class"), max_length=20, choices=MessageClass.choices, blank=True)
    business_line = models.ForeignKey(
        BusinessLine, models.PROTECT, null=True, blank=True, db_index=False, verbose_name=_("business line")
    )
    state = models.CharField(_("consent"), max_length=10, choices=State.choices)
    source = models.CharField(_("source"), max_length=10, choices=Source.choices)
    evidence = models.CharField(_("evidence"), max_length=500)
    reference = models.CharField(_("reference"), max_length=100, blank=True)
    said_at = models.DateTimeField(_("said at"), null=True, blank=True)
    obtained = models.CharField(_("obtained from"), max_length=100, blank=True, default="", db_default="")
    text_version = models.CharField(_("version of the text"), max_length=60, blank=True, default="", db_default="")
    operator = models.CharField(_("heard by"), max_length=100, blank=True, default="", db_default="")
    actor = models.CharField(_("recorded by"), max_length=200)
    at = models.DateTimeField(_("at"))

    class Meta:
        verbose_name = _("consent record")
        verbose_name_plural = _("consent records")
        constraints = [
            models.CheckConstraint(
                condition=Q(recipient_id__isnull=False) | Q(address_hash__isnull=False), name="consent_has_subject"
            )
        ]
        indexes = [
            models.Index(
                fields=["recipient_id", "-id"], name="consent_of_person", condition=Q(recipient_id__isnull=False)
            ),
            models.Index(
                fields=["address_hash", "-id"], name="consent_of_address", condition=Q(address_hash__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_state_display()} {self.message_class}".strip()
