"""The decision ledger: every choice that was made about a target, with the reason codes that it was made by."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Decision(models.Model):
    """One decision about one message, written in the transaction that carries it out; never changed.

    `rule` says what decided (target, route, reissue, or the rule's own name), `verdict` what came of it (go, hold, stop, let),
    `detail` the reason codes of its inputs, never an address or a text. There is no index but the BRIN one over
    `message_id`: rows come in its order, and years of them must stay cheap.
    """

    pk = models.CompositePrimaryKey("message_id", "at", "rule")
    message_id = models.BigIntegerField()
    at = models.DateTimeField()
    step = models.SmallIntegerField(default=0)
    rule = models.CharField(max_length=40)
    verdict = models.CharField(max_length=10)
    detail = models.CharField(max_length=400, default="")

    class Meta:
        managed = False
        db_table = "campaigns_decision"
        verbose_name = _("decision")
        verbose_name_plural = _("decisions")
