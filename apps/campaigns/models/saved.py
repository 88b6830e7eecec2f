"""Offline-saved messages: kept because the person cannot be reached now."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.campaigns.models.story import Campaign


class SavedMessage(models.Model):
    """A message that waits for its person. The message itself stays ACTIVE, so its campaign is not finished.

    `due_at` is when it must be looked at: set by a new or returning address, by the presence call, by an operator, and
    once soon after it was saved, in case an address came at the same moment. `step` is where its policy goes on.
    """

    class State(models.TextChoices):
        SAVED = "SAVED", _("kept")
        RELEASED = "RELEASED", _("released")
        EXPIRED = "EXPIRED", _("expired")
        DISCARDED = "DISCARDED", _("discarded")
        MERGED = "MERGED", _("replaced by a newer one")
        OVER = "OVER", _("no longer needed")

    class Why(models.TextChoices):
        NO_ADDRESS = "no_usable_address", _("no usable address")
        OFFLINE = "offline", _("the device was offline and the provider keeps nothing")

    message_id = models.BigIntegerField(primary_key=True)
    campaign = models.ForeignKey(
        Campaign, models.PROTECT, db_constraint=False, db_index=False, verbose_name=_("campaign")
    )
    recipient_id = models.BigIntegerField()
    lane = models.CharField(max_length=10)
    step = models.SmallIntegerField(default=0)
    collapse_key = models.CharField(_("collapse key"), max_length=60, blank=True, default="")
    why = models.CharField(_("why"), max_length=20, choices=Why.choices)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.SAVED)
    released_by = models.CharField(_("released by"), max_length=200, blank=True, default="")
    saved_at = models.DateTimeField(_("kept since"))
    expires_at = models.DateTimeField(_("expires at"))
    due_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(_("ended at"), null=True)

    class Meta:
        verbose_name = _("offline-saved message")
        verbose_name_plural = _("offline-saved messages")
        permissions = [("decide_saved", _("Can release and discard offline-saved messages"))]
        indexes = [
            models.Index(fields=["recipient_id"], name="saved_person", condition=Q(state="SAVED")),
            models.Index(fields=["lane", "due_at"], name="saved_due", condition=Q(state="SAVED", due_at__isnull=False)),
            models.Index(fields=["expires_at"], name="saved_expiry", condition=Q(state="SAVED")),
            models.Index(fields=["campaign"], name="saved_campaign"),
        ]

    def __str__(self) -> str:
        return str(self.message_id)
