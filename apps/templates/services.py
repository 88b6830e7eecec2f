"""What may be done to templates: one function each for console, API and commands. Everything leaves an audit event."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from apps.channels.registry import KINDS, adapter
from apps.operators import audit
from apps.templates.bodies import in_order, kind_of
from apps.templates.errors import NotPublishable, TemplateError
from apps.templates.lint import lint
from apps.templates.models import MessageTemplate, TemplateVersion
from apps.templates.render import UNSUBSCRIBE_URL, placeholders
from apps.templates.selectors import Preview, preview, publishable
from apps.templates.words import findings as findings_of_words

__all__ = [
    "NotPublishable",
    "Preview",
    "TemplateError",
    "delete_draft",
    "draft_hash",
    "preview",
    "publish_version",
    "save_draft",
]

VARIABLE_KEYS = ("name", "type", "label", "currency", "source", "example")


@transaction.atomic
def save_draft(
    *,
    actor: object,
    template: MessageTemplate | None = None,
    code: str,
    name: str,
    variables: Sequence[Mapping[str, Any]],
    bodies: Mapping[str, Any],
    language: str = MessageTemplate.Language.CHINESE,
) -> MessageTemplate:
    """Makes or changes a draft; it may be unfinished, publishing judges it. Blank fields and bodies are left out.

    Raises TemplateError where the code is taken or the shape is not that of `MessageTemplate`.
    """
    if MessageTemplate.objects.filter(code=code).exclude(pk=template.pk if template else None).exists():
        raise TemplateError(_("Another template has the code %(code)s: choose a different one.") % {"code": code})
    held = template or MessageTemplate()
    held.code, held.name, held.language = code, name, language
    held.variables = [_variable(one) for one in variables]
    held.bodies = {kind: kept for kind, body in bodies.items() if (kept := _body(body))}
    if "\0" in json.dumps([held.variables, held.bodies], ensure_ascii=False).replace("\\u0000", "\0"):
        raise TemplateError(_("Null characters are not allowed."))
    held.save()
    detail = {"code": code, "kinds": sorted(held.bodies)}
    audit.record(actor=actor, verb="change_template" if template else "add_template", what=held, detail=detail)
    return held


def _variable(held: Mapping[str, Any]) -> dict[str, str]:
    if not all(isinstance(value, str) for value in held.values()):
        raise TemplateError(_("A variable is described by texts only."))
    return {key: held[key].strip() for key in VARIABLE_KEYS if held.get(key, "").strip()}


def _body(body: object) -> dict[str, Any]:
    """The fields that are filled in."""
    if not isinstance(body, Mapping):
        raise TemplateError(_("A body maps content fields to texts."))
    kept: dict[str, Any] = {}
    for field, held in body.items():
        if isinstance(held, Mapping) and all(isinstance(text, str) for text in held.values()):
            kept[field] = {key: text for key, text in held.items() if text}
        elif isinstance(held, str):
            kept[field] = held
        else:
            raise TemplateError(_("%(field)s holds neither a text nor names and texts.") % {"field": field})
    return {field: held for field, held in kept.items() if held}


@transaction.atomic
def publish_version(*, actor: object, template: MessageTemplate, shown: str = "") -> TemplateVersion:
    """Makes the draft the next version, for ever as it stands. `actor` is the operator, or whoever else is on record.

    `shown` is the `draft_hash` of what the operator agreed to, if somebody did. Two at once make one version: the second
    finds nothing new. Raises NotPublishable with all findings, TemplateError where the content equals that of the last
    version or is not the one that was shown.
    """
    draft = MessageTemplate.objects.select_for_update().get(pk=template.pk)
    if shown and shown != draft_hash(draft):
        raise TemplateError(_("The draft was changed meanwhile: look at it again before you publish."))
    findings = [*lint(draft.variables, draft.bodies, draft.language), *findings_of_words(draft)]
    if any(finding.level == "error" for finding in findings):
        raise NotPublishable(findings)
    if not settings.UMS_PUBLIC_URL and _uses(draft, UNSUBSCRIBE_URL):
        words = _("${%(name)s} needs an address that people can reach: set UMS_PUBLIC_URL, or declare the variable.")
        raise TemplateError(words % {"name": UNSUBSCRIBE_URL})
    bodies = {kind: publishable(kind, draft.bodies[kind]) for kind in in_order(draft.bodies, list(KINDS))}
    digest = content_hash(draft.variables, bodies, draft.language)
    last = draft.versions.order_by("-number").first()
    if last is not None and last.content_hash == digest:
        words = _("Nothing has changed since version %(number)s: that version can be used as it is.")
        raise TemplateError(words % {"number": last.number})
    version = TemplateVersion.objects.create(
        template=draft,
        number=last.number + 1 if last else 1,
        language=draft.language,
        variables=draft.variables,
        bodies=bodies,
        content_hash=digest,
        published_by=actor if hasattr(actor, "is_staff") else None,
    )
    detail = {"code": draft.code, "number": version.number, "content_hash": digest}
    audit.record(actor=actor, verb="publish_template", what=version, detail=detail)
    return version


@transaction.atomic
def delete_draft(*, actor: object, template: MessageTemplate) -> None:
    """Removes a template that was never published. Raises TemplateError where it was."""
    if template.versions.exists():
        raise TemplateError(_("A published template stays: messages and reports refer to it."))
    audit.record(actor=actor, verb="delete_template", what=template, detail={"code": template.code})
    template.delete()


def _uses(draft: MessageTemplate, name: str) -> bool:
    """Whether a text of the draft has this placeholder without declaring it."""
    if any(held.get("name") == name for held in draft.variables):
        return False
    return any(name in placeholders(body, adapter(kind_of(kind)).content_fields) for kind, body in draft.bodies.items())


def draft_hash(template: MessageTemplate) -> str:
    """The hash of a draft as it stands, before HTML is made harmless."""
    return content_hash(template.variables, template.bodies, template.language)


def content_hash(variables: Sequence[Mapping[str, Any]], bodies: Mapping[str, Any], language: str) -> str:
    """SHA-256 over canonical JSON (sorted keys, no blanks, UTF-8): equal for equal content."""
    said = {"bodies": bodies, "language": language, "variables": variables}
    text = json.dumps(said, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
