"""How one content would look where it arrives: a phone's bubble, a mail, a push card, or its fields one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from django.utils.translation import gettext as _

from apps.channels.registry import adapter
from apps.templates import selectors
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
        shown = []
        for field in adapter(self.kind).content_fields:
            held = self.preview.content.get(field.name) if self.preview else None
            if isinstance(held, dict):
                shown += [(f"{field.label} / {key}", text) for key, text in held.items()]
            elif held:
                shown.append((field.label, held))
        return shown


def looks(source: selectors.Source, values: dict[str, object]) -> list[Look]:
    """A look for each kind that has a body."""
    return [_look(source, kind, values) for kind in selectors.kinds_of(source)]


def _look(source: selectors.Source, kind: str, values: dict[str, object]) -> Look:
    try:
        one = adapter(kind)
    except KeyError:
        return Look(kind, kind, "fields", None, _("This kind of channel is not installed: remove its text."))
    shape = SHAPES.get(kind.partition("_")[0], "fields")
    try:
        return Look(kind, one.label, shape, selectors.preview(source, kind, values))
    except (RenderError, BadTemplate) as refused:
        return Look(kind, one.label, shape, None, str(refused))
