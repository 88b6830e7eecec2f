"""What others ask about templates: compiled bodies, previews, lint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from django.utils import timezone

from apps.channels.registry import KINDS, adapter
from apps.templates import mail_html, words
from apps.templates.bodies import in_order, kind_of
from apps.templates.errors import NoBody
from apps.templates.lint import Finding
from apps.templates.lint import lint as lint_content
from apps.templates.models import MessageTemplate, TemplateVersion
from apps.templates.render import BUILT_IN, Body, CompiledBody, Content, Variable, compile_body

Source = MessageTemplate | TemplateVersion


@dataclass(frozen=True, slots=True)
class Preview:
    """What one person would get.

    pieces    billed units of `price_unit`
    length    characters: of a short message with its signature in 【】, elsewhere of all texts together
    problems  what the channel would refuse, by field
    """

    kind: str
    content: Content
    pieces: int
    length: int
    price_unit: str
    problems: dict[str, str]


@lru_cache(maxsize=2048)
def compiled(version_id: int, kind: str) -> CompiledBody:
    """A body of a published version, kept in this process for good: versions never change.

    `kind` is its name, see bodies.py. Raises TemplateVersion.DoesNotExist and NoBody.
    """
    version = TemplateVersion.objects.get(pk=version_id)
    if kind not in version.bodies:
        raise NoBody(f"Version {version_id} has no body for {kind}.")
    return _compile(version, kind, version.bodies[kind])


def preview(source: Source, kind: str, values: Mapping[str, object]) -> Preview:
    """What a person with these values would get from a version, or from a draft as if it were published now.

    Raises NoBody, BadTemplate and RenderError.
    """
    body = source.bodies.get(kind)
    if not body:
        raise NoBody(f"There is no text for {kind}.")
    if isinstance(source, MessageTemplate):
        body = publishable(kind, body)
    one = adapter(kind_of(kind))
    content = _compile(source, kind, body).render(values)
    unit = one.capabilities.price_unit
    return Preview(kind, content, one.pieces(content), _length(content, unit), unit, one.check_content(content))


def _length(content: Content, price_unit: str) -> int:
    if price_unit == "piece" and "text" in content:
        sign = str(content.get("sign_name", "")).strip("【】")
        return len(content["text"]) + (len(sign) + 2 if sign else 0)
    return sum(len(text) for held in content.values() for text in (held.values() if isinstance(held, dict) else [held]))


def publishable(kind: str, body: Body) -> dict[str, object]:
    """The body as a version holds it: HTML made harmless, all else untouched."""
    marked = {field.name for field in adapter(kind_of(kind)).content_fields if field.escape == "html"}
    return {
        name: mail_html.clean(held).html if name in marked and isinstance(held, str) else held
        for name, held in body.items()
    }


def lint(source: Source) -> list[Finding]:
    """The findings of a draft or of a version."""
    return [*lint_content(source.variables, source.bodies, source.language), *words.findings(source)]


def example_values(source: Source) -> dict[str, object]:
    """The examples that the variables declare, and those of names in the texts that need no declaration."""
    declared = {held["name"]: held["example"] for held in source.variables if held.get("example")}
    told = str(source.bodies)
    return {name: one.example for name, one in BUILT_IN.items() if f"${{{name}}}" in told} | declared


def kinds_of(source: Source) -> list[str]:
    """The names of the bodies that there are, in the order of the registry, unknown ones last."""
    return in_order(source.bodies, list(KINDS))


def _compile(source: Source, kind: str, body: Body) -> CompiledBody:
    variables = [Variable.from_json(held) for held in source.variables]
    return compile_body(
        body,
        adapter(kind_of(kind)).content_fields,
        variables,
        locale=source.language,
        zone=timezone.get_default_timezone(),
    )
