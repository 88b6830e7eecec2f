"""Sending policies as data, with every version that they had."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Policy(models.Model):
    """A sending policy as data (see policy.py for its words), as it is now: its version `number`, from 1."""

    code = models.SlugField(_("code"), unique=True)
    name = models.CharField(_("name"), max_length=100)
    plan = models.JSONField(_("plan"))
    number = models.PositiveIntegerField(_("version"), default=0, editable=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        verbose_name = _("policy")
        verbose_name_plural = _("policies")
        permissions = [("ask_what_if", _("Can ask what a policy would do for a person"))]

    def __str__(self) -> str:
        return f"{self.name} ({self.code})"


class PolicyVersion(models.Model):
    """What a policy said from one save to the next. A trigger refuses to change or to delete a row."""

    policy = models.ForeignKey(Policy, models.PROTECT, related_name="versions", verbose_name=_("policy"))
    number = models.PositiveIntegerField(_("version"))
    name = models.CharField(_("name"), max_length=100)
    plan = models.JSONField(_("plan"))
    saved_by = models.CharField(_("saved by"), max_length=200)
    saved_at = models.DateTimeField(_("saved at"))
    note = models.CharField(_("what changed and why"), max_length=200, blank=True)

    class Meta:
        verbose_name = _("version of a policy")
        verbose_name_plural = _("versions of policies")
        constraints = [models.UniqueConstraint(fields=["policy", "number"], name="policyversion_once")]

    def __str__(self) -> str:
        return f"{self.policy.code} v{self.number}"
