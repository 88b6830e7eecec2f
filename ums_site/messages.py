"""Translations without the gettext programs: collect texts, prove that all are translated, compile."""

import ast
import re
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

KEYWORDS: dict[str, tuple[int | tuple[int, str], ...] | None] = {
    "_": None,
    "gettext": None,
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
    "pgettext": ((1, "c"), 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
}
STRING = r"""u?(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")"""
CALL = re.compile(rf"\b(?:_|n?p?gettext)\(\s*{STRING}(?:\s*,\s*(?:{STRING}|\w+))*\s*\)")
SOURCES = ("apps", "ums_site")
DECLARING = (
    "apps/channels/providers/",
    "apps/channels/wire/",
)  # pure modules: what they declare is translated where it is shown
Key = tuple[str | tuple[str, ...], str | None]


def catalogues(locale: Path) -> list[Path]:
    """The .po files of this installation."""
    return sorted(locale.glob("*/LC_MESSAGES/*.po"))


def compile_all(locale: Path) -> list[Path]:
    """Write the .mo files that are missing or older than their .po; returns those written."""
    written = []
    for po in catalogues(locale):
        mo = po.with_suffix(".mo")
        if mo.exists() and mo.stat().st_mtime_ns >= po.stat().st_mtime_ns:
            continue
        draft = mo.with_suffix(".mo.draft")
        with draft.open("wb") as file:
            write_mo(file, _read(po))
        draft.replace(mo)
        written.append(mo)
    return written


def texts(root: Path) -> dict[Key, list[tuple[str, int]]]:
    """Every translatable text of the code and the HTML, with the places where it stands."""
    found: dict[Key, list[tuple[str, int]]] = {}
    for path in _files(root):
        name = str(path.relative_to(root))
        source = path.read_text(encoding="utf-8")
        if path.suffix == ".html":
            source = _calls_alone(templatize(source, origin=name))
        for line, text, _comments, context in extract("python", BytesIO(source.encode()), KEYWORDS, ()):
            if text:
                found.setdefault((text, context), []).append((name, line))
        if name.startswith(DECLARING):
            for line, text in _declared(source):
                found.setdefault((text, None), []).append((name, line))
    return found


def _declared(source: str) -> Iterator[tuple[int, str]]:
    """Labels and help of a channel's fields, its own label, and the plain sentences of its checks."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Name(id="ConfigField" | "ContentField"), args=[_, label, *_], keywords=more):
                yield from _text_of(label)
                for keyword in more:
                    if keyword.arg == "help":
                        yield from _text_of(keyword.value)
            case ast.Assign(targets=[ast.Name(id="label") | ast.Subscript(value=ast.Name(id="problems"))], value=value):
                yield from _text_of(value)


def _text_of(node: ast.expr) -> Iterator[tuple[int, str]]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value:
        yield node.lineno, node.value


def problems(root: Path, locale: Path) -> list[str]:
    """What is not ready, one line each: texts that are missing, untranslated or marked fuzzy."""
    needed = texts(root)
    lines = [] if catalogues(locale) else [f"{locale.relative_to(root)} holds no catalogue"]
    for po in catalogues(locale):
        catalogue, name = _read(po), po.relative_to(root)
        for (text, context), places in needed.items():
            message = catalogue.get(text, context)
            first = text if isinstance(text, str) else text[0]
            if message is None:
                lines.append(f"{name}: {first!r} ({places[0][0]}:{places[0][1]}) is missing")
            elif message.fuzzy:
                lines.append(f"{name}: {first!r} is marked fuzzy")
            elif not _translated(message.string):
                lines.append(f"{name}: {first!r} is not translated")
    return lines


def collect(root: Path, locale: Path) -> int:
    """Bring every .po to the texts of today: new ones empty, old ones dropped. Returns how many are empty."""
    needed, empty = texts(root), 0
    for po in catalogues(locale):
        old = _read(po)
        new = Catalog(locale=old.locale, project="UMS", charset="utf-8", header_comment=old.header_comment, fuzzy=False)
        new.mime_headers = old.mime_headers
        for (text, context), places in sorted(needed.items(), key=lambda item: item[1]):
            known = old.get(text, context)
            new.add(text, known.string if known else None, locations=places, context=context)
            empty += not (known and _translated(known.string))
        with po.open("wb") as file:
            write_po(file, new, width=100, include_lineno=False)
    return empty


def _files(root: Path) -> Iterator[Path]:
    for folder in SOURCES:
        yield from sorted((root / folder).rglob("*.py"))
    yield from sorted((root / "ums_site" / "templates").rglob("*.html"))


def _calls_alone(templatized: str) -> str:
    """Django blots out the HTML with X, which no Python tokenizer reads: keep the calls, on their lines."""
    lines = templatized.split("\n")
    return "\n".join("; ".join(match.group() for match in CALL.finditer(line)) for line in lines)


def _read(po: Path) -> Catalog:
    with po.open("rb") as file:
        return read_po(file)


def _translated(string: str | Iterable[str] | None) -> bool:
    return all(string) if isinstance(string, list | tuple) else bool(string)
