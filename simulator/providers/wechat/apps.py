"""The accounts that exist at WeChat, and the access tokens they are given."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from simulator.clock import beijing_day
from simulator.providers.wechat.rules import WeChatError
from simulator.tokens import TokenDesk
from simulator.world import SettingError

CALLBACK_TOKEN, AES_KEY = "umsCallbackToken", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
OA, MINI = "wechat_oa", "wechat_mini"
MODES = ("secure", "compatible", "plain")
DAY_S, GRACE_S, FORCED_PAUSE_S, FORCED_DAILY = 86400, 300, 30, 20


@dataclass
class App:
    """One account. ``kind`` is the channel that it sends over; ``form`` (of callbacks) is xml or json."""

    appid: str
    secret: str
    kind: str
    origin: str
    name: str
    callback_token: str = CALLBACK_TOKEN
    aes_key: str = AES_KEY
    mode: str = "secure"
    form: str = "xml"
    templates: dict[str, dict[str, Any]] = field(default_factory=dict)
    pages: list[str] = field(default_factory=list)


def default_apps() -> dict[str, App]:
    """Return one official account and one mini program with approved templates."""
    notice = {"title": "账单通知", "fields": {"thing1": "姓名", "amount2": "金额"}}
    state = {"title": "服务进度提醒", "fields": {"thing1": "事项", "time2": "时间", "character_string3": "编号"}}
    oa = App("wx00000000000ums01", "TestOaSecret000000000000000000001", OA, "gh_ums000000001", "优选银行")
    oa.templates = {
        "UMSTPL_abcdefghijklmnopqrstuvwxyz0123456789": notice | {"sort": "template"},
        "UMSSUB_abcdefghijklmnopqrstuvwxyz0123456789": notice | {"sort": "subscribe"},
    }
    mini = App(
        "wx00000000000mini1",
        "TestMiniSecret0000000000000000001",
        MINI,
        "gh_umsmini00001",
        "优选银行小程序",
        form="json",
    )
    mini.templates = {
        "MINITPL_abcdefghijklmnopqrstuvwxyz01234567": state | {"sort": "subscribe"},
        "MINIBILL_abcdefghijklmnopqrstuvwxyz0123456": notice | {"sort": "subscribe"},
    }
    mini.pages = ["pages/index", "pages/index/index", "pages/detail/index"]
    return {app.appid: app for app in (oa, mini)}


def change_app(apps: dict[str, App], appid: str, document: Mapping[str, Any]) -> None:
    """Add an account or change the named parts of one; SettingError on parts that an account does not have."""
    app = apps.get(appid) or App(appid, str(document["secret"]), str(document["kind"]), f"gh_{appid[-12:]}", appid)
    for part, value in document.items():
        if part not in App.__dataclass_fields__ or not isinstance(value, type(getattr(app, part))):
            raise SettingError(f"an account has no {part} of this kind")
        if part == "templates":
            app.templates.update(value)
        else:
            setattr(app, part, value)
    if app.mode not in MODES or app.kind not in (OA, MINI) or app.form not in ("xml", "json"):
        raise SettingError("mode, kind or form of an account is wrong")
    apps[appid] = app


class Tokens:
    """Classic tokens, each ending the one before after five minutes, and stable ones that come again while they are good."""

    def __init__(self) -> None:
        self.classic = TokenDesk(7200, GRACE_S, same_while_valid=False)
        self.stable = TokenDesk(7200, GRACE_S, same_while_valid=True)
        self.asked: Counter[tuple[str, int]] = Counter()
        self._forced: dict[str, list[float]] = {}

    def issue_classic(self, appid: str, now: float, life_s: float, daily: int) -> tuple[str, float]:
        """Return a new token; WeChatError once the day's are used up."""
        day = (appid, beijing_day(now))
        self.asked[day] += 1
        if self.asked[day] > daily:
            raise WeChatError("45009")
        self.classic.life_s = life_s
        return self.classic.issue(appid, now)

    def issue_stable(self, appid: str, now: float, life_s: float, force: bool) -> tuple[str, float]:
        """Return the token in force; a new one shortly before its end, or at once where that may be forced."""
        self.stable.life_s = life_s
        if force and self._may_force(appid, now):
            self.stable.invalidate(appid)
        token, left = self.stable.issue(appid, now)
        if left <= min(GRACE_S, life_s / 2):
            token, left = self.stable.issue(appid, now, force=True)
        return token, left

    def _may_force(self, appid: str, now: float) -> bool:
        recent = [moment for moment in self._forced.get(appid, []) if now - moment < DAY_S]
        self._forced[appid] = recent
        if recent and now - recent[-1] < FORCED_PAUSE_S:
            return False
        if len(recent) >= FORCED_DAILY:
            raise WeChatError("45009")
        recent.append(now)
        return True

    def check(self, token: str, now: float) -> tuple[str, str]:
        """Return (appid, "") for a good token, else ("", "missing" | "unknown" | "expired")."""
        owner, why = self.stable.check(token, now)
        return (owner, why) if why != "unknown" else self.classic.check(token, now)

    def invalidate(self, appid: str) -> int:
        """End every token of the account at once."""
        return self.stable.invalidate(appid) + self.classic.invalidate(appid)
