"""What Tencent Cloud checks before it takes short messages: fields, numbers, signature, template, frequency."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from simulator.clock import BEIJING

E164 = re.compile(r"\+[1-9]\d{6,14}")
MAINLAND = re.compile(r"\+86(1[3-9]\d{9})")
PLACE = re.compile(r"\{(\d+)\}")
LINK = re.compile(r"https?://|www\.", re.IGNORECASE)
MOST_NUMBERS = 200
TEXT_LIMIT = 500
SEND_FIELDS: dict[str, type] = {
    "PhoneNumberSet": list,
    "SmsSdkAppId": str,
    "TemplateId": str,
    "SignName": str,
    "TemplateParamSet": list,
    "ExtendCode": str,
    "SessionContext": str,
    "SenderId": str,
}
PULL_FIELDS: dict[str, type] = {
    "BeginTime": int,
    "EndTime": int,
    "Offset": int,
    "Limit": int,
    "PhoneNumber": str,
    "SmsSdkAppId": str,
}
QUEUE_FIELDS: dict[str, type] = {"Limit": int, "SmsSdkAppId": str}
STATISTICS_FIELDS: dict[str, type] = {"SmsSdkAppId": str, "Limit": int, "Offset": int, "BeginTime": str, "EndTime": str}
OPTIONAL = ("SignName", "TemplateParamSet", "ExtendCode", "SessionContext", "SenderId", "EndTime")


class Refusal(Exception):
    """The whole call is refused with the provider's code."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(message or code)
        self.code, self.message = code, message or code


@dataclass(slots=True)
class App:
    """One application of an account with what was approved for it."""

    signs: set[str] = field(default_factory=set)
    templates: dict[str, dict[str, str]] = field(default_factory=dict)

    def approve(self, document: dict[str, Any]) -> None:
        """Add signatures and templates: {"signs": [..], "templates": {id: text or {text, type, state}}}."""
        self.signs.update(document.get("signs", ()))
        for code, template in document.get("templates", {}).items():
            entry = {"text": template} if isinstance(template, str) else template
            self.templates[code] = {"type": "notice", "state": "approved", **entry}


class Text(NamedTuple):
    """One short message, ready to show."""

    sign: str
    text: str
    template: str
    kind: str

    @property
    def fee(self) -> int:
        """Billed pieces, the signature counted."""
        length = len(self.sign) + 2 + len(self.text)
        return 1 if length <= 70 else -(-length // 67)


def fields(document: Any, known: dict[str, type]) -> dict[str, Any]:
    """Return the parameters of a call if they are all known and of their kind; Refusal names the one that is not."""
    if not isinstance(document, dict):
        raise Refusal("InvalidParameter", "The request is not a JSON object.")
    for name, value in document.items():
        if name not in known:
            raise Refusal("UnknownParameter", f"The parameter `{name}` is not recognized.")
        if not isinstance(value, known[name]) or isinstance(value, bool):
            raise Refusal("InvalidParameter", f"The value type of parameter `{name}` is not valid.")
    for name in known:
        if name not in document and name not in OPTIONAL:
            raise Refusal("MissingParameter", f"The request is missing a required parameter `{name}`.")
    return document


def numbers(document: dict[str, Any]) -> list[str]:
    """Return the numbers of a call: 1 to 200, all of the mainland or all foreign."""
    phones = document["PhoneNumberSet"]
    if not phones:
        raise Refusal("MissingParameter.EmptyPhoneNumberSet")
    if len(phones) > MOST_NUMBERS:
        raise Refusal("LimitExceeded.PhoneNumberCountLimit")
    if not all(isinstance(phone, str) for phone in phones):
        raise Refusal("InvalidParameter", "The value type of parameter `PhoneNumberSet` is not valid.")
    if len({phone.startswith("+86") for phone in phones}) > 1:
        raise Refusal("UnsupportedOperation.ContainDomesticAndInternationalPhoneNumber")
    return list(phones)


def place_of(phone: str) -> str:
    """Return a number as the whole simulator writes it: mainland ones 11 digits, others digits without the plus sign."""
    found = MAINLAND.fullmatch(phone)
    return found[1] if found else phone.lstrip("+")


def valid(phone: str) -> bool:
    """Tell whether it is a number in E.164, and a mobile one if it is of the mainland."""
    return bool(MAINLAND.fullmatch(phone) if phone.startswith("+86") else E164.fullmatch(phone))


def compose(app: App, document: dict[str, Any], abroad: bool) -> Text:
    """Check signature, template and variables, and return the message; Refusal names what is wrong."""
    sign, code = document.get("SignName", ""), document["TemplateId"]
    if len(document.get("SessionContext", "").encode()) >= 512:
        raise Refusal("InvalidParameterValue", "SessionContext is too long.")
    if (sign or not abroad) and sign not in app.signs:
        raise Refusal("FailedOperation.SignatureIncorrectOrUnapproved")
    template = app.templates.get(code)
    if template is None or template["state"] != "approved":
        raise Refusal("FailedOperation.TemplateIncorrectOrUnapproved")
    values = document.get("TemplateParamSet", [])
    wanted = {int(found) for found in PLACE.findall(template["text"])}
    if not all(isinstance(value, str) for value in values):
        raise Refusal("InvalidParameter", "The value type of parameter `TemplateParamSet` is not valid.")
    if wanted != set(range(1, len(values) + 1)):
        raise Refusal("FailedOperation.TemplateParamSetNotMatchApprovedTemplate")
    if any(LINK.search(value) for value in values):
        raise Refusal("InvalidParameterValue.ProhibitedUseUrlInTemplateParameter")
    if template["type"] == "code" and not all(re.fullmatch(r"\d{1,6}", value) for value in values):
        raise Refusal("InvalidParameterValue.TemplateParameterFormatError")
    text = PLACE.sub(lambda found: str(values[int(found[1]) - 1]), template["text"])
    if len(sign) + 2 + len(text) > TEXT_LIMIT:
        raise Refusal("InvalidParameterValue.ContentLengthLimit")
    return Text(sign, text, code, template["type"])


def check_hours(text: Text, now: float) -> None:
    """Refuse marketing outside 8 to 22 o'clock in Beijing."""
    hour = datetime.fromtimestamp(now, UTC).astimezone(BEIJING).hour
    if text.kind == "marketing" and not 8 <= hour < 22:
        raise Refusal("FailedOperation.MarketingSendTimeConstraint")


class Frequency:
    """Messages per number: one in 30 seconds, five in an hour, ten a day (the default of a new application)."""

    LIMITS = (
        (30.0, 1, "LimitExceeded.PhoneNumberThirtySecondLimit"),
        (3600.0, 5, "LimitExceeded.PhoneNumberOneHourLimit"),
        (86400.0, 10, "LimitExceeded.PhoneNumberDailyLimit"),
    )

    def __init__(self) -> None:
        self._sent: dict[str, list[float]] = {}

    def refused(self, phone: str, now: float) -> str:
        """Return the code of the first limit that one more message would break, or an empty text."""
        sent = self._sent[phone] = [at for at in self._sent.get(phone, ()) if now - at < self.LIMITS[-1][0]]
        for seconds, most, code in self.LIMITS:
            if sum(now - at < seconds for at in sent) >= most:
                return code
        return ""

    def count(self, phone: str, now: float) -> None:
        """Count an accepted message."""
        self._sent.setdefault(phone, []).append(now)
