"""The language of message templates: `${name}` is a declared variable's value, `$$` a dollar sign, all else is text.

There is nothing else in it: no attribute, call, filter, condition or loop, so a template can run no code and a value is
never read as a template. A body is compiled once per version into split texts; rendering looks up, writes and joins.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from html import escape
from operator import itemgetter
from typing import Any, Literal
from zoneinfo import ZoneInfo

from apps.channels.contract import ContentField
from apps.templates.formats import TYPES, Type, Unfit, Write, writer

MAX_BYTES = 64 * 1024
NAME = r"[\w-]{1,50}"
LOCAL_ZONE = ZoneInfo("Asia/Shanghai")

Body = Mapping[str, "str | Mapping[str, str]"]
Content = dict[str, "str | dict[str, str]"]
Transform = Callable[[str], str]

_MARK = re.compile(rf"\$(?:\$|\{{({NAME})\}}|(?=\{{))")
_LINK_BEGINS = re.compile(r"""\b(?:href|src|action|background)\s*=\s*["']?\s*$""", re.IGNORECASE)
_SPECIAL = re.compile("[&<>\"']")
_LINK = re.compile(r"(?:https?://|mailto:|tel:)", re.IGNORECASE)


class BadTemplate(ValueError):
    """The template itself is wrong; the sentence says where and how to mend it."""


class Undeclared(BadTemplate):
    """Placeholders without a declared variable; `names` holds them in order of appearance."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)
        super().__init__(f"Declare the variable or remove the placeholder: {', '.join(self.names)}.")


class RenderError(ValueError):
    """This person's text cannot be made. The sentence names variables, never values."""


class MissingValue(RenderError):
    """`names`: the variables that are absent, null or empty."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)
        super().__init__(f"No value for {', '.join(self.names)}.")


class BadValue(RenderError):
    """`name`: the variable whose value does not fit its type; `why`: what was expected."""

    def __init__(self, name: str, why: str) -> None:
        self.name, self.why = name, why
        super().__init__(f"{name}: {why}.")


class RenderTooLarge(RenderError):
    """The whole content would have more than MAX_BYTES bytes of UTF-8."""

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__(f"The content would have {size} bytes, {MAX_BYTES} are allowed.")


@dataclass(frozen=True, slots=True)
class Variable:
    """A declared variable. `currency` (ISO 4217) belongs to money; a payload value wins over an attribute."""

    name: str
    type: Type = "text"
    label: str = ""
    currency: str = ""
    source: Literal["attribute", "payload"] = "payload"
    example: str = ""

    @classmethod
    def from_json(cls, held: Mapping[str, Any]) -> Variable:
        """Reads one entry of `variables` of a template. Raises BadTemplate."""
        name, kind, source = held.get("name"), held.get("type", "text"), held.get("source", "payload")
        if not isinstance(name, str) or not re.fullmatch(NAME, name):
            raise BadTemplate("A variable's name has 1 to 50 letters, digits, _ or -.")
        if kind not in TYPES or source not in ("attribute", "payload"):
            raise BadTemplate(f"{name}: the type is one of {', '.join(TYPES)}, the source attribute or payload.")
        words = {key: str(held.get(key) or "") for key in ("label", "currency", "example")}
        if kind == "money" and not words["currency"]:
            raise BadTemplate(f"{name}: money needs a currency such as CNY.")
        return cls(name, kind, source=source, **words)


# What the sending side knows without being told; a template that declares the name itself gets its own value instead.
UNSUBSCRIBE_URL = "unsubscribe_url"
BUILT_IN = {
    UNSUBSCRIBE_URL: Variable(
        UNSUBSCRIBE_URL,
        label="Link to unsubscribe",
        example="https://ums.example/u/AQAAAAEAAAAAAAEWkcB-2YAAAW1Z7cR3hY8wQvT",
    )
}


@dataclass(frozen=True, slots=True)
class Text:
    """A parsed text: always one literal more than names, `literals[0] + value(names[0]) + literals[1] …`."""

    literals: tuple[str, ...]
    names: tuple[str, ...]

    def source(self) -> str:
        """A text that parses to this one."""
        told = [literal.replace("$", "$$") for literal in self.literals]
        return told[0] + "".join(f"${{{name}}}{literal}" for name, literal in zip(self.names, told[1:], strict=True))


def parse(text: str) -> Text:
    """Splits a text at its placeholders. A dollar sign before anything else stays one. Raises BadTemplate at `${` that
    begins no placeholder."""
    literals, names, held, end = [], [], "", 0
    for mark in _MARK.finditer(text):
        held += text[end : mark.start()]
        end = mark.end()
        if mark[1]:
            literals.append(held)
            names.append(mark[1])
            held = ""
        elif mark[0] == "$$":
            held += "$"
        else:
            raise BadTemplate(f"At character {end}: write ${{name}} for a variable, or $${{ for the signs themselves.")
    literals.append(held + text[end:])
    return Text(tuple(literals), tuple(names))


def placeholders(body: Body, fields: Sequence[ContentField]) -> list[str]:
    """The names used in a body, each once, in order. Raises BadTemplate."""
    return list(dict.fromkeys(name for _path, text, _field in _parsed(body, fields) for name in text.names))


def compile_body(
    body: Body,
    fields: Sequence[ContentField],
    variables: Sequence[Variable],
    *,
    locale: str = "zh_CN",
    zone: tzinfo = LOCAL_ZONE,
) -> CompiledBody:
    """Makes a body ready for many people; blank fields are left out.

    Raises BadTemplate for a field that the kind does not have and for broken text, Undeclared for placeholders without
    a variable.
    """
    declared = BUILT_IN | {variable.name: variable for variable in variables}
    unknown = [name for name in placeholders(body, fields) if name not in declared]
    if unknown:
        raise Undeclared(unknown)
    slots = _Slots(declared, locale, zone)
    outputs = [slots.output(path, text, field) for path, text, field in _parsed(body, fields)]
    mappings = tuple(field.name for field in fields if field.mapping and body.get(field.name))
    return CompiledBody(tuple(slots.bases), tuple(slots.derived), tuple(outputs), mappings)


Path = tuple[str, str]  # content field, and the key inside a mapping field ("" elsewhere)


def _parsed(body: Body, fields: Sequence[ContentField]) -> list[tuple[Path, Text, ContentField]]:
    """Every text of a body with its place. Texts of literal fields are not read as templates."""
    known = {field.name: field for field in fields}
    found = []
    for name, held in body.items():
        if name not in known:
            raise BadTemplate(f"This kind of channel has no field {name}.")
        field = known[name]
        if isinstance(held, str) == field.mapping:
            raise BadTemplate(f"{field.label}: {'names and texts are' if field.mapping else 'one text is'} expected.")
        texts = {"": held} if isinstance(held, str) else held
        for key, text in texts.items():
            if text:
                found.append(((name, key), Text((text,), ()) if field.literal else parse(text), field))
    return found


@dataclass(frozen=True, slots=True)
class _Output:
    """One text to join: its literals, and the slot of the value behind each but the last."""

    path: Path
    literals: tuple[str, ...]
    slots: tuple[int, ...]

    def pattern(self) -> tuple[str, Callable[[Sequence[str]], Any] | None]:
        """For `%`, with what picks its texts from the slots: one step in C instead of one a hole."""
        if not self.slots:
            return self.literals[0], None
        return "%s".join([literal.replace("%", "%%") for literal in self.literals]), itemgetter(*self.slots)


class _Slots:
    """Gives every written form of a variable a number: first the plain forms, then those derived from them."""

    def __init__(self, declared: Mapping[str, Variable], locale: str, zone: tzinfo) -> None:
        self._declared, self._locale, self._zone = declared, locale, zone
        self.bases: list[tuple[str, Write]] = []
        self.derived: list[tuple[str, int, Transform]] = []
        self._names: dict[str, int] = {}
        self._forms: dict[tuple[str, Transform], int] = {}

    def output(self, path: Path, text: Text, field: ContentField) -> _Output:
        slots = []
        for name, before in zip(text.names, text.literals, strict=False):
            slot = self._base(name)
            if field.escape == "html":
                slot = self._form(name, slot, _link if _LINK_BEGINS.search(before) else _html)
            slots.append(slot)
        return _Output(path, text.literals, tuple(slots))

    def _base(self, name: str) -> int:
        if name not in self._names:
            variable = self._declared[name]
            self._names[name] = len(self.bases)
            self.bases.append((name, writer(variable.type, variable.currency, self._locale, self._zone)))
        return self._names[name]

    def _form(self, name: str, base: int, transform: Transform) -> int:
        """Negative numbers: counted from the end of the list, where derived forms are stacked in reverse."""
        if (name, transform) not in self._forms:
            self.derived.append((name, base, transform))
            self._forms[name, transform] = -len(self.derived)
        return self._forms[name, transform]


def _html(value: str) -> str:
    """As html.escape, which replaces five times where most values hold nothing to replace."""
    return escape(value) if _SPECIAL.search(value) else value


def _link(value: str) -> str:
    """A value at the beginning of a link may not choose any scheme, javascript: least of all."""
    if not _LINK.match(value):
        raise Unfit("a link that begins with https:// is expected")
    return escape(value)


class CompiledBody:
    """One body of one version, ready to be rendered for anybody; it never changes and may be shared by threads."""

    __slots__ = ("_bases", "_derived", "_outputs", "_mappings", "_fixed_size", "_hole_count", "_patterns", "needed")

    def __init__(
        self,
        bases: tuple[tuple[str, Write], ...],
        derived: tuple[tuple[str, int, Transform], ...],
        outputs: tuple[_Output, ...],
        mappings: tuple[str, ...],
    ) -> None:
        self._bases, self._outputs, self._mappings = bases, outputs, mappings
        self._derived = derived[::-1]
        self.needed = frozenset(name for name, _write in bases)  # the same as `names`, for quick comparison
        self._fixed_size = sum(len(part.encode()) for output in outputs for part in output.literals)
        self._hole_count = sum(len(output.slots) for output in outputs)
        self._patterns = [(output.path, *output.pattern()) for output in outputs]

    @property
    def names(self) -> tuple[str, ...]:
        """The variables that a person must have."""
        return tuple(name for name, _write in self._bases)

    def render(self, values: Mapping[str, object]) -> Content:
        """The content for one person: {field: text}, {field: {name: text}} for mapping fields.

        `values` are as JSON has them; those of undeclared names are not looked at. Raises MissingValue, BadValue,
        RenderTooLarge.
        """
        texts = self._texts(values)
        longest = max(map(len, texts), default=0)
        if self._fixed_size + 4 * longest * self._hole_count > MAX_BYTES:  # UTF-8 has at most 4 bytes a character
            self._refuse_too_large(texts)
        content: Content = {name: {} for name in self._mappings}
        for (field, key), pattern, pick in self._patterns:
            text = pattern % pick(texts) if pick else pattern
            if key:
                content[field][key] = text  # type: ignore[index]
            else:
                content[field] = text
        return content

    def _texts(self, values: Mapping[str, object]) -> list[str]:
        """The written forms, by slot."""
        get = values.get
        texts = []
        name = ""
        try:
            for name, write in self._bases:
                value = get(name)
                if value is None or value == "":
                    raise MissingValue(self._missing(values))
                texts.append(write(value))
            for name, base, transform in self._derived:  # noqa: B007 (named in the error below)
                texts.append(transform(texts[base]))
        except Unfit as unfit:
            raise BadValue(name, str(unfit)) from None
        return texts

    def _missing(self, values: Mapping[str, object]) -> list[str]:
        return [name for name, _write in self._bases if values.get(name) in (None, "")]

    def _refuse_too_large(self, texts: list[str]) -> None:
        sizes = [len(text.encode()) for text in texts]
        whole = self._fixed_size + sum(sizes[slot] for output in self._outputs for slot in output.slots)
        if whole > MAX_BYTES:
            raise RenderTooLarge(whole)
