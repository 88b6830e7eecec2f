"""Business lines, their API keys, and what they asked already."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class BusinessLine(models.Model):
    """An upstream system that may request sends (渠道 / 业务线)."""

    code = models.SlugField(_("code"), unique=True)
    name = models.CharField(_("name"), max_length=100)
    active = models.BooleanField(_("active"), default=True)
    whitelist_only = models.BooleanField(
        _("whitelist only"),
        default=False,
        db_default=False,
        help_text=_("Trial operation: only people and addresses on the whitelist are written to."),
    )
    consent_required = models.BooleanField(
        _("marketing needs consent"),
        default=False,
        db_default=False,
        help_text=_("Marketing goes only to people whose consent is on record."),
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("business line")
        verbose_name_plural = _("business lines")

    def __str__(self) -> str:
        return f"{self.name} ({self.code})"


class ApiKey(models.Model):
    """`ums_<prefix>_<secret>`, of which only the prefix and the SHA-512 of the whole are kept.

    Every key may send and ask for its line; `scopes` are what it may do besides.
    """

    class Scope(models.TextChoices):
        TOKENS = "tokens", _("take access tokens of accounts")
        APPROVE = "approve", _("approve what other keys of the line want to send")

    business_line = models.ForeignKey(
        BusinessLine, models.CASCADE, related_name="api_keys", verbose_name=_("business line")
    )
    label = models.CharField(_("label"), max_length=100)
    prefix = models.CharField(_("prefix"), max_length=8, unique=True)
    digest = models.CharField(max_length=128)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True)
    last_used_at = models.DateTimeField(_("last used at"), null=True, blank=True)
    scopes = ArrayField(
        models.CharField(max_length=20, choices=Scope.choices), verbose_name=_("may also"), default=list, blank=True
    )
    issued_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, verbose_name=_("issued by"), related_name="+"
    )  # has seen its text: what the one asks for, the other does not approve

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")

    def __str__(self) -> str:
        return f"{self.label} (ums_{self.prefix}_…)"


class IdempotencyKey(models.Model):
    """The answer that one Idempotency-Key was given, kept seven days."""

    business_line = models.ForeignKey(BusinessLine, models.CASCADE)
    key = models.CharField(max_length=128)
    body_hash = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField()
    answer = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["business_line", "key"], name="idempotency_once")]


class Allowance(models.Model):
    """How much a business line, or one campaign, may send or spend in a period: a quota or a budget.

    `campaign_id` instead of a line: it holds for that campaign alone. An empty class or channel kind means all of them.
    Money counts where accounts bill in `currency`. What was used stands in AllowanceUse, one row a period.
    """

    class Unit(models.TextChoices):
        MESSAGES = "messages", _("messages")
        PIECES = "pieces", _("pieces")
        MONEY = "money", _("money")

    class Period(models.TextChoices):
        DAY = "day", pgettext_lazy("period", "day")
        MONTH = "month", pgettext_lazy("period", "month")
        TOTAL = "total", _("for good")

    class Wall(models.TextChoices):
        HOLD = "hold", _("wait for the next period")
        REFUSE = "refuse", _("are called off")

    name = models.CharField(_("name"), max_length=100, help_text=_("Callers over the API read it when it is used up."))
    business_line = models.ForeignKey(
        BusinessLine, models.PROTECT, null=True, blank=True, related_name="allowances", verbose_name=_("business line")
    )
    campaign_id = models.BigIntegerField(_("campaign"), null=True, blank=True)
    message_class = models.CharField(_("class"), max_length=20, blank=True)
    channel_kind = models.CharField(_("channel kind"), max_length=40, blank=True)
    unit = models.CharField(_("counts"), max_length=10, choices=Unit.choices)
    period = models.CharField(_("in each"), max_length=10, choices=Period.choices)
    zone = models.CharField(
        _("time zone"),
        max_length=50,
        default="Asia/Shanghai",
        help_text=_("Where its day or month begins at midnight, such as Asia/Shanghai."),
    )
    most = models.DecimalField(_("limit"), max_digits=16, decimal_places=5)
    currency = models.CharField(_("currency"), max_length=3, default="CNY", help_text=_("Of a limit of money."))
    warn_at = models.PositiveSmallIntegerField(
        _("warn at"), default=80, help_text=_("Percent of the limit; from there on the console warns, once a period.")
    )
    wall = models.CharField(
        _("what finds no room"),
        max_length=10,
        choices=Wall.choices,
        default=Wall.HOLD,
        help_text=_("Calls over the API that find no room for their messages are refused in either case."),
    )
    active = models.BooleanField(_("active"), default=True)
    wake = models.BooleanField(
        default=False, editable=False
    )  # there is more room: who waits for it is to be judged anew
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("budget or quota")
        verbose_name_plural = _("budgets and quotas")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(business_line__isnull=True) ^ models.Q(campaign_id__isnull=True),
                name="allowance_of_line_or_campaign",
            ),
            models.CheckConstraint(condition=models.Q(most__gte=0), name="allowance_not_negative"),
        ]
        indexes = [
            models.Index(
                fields=["campaign_id"], name="allowance_campaign", condition=models.Q(campaign_id__isnull=False)
            ),
            models.Index(fields=["id"], name="allowance_wake", condition=models.Q(wake=True)),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_ceiling(self) -> bool:
        """Whether it is the cost ceiling of a campaign, which pauses it."""
        return self.campaign_id is not None and self.unit == self.Unit.MONEY and self.period == self.Period.TOTAL


class AllowanceUse(models.Model):
    """The counter of one allowance in one period (see periods.py for its key): a row that whoever takes from it locks.

    `walled_at`: when the first one found no room. Warning and wall are told once, the times say when.
    """

    allowance = models.ForeignKey(Allowance, models.CASCADE, related_name="uses")
    period = models.CharField(max_length=10)
    used = models.DecimalField(max_digits=18, decimal_places=5, default=0)
    warned_at = models.DateTimeField(null=True)
    walled_at = models.DateTimeField(null=True)
    wall_told_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("use of a budget or quota")
        verbose_name_plural = _("uses of budgets and quotas")
        constraints = [models.UniqueConstraint(fields=["allowance", "period"], name="allowance_use_once")]
