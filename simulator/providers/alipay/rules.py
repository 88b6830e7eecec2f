"""What the gateway checks: common parameters, the message of a life account."""

import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from simulator.clock import BEIJING, TIME_FORMAT
from simulator.providers.alipay.keys import APP_PUBLIC_KEY

USER_ID = re.compile(r"2088\d{12}")
OPEN_ID = re.compile(r"(?!2088)[A-Za-z0-9_-]{16,64}")
COLOR = re.compile(r"#[0-9a-fA-F]{6}")
REQUIRED = {
    "method": "isv.missing-method",
    "app_id": "isv.missing-app-id",
    "sign": "isv.missing-signature",
    "sign_type": "isv.missing-signature-type",
    "timestamp": "isv.missing-timestamp",
    "version": "isv.missing-version",
}
CLASSES = {
    "isp.": ("20000", "Service Currently Unavailable"),
    "aop.unknow": ("20000", "Service Currently Unavailable"),
    "aop.": ("20001", "Insufficient Token Permissions"),
    "isv.missing-signature-config": ("40003", "Insufficient Conditions"),
    "isv.missing-": ("40001", "Missing Required Arguments"),
    "isv.insufficient-": ("40006", "Insufficient Permissions"),
    "isv.app-call-limited": ("40005", "Call Limited"),
    "isv.method-call-limited": ("40005", "Call Limited"),
    "isv.": ("40002", "Invalid Arguments"),
}


class Refusal(Exception):
    """A refusal by its cause; ``signed`` tells whether the answer carries a signature (business refusals do)."""

    def __init__(self, sub_code: str, sub_msg: str = "", signed: bool = False) -> None:
        super().__init__(sub_code)
        self.sub_code, self.sub_msg, self.signed = sub_code, sub_msg or sub_code, signed

    @property
    def document(self) -> dict[str, str]:
        """The inner object of the answer."""
        code, message = next(
            (found for start, found in CLASSES.items() if self.sub_code.startswith(start)), ("40004", "Business Failed")
        )
        return {"code": code, "msg": message, "sub_code": self.sub_code, "sub_msg": self.sub_msg}


@dataclass(slots=True)
class App:
    """One application: its public key, in certificate mode the serial numbers, the templates of its life account."""

    public_key: str = APP_PUBLIC_KEY
    app_cert_sn: str = ""
    root_cert_sn: str = ""
    alipay_cert_sn: str = ""
    online: bool = True
    permitted: bool = True
    templates: dict[str, list[str]] = field(default_factory=dict)

    def change(self, document: dict[str, Any]) -> None:
        """Take fields of a control document; ``templates``: {id: [names that must be filled]}."""
        self.templates.update(document.pop("templates", {}))
        for name, value in document.items():
            setattr(self, name, value)


def clock(parameters: dict[str, str], now: float, tolerance: float) -> None:
    """Refuse a time stamp (Beijing) that is no time or too far off."""
    try:
        moment = datetime.strptime(parameters["timestamp"], TIME_FORMAT).replace(tzinfo=BEIJING).timestamp()
    except ValueError:
        raise Refusal("isv.invalid-timestamp") from None
    if abs(now - moment) > tolerance:
        raise Refusal("isv.invalid-timestamp")


def biz_content(parameters: dict[str, str]) -> dict[str, Any]:
    """Return ``biz_content`` as an object."""
    try:
        document = json.loads(parameters.get("biz_content", ""))
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise Refusal("isv.illegal-json", signed=True)
    return document


def receiver(document: dict[str, Any]) -> str:
    """Return the one person that a message is for: a user id or an open id, not both."""
    user, other = document.get("to_user_id"), document.get("to_open_id")
    if isinstance(user, str) and other is None and USER_ID.fullmatch(user):
        return user
    if isinstance(other, str) and user is None and OPEN_ID.fullmatch(other):
        return other
    raise Refusal("isv.invalid-parameter", "to_user_id", signed=True)


def template(app: App, document: dict[str, Any]) -> dict[str, Any]:
    """Return the template part if every field that this template wants is there."""
    given = document.get("template")
    context = given.get("context") if isinstance(given, dict) else None
    if not isinstance(given, dict) or not isinstance(context, dict):
        raise Refusal("isv.invalid-parameter", "template", signed=True)
    wanted = app.templates.get(str(given.get("template_id")))
    if wanted is None:
        raise Refusal("PUB.MSG_TEMPLATE_NOT_EXIST", "模板不存在", signed=True)
    for name in ("head_color", "url", "action_name"):
        if not isinstance(context.get(name), str) or not context[name]:
            raise Refusal("isv.invalid-parameter", name, signed=True)
    if sum(1 if character.isascii() else 2 for character in context["action_name"]) > 16:
        raise Refusal("isv.invalid-parameter", "action_name", signed=True)
    for name in {*wanted, *context} - {"head_color", "url", "action_name"}:
        part = context.get(name)
        if not isinstance(part, dict) or not COLOR.fullmatch(str(part.get("color"))) or not part.get("value"):
            raise Refusal("isv.invalid-parameter", name, signed=True)
    return given
