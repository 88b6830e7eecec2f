"""Business lines, their API keys, and what they asked already."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _


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
