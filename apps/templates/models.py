"""Message templates and their published, unchangeable versions."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.partners.models import BusinessLine


class MessageTemplate(models.Model):
    """A named text with declared variables and one body per channel kind; this row is the draft.

    variables: [{"name": "balance", "type": "text|number|money|date|datetime|boolean", "label": …,
    "currency": "CNY"?, "source": "attribute"|"payload", "example": …}];
    bodies: {channel kind: {content field: text or {name: text}}}.
    """

    class Language(models.TextChoices):
        """In which amounts and dates are written."""

        CHINESE = "zh_CN", _("Chinese")
        ENGLISH = "en", _("English")

    code = models.SlugField(_("code"), unique=True)
    name = models.CharField(_("name"), max_length=100)
    language = models.CharField(
        _("language of the text"), max_length=5, choices=Language.choices, default=Language.CHINESE
    )
    variables = models.JSONField(_("variables"), default=list, blank=True)
    bodies = models.JSONField(_("bodies"), default=dict, blank=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        verbose_name = _("message template")
        verbose_name_plural = _("message templates")
        permissions = [("publish_template", _("Can publish a template version"))]

    def __str__(self) -> str:
        return f"{self.name} ({self.code})"


class TemplateVersion(models.Model):
    """What was published under a number; a trigger refuses any change."""

    template = models.ForeignKey(MessageTemplate, models.PROTECT, related_name="versions", verbose_name=_("template"))
    number = models.PositiveIntegerField(_("version"))
    language = models.CharField(
        _("language of the text"),
        max_length=5,
        choices=MessageTemplate.Language.choices,
        default=MessageTemplate.Language.CHINESE,
    )
    variables = models.JSONField(_("variables"))
    bodies = models.JSONField(_("bodies"))
    content_hash = models.CharField(_("content hash"), max_length=64)
    published_at = models.DateTimeField(_("published at"), auto_now_add=True)
    published_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, verbose_name=_("published by")
    )

    class Meta:
        verbose_name = _("template version")
        verbose_name_plural = _("template versions")
        constraints = [models.UniqueConstraint(fields=["template", "number"], name="template_version_once")]

    def __str__(self) -> str:
        return f"{self.template.name} v{self.number}"


class WordList(models.Model):
    """Words that texts must not hold, or are warned of; what it applies to. Nothing chosen means all of it.

    `version` rises with every change of the list or its words: processes that hold them see it at their next lease.
    """

    class Action(models.TextChoices):
        BLOCK = "block", _("is not sent")
        WARN = "warn", _("is sent, and noted")

    name = models.CharField(_("name"), max_length=100, unique=True)
    action = models.CharField(_("a text with such a word"), max_length=10, choices=Action.choices, default=Action.BLOCK)
    business_lines = models.ManyToManyField(BusinessLine, blank=True, verbose_name=_("business lines"))
    classes = ArrayField(models.CharField(max_length=20), verbose_name=_("classes"), default=list, blank=True)
    kinds = ArrayField(models.CharField(max_length=40), verbose_name=_("kinds of channel"), default=list, blank=True)
    active = models.BooleanField(_("active"), default=True)
    version = models.PositiveIntegerField(_("version"), default=1)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        verbose_name = _("list of sensitive words")
        verbose_name_plural = _("sensitive words")
        permissions = [("import_words", _("Can import sensitive words"))]

    def __str__(self) -> str:
        return self.name


class ListedWord(models.Model):
    """One word of a list; `key` is what texts are searched for (see wording.py)."""

    word_list = models.ForeignKey(WordList, models.CASCADE, related_name="words", verbose_name=_("list"))
    word = models.CharField(_("word"), max_length=100)
    key = models.CharField(max_length=200)

    class Meta:
        verbose_name = _("sensitive word")
        verbose_name_plural = _("words of lists")
        constraints = [models.UniqueConstraint(fields=["word_list", "key"], name="listed_word_once")]

    def __str__(self) -> str:
        return self.word
