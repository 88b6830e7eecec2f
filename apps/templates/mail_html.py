"""HTML of mails made harmless at publishing (nh3, a binding of Ammonia); placeholders stay where they are safe."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from html.parser import HTMLParser

import nh3

from apps.templates.render import NAME


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


TAGS = _set(
    "a abbr b blockquote br center code col colgroup dd del div dl dt em font h1 h2 h3 h4 h5 h6 hr i img ins li ol p"
    " pre s small span strong strike sub sup table tbody td tfoot th thead tr u ul"
)
ATTRIBUTES = {
    "*": {"align", "bgcolor", "dir", "height", "lang", "style", "title", "valign", "width"},
    "a": {"href", "target"},
    "font": {"color", "face", "size"},
    "img": {"alt", "border", "src"},
    "table": {"border", "cellpadding", "cellspacing"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan"},
}
STYLES = _set(
    "background-color border border-bottom border-collapse border-color border-left border-radius border-right"
    " border-spacing border-top color display font font-family font-size font-style font-weight height letter-spacing"
    " line-height list-style margin margin-bottom margin-left margin-right margin-top max-width min-width opacity"
    " padding padding-bottom padding-left padding-right padding-top text-align text-decoration text-indent"
    " vertical-align white-space width word-break"
)
SCHEMES = frozenset({"http", "https", "mailto", "tel"})

_PLACEHOLDER = re.compile(rf"\$\$|\$\{{({NAME})\}}")


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What is published, and what was wrong with the source.

    dropped    tags and attributes that are not in `html` any more
    misplaced  placeholders where no value may go: in a tag's name, a style, the scheme of a link
    """

    html: str
    dropped: tuple[str, ...]
    misplaced: tuple[str, ...]


def clean(source: str) -> Cleaned:
    """Removes what mails must not hold: scripts, handlers, forms, foreign schemes. Cleaning twice changes nothing."""
    names: list[str] = []
    mark = "placeholder"
    while mark in source.lower():
        mark = "x" + mark

    def stand_in(found: re.Match[str]) -> str:
        if not found[1]:
            return found[0]
        names.append(found[1])
        return f"{mark}{len(names) - 1}x"

    marked = _PLACEHOLDER.sub(stand_in, source)
    cleaned = nh3.clean(
        marked,
        tags=set(TAGS),
        attributes=ATTRIBUTES,
        attribute_filter=lambda tag, attribute, value: _link_or_none(attribute, value, mark),
        filter_style_properties=set(STYLES),
        url_schemes=set(SCHEMES),
        link_rel=None,
    )
    left = [int(number) for number in re.findall(rf"{mark}(\d+)x", cleaned)]
    styled = re.findall(rf'style="[^"]*?{mark}(\d+)x', cleaned)
    misplaced = sorted((set(range(len(names))) - set(left)) | {int(number) for number in styled})
    html = re.sub(rf"{mark}(\d+)x", lambda found: f"${{{names[int(found[1])]}}}", cleaned)
    return Cleaned(html, _dropped(marked, cleaned, mark), _unique(names[number] for number in misplaced))


def _link_or_none(attribute: str, value: str, mark: str) -> str | None:
    """A link names its scheme, or is wholly a value (which must then bring an allowed one, see render)."""
    if attribute not in ("href", "src"):
        return value
    whole = value.strip()
    return value if re.match(rf"(?i:{'|'.join(SCHEMES)}):|#|{mark}\d", whole) else None


def _dropped(before: str, after: str, mark: str) -> tuple[str, ...]:
    gone = [word for word in _words(before) if word not in set(_words(after)) and mark not in word]
    return _unique(gone)


def _words(html: str) -> list[str]:
    """Tags as <b>, attributes by their name."""
    words: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            words.append(f"<{tag}>")
            words.extend(name for name, _value in attrs)

    reader = Reader()
    reader.feed(html)
    reader.close()
    return words


def _unique(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))
