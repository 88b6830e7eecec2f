"""How the outside world behaves: approved objects, habits of people and networks, and what may be changed."""

import copy
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from simulator.chance import between, chance

DAY_SECONDS = 86400.0

ALIYUN_KEY = "LTAI5tTestKey0000001"
ALIYUN_SECRET = "TestSecret0000000000000000000001"
JPUSH_KEY = "a1b2c3d4e5f6a1b2c3d4e5f6"
JPUSH_SECRET = "0123456789abcdef01234567"
SMTP_USER = "ums"
SMTP_PASSWORD = "ums-secret"

ALIYUN_SIGNS = ("测试签名", "优选银行")
ALIYUN_TEMPLATES: dict[str, dict[str, str]] = {
    "SMS_100000001": {"text": "您的验证码为${code}，请勿告知他人。", "type": "code", "state": "approved"},
    "SMS_100000002": {
        "text": "尊敬的${name}，您的账户余额为${balance}元。回T退订",
        "type": "notice",
        "state": "approved",
    },
}

PERFECT: dict[str, Any] = {
    "world": {
        "calls": {"throttled": 0.0, "error_before": 0.0, "error_after": 0.0},
        "jpush": {"offline": 0.0, "late": 0.0, "unknown": 0.0, "delay": [0.0, 0.2], "late_s": [20.0, 40.0]},
        "aliyun": {"empty": 0.0, "blacklisted": 0.0},
        "smtp": {"bounce": 0.0, "refused": 0.0},
    },
    "receipts": {
        "auto": True,
        "delay": [0.0, 0.2],
        "dup": 0.0,
        "shuffle": False,
        "lost": 0.0,
        "late": 0.0,
        "late_s": [20.0, 40.0],
        "bad_sig": 0.0,
        "retry_scale": 1.0,
        "sms_report_url": "",
        "bounce_url": "",
    },
    "idempotency": {"mode": "key", "window_s": DAY_SECONDS},
    "aliyun": {"frequency_limits": False},
    "jpush": {"quota": {"push": 1_000_000, "report": 1_000_000}, "batch_size": 500, "cid_issued_only": True},
    "smtp": {
        "pipelining": True,
        "smtputf8": True,
        "require_auth": True,
        "messages_per_connection": 100,
        "recipients_per_message": 100,
        "size": 10_485_760,
        "greylist_seconds": 0.0,
        "bad_recipients": [],
    },
}

BELIEVABLE_CHANGES: dict[str, Any] = {
    "world": {
        "calls": {"throttled": 0.01, "error_before": 0.005, "error_after": 0.002},
        "jpush": {"offline": 0.25, "late": 0.03, "unknown": 0.01, "delay": [0.2, 3.0]},
        "aliyun": {"empty": 0.02, "blacklisted": 0.01},
        "smtp": {"bounce": 0.02, "refused": 0.005},
    },
    "receipts": {"delay": [0.2, 3.0], "dup": 0.01, "shuffle": True, "lost": 0.01, "late": 0.02},
    "aliyun": {"frequency_limits": True},
}


class SettingError(ValueError):
    """A control document names a setting that does not exist or gives it a value of the wrong kind."""


class Fate(NamedTuple):
    """What becomes of one message: a word, and the moment from which it is so."""

    word: str
    at: float

    def reached(self, now: float) -> bool:
        """Tell whether the person has it by now."""
        return self.word in ("delivered", "late") and now >= self.at


def merge_settings(base: dict[str, Any], changes: dict[str, Any], where: str = "") -> None:
    """Write changes into base, refusing unknown names and other kinds of values (SettingError)."""
    for name, value in changes.items():
        path = f"{where}.{name}" if where else name
        if name not in base:
            raise SettingError(f"unknown setting {path}")
        if isinstance(base[name], dict):
            if not isinstance(value, dict):
                raise SettingError(f"{path} must be an object")
            merge_settings(base[name], value, path)
        else:
            base[name] = _checked(base[name], value, path)


def _checked(old: Any, new: Any, path: str) -> Any:
    """Return the new value if it is of the kind of the old one; a number may stand for a fixed span."""
    if isinstance(old, bool):
        fits = isinstance(new, bool)
    elif isinstance(old, float | int):
        fits = isinstance(new, float | int) and not isinstance(new, bool)
    elif isinstance(old, list) and path.endswith(("delay", "late_s")):
        new = [new, new] if isinstance(new, float | int) else new
        fits = isinstance(new, list) and len(new) == 2 and all(isinstance(item, float | int) for item in new)
    else:
        fits = isinstance(new, type(old))
    if not fits:
        raise SettingError(f"{path} has a value of the wrong kind")
    return new


def preset(name: str) -> dict[str, Any]:
    """Return the settings of the world ``perfect`` or ``believable``."""
    settings = copy.deepcopy(PERFECT)
    if name == "believable":
        merge_settings(settings, BELIEVABLE_CHANGES)
    elif name != "perfect":
        raise SettingError(f"unknown world {name}")
    return settings


@dataclass(slots=True)
class AliyunAccount:
    """One access key with the signatures and templates that were approved for it."""

    secret: str
    signs: set[str]
    templates: dict[str, dict[str, str]]


@dataclass(slots=True)
class World:
    """Accounts, approved objects, rates and the seed; the one thing that decides fates."""

    seed: int
    settings: dict[str, Any]
    aliyun: dict[str, AliyunAccount] = field(default_factory=dict)
    jpush: dict[str, str] = field(default_factory=dict)
    smtp: dict[str, str] = field(default_factory=dict)

    def rates(self, part: str) -> dict[str, Any]:
        """Return the rates of one part of the world, as set at this moment."""
        rates: dict[str, Any] = self.settings["world"][part]
        return rates

    def push_fate(self, address: str, pid: str, accepted_at: float) -> Fate:
        """Decide what becomes of a notification; the device decides, so it is stable per address."""
        rates = self.rates("jpush")
        draw = chance(self.seed, "push", address)
        if draw < rates["unknown"]:
            return Fate("unknown", accepted_at)
        draw -= rates["unknown"]
        if draw < rates["offline"]:
            return Fate("offline", accepted_at)
        draw -= rates["offline"]
        if draw < rates["late"]:
            return Fate("late", accepted_at + between(self.seed, rates["late_s"], "push-late", address, pid))
        return Fate("delivered", accepted_at + between(self.seed, rates["delay"], "push-delay", address, pid))

    def sms_fate(self, phone: str, pid: str, accepted_at: float) -> Fate:
        """Decide what becomes of a short message; stable per number."""
        rates = self.rates("aliyun")
        at = accepted_at + between(self.seed, self.settings["receipts"]["delay"], "sms-delay", phone, pid)
        draw = chance(self.seed, "sms", phone)
        if draw < rates["empty"]:
            return Fate("empty", at)
        if draw < rates["empty"] + rates["blacklisted"]:
            return Fate("blacklisted", at)
        return Fate("delivered", at)

    def mail_fate(self, address: str, pid: str, accepted_at: float) -> Fate:
        """Decide what becomes of a mail; ``refused`` is already said at RCPT."""
        rates = self.rates("smtp")
        at = accepted_at + between(self.seed, self.settings["receipts"]["delay"], "mail-delay", address, pid)
        draw = chance(self.seed, "mail", address)
        if draw < rates["refused"] or address in self.settings["smtp"]["bad_recipients"]:
            return Fate("refused", at)
        return Fate("bounced" if draw < rates["refused"] + rates["bounce"] else "delivered", at)

    def approve(self, document: dict[str, Any]) -> None:
        """Add signatures, templates, accounts to the Aliyun side, e.g. {"signs": [..], "templates": {..}}."""
        key = document.get("account", ALIYUN_KEY)
        account = self.aliyun.setdefault(key, AliyunAccount(document.get("secret", ALIYUN_SECRET), set(), {}))
        account.secret = document.get("secret", account.secret)
        account.signs.update(document.get("signs", ()))
        for code, template in document.get("templates", {}).items():
            entry = {"text": template} if isinstance(template, str) else template
            account.templates[code] = {"type": "notice", "state": "approved", **entry}


def make_world(seed: int, name: str) -> World:
    """Return the world that the README describes, with its published test credentials."""
    world = World(seed, preset(name))
    world.approve({"signs": ALIYUN_SIGNS, "templates": ALIYUN_TEMPLATES})
    world.jpush[JPUSH_KEY] = JPUSH_SECRET
    world.smtp[SMTP_USER] = SMTP_PASSWORD
    return world
