"""The rows of the send story. States are words; what may follow what stands in `states.py`.

Message, MessagePayload, Delivery, Attempt and Receipt are partitioned by day over a time-ordered id (the migration says
how), have no database foreign keys and as few indexes as the queries need: their columns ending in `_id` are plain
integers, checked by the invariants instead.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.campaigns.states import BatchState, CampaignState, DeliveryState, MessageClass, MessageState
from apps.partners.models import BusinessLine
from apps.templates.models import TemplateVersion


class Campaign(models.Model):
    """One send order. `plan` is the policy frozen at submit, with accounts resolved to their ids.

    audience: {"kind": "filter", "tags_any": [...], ...} (see users/audience.py) or {"kind": "given"}: its messages were
    written with it, by the API; or {"kind": "list", "list": id}: an imported list (models/lists.py).
    """

    id = models.BigIntegerField(primary_key=True)
    name = models.CharField(_("name"), max_length=200)
    business_line = models.ForeignKey(BusinessLine, models.PROTECT, verbose_name=_("business line"))
    message_class = models.CharField(_("class"), max_length=20, choices=[(c.value, c.value) for c in MessageClass])
    template_version = models.ForeignKey(TemplateVersion, models.PROTECT, verbose_name=_("template version"))
    policy_code = models.CharField(_("policy"), max_length=60)
    policy_number = models.PositiveIntegerField(_("version of the policy"), default=0)
    plan = models.JSONField()
    audience = models.JSONField(_("audience"))
    state = models.CharField(_("state"), max_length=20, default=CampaignState.DRAFT)
    lane = models.CharField(max_length=10)
    priority = models.SmallIntegerField(default=0)
    scheduled_at = models.DateTimeField(_("scheduled at"), null=True, blank=True)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    pace_per_second = models.DecimalField(_("pace per second"), max_digits=13, decimal_places=6, null=True, blank=True)
    cost_ceiling = models.DecimalField(
        _("cost ceiling"), max_digits=14, decimal_places=5, null=True, blank=True, help_text=_("Of the whole campaign.")
    )
    baseline_code = models.CharField(max_length=60, default="", db_default="")  # a policy; empty: all by short message
    pause_reason = models.CharField(_("why it is paused"), max_length=200, blank=True, default="", db_default="")
    paused_by = models.CharField(_("paused by"), max_length=200, blank=True, default="", db_default="")
    resume_to = models.CharField(max_length=20, blank=True, default="", db_default="")  # the state it was paused in
    resumed_at = models.DateTimeField(null=True)  # what happened before is no evidence against it any more
    canary_size = models.PositiveIntegerField(_("canary, sends that go first"), null=True, blank=True)
    canary_left = models.PositiveIntegerField(null=True)  # null: no canary, or it was passed
    canary_seconds = models.PositiveIntegerField(_("seconds until the canary is judged"), default=120, db_default=120)
    canary_judge_at = models.DateTimeField(null=True)
    forecast = models.JSONField(null=True)
    figures = models.JSONField(null=True)
    expand_cursor = models.BigIntegerField(default=0)
    expand_end = models.BigIntegerField(default=0)
    planned_count = models.BigIntegerField(default=0)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, verbose_name=_("created by")
    )
    edited_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        verbose_name=_("last changed by"),
        related_name="+",
    )
    frozen = models.ForeignKey(
        "campaigns.Forecast",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("frozen audience"),
    )  # the forecast whose people it goes to; without one, whom the definition finds when it begins
    source = models.CharField(_("source"), max_length=10, default="console")
    created_at = models.DateTimeField(_("created at"))
    started_at = models.DateTimeField(_("started at"), null=True)
    expanded_at = models.DateTimeField(_("expanded at"), null=True)
    finished_at = models.DateTimeField(_("finished at"), null=True)

    class Meta:
        verbose_name = _("campaign")
        verbose_name_plural = _("campaigns")
        permissions = [
            ("send_campaign", _("Can send a campaign")),
            ("recall", _("Can take back what was sent")),
            ("take_evidence", _("Can take the evidence sheet of a message")),
        ]
        indexes = [
            models.Index(
                fields=["lane", "state"],
                name="campaign_open",
                condition=~models.Q(state__in=["FINISHED", "CANCELLED", "REJECTED"]),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Message(models.Model):
    """One recipient's share of a campaign; every target has exactly one, also the invalid and the blocked."""

    id = models.BigIntegerField(primary_key=True)
    campaign_id = models.BigIntegerField()
    recipient_id = models.BigIntegerField(null=True)
    binding_id = models.BigIntegerField(null=True)  # where the caller named an address instead of a person
    state = models.CharField(_("state"), max_length=10, default=MessageState.PLANNED)
    reason = models.CharField(_("reason"), max_length=100, default="")
    step = models.SmallIntegerField(_("step"), default=0)
    finished_at = models.DateTimeField(_("finished at"), null=True)

    class Meta:
        managed = False
        db_table = "campaigns_message"
        verbose_name = _("message")
        verbose_name_plural = _("messages")

    def __str__(self) -> str:
        return str(self.id)


class MessagePayload(models.Model):
    """The variables that came with one message over the API, sealed; dropped with its partition."""

    message_id = models.BigIntegerField(primary_key=True)
    sealed = models.BinaryField()

    class Meta:
        managed = False
        db_table = "campaigns_messagepayload"


class Batch(models.Model):
    """Up to some hundreds of deliveries of one campaign, step and account that a worker leases together.

    Its deliveries are those with its id between `first_delivery_id` and `last_delivery_id`. `follow_up_at` is when the
    messages behind them must be looked at again (a wait or a receipt window ends); null where nothing is left to follow.
    `recall_at` is when what was ordered to be taken back is asked of the provider (again).
    """

    campaign = models.ForeignKey(Campaign, models.PROTECT, db_index=False)
    account_id = models.BigIntegerField()
    step = models.SmallIntegerField()
    lane = models.CharField(max_length=10)
    priority = models.SmallIntegerField(default=0)
    state = models.CharField(max_length=10, default=BatchState.READY)
    not_before = models.DateTimeField()
    first_delivery_id = models.BigIntegerField()
    last_delivery_id = models.BigIntegerField()
    size = models.IntegerField()
    owner = models.CharField(max_length=80, default="")
    epoch = models.IntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    suspect_epoch = models.IntegerField(null=True)
    suspect_at = models.DateTimeField(null=True)
    poll_at = models.DateTimeField(null=True)
    follow_up_at = models.DateTimeField(null=True)
    recall_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("batch")
        verbose_name_plural = _("batches")
        indexes = [
            models.Index(
                fields=["lane", "-priority", "not_before", "id"], name="batch_ready", condition=models.Q(state="READY")
            ),
            models.Index(fields=["lease_until"], name="batch_leased", condition=models.Q(state="LEASED")),
            models.Index(
                fields=["lane", "follow_up_at"], name="batch_follow_up", condition=models.Q(follow_up_at__isnull=False)
            ),
            models.Index(fields=["poll_at"], name="batch_poll", condition=models.Q(poll_at__isnull=False)),
            models.Index(fields=["recall_at"], name="batch_recall", condition=models.Q(recall_at__isnull=False)),
            models.Index(fields=["suspect_at"], name="batch_suspect", condition=models.Q(suspect_at__isnull=False)),
            models.Index(fields=["campaign", "step"], name="batch_campaign"),
        ]


class Delivery(models.Model):
    """One message over one channel to one binding: the unit that is sent."""

    id = models.BigIntegerField(primary_key=True)
    message_id = models.BigIntegerField()
    campaign_id = models.BigIntegerField()
    batch_id = models.BigIntegerField()
    account_id = models.BigIntegerField()
    recipient_id = models.BigIntegerField(null=True)
    binding_id = models.BigIntegerField()
    step = models.SmallIntegerField()
    state = models.CharField(_("state"), max_length=14, default=DeliveryState.PENDING)
    reason = models.CharField(_("reason"), max_length=120, default="")
    held_until = models.DateTimeField(null=True)
    epoch = models.IntegerField(default=0)
    attempts = models.SmallIntegerField(default=0)  # calls, one Attempt row each
    burnt = models.SmallIntegerField(default=0)  # those that count against the most tries
    crashes = models.SmallIntegerField(default=0)
    solo = models.BooleanField(default=False)
    may_duplicate = models.BooleanField(default=False)
    provider_key = models.CharField(max_length=80, default="")
    call_ref = models.BigIntegerField(null=True)
    provider_id = models.CharField(max_length=100, default="")
    first_intent_at = models.DateTimeField(null=True)
    accepted_at = models.DateTimeField(null=True)
    receipt_at = models.DateTimeField(null=True)
    pieces = models.SmallIntegerField(default=0)
    cost = models.DecimalField(max_digits=12, decimal_places=5, null=True)

    class Meta:
        managed = False
        db_table = "campaigns_delivery"
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")


class Attempt(models.Model):
    """One call to a provider for one delivery: written at intent, completed at result."""

    pk = models.CompositePrimaryKey("delivery_id", "number")
    delivery_id = models.BigIntegerField()
    number = models.SmallIntegerField()
    epoch = models.IntegerField()
    key = models.CharField(max_length=80)
    intent_at = models.DateTimeField()
    outcome = models.CharField(max_length=14, default="")
    code = models.CharField(max_length=100, default="")
    words = models.CharField(max_length=200, default="")
    provider_id = models.CharField(max_length=100, default="")
    finished_at = models.DateTimeField(null=True)

    class Meta:
        managed = False
        db_table = "campaigns_attempt"


class Receipt(models.Model):
    """What a provider said later about one delivery; a repeat of the same fact is the same row."""

    pk = models.CompositePrimaryKey("delivery_id", "event_hash")
    delivery_id = models.BigIntegerField()
    event_hash = models.BigIntegerField()
    state = models.CharField(max_length=14)
    code = models.CharField(max_length=100, default="")
    words = models.CharField(max_length=200, default="")
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "campaigns_receipt"


class RecallOrder(models.Model):
    """That a campaign, or one message of it (`message_id` not 0), is to be taken back; also what is accepted later."""

    campaign = models.ForeignKey(Campaign, models.PROTECT, db_index=False)
    message_id = models.BigIntegerField(default=0)
    reason = models.CharField(_("reason"), max_length=200)
    actor = models.CharField(max_length=200)
    ordered_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["campaign", "message_id"], name="recallorder_once"),
        ]


class Recall(models.Model):
    """One delivery that is to be taken back. `code` and `words` say why it was not, or what stood in the way so far.

    It is tried until `until`. No state of a delivery changes with it: what was taken back had been accepted all the same.
    """

    delivery_id = models.BigIntegerField(primary_key=True)
    message_id = models.BigIntegerField()
    campaign_id = models.BigIntegerField()
    batch_id = models.BigIntegerField()
    account_id = models.BigIntegerField()
    provider_id = models.CharField(max_length=100)
    state = models.CharField(max_length=10)
    code = models.CharField(max_length=100, default="")
    words = models.CharField(max_length=200, default="")
    tries = models.SmallIntegerField(default=0)
    until = models.DateTimeField()
    ordered_at = models.DateTimeField()
    asked_at = models.DateTimeField(null=True)
    done_at = models.DateTimeField(null=True)

    class Meta:
        managed = False
        db_table = "campaigns_recall"


class ReceiptInbox(models.Model):
    """A body as it arrived at an account's hook, sealed; merged later, kept where it could not be read or matched."""

    class State(models.TextChoices):
        NEW = "NEW", _("new")
        MERGED = "MERGED", _("merged")
        UNMATCHED = "UNMATCHED", _("waiting for its delivery")
        BAD = "BAD", _("not readable")

    account_id = models.BigIntegerField()
    sealed = models.BinaryField()
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.NEW)
    note = models.CharField(_("note"), max_length=200, default="")
    received_at = models.DateTimeField(_("received at"))
    next_try_at = models.DateTimeField(null=True)
    tries = models.SmallIntegerField(default=0)
    events = models.IntegerField(_("events"), default=0)

    class Meta:
        verbose_name = _("receipt in")
        verbose_name_plural = _("receipts in")
        indexes = [
            models.Index(
                fields=["next_try_at", "id"], name="inbox_due", condition=models.Q(state__in=["NEW", "UNMATCHED"])
            )
        ]
