"""Imported target lists: whom a file names, with the values that came beside each."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class TargetList(models.Model):
    """One file of targets; its counts are the live progress of the page. Once DONE it never changes.

    `file_digest` is SHA-256 of the file, `digest` of the targets in their order: the same file again is the same list.
    """

    class State(models.TextChoices):
        WAITING = "WAITING", _("waiting")
        RUNNING = "RUNNING", _("running")
        DONE = "DONE", _("done")
        FAILED = "FAILED", _("failed")

    name = models.CharField(_("name"), max_length=200)
    file_name = models.CharField(_("file"), max_length=200)
    file_digest = models.CharField(max_length=64)
    path = models.CharField(max_length=400, editable=False)
    dry_run = models.BooleanField(_("dry run"), default=False)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.WAITING)
    dialect = models.JSONField(default=dict)
    variables = models.JSONField(_("variables"), default=list)  # the columns whose values go into the text
    digest = models.CharField(max_length=64, default="")
    bytes_total = models.BigIntegerField(default=0)
    bytes_read = models.BigIntegerField(default=0)
    rows_read = models.BigIntegerField(_("rows read"), default=0)
    targets = models.BigIntegerField(_("targets"), default=0)
    people = models.BigIntegerField(_("known people"), default=0)
    unknown = models.BigIntegerField(_("unknown user ids"), default=0)
    addresses = models.BigIntegerField(_("addresses"), default=0)
    rows_repeated = models.BigIntegerField(_("repeated rows"), default=0)
    rows_rejected = models.BigIntegerField(_("rows rejected"), default=0)
    reached_line = models.BigIntegerField(default=0, editable=False)
    epoch = models.IntegerField(default=0, editable=False)
    crashes = models.IntegerField(default=0, editable=False)
    rejects_path = models.CharField(max_length=400, editable=False, blank=True)
    error = models.CharField(_("error"), max_length=400, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, verbose_name=_("created by")
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    heartbeat_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(_("finished at"), null=True)

    class Meta:
        verbose_name = _("imported list")
        verbose_name_plural = _("imported lists")
        constraints = [
            models.UniqueConstraint(
                fields=["file_digest"], condition=models.Q(dry_run=False) & ~models.Q(state="FAILED"), name="list_once"
            )
        ]

    def __str__(self) -> str:
        return self.name


class TargetListRow(models.Model):
    """One target of a list: a person by user id, or an address (`binding_id`, of nobody). `sealed` holds its variables.

    `key` is a keyed hash of whom it names, so that nobody stands in a list twice. `number` counts from 1 without a gap.
    """

    pk = models.CompositePrimaryKey("target_list_id", "number")
    target_list_id = models.BigIntegerField()
    number = models.BigIntegerField()
    key = models.BinaryField()
    user_id = models.CharField(max_length=64, default="")
    binding_id = models.BigIntegerField(null=True)
    sealed = models.BinaryField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["target_list_id", "key"], name="list_target_once")]
