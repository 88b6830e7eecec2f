"""What WeChat checks in a message: fields of templates by type, and the codes of its refusals."""

import re
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from simulator.outside import Answer
from simulator.provider import answer_json

WORDS = {
    "-1": "system error",
    "40001": "invalid credential, access_token is invalid or not latest",
    "40002": "invalid grant_type",
    "40003": "invalid openid",
    "40013": "invalid appid",
    "40014": "invalid access_token",
    "40037": "invalid template_id",
    "40125": "invalid appsecret",
    "40164": "invalid ip 127.0.0.1, not in whitelist",
    "41001": "access_token missing",
    "41002": "appid missing",
    "41004": "appsecret missing",
    "41030": "invalid page",
    "42001": "access_token expired",
    "43002": "require POST method",
    "43004": "require subscribe",
    "43019": "require remove blacklist",
    "43101": "user refuse to accept the msg",
    "43108": "concurrent sends to one user",
    "44002": "empty post data",
    "45002": "content size out of limit",
    "45009": "reach max api daily quota limit",
    "45011": "api minute-quota reach limit, must slower, retry next minute",
    "45015": "response out of time limit or subscription is canceled",
    "45047": "out of response count limit",
    "47001": "data format error",
    "47003": "argument invalid!",
    "48001": "api unauthorized",
    "48006": "forbid to clear quota because of reaching the limit",
    "50002": "user limited",
}
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
TYPE = re.compile(r"([a-z_]+?)\d*")
CLOCK, DAY = r"([01]?\d|2[0-3]):[0-5]\d(:[0-5]\d)?", r"\d{4}(年\d{1,2}月\d{1,2}日|-\d{1,2}-\d{1,2}|/\d{1,2}/\d{1,2})"


class WeChatError(Exception):
    """A refusal: the code, and what stands behind the usual words."""

    def __init__(self, code: str, more: str = "") -> None:
        super().__init__(code)
        self.code, self.more = code, more


def refusal(code: str, more: str = "") -> Answer:
    """Return the refusal as the provider writes it: HTTP 200, and a request id at the end of the words."""
    rid = "-".join(secrets.token_hex(4) for _ in range(3))
    words = f"{WORDS.get(code, 'refused')}{f' {more}' if more else ''} rid: {rid}"
    return answer_json(200, {"errcode": int(code), "errmsg": words}, code)


def _whole(pattern: str) -> Callable[[str], bool]:
    matches = re.compile(pattern).fullmatch
    return lambda value: matches(value) is not None


def _name(value: str) -> bool:
    return len(value) <= (10 if re.search(r"[\u4e00-\u9fff]", value) else 20)


def _moment(pattern: str) -> Callable[[str], bool]:
    return _whole(rf"{pattern}([~～]{pattern})?")


FITS: dict[str, Callable[[str], bool]] = {
    "thing": lambda value: len(value) <= 20,
    "number": _whole(r"(?=.{1,32}$)-?\d+(\.\d+)?"),
    "letter": _whole(r"[A-Za-z]{1,32}"),
    "symbol": lambda value: len(value) <= 5,
    "character_string": _whole(r"[\x20-\x7e]{1,32}"),
    "time": _moment(rf"({DAY} ?)?{CLOCK}"),
    "date": _moment(rf"{DAY}( ?{CLOCK})?"),
    "amount": _whole(r"[^\d\s]?\d{1,10}(\.\d+)?元?"),
    "phone_number": _whole(r"[0-9+\-() ]{1,17}"),
    "car_number": lambda value: len(value) <= 8,
    "name": _name,
    "phrase": _whole(r"[\u4e00-\u9fff]{1,5}"),
}


def check_values(template: Mapping[str, Any], data: Any, typed: bool) -> dict[str, str]:
    """Return the values of a message by field; ``typed``: each must fit the type that its name begins with."""
    fields: dict[str, str] = template["fields"]
    if not isinstance(data, dict):
        raise WeChatError("47003", "data")
    if unknown := sorted(set(data) - set(fields)):
        raise WeChatError("47003", f"data.{unknown[0]} invalid")
    return {name: _value(name, data.get(name), template.get("allowed", {}), typed) for name in fields}


def _value(name: str, given: Any, allowed: Mapping[str, list[str]], typed: bool) -> str:
    value = given.get("value") if isinstance(given, dict) else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise WeChatError("47003", f"data.{name}.value is empty")
    found = TYPE.fullmatch(name)
    fits = FITS.get(found[1] if found else "", lambda text: True)
    if typed and (CONTROL.search(value) or not fits(value) or value not in allowed.get(name, [value])):
        raise WeChatError("47003", f"data.{name}.value invalid")
    return value
