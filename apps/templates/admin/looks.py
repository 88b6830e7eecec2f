"""How one content would look where it arrives: a phone's bubble, a mail, a push card, or its fields one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from django.utils.translation import gettext as _

from apps.channels.registry import KINDS, adapter
from apps.templates import selectors
from apps.templates.bodies import kind_of, variant_of
from apps.templates.render import BadTemplate, RenderError

Shape = Literal["sms", "mail", "push", "fields"]
SHAPES: dict[str, Shape] = {"sms": "sms", "email": "mail", "push": "push"}  # by the family that begins a kind's name
# A preview loads nothing from anywhere and runs nothing: the frame is sandboxed, and this is its policy.
POLICY = (
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
    '<meta charset="utf-8"><base target="_blank">'
)


@dataclass(frozen=True, slots=True)
class Look:
    """One kind's preview; `refusal` stands where there is nothing to show."""

    kind: str
    label: str
    shape: Shape
    preview: selectors.Preview | None
    refusal: str = ""

    @property
    def frame(self) -> str:
        """The mail's HTML as a page of its own."""
        html = self.preview.content.get("html") if self.preview else None
        return POLICY + html if isinstance(html, str) else ""

    @property
    def bubble(self) -> str:
        """The short message as the phone shows it, signature first."""
        content = self.preview.content if self.preview else {}
        sign = str(content.get("sign_name") or "").strip("【】")
        return f"【{sign}】{content.get('text', '')}" if sign else str(content.get("text", ""))

    @property
    def parts(self) -> list[tuple[str, str]]:
        """(label, text) of every field and every entry of a mapping."""
        return parts_of(self.kind, self.preview.content) if self.preview else []


def parts_of(kind: str, content: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(label, text) of every field in the order of the form; of a mapping every entry."""
    labels = (
        {field.name: _(field.label) for field in adapter(kind_of(kind)).content_fields}
        if kind_of(kind) in KINDS
        else {}
    )
    parts = []
    for name in [*labels, *(name for name in content if name not in labels)]:
        held = content.get(name)
        label = labels.get(name, name)
        if isinstance(held, Mapping):
            parts += [(f"{label} / {key}", text) for key, text in sorted(held.items())]
        elif held:
            parts.append((label, held))
    return parts


def sources(source: selectors.Source) -> list[tuple[str, list[tuple[str, str]]]]:
    """(channel, its parts) with the placeholders as they were written."""
    return [(label_of(key), parts_of(key, source.bodies[key])) for key in selectors.kinds_of(source)]


def label_of(key: str) -> str:
    """A body as people call it: its channel, and its variant where it is one."""
    kind, variant = kind_of(key), variant_of(key)
    label = str(_(adapter(kind).label)) if kind in KINDS else kind
    return f"{label} / {variant}" if variant else label


def looks(source: selectors.Source, values: dict[str, object]) -> list[Look]:
    """A look for each kind that has a body."""
    return [_look(source, kind, values) for kind in selectors.kinds_of(source)]


def _look(source: selectors.Source, kind: str, values: dict[str, object]) -> Look:
    try:
        adapter(kind_of(kind))
    except KeyError:
        return Look(kind, kind, "fields", None, _("This kind of channel is not installed: remove its text."))
    shape = SHAPES.get(kind.partition("_")[0], "fields")
    try:
        return Look(kind, label_of(kind), shape, selectors.preview(source, kind, values))
    except (RenderError, BadTemplate) as refused:
        return Look(kind, label_of(kind), shape, None, str(refused))
