"""Console accounts and the audit log."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils.translation import gettext_lazy as _


class Operator(AbstractUser):
    """Somebody who signs in to the console: operator, approver, administrator, auditor."""

    class Meta:
        verbose_name = _("operator")
        verbose_name_plural = _("operators")


class AuditEvent(models.Model):
    """Who did what to what, when. Rows are chained by hash and never change; a trigger refuses update and delete."""

    at = models.DateTimeField(_("at"))
    actor = models.CharField(_("who"), max_length=200)
    verb = models.CharField(_("did"), max_length=60)
    object_type = models.CharField(_("type"), max_length=60)
    object_id = models.CharField(_("id"), max_length=64, blank=True)
    detail = models.JSONField(_("detail"), default=dict)
    previous_hash = models.CharField(_("previous hash"), max_length=64)
    hash = models.CharField(_("hash"), max_length=64, unique=True)

    class Meta:
        verbose_name = _("audit event")
        verbose_name_plural = _("audit log")
        indexes = [models.Index(fields=["object_type", "object_id"], name="audit_object")]

    def __str__(self) -> str:
        return f"{self.actor} {self.verb} {self.object_type} {self.object_id}"
