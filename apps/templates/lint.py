"""What is wrong, or doubtful, in a template before anybody gets it. Every finding names the field and the remedy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from django.utils.translation import gettext as _

from apps.channels.contract import Adapter
from apps.channels.registry import KINDS, adapter
from apps.templates import mail_html
from apps.templates.bodies import in_order, kind_of, variant_of, well_named
from apps.templates.formats import Unfit, currency_known, writer
from apps.templates.render import (
    BUILT_IN,
    LOCAL_ZONE,
    MAX_BYTES,
    BadTemplate,
    Body,
    Content,
    Variable,
    compile_body,
    placeholders,
)

Bodies = Mapping[str, Body]


@dataclass(frozen=True, slots=True)
class Finding:
    """`field` is the name of a content field of `kind`, or "variables", "bodies" where kind is empty.

    `kind` is the name of a body: a kind of channel, or a variant of its text.
    """

    level: Literal["error", "warning"]
    kind: str
    field: str
    words: str

    def __str__(self) -> str:
        return f"{self.place}: {self.words}"

    @property
    def place(self) -> str:
        """Where it is, as people call it: the channel and the field."""
        if not self.kind:
            return str(_("Variables") if self.field == "variables" else _("Content"))
        if kind_of(self.kind) not in KINDS:
            return self.kind
        one = adapter(kind_of(self.kind))
        labels = {part.name: part.label for part in one.content_fields}
        return " / ".join(part for part in (one.label, variant_of(self.kind), labels.get(self.field, "")) if part)


def lint(variables: Sequence[Mapping[str, Any]], bodies: Bodies, locale: str) -> list[Finding]:
    """Errors stop a publication, warnings do not; both in the order of the form."""
    findings, declared = _declarations(variables, locale)
    if not bodies:
        findings.append(Finding("error", "", "bodies", _("Write the text for at least one channel.")))
    used: set[str] = set()
    for key in in_order(bodies, list(KINDS)):
        body, kind = bodies[key], kind_of(key)
        if kind not in KINDS:
            findings.append(Finding("error", key, "", _("This kind of channel is not installed: remove its text.")))
            continue
        findings += _variant(key, bodies)
        found, names = _body(adapter(kind), body, BUILT_IN | declared, locale)
        findings += [replace(finding, kind=key) for finding in found]
        used.update(names)
    for name in declared:
        if name not in used:
            words = _("%(name)s is declared and not used: use it or remove it.") % {"name": name}
            findings.append(Finding("warning", "", "variables", words))
    return findings


def _variant(key: str, bodies: Bodies) -> Iterator[Finding]:
    if not well_named(key):
        words = _("A variant is named with small letters, digits and hyphens, at most 30.")
        yield Finding("error", key, "", words)
    if kind_of(key) not in bodies:
        words = _("A variant stands beside the channel's own text: write that one too.")
        yield Finding("error", key, "", words)


def _declarations(variables: Sequence[Mapping[str, Any]], locale: str) -> tuple[list[Finding], dict[str, Variable]]:
    findings: list[Finding] = []
    declared: dict[str, Variable] = {}

    def say(level: Literal["error", "warning"], words: str) -> None:
        findings.append(Finding(level, "", "variables", words))

    for held in variables:
        try:
            variable = Variable.from_json(held)
        except BadTemplate as bad:
            say("error", str(bad))
            continue
        if variable.name in declared:
            say("error", _("%(name)s is declared twice: remove one of the two.") % {"name": variable.name})
        declared[variable.name] = variable
        if variable.type == "money" and not currency_known(variable.currency):
            words = _("%(name)s: %(currency)s is no currency; write a code of ISO 4217 such as CNY.")
            say("error", words % {"name": variable.name, "currency": variable.currency})
            del declared[variable.name]
        elif not variable.example:
            words = _("%(name)s has no example: give one, so that lengths can be checked.")
            say("warning", words % {"name": variable.name})
        elif why := _unfit(variable, locale):
            say("warning", _("%(name)s: the example does not fit, %(why)s.") % {"name": variable.name, "why": why})
    return findings, declared


def _unfit(variable: Variable, locale: str) -> str:
    try:
        writer(variable.type, variable.currency, locale, LOCAL_ZONE)(variable.example)
    except Unfit as unfit:
        return str(unfit)
    return ""


def _body(one: Adapter, body: Body, declared: Mapping[str, Variable], locale: str) -> tuple[list[Finding], list[str]]:
    """The findings of one body, and the names that it uses."""
    findings = list(_texts(one, body))
    if findings:
        return findings, []
    names = placeholders(body, one.content_fields)
    for name in names:
        if name not in declared:
            words = _("${%(name)s} is not declared: declare the variable or remove the placeholder.")
            findings.append(Finding("error", one.kind, _first_field(one, body, name), words % {"name": name}))
    findings += _html(one, body)
    shortest = one.check_content(_content(one, body, dict.fromkeys(names, "0"), names))
    findings += [Finding("error", one.kind, field, words) for field, words in shortest.items()]
    if any(finding.level == "error" for finding in findings):
        return findings, names
    return findings + list(_with_examples(one, body, declared, locale)), names


def _texts(one: Adapter, body: Body) -> Iterator[Finding]:
    """Fields and texts that cannot be read at all."""
    for name, held in body.items():
        try:
            placeholders({name: held}, one.content_fields)
        except BadTemplate as bad:
            yield Finding("error", one.kind, name, str(bad))
    size = sum(len(str(held).encode()) for held in body.values())
    if size > MAX_BYTES:
        words = _("The body has %(size)s bytes, %(limit)s are allowed: shorten it.")
        yield Finding("error", one.kind, "", words % {"size": size, "limit": MAX_BYTES})


def _first_field(one: Adapter, body: Body, name: str) -> str:
    return next(field for field in body if name in placeholders({field: body[field]}, one.content_fields))


def _html(one: Adapter, body: Body) -> Iterator[Finding]:
    for field in one.content_fields:
        source = body.get(field.name)
        if field.escape != "html" or not isinstance(source, str) or not source:
            continue
        cleaned = mail_html.clean(source)
        for name in cleaned.misplaced:
            words = _("${%(name)s} may stand in texts and after https:// in links only: move it.") % {"name": name}
            yield Finding("error", one.kind, field.name, words)
        if cleaned.dropped:
            words = _("Publishing removes what mails may not hold: %(what)s.") % {"what": ", ".join(cleaned.dropped)}
            yield Finding("warning", one.kind, field.name, words)


def _content(one: Adapter, body: Body, values: Mapping[str, object], names: Sequence[str]) -> Content:
    """The body with plain texts for values, whatever their types."""
    return compile_body(body, one.content_fields, [Variable(name) for name in names]).render(values)


def _with_examples(one: Adapter, body: Body, declared: Mapping[str, Variable], locale: str) -> Iterator[Finding]:
    """Limits that the examples break, and more than one billed piece; silent where an example lacks or does not fit."""
    used = [declared[name] for name in placeholders(body, one.content_fields)]
    if any(not variable.example or _unfit(variable, locale) for variable in used):
        return
    compiled = compile_body(body, one.content_fields, used, locale=locale)
    try:
        content = compiled.render({variable.name: variable.example for variable in used})
    except ValueError as bad:
        yield Finding("warning", one.kind, "", _("With the examples: %(why)s") % {"why": bad})
        return
    for field, why in one.check_content(content).items():
        yield Finding("warning", one.kind, field, _("With the examples: %(why)s") % {"why": why})
    pieces = one.pieces(content)
    if one.capabilities.price_unit == "piece" and pieces > 1:
        words = _("With the examples each person costs %(pieces)s pieces: a shorter text is cheaper.")
        yield Finding("warning", one.kind, "", words % {"pieces": pieces})
