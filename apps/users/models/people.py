"""People: recipients, the addresses bound to them, tags, declared attributes, imports."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.utils.translation import gettext_lazy as _


class Scope(models.TextChoices):
    """Where a binding or a blacklist entry counts; `scope_id` names the business line or account."""

    EVERYWHERE = "everywhere", _("everywhere")
    BUSINESS_LINE = "business_line", _("one business line")
    ACCOUNT = "account", _("one account")


class Attribute(models.Model):
    """A declared attribute of recipients. A sensitive one is sealed and cannot be used in a segment."""

    class Type(models.TextChoices):
        TEXT = "text", _("text")
        NUMBER = "number", _("number")
        DATE = "date", _("date")
        BOOLEAN = "boolean", _("yes or no")

    key = models.SlugField(_("key"), unique=True)
    label = models.CharField(_("label"), max_length=100)
    type = models.CharField(_("type"), max_length=10, choices=Type.choices, default=Type.TEXT)
    sensitive = models.BooleanField(_("sensitive"), default=False)

    class Meta:
        verbose_name = _("attribute")
        verbose_name_plural = _("attributes")

    def __str__(self) -> str:
        return self.label


class Tag(models.Model):
    """A label on recipients; the label itself stands in `Recipient.tags`."""

    name = models.CharField(_("name"), max_length=60, unique=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("tag")
        verbose_name_plural = _("tags")

    def __str__(self) -> str:
        return self.name


class Recipient(models.Model):
    """A person, known by the enterprise's own `user_id`. Sensitive attributes are one sealed JSON object."""

    user_id = models.CharField(_("user id"), max_length=64, unique=True)
    tags = ArrayField(models.CharField(max_length=60), verbose_name=_("tags"), default=list, blank=True)
    attributes = models.JSONField(_("attributes"), default=dict, blank=True)
    sealed_attributes = models.BinaryField(default=b"", editable=False)
    sealed_digest = models.BinaryField(default=b"", editable=False)  # equal values are known as equal without opening
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        verbose_name = _("recipient")
        verbose_name_plural = _("recipients")
        permissions = [("export_recipient", _("Can export recipients"))]
        indexes = [GinIndex(fields=["tags"], name="recipient_tags")]

    def __str__(self) -> str:
        return self.user_id


class Binding(models.Model):
    """One address of a recipient (or of nobody, for a raw address). The address is sealed, hashed and masked."""

    class State(models.TextChoices):
        ACTIVE = "ACTIVE", _("active")
        INVALID = "INVALID", _("invalid")
        UNREACHABLE = "UNREACHABLE", _("unreachable")

    recipient = models.ForeignKey(
        Recipient, models.CASCADE, null=True, db_index=False, related_name="bindings", verbose_name=_("recipient")
    )
    address_kind = models.CharField(_("address kind"), max_length=20)
    address = models.BinaryField(editable=False)
    address_hash = models.BinaryField(editable=False)
    address_masked = models.CharField(_("address"), max_length=200)
    scope = models.CharField(_("scope"), max_length=20, choices=Scope.choices, default=Scope.EVERYWHERE)
    scope_id = models.BigIntegerField(_("scope id"), default=0)
    state = models.CharField(_("state"), max_length=12, choices=State.choices, default=State.ACTIVE)
    state_reason = models.CharField(_("reason"), max_length=60, blank=True, db_default="", default="")
    state_at = models.DateTimeField(_("since"), null=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("binding")
        verbose_name_plural = _("bindings")
        permissions = [("reveal_address", _("Can see an address in clear, giving a reason"))]
        constraints = [
            models.UniqueConstraint(
                fields=["recipient", "address_kind", "address_hash", "scope", "scope_id"],
                name="binding_once",
                nulls_distinct=False,
            )
        ]
        indexes = [models.Index(fields=["address_hash"], name="binding_hash")]

    def __str__(self) -> str:
        return f"{self.address_kind} {self.address_masked}"


class PeopleImport(models.Model):
    """One file on its way in: people, entries of a list, or consents. Its counts are the live progress of the page."""

    class Sort(models.TextChoices):
        PEOPLE = "people", _("people")
        BLOCK = "block", _("blacklist")
        ALLOW = "allow", _("whitelist")
        CONSENT = "consent", _("consents")

    class State(models.TextChoices):
        WAITING = "WAITING", _("waiting")
        RUNNING = "RUNNING", _("running")
        DONE = "DONE", _("done")
        FAILED = "FAILED", _("failed")

    file_name = models.CharField(_("file"), max_length=200)
    sort = models.CharField(
        _("what it holds"), max_length=10, choices=Sort.choices, default=Sort.PEOPLE, db_default="people"
    )
    reason = models.CharField(
        _("reason"), max_length=200, blank=True, default="", db_default=""
    )  # of entries without one
    path = models.CharField(max_length=400, editable=False)
    dry_run = models.BooleanField(_("dry run"), default=False)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.WAITING)
    dialect = models.JSONField(_("dialect"), default=dict)
    bytes_total = models.BigIntegerField(default=0)
    bytes_read = models.BigIntegerField(default=0)
    rows_read = models.BigIntegerField(_("rows read"), default=0)
    rows_rejected = models.BigIntegerField(_("rows rejected"), default=0)
    recipients_added = models.BigIntegerField(_("recipients added"), default=0)
    recipients_changed = models.BigIntegerField(_("recipients changed"), default=0)
    recipients_unchanged = models.BigIntegerField(_("recipients unchanged"), default=0)
    entries_added = models.BigIntegerField(_("entries added"), default=0, db_default=0)
    entries_changed = models.BigIntegerField(_("entries changed"), default=0, db_default=0)
    entries_unchanged = models.BigIntegerField(_("entries unchanged"), default=0, db_default=0)
    bindings_added = models.BigIntegerField(_("bindings added"), default=0)
    epoch = models.IntegerField(default=0, editable=False)  # starts of the run; a runner of an older one writes no more
    crashes = models.IntegerField(default=0, editable=False)  # runners that died on it one after another
    reached_line = models.BigIntegerField(default=0, editable=False)  # where the next slice of this pass goes on
    applied_line = models.BigIntegerField(default=0, editable=False)  # everything up to here is committed and counted
    tags_added = models.BigIntegerField(_("tags added"), default=0)
    rejects_path = models.CharField(max_length=400, editable=False, blank=True)
    error = models.CharField(_("error"), max_length=400, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, verbose_name=_("created by")
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    started_at = models.DateTimeField(_("started at"), null=True)
    heartbeat_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(_("finished at"), null=True)

    class Meta:
        verbose_name = _("people import")
        verbose_name_plural = _("people imports")
        permissions = [("download_rejects", _("Can download the rejected rows of an import"))]

    def __str__(self) -> str:
        return self.file_name
