"""What a value of a WeChat template may be, by the type that its name begins with (`thing1`, `time2`, …).

Source: the providers' table of parameter limits for subscribe messages (contract sheet wechat_mini 3.2); where that is
silent (signs of numbers, forms of times) the rule here is the wider one, since the provider has the last word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

THING = 20
_NAME = re.compile(r"([a-z_]+?)_?\d*").fullmatch
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_GROUPED = re.compile(r"(?<=\d),(?=\d)")
_COUNTED = re.compile(r"[1-9]").search
_CJK = re.compile(r"[\u4e00-\u9fff]").search


def _shape(pattern: str, words: str) -> Callable[[str], str]:
    matches = re.compile(pattern).fullmatch
    return lambda value: "" if matches(value) else words


def _person(value: str) -> str:
    allowed = 10 if _CJK(value) else 20
    return "" if len(value) <= allowed else "a name has 10 Chinese characters or 20 letters at most"


def _moment(pattern: str, words: str) -> Callable[[str], str]:
    looks = re.compile(pattern).search
    return lambda value: "" if looks(value) or ("0" in value and not _COUNTED(value)) else words


# A lone 0 stands for a value that is not known yet: templates are checked with it before anybody has one.
_RULES: dict[str, Callable[[str], str]] = {
    "number": _shape(r"(?=.{1,32}$)[+-]?\d+(\.\d+)?", "a number has at most 32 digits"),
    "letter": _shape(r"[A-Za-z0]{1,32}", "at most 32 letters are allowed"),
    "symbol": _shape(r".{1,5}", "at most 5 symbols are allowed"),
    "character_string": _shape(r"[\x20-\x7e]{1,32}", "at most 32 digits, letters and symbols are allowed"),
    "time": _moment(r"\d[:：]\d\d", "a time such as 15:01 or 2026年1月2日 15:01 is wanted"),
    "date": _moment(r"\d{4}[年/.-]\d", "a date such as 2026年1月2日 is wanted"),
    "amount": _shape(r"[^\d\s]?\d{1,10}(\.\d+)?元?", "an amount is one currency sign and at most 10 digits"),
    "phone_number": _shape(r"[0-9+\-() ]{1,17}", "at most 17 digits and symbols are allowed"),
    "car_number": _shape(r".{1,8}", "at most 8 characters are allowed"),
    "name": _person,
    "phrase": _shape(r"[\u4e00-\u9fff0]{1,5}", "at most 5 Chinese characters are allowed, nothing else"),
}


def fitted(data: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The template's values as the provider wants them.

    No line breaks, no commas between the thousands of numbers and amounts, a long `thing` cut with an ellipsis.

    Raises ValueError for an empty value: the provider refuses it, and so the whole message.
    """
    out = {}
    for name, value in data.items():
        text = _fit(name, str(value))
        if not text:
            raise ValueError(f"{name} is empty")
        out[name] = {"value": text}
    return out


def _fit(name: str, value: str) -> str:
    text = _CONTROL.sub(" ", value).strip()
    if _type_of(name) in ("number", "amount"):
        return _GROUPED.sub("", text)
    return text[: THING - 1] + "…" if _type_of(name) == "thing" and len(text) > THING else text


def misfit(data: Mapping[str, str]) -> str:
    """What is wrong with the first value that the provider would refuse, as a sentence; "" where all are well."""
    for name, value in data.items():
        text = _fit(name, str(value))
        why = "it is empty" if not text else _RULES.get(_type_of(name), _anything)(text)
        if why:
            return f"{name}: {why}."
    return ""


def _type_of(name: str) -> str:
    found = _NAME(name)
    return found[1] if found else ""


def _anything(value: str) -> str:
    return ""
