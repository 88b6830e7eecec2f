"""How a value of a declared type is written in a message, for one language, currency and time zone.

The words and signs are Babel's (CLDR); what does not depend on the value is asked of Babel once, when a writer is made.
No-break spaces become plain ones: a single U+202F would turn a GSM-7 short message of 160 characters into one of 70.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, time, tzinfo
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import cache, lru_cache
from typing import Literal

from babel import Locale
from babel.dates import format_date, format_time
from babel.numbers import format_currency, get_currency_precision, is_currency

Type = Literal["text", "number", "money", "date", "datetime", "boolean"]
TYPES: tuple[Type, ...] = ("text", "number", "money", "date", "datetime", "boolean")
LOCALES = ("zh_CN", "en")
MAX_DIGITS = 20  # before the point, and after it

Write = Callable[[object], str]

_NUMBER = re.compile(r"[+-]?\d{1,20}(\.\d{1,20})?", re.ASCII)
_WORDS = {"zh_CN": ("否", "是"), "en": ("no", "yes")}


class Unfit(ValueError):
    """The value is not one of the type; the sentence says what was expected and never repeats the value."""


def writer(kind: Type, currency: str, locale: str, zone: tzinfo) -> Write:
    """The function that turns a JSON value into its text. It raises Unfit.

    `currency` is an ISO 4217 code, used by money; `locale` one of LOCALES; `zone` is where dates and times are told.
    """
    if kind == "money":
        return _money(currency, locale)
    if kind == "datetime":
        return _datetime(locale, zone)
    return {"text": _text, "number": _number, "date": _date(locale), "boolean": _boolean(locale)}[kind]


def currency_known(code: str) -> bool:
    """Whether ISO 4217 (as of Babel's tables) has the code."""
    return is_currency(code)


def _text(value: object) -> str:
    said = value if type(value) is str else _number_as_text(value)
    if not said.isascii():
        try:
            said.encode()
        except UnicodeEncodeError:
            raise Unfit("the text holds half a character") from None
    return said


def _number_as_text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise Unfit("a text is expected")
    if isinstance(value, int) and abs(value) >= 10**MAX_DIGITS:
        raise Unfit("the number has too many digits")  # also keeps clear of Python's limit for str(int)
    return str(value)


def _decimal(value: object) -> Decimal:
    """Floats by their shortest form: 0.1 means 0.1."""
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value):
            raise Unfit("a number such as 1234.5 is expected, without separators or units")
        return Decimal(value)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise Unfit("a number is expected")
    if isinstance(value, int) and abs(value) >= 10**MAX_DIGITS:
        raise Unfit("the number has too many digits")
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or number.adjusted() >= MAX_DIGITS or exponent < -MAX_DIGITS:
        raise Unfit("the number has too many digits")
    return number


def _number(value: object) -> str:
    """Every digit that was given, in groups of three; both LOCALES write it the same way."""
    return f"{_decimal(value):,f}"


@cache
def _money(currency: str, locale: str) -> Write:
    """Rounded half up to the currency's own precision."""
    quantum = Decimal(1).scaleb(-get_currency_precision(currency))
    before, after = _around(Decimal(1), currency, locale)
    before_minus, after_minus = _around(Decimal(-1), currency, locale)

    def write(value: object) -> str:
        try:
            amount = _decimal(value).quantize(quantum, ROUND_HALF_UP)
        except InvalidOperation:
            raise Unfit("the amount has too many digits") from None
        if amount < 0:
            return f"{before_minus}{-amount:,f}{after_minus}"
        return f"{before}{abs(amount):,f}{after}"

    return write


def _around(one: Decimal, currency: str, locale: str) -> tuple[str, str]:
    """What Babel puts before and after the digits of one unit."""
    before, _digits, after = re.split(
        r"(1(?:\.0+)?)", _plain(format_currency(one, currency, locale=locale)), maxsplit=1
    )
    return before, after


@cache
def _date(locale: str) -> Write:
    @lru_cache(maxsize=4096)
    def text_of(day: str) -> str:
        try:
            return _day(date.fromisoformat(day), locale)
        except ValueError:
            raise Unfit("a date such as 2026-11-23 is expected") from None

    def write(value: object) -> str:
        if isinstance(value, str) and len(value) == 10:
            return text_of(value)
        if isinstance(value, date) and not isinstance(value, datetime):
            return _day(value, locale)
        raise Unfit("a date such as 2026-11-23 is expected")

    return write


@cache
def _datetime(locale: str, zone: tzinfo) -> Write:
    """ISO 8601; without an offset it is a time of `zone`."""
    joined = _plain(str(Locale.parse(locale).datetime_formats["medium"])).replace("'", "")

    def write(value: object) -> str:
        try:
            moment = datetime.fromisoformat(value) if isinstance(value, str) and len(value) <= 40 else value
        except ValueError:
            moment = None
        if not isinstance(moment, datetime):
            raise Unfit("a time such as 2026-11-23T18:00:00+08:00 is expected")
        try:
            there = moment.replace(tzinfo=zone) if moment.tzinfo is None else moment.astimezone(zone)
        except OverflowError:
            raise Unfit("the time is too far away") from None
        clock = _clock(there.hour, there.minute, locale)
        return joined.replace("{1}", _day(there.date(), locale)).replace("{0}", clock)

    return write


@lru_cache(maxsize=8192)
def _day(day: date, locale: str) -> str:
    return _plain(format_date(day, "medium", locale=locale))


@lru_cache(maxsize=8192)
def _clock(hour: int, minute: int, locale: str) -> str:
    return _plain(format_time(time(hour, minute), "short", locale=locale))


def _plain(text: str) -> str:
    return text.replace("\u202f", " ").replace("\u00a0", " ")


@cache
def _boolean(locale: str) -> Write:
    words = _WORDS[locale]
    known: dict[object, str] = {"false": words[0], "true": words[1]}

    def write(value: object) -> str:
        if isinstance(value, bool):
            return words[value]
        if isinstance(value, str) and value in known:
            return known[value]
        raise Unfit("true or false is expected")

    return write
