"""Values of declared attributes as people write them, read into the JSON values that are kept. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from datetime import date
from decimal import Decimal, InvalidOperation

LONGEST_TEXT = 1000
Value = str | int | float | bool

_PLAIN_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,9})?").fullmatch
_DATE = re.compile(r"([0-9]{4})[-/.年]([0-9]{1,2})[-/.月]([0-9]{1,2})日?(?:[ T]00:00(?::00)?)?").fullmatch
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]").search
_BOOLEANS = {
    **dict.fromkeys(("true", "yes", "y", "1", "是", "真", "对"), True),
    **dict.fromkeys(("false", "no", "n", "0", "否", "假", "错"), False),
}


def _(text: str) -> str:
    """Marks a text for translation."""
    return text


class BadValue(ValueError):
    """Text that is no value of its type. `words` is the English msgid of the reason; the value is not part of it."""

    def __init__(self, words: str, **params: object) -> None:
        super().__init__(words % params if params else words)
        self.words = words
        self.params = params


def read_value(type_: str, raw: str) -> Value:
    """The JSON value of a text. Types are those of Attribute.Type; dates become ISO text. Raises BadValue."""
    return READERS[type_](raw)


def read_text(raw: str) -> str:
    """Visible text, line breaks allowed. A spreadsheet formula is refused: it is not what the cell showed."""
    text = raw.strip()
    if text[:1] in ("=", "＝"):
        raise BadValue(_("it holds a spreadsheet formula instead of a value"))
    if len(text) > LONGEST_TEXT:
        raise BadValue(_("it is longer than %(limit)s characters"), limit=LONGEST_TEXT)
    if not text.isprintable() and _UNPRINTABLE(text):
        raise BadValue(_("it contains a control character"))
    return text


def read_number(raw: str) -> int | float:
    """A decimal number, exact up to 15 digits; thousands commas and full-width digits are understood."""
    if not _PLAIN_NUMBER(raw):
        raw = unicodedata.normalize("NFKC", raw).replace(",", "").strip()
    try:
        number = Decimal(raw)
    except InvalidOperation:
        raise BadValue(_("it is not a number")) from None
    if not number.is_finite() or abs(number) > Decimal("1e15"):
        raise BadValue(_("it is not a number up to 15 digits"))
    return int(number) if number == number.to_integral_value() else float(number)


def read_date(raw: str) -> str:
    """2026-11-23, 2026/11/23 or 2026年11月23日, as ISO text."""
    parts = _DATE(unicodedata.normalize("NFKC", raw).strip())
    try:
        return date(*(int(part) for part in parts.groups())).isoformat() if parts else _no_date()
    except ValueError as wrong:
        raise wrong if isinstance(wrong, BadValue) else BadValue(_("there is no such day")) from None


def _no_date() -> str:
    raise BadValue(_("it is not a date like 2026-11-23"))


def read_boolean(raw: str) -> bool:
    """Yes or no in English or Chinese."""
    try:
        return _BOOLEANS[unicodedata.normalize("NFKC", raw).strip().lower()]
    except KeyError:
        raise BadValue(_("it is neither yes nor no")) from None


READERS: dict[str, Callable[[str], Value]] = {
    "text": read_text,
    "number": read_number,
    "date": read_date,
    "boolean": read_boolean,
}
