"""What Alibaba Cloud SMS checks before it takes a message: numbers, texts, frequency per number."""

import json
import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

MAINLAND = re.compile(r"(?:\+86|0086|86)?(1[3-9]\d{9})")
INTERNATIONAL = re.compile(r"[2-9]\d{7,14}|1[2-9]\d{9}")
VARIABLE = re.compile(r"\$\{(\w+)\}")
LINK = re.compile(r"https?://|www\.", re.IGNORECASE)
TEXT_LIMIT = 500
BEIJING_OFFSET = 8 * 3600


@dataclass(slots=True)
class AliyunAccount:
    """One access key with the signatures and templates that were approved for it."""

    secret: str
    signs: set[str] = field(default_factory=set)
    templates: dict[str, dict[str, str]] = field(default_factory=dict)

    def approve(self, document: dict[str, Any]) -> None:
        """Add signatures and templates: {"signs": [..], "templates": {code: text or {text, type, state}}}."""
        self.signs.update(document.get("signs", ()))
        for code, template in document.get("templates", {}).items():
            entry = {"text": template} if isinstance(template, str) else template
            self.templates[code] = {"type": "notice", "state": "approved", **entry}


class Refusal(Exception):
    """The whole call is refused with the provider's code; ``status`` is 200 for business refusals."""

    def __init__(self, code: str, message: str, status: int = 200) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


class Text(NamedTuple):
    """One short message, ready to show."""

    phone: str
    sign: str
    text: str
    template: str
    kind: str
    rcs: str = ""  # the form that a 5G message reached the phone in: RCS or PLAIN_TEXT


def normal_number(number: str) -> str:
    """Return a mainland number as 11 digits, others as they are; Refusal if it is no number."""
    if found := MAINLAND.fullmatch(number):
        return found[1]
    if number.startswith("86") or not INTERNATIONAL.fullmatch(number):
        raise Refusal("isv.MOBILE_NUMBER_ILLEGAL", f"{number}invalid mobile number")
    return number


def compose(
    account: AliyunAccount, phone: str, sign: str, code: str, parameters: dict[str, Any], rcs: bool = False
) -> Text:
    """Check signature, template and variables, and return the message; Refusal names what is wrong."""
    if sign not in account.signs:
        raise Refusal("isv.SMS_SIGNATURE_ILLEGAL", "该账号下找不到对应签名")
    template = account.templates.get(code)
    if template is None or template["state"] != "approved" or (template["type"] == "rcs") is not rcs:
        raise Refusal("isv.SMS_TEMPLATE_ILLEGAL", "该账号下找不到对应模板")
    for value in parameters.values():
        if LINK.search(value):
            raise Refusal("isv.PARAM_NOT_SUPPORT_URL", "变量不支持传入URL")
    text = VARIABLE.sub(lambda found: _variable(found[1], parameters), template["text"])
    if len(sign) + 2 + len(text) > TEXT_LIMIT:
        raise Refusal("isv.PARAM_LENGTH_LIMIT", "参数超出长度限制")
    return Text(phone, sign, text, code, template["type"])


def _variable(name: str, parameters: dict[str, Any]) -> str:
    if name not in parameters:
        raise Refusal("isv.TEMPLATE_MISSING_PARAMETERS", f"模板变量缺少对应参数值: {name}")
    value: str = parameters[name]
    return value


def read_parameters(document: Any) -> dict[str, Any]:
    """Return template variables as text; numbers are taken as their text, everything else is refused."""
    if not isinstance(document, dict):
        raise Refusal("isv.INVALID_JSON_PARAM", "JSON参数不合法,只接受字符串值")
    values = {}
    for name, value in document.items():
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise Refusal("isv.INVALID_JSON_PARAM", "JSON参数不合法,只接受字符串值")
        values[name] = str(value)
    return values


def required(parameters: dict[str, str], name: str) -> str:
    """Return a parameter that must be there and not empty."""
    if not parameters.get(name):
        raise Refusal("isv.INVALID_PARAMETERS", f"参数缺失: {name}")
    return parameters[name]


def read_json(text: str) -> Any:
    """Return the value of a JSON parameter."""
    try:
        return json.loads(text)
    except ValueError:
        raise Refusal("isv.INVALID_JSON_PARAM", "JSON参数不合法,只接受字符串值") from None


class Frequency:
    """Messages per number: minute and hour windows by the Beijing clock, the day from the first message."""

    LIMITS = {"code": (1, 5, 10), "notice": (None, None, 50), "marketing": (None, None, 50)}

    def __init__(self) -> None:
        self._seen: dict[tuple[str, ...], list[int]] = {}

    def check(self, message: Text, now: float) -> None:
        """Refuse the message if its number had too many in a window."""
        state = self._state(message, now)
        words = (("分钟", 1), ("小时", 3), ("天", 5))
        for limit, (word, position) in zip(self.LIMITS.get(message.kind, self.LIMITS["notice"]), words, strict=True):
            if limit is not None and state[position] >= limit:
                raise Refusal("isv.BUSINESS_LIMIT_CONTROL", f"触发{word}级流控Permits:{limit}")

    def count(self, message: Text, now: float) -> None:
        """Count an accepted message; it counts also if it is not delivered later."""
        state = self._state(message, now)
        for position in (1, 3, 5):
            state[position] += 1

    def _state(self, message: Text, now: float) -> list[int]:
        """Return [minute, count, hour, count, day start, count] with windows that ended put back to zero."""
        place = (
            (message.sign, message.phone) if message.kind == "code" else (message.sign, message.template, message.phone)
        )
        second = int(now) + BEIJING_OFFSET
        state = self._seen.setdefault(place, [0, 0, 0, 0, int(now), 0])
        if state[0] != second // 60:
            state[0:2] = [second // 60, 0]
        if state[2] != second // 3600:
            state[2:4] = [second // 3600, 0]
        if now - state[4] >= 86400:
            state[4:6] = [int(now), 0]
        return state
