"""Approval: who must agree before something is sent, what they were asked, and what they said."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.contrib.auth.models import Group
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.campaigns.models.story import Campaign
from apps.campaigns.states import ApprovalState, MessageClass
from apps.partners.models import ApiKey, BusinessLine
from apps.templates.models import MessageTemplate


class ApprovalRule(models.Model):
    """When somebody else must agree. Class and line narrow it; of the thresholds, any one that is reached counts.

    Without a threshold it concerns everything of its class and line. Every rule that concerns a campaign must be met.
    """

    class Source(models.TextChoices):
        ANY = "", _("console and API")
        CONSOLE = "console", _("console only")
        API = "api", _("API only")

    name = models.CharField(_("name"), max_length=100, unique=True)
    active = models.BooleanField(_("in force"), default=True)
    message_class = models.CharField(
        _("class"), max_length=20, blank=True, choices=[(c.value, c.value) for c in MessageClass],
        help_text=_("Empty: every class."),
    )  # fmt: skip
    business_line = models.ForeignKey(
        BusinessLine, models.PROTECT, null=True, blank=True, verbose_name=_("business line"),
        help_text=_("Empty: every business line."),
    )  # fmt: skip
    source = models.CharField(_("asked for over"), max_length=10, blank=True, choices=Source.choices, default="")
    min_targets = models.PositiveBigIntegerField(
        _("from so many targets"), null=True, blank=True, validators=[MinValueValidator(1)]
    )
    min_money = models.DecimalField(
        _("from so much money"), max_digits=14, decimal_places=2, null=True, blank=True,
        validators=[MinValueValidator(0)], help_text=_("Compared with the most it can cost: every step for everybody."),
    )  # fmt: skip
    over_day = models.BooleanField(
        _("add up what calls ask for"), default=False, db_default=False,
        help_text=_("Calls over the API are compared together with those of the last 24 hours of the same business line and "
                    "template, so that many small ones are one large one."),
    )  # fmt: skip
    approvers = models.PositiveSmallIntegerField(
        _("how many must agree"), default=1, validators=[MinValueValidator(1), MaxValueValidator(5)]
    )
    role = models.ForeignKey(
        Group, models.PROTECT, null=True, blank=True, verbose_name=_("only people with the role"), related_name="+",
        help_text=_("Empty: anybody who may approve."),
    )  # fmt: skip
    valid_for = models.DurationField(
        _("an approval is valid for"), default=timedelta(days=7),
        help_text=_("What has not begun by then must be approved anew. Days hh:mm:ss."),
    )  # fmt: skip

    class Meta:
        verbose_name = _("approval rule")
        verbose_name_plural = _("approval rules")

    def __str__(self) -> str:
        return self.name


class AskedFor(models.Model):
    """What calls over the API asked for in one hour, of one line and template; counted where a rule adds up, for two days."""

    business_line = models.ForeignKey(BusinessLine, models.CASCADE, db_index=False)
    template = models.ForeignKey(MessageTemplate, models.CASCADE)
    hour = models.DateTimeField()
    targets = models.BigIntegerField()
    money = models.DecimalField(max_digits=18, decimal_places=2)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["business_line", "template", "hour"], name="askedfor_once")]


class Approval(models.Model):
    """One request: what is to be sent, as `bound` says and `bound_hash` proves, and whom it needs.

    `needs`: [{"rule": name, "role": group id or null, "approvers": how many}]. `requested_by` is an operator, or
    `requested_key` an API key; neither may agree to it.
    """

    campaign = models.ForeignKey(Campaign, models.PROTECT, related_name="approvals", verbose_name=_("campaign"))
    state = models.CharField(_("state"), max_length=10, default=ApprovalState.PENDING)
    bound_hash = models.CharField(_("hash"), max_length=64, default="")
    bound = models.JSONField(default=dict)
    needs = models.JSONField(default=list)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", verbose_name=_("requested by")
    )
    requested_key = models.ForeignKey(ApiKey, models.SET_NULL, null=True, related_name="+")
    requested_at = models.DateTimeField(_("requested at"))
    expires_at = models.DateTimeField(_("expires at"))
    decided_at = models.DateTimeField(_("decided at"), null=True)
    reason = models.CharField(_("reason"), max_length=200, default="")

    class Meta:
        verbose_name = _("approval")
        verbose_name_plural = _("approvals")
        permissions = [("approve_campaign", _("Can approve what others want to send"))]
        constraints = [
            models.UniqueConstraint(
                fields=["campaign"], condition=models.Q(state__in=["PENDING", "APPROVED"]), name="approval_one_open"
            )
        ]
        indexes = [
            models.Index(
                fields=["expires_at"],
                name="approval_expiring",
                condition=models.Q(state__in=["PENDING", "APPROVED"]),
            )
        ]

    def __str__(self) -> str:
        return str(self.campaign)


class ApprovalVote(models.Model):
    """What one approver said. `seal` is a keyed hash, so that a row written past the service counts for nothing."""

    class Verdict(models.TextChoices):
        APPROVE = "approve", _("agreed")
        REJECT = "reject", _("refused")

    approval = models.ForeignKey(Approval, models.PROTECT, related_name="votes")
    operator = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, verbose_name=_("who"))
    api_key = models.ForeignKey(ApiKey, models.PROTECT, null=True, related_name="+")
    verdict = models.CharField(_("verdict"), max_length=10, choices=Verdict.choices)
    note = models.CharField(_("note"), max_length=400, default="", blank=True)
    at = models.DateTimeField(_("at"))
    seal = models.BinaryField(editable=False)

    class Meta:
        verbose_name = _("vote on an approval")
        verbose_name_plural = _("votes on approvals")
        constraints = [
            models.UniqueConstraint(fields=["approval", "operator"], name="vote_once_operator"),
            models.UniqueConstraint(fields=["approval", "api_key"], name="vote_once_key"),
            models.CheckConstraint(
                condition=models.Q(operator__isnull=False) ^ models.Q(api_key__isnull=False), name="vote_one_voter"
            ),
        ]
