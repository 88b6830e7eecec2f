"""WeChat: access tokens, template messages, subscription messages of both kinds of account, customer messages, events.

Source of every rule: the project's contract sheets for this provider; see README.md beside this for what is unconfirmed.
"""

import json
import re
import time
from collections.abc import Awaitable
from typing import Any

from simulator.outside import Answer, Arrival, Call, Outside, Submission
from simulator.posting import Poster
from simulator.provider import Message, Provider, Shown, answer_json
from simulator.providers.wechat.apps import MINI, OA, App, Tokens, change_app, default_apps
from simulator.providers.wechat.callbacks import Callbacks
from simulator.providers.wechat.people import People
from simulator.providers.wechat.quota import Quota
from simulator.providers.wechat.rules import WeChatError, check_values, refusal
from simulator.world import Fate, SettingError

MESSAGE = "/cgi-bin/message/"
SENDS = {
    f"{MESSAGE}template/send": (OA, "template"),
    f"{MESSAGE}subscribe/bizsend": (OA, "subscribe"),
    f"{MESSAGE}custom/send": (OA, "customer"),
    f"{MESSAGE}subscribe/send": (MINI, "subscribe"),
}
TOKENS = ("/cgi-bin/token", "/cgi-bin/stable_token")
CLEAR = "/cgi-bin/clear_quota"
OPENID = re.compile(r"[A-Za-z0-9_-]{28}")
STATUS = {"blocked": "failed:user block", "freq_limit": "failed:freq limit"}
NOT_SENT = {"blocked": (43101, "user refuse")}
AT_SEND = {"unknown": "40003", "unfollowed": "43004", "blacklisted": "43019", "restricted": "50002", "refused": "43101"}
DEAD = {"unknown": "unknown_code", "expired": "expired_code"}


class WeChat(Provider):
    """The provider of official accounts and mini programs."""

    name = "wechat"
    channels = {OA: "wechat", MINI: "mini"}
    settings = {
        "daily": 100_000,
        "per_minute": 1_000_000,
        "token_daily": 2000,
        "token_life_s": 7200,
        "unknown_code": "40001",
        "expired_code": "42001",
        "client_msg_id_s": 600,
        "serial_s": 0.0,
        "grants_each": 1000,
        "customer_window": True,
        "customer_messages": 5,
        "customer_hours": 48,
        "bizsend_msgid": False,
        "mini_msgid": True,
    }
    habits = {"unfollowed": 0.0, "blocked": 0.0, "failed": 0.0, "freq_limit": 0.0, "refused": 0.0}
    believable = {"daily": 10_000_000, "world": {"unfollowed": 0.04, "blocked": 0.01, "failed": 0.005, "refused": 0.06}}
    operations = ("send", "token")
    default_refusal = "-1"
    token_error = "42001"

    def __init__(self, outside: Outside, post: Poster) -> None:
        super().__init__(outside, post)
        self.desk = Tokens()
        self.apps = default_apps()
        self.callbacks = Callbacks(post)
        self.people = People(outside, self.callbacks)
        self.quota = Quota()
        self._first: dict[tuple[str, str, str], tuple[float, str]] = {}
        self._last: dict[tuple[str, str], float] = {}

    # --- control, people and pages

    def control(self, document: dict[str, Any]) -> None:
        """Take accounts {appid: {"secret", "kind", "name", "mode", "form", "templates", "pages", …}} and the switches."""
        for appid, app in document.pop("apps", {}).items():
            change_app(self.apps, appid, app)
        super().control(document)

    def act(self, operation: str, document: dict[str, Any]) -> dict[str, Any] | Awaitable[dict[str, Any]]:
        """follow, unfollow, speak, menu, grant, refuse, switch_off of a person; verify and invalidate of an account."""
        app = self.apps.get(str(document.get("account")))
        if app is None:
            raise SettingError(f"wechat has no account {document.get('account')}")
        if operation == "verify":
            return self.callbacks.verify(app)
        if operation == "invalidate":
            return {"invalidated": self.desk.invalidate(app.appid)}
        return self.people.act(app, operation, document)

    def stats(self) -> dict[str, Any]:
        """Return how often tokens were asked for and issued, classic and stable."""
        return {"tokens": self.desk.stable.as_document(), "classic_tokens": self.desk.classic.as_document()}

    def places(self, person: dict[str, Any]) -> list[tuple[str, str]]:
        """One place for each openid."""
        found = []
        for channel in self.channels:
            held = person.get(channel, ())
            found += [(channel, str(openid)) for openid in ([held] if isinstance(held, str) else held)]
        return found

    def show(self, arrival: Arrival, language: str) -> Shown:
        """Show a card with the template's fields, or the text of a customer message."""
        words = {"freq_limit": {"zh": "超过接收频率，未送达", "en": "too many messages, not delivered"}[language]}
        content = arrival.content
        if content["sort"] == "customer":
            return Shown(sender=content["account"], text=content["text"], words=words)
        return Shown(
            title=content["title"],
            sender=content["account"],
            fields=content["rows"],
            button={"zh": "查看详情", "en": "Details"}[language] if content["link"] else "",
            link=content["link"],
            detail=content["template"],
            words=words,
        )

    def fate(self, channel: str, address: str, pid: str, now: float) -> Fate:
        """Only followers count for an official account, only consent for a mini program."""
        rates = dict(self.outside.world.rates(self.name))
        for word in ("unfollowed", "blocked", "freq_limit") if channel == MINI else ("refused",):
            rates.pop(word)
        return self.outside.world.fate(channel, address, pid, now, rates)

    def wants(self, call: Call) -> bool:
        """The API's own paths under /cgi-bin/."""
        return call.path in SENDS or call.path in TOKENS or call.path == CLEAR

    # --- answers that are not acceptances

    def refusal(self, code: str) -> Answer:
        """HTTP 200 with the code."""
        return refusal(code)

    def throttled(self, seconds: str | None) -> Answer:
        """The minute's calls are used up."""
        return refusal("45011")

    # --- reading

    def read(self, call: Call) -> Submission | Answer:
        """Authenticate, count and check a request."""
        try:
            if call.path in TOKENS:
                return self._token(call)
            app = self._owner(call)
            return self._clear(app, call) if call.path == CLEAR else self._send(app, call)
        except WeChatError as error:
            return refusal(error.code, error.more)

    def _token(self, call: Call) -> Submission:
        stable = call.path.endswith("stable_token")
        if stable and call.method != "POST":
            raise WeChatError("43002")
        asked = _body(call) if stable else call.parameters
        if asked.get("grant_type") != "client_credential":
            raise WeChatError("40002")
        for name, code in (("appid", "41002"), ("secret", "41004")):
            if not asked.get(name):
                raise WeChatError(code)
        app = self.apps.get(str(asked["appid"]))
        if app is None:
            raise WeChatError("40013")
        if app.secret != asked["secret"]:
            raise WeChatError("40001" if not stable else "40125")
        force = asked.get("force_refresh") is True
        return Submission(self.name, "token", [], lambda returned: self._issue(app, call.now, stable, force))

    def _issue(self, app: App, now: float, stable: bool, force: bool) -> Answer:
        life, daily = self.switches["token_life_s"], self.switches["token_daily"]
        try:
            if stable:
                token, left = self.desk.issue_stable(app.appid, now, life, force)
            else:
                token, left = self.desk.issue_classic(app.appid, now, life, daily)
        except WeChatError as error:
            return refusal(error.code)
        return answer_json(200, {"access_token": token, "expires_in": max(int(left), 1)})

    def _owner(self, call: Call) -> App:
        if call.method != "POST":
            raise WeChatError("43002")
        appid, why = self.desk.check(call.parameters.get("access_token", ""), call.now)
        if why:
            raise WeChatError("41001" if why == "missing" else self.switches[DEAD[why]])
        return self.apps[appid]

    def _clear(self, app: App, call: Call) -> Answer:
        if _body(call).get("appid") != app.appid:
            raise WeChatError("40013")
        self.quota.clear(app.appid, call.now)
        return answer_json(200, {"errcode": 0, "errmsg": "ok"})

    # --- sending

    def _send(self, app: App, call: Call) -> Submission:
        kind, sort = SENDS[call.path]
        if app.kind != kind:
            raise WeChatError("48001")
        self.quota.count(app.appid, call.path, call.now, self.switches["daily"], self.switches["per_minute"])
        body = _body(call)
        openid = body.get("touser")
        if not isinstance(openid, str) or not OPENID.fullmatch(openid):
            raise WeChatError("40003")
        content = self._customer(app, body) if sort == "customer" else self._templated(app, sort, body)
        key = str(body.get("client_msg_id") or "") if sort == "template" else ""
        if not self._known(app, openid, key, call.now):
            self._check_person(app, sort, openid, content, call.now)

        def accept(returned: bool) -> Answer:
            return self._accept(app, openid, key, content, returned)

        return Submission(self.name, "send", [openid], accept)

    def _templated(self, app: App, sort: str, body: dict[str, Any]) -> dict[str, Any]:
        identity = body.get("template_id")
        template = app.templates.get(identity) if isinstance(identity, str) else None
        if template is None or template["sort"] != sort:
            raise WeChatError("40037")
        values = check_values(template, body.get("data"), typed=sort == "subscribe")
        page = str(body.get("page") or "")
        if app.kind == MINI and page and page.partition("?")[0] not in app.pages:
            raise WeChatError("41030")
        if app.kind == MINI and body.get("miniprogram_state", "formal") not in ("developer", "trial", "formal"):
            raise WeChatError("47001")
        rows = [(label, values[name]) for name, label in template["fields"].items()]
        link = str((body.get("miniprogram") or {}).get("pagepath") or body.get("url") or page)
        return {
            "sort": sort,
            "account": app.name,
            "template": identity,
            "title": template["title"],
            "rows": rows,
            "link": link,
        }

    def _customer(self, app: App, body: dict[str, Any]) -> dict[str, Any]:
        text = body.get("text", {}).get("content") if isinstance(body.get("text"), dict) else None
        if body.get("msgtype") != "text" or not isinstance(text, str) or not text:
            raise WeChatError("47001")
        if len(text.encode()) > 2048:
            raise WeChatError("45002")
        return {"sort": "customer", "account": app.name, "text": text}

    def _check_person(self, app: App, sort: str, openid: str, content: dict[str, Any], now: float) -> None:
        word = self.fate(app.kind, openid, "", now).word
        if word in AT_SEND and (word != "refused" or sort == "subscribe"):
            raise WeChatError(AT_SEND[word])
        if now - self._last.get((app.appid, openid), 0.0) < self.switches["serial_s"]:
            raise WeChatError("43108")
        if (
            sort == "subscribe"
            and self.people.grants(app, openid, content["template"], self.switches["grants_each"]) < 1
        ):
            raise WeChatError("43101")
        if sort == "customer" and self.switches["customer_window"]:
            self.people.check_window(app, openid, now)

    def _known(self, app: App, openid: str, key: str, now: float) -> str:
        """Return the id of the first message with this client_msg_id, "" where there is none."""
        at, pid = self._first.get((app.appid, openid, key), (0.0, ""))
        return pid if key and now - at < self.switches["client_msg_id_s"] else ""

    def _accept(self, app: App, openid: str, key: str, content: dict[str, Any], returned: bool) -> Answer:
        now = time.time()
        message = Message(openid, key, content)
        if first := self._known(app, openid, key, now):
            self.outside.record(self.name, app.appid, key, first, [message.entry()], returned, "dedup")
            return _ok(first)
        pid = str(self.outside.new_pid())
        sort = content["sort"]
        if sort == "subscribe":
            self.people.use_grant(app, openid, content["template"], self.switches["grants_each"])
        self.people.count_answer(app, openid, sort)
        self._last[(app.appid, openid)] = now
        if key:
            self._first[(app.appid, openid, key)] = (now, pid)
        self.take(app.kind, app.appid, key, pid, [message], returned)
        names = {"template": True, "customer": False, "subscribe": self.switches[_MSGID[app.kind]]}[sort]
        return _ok(pid if names else "")

    def receipt(self, arrival: Arrival) -> None:
        """Tell how it went; of customer messages nothing is told."""
        app, word, sort = self.apps[arrival.account], arrival.fate.word, arrival.content["sort"]
        good, pid = word in ("delivered", "late", "read"), int(arrival.pid)
        fields: dict[str, Any] = {"MsgType": "event"}
        entries: list[dict[str, Any]] = []
        if sort == "template":
            status = "success" if good else STATUS.get(word, "failed: system failed")
            fields |= {"Event": "TEMPLATESENDJOBFINISH", "MsgID": pid, "Status": status}
        elif sort == "subscribe":
            fields |= {"Event": "subscribe_msg_sent_event"}
            code, words = (0, "success") if good else NOT_SENT.get(word, (-1, "system error"))
            told = {"ErrorCode": code, "ErrorStatus": words}
            entries = [{"TemplateId": arrival.content["template"], "MsgID": pid, **told}]
        if len(fields) > 1:
            self.callbacks.tell(app, arrival.address, fields, arrival.fate.at, entries, (arrival.address, arrival.pid))


_MSGID: dict[str, str] = {OA: "bizsend_msgid", MINI: "mini_msgid"}


def _ok(pid: str) -> Answer:
    return answer_json(200, {"errcode": 0, "errmsg": "ok"} | ({"msgid": int(pid)} if pid else {}))


def _body(call: Call) -> dict[str, Any]:
    if not call.body:
        raise WeChatError("44002")
    try:
        document = json.loads(call.body)
    except ValueError:
        raise WeChatError("47001") from None
    if not isinstance(document, dict):
        raise WeChatError("47001")
    return document
