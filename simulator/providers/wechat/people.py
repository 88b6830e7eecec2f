"""What people do at WeChat: follow and leave, speak, tap "allow" or "refuse"; and what an account may send them by that."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from simulator.outside import Outside
from simulator.providers.wechat.apps import App
from simulator.providers.wechat.callbacks import Callbacks
from simulator.providers.wechat.rules import WeChatError
from simulator.world import SettingError

TAP_S, TAP_MESSAGES = 60.0, 3


@dataclass
class Window:
    """How long, and how many times, an account may answer a person."""

    until: float
    left: int


class People:
    """Grants and windows by (appid, openid), kept in memory."""

    def __init__(self, outside: Outside, callbacks: Callbacks) -> None:
        self.outside, self.callbacks = outside, callbacks
        self._grants: dict[tuple[str, str, str], int] = {}
        self._windows: dict[tuple[str, str], Window] = {}
        self._acts: dict[str, Callable[[App, str, dict[str, Any]], dict[str, Any]]] = {
            "follow": self._follow,
            "unfollow": self._unfollow,
            "speak": self._speak,
            "menu": self._menu,
            "grant": self._grant,
            "refuse": self._refuse,
            "switch_off": self._switch_off,
        }

    def act(self, app: App, operation: str, document: dict[str, Any]) -> dict[str, Any]:
        """Let a person ("openid") do something at an account; the account's server hears of it."""
        if operation not in self._acts:
            raise SettingError(f"wechat knows no operation {operation}")
        return self._acts[operation](app, str(document["openid"]), document)

    # --- what an account may send

    def grants(self, app: App, openid: str, template: str, each: int) -> int:
        """Return how many subscriptions are left; ``each``: what somebody has of whom nothing was said."""
        return self._grants.get((app.appid, openid, template), each)

    def use_grant(self, app: App, openid: str, template: str, each: int) -> None:
        """Use one subscription up."""
        self._grants[(app.appid, openid, template)] = self.grants(app, openid, template, each) - 1

    def check_window(self, app: App, openid: str, now: float) -> None:
        """Refuse a customer message outside the time or the number that the person's last deed allows."""
        window = self._windows.get((app.appid, openid))
        if window is None or now >= window.until:
            raise WeChatError("45015")
        if window.left < 1:
            raise WeChatError("45047")

    def count_answer(self, app: App, openid: str, sort: str) -> None:
        """Count a customer message."""
        window = self._windows.get((app.appid, openid))
        if sort == "customer" and window is not None:
            window.left -= 1

    # --- what people do

    def _open(self, app: App, openid: str, seconds: float, messages: int) -> None:
        self._windows[(app.appid, openid)] = Window(time.time() + seconds, messages)

    def _tell(
        self, app: App, openid: str, event: str, more: dict[str, Any], *entries: dict[str, Any]
    ) -> dict[str, Any]:
        self.callbacks.tell(app, openid, {"MsgType": "event", "Event": event, **more}, time.time(), entries)
        return {}

    def _follow(self, app: App, openid: str, document: dict[str, Any]) -> dict[str, Any]:
        self.outside.set_state(app.kind, openid, "followed")
        self._open(app, openid, TAP_S, TAP_MESSAGES)
        return self._tell(app, openid, "subscribe", {"EventKey": ""} | _unionid(document))

    def _unfollow(self, app: App, openid: str, document: dict[str, Any]) -> dict[str, Any]:
        self.outside.set_state(app.kind, openid, "unfollowed")
        self._windows.pop((app.appid, openid), None)
        return self._tell(app, openid, "unsubscribe", {"EventKey": ""} | _unionid(document))

    def _speak(self, app: App, openid: str, document: dict[str, Any]) -> dict[str, Any]:
        rule = self.outside.settings["wechat"]
        self._open(app, openid, rule["customer_hours"] * 3600, rule["customer_messages"])
        said = {"MsgType": "text", "Content": str(document.get("text", "?")), "MsgId": self.outside.new_pid()}
        self.callbacks.tell(app, openid, said, time.time())
        return {}

    def _menu(self, app: App, openid: str, document: dict[str, Any]) -> dict[str, Any]:
        self._open(app, openid, TAP_S, TAP_MESSAGES)
        return self._tell(app, openid, "CLICK", {"EventKey": str(document.get("key", "menu"))})

    def _grant(self, app: App, openid: str, document: dict[str, Any]) -> dict[str, Any]:
        """One tap on "allow" for one or several templates ("template" or "templates"), "count" times."""
        templates = _templates(document)
        for template in templates:
            had = self._grants.get((app.appid, openid, template), 0)
            self._grants[(app.appid, openid, template)] = had + int(document.get("count", 1))
        if self.outside.state(app.kind, openid) == "refused":
            self.outside.set_state(app.kind, openid, "")
        return self._consent(app, openid, "popup", "accept", templates)

    def _refuse(self, app: App, openid: str, document: dict[str, Any]) -> dict[str, Any]:
        return self._consent(app, openid, "popup", "reject", _templates(document))

    def _switch_off(self, app: App, openid: str, document: dict[str, Any]) -> dict[str, Any]:
        for template in _templates(document):
            self._grants[(app.appid, openid, template)] = 0
        return self._consent(app, openid, "change", "reject", _templates(document))

    def _consent(self, app: App, openid: str, name: str, word: str, templates: list[str]) -> dict[str, Any]:
        scene = {"PopupScene": 0 if app.kind == "wechat_mini" else 1} if name == "popup" else {}
        entries = [{"TemplateId": template, "SubscribeStatusString": word, **scene} for template in templates]
        return self._tell(app, openid, f"subscribe_msg_{name}_event", {}, *entries)


def _templates(document: dict[str, Any]) -> list[str]:
    return [str(one) for one in document.get("templates") or [document["template"]]]


def _unionid(document: dict[str, Any]) -> dict[str, Any]:
    return {"UnionId": str(document["unionid"])} if document.get("unionid") else {}
