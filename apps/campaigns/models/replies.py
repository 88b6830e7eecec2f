"""What people wrote back, and the words that mean something in it."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.partners.models import BusinessLine


class ReplyWord(models.Model):
    """A word that an answer is read for. `word` is in its normal form (reply_words.py).

    `whole`: the answer must be this word and nothing else; otherwise it is found anywhere in it.
    """

    class Meaning(models.TextChoices):
        UNSUBSCRIBE = "unsubscribe", _("unsubscribe")
        SUBSCRIBE = "subscribe", _("subscribe again")
        COMPLAINT = "complaint", _("complaint")

    word = models.CharField(_("word"), max_length=40, unique=True)
    meaning = models.CharField(_("meaning"), max_length=12, choices=Meaning.choices)
    whole = models.BooleanField(
        _("the whole answer"),
        default=True,
        help_text=_("The answer is this word and nothing else; otherwise the word is found anywhere in it."),
    )

    class Meta:
        verbose_name = _("reply word")
        verbose_name_plural = _("reply words")

    def __str__(self) -> str:
        return self.word


class Reply(models.Model):
    """One answer that an account was given. The text is sealed; `handled_at` is when its meaning was carried out.

    `recipient_id`, `business_line`, `campaign_id` and `message_id` are those of the last message from this account to this
    address; empty where none is known. `event_key` tells a repeat of the same answer.
    """

    class Deed(models.TextChoices):
        NONE = "", _("nothing")
        UNSUBSCRIBED = "unsubscribed", _("unsubscribed")
        SUBSCRIBED = "subscribed", _("subscribed again")
        OVERTAKEN = "overtaken", _("nothing: a later answer counts")
        FAILED = "failed", _("could not be carried out: do it by hand")

    account_id = models.BigIntegerField()
    event_key = models.BinaryField(editable=False)
    address_kind = models.CharField(_("address kind"), max_length=20)
    address_hash = models.BinaryField(null=True, editable=False)
    address_masked = models.CharField(_("address"), max_length=200)
    sealed = models.BinaryField(editable=False)
    extension = models.CharField(_("written to"), max_length=40, blank=True)
    meaning = models.CharField(_("meaning"), max_length=12, choices=ReplyWord.Meaning.choices, blank=True)
    word = models.CharField(_("word"), max_length=40, blank=True)
    complaint = models.BooleanField(_("complaint"), default=False)
    deed = models.CharField(_("done"), max_length=12, choices=Deed.choices, blank=True)
    recipient_id = models.BigIntegerField(null=True)
    business_line = models.ForeignKey(
        BusinessLine, models.PROTECT, null=True, db_index=False, verbose_name=_("business line")
    )
    campaign_id = models.BigIntegerField(null=True)
    message_id = models.BigIntegerField(null=True)
    occurred_at = models.DateTimeField(_("written at"))
    received_at = models.DateTimeField(_("received at"))
    handled_at = models.DateTimeField(null=True)
    tries = models.SmallIntegerField(default=0, db_default=0, editable=False)

    class Meta:
        verbose_name = _("reply")
        verbose_name_plural = _("replies")
        permissions = [("read_reply", _("Can read what people answered"))]
        constraints = [models.UniqueConstraint(fields=["account_id", "event_key"], name="reply_once")]
        indexes = [
            models.Index(fields=["id"], name="reply_waiting", condition=models.Q(handled_at__isnull=True)),
            models.Index(fields=["address_hash", "-id"], name="reply_address"),
            models.Index(fields=["received_at"], name="reply_complaint", condition=models.Q(complaint=True)),
        ]

    def __str__(self) -> str:
        return self.address_masked
