"""Feishu: tenant tokens, single messages with a uuid, announcements, robots of groups, reads pushed and asked.

Source of every rule: the project's contract sheet for this provider; see README.md beside this for what is unconfirmed.
"""

import hashlib
import json
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

from simulator.chance import between, chance
from simulator.outside import Answer, Arrival, Call, Outside, Submission
from simulator.posting import Poster
from simulator.provider import Message, Provider, Shown, answer_json
from simulator.providers.feishu import reads
from simulator.providers.feishu.afterwards import Afterwards
from simulator.providers.feishu.announcements import Announcements
from simulator.providers.feishu.limits import Windows
from simulator.providers.feishu.robots import Robots
from simulator.providers.feishu.rules import (
    ID_TYPES,
    LONGEST_UUID,
    PREFIXES,
    REFUSED,
    FeishuError,
    body_of,
    single_content,
)
from simulator.providers.feishu.sealing import Seal
from simulator.tokens import TokenDesk

APP_ID, APP_SECRET = "cli_ums000000001", "TestFeishuSecret0000000000000001"
ENCRYPT_KEY, VERIFICATION_TOKEN = "umsEncryptKey01", "umsVerificationToken01"
TOKEN_LIFE_S, RENEWED_S, UUID_S = 7200, 1800, 3600
ROBOT_PATH = "/open-apis/bot/v2/hook/"
TOKEN_PATH = "/open-apis/auth/v3/tenant_access_token/internal"
MESSAGE_PATH = re.compile(r"/open-apis/im/v1/messages/([^/]+)(/read_users)?")
BATCH_PATH = re.compile(r"/open-apis/im/v1/batch_messages/([^/]+)(/get_progress|/read_user)?")
TOKEN_CODES = {"10003", "10014", "2200"}


class Feishu(Provider):
    """The provider of messages inside a company, with reads."""

    name = "feishu"
    channels = {"feishu": "feishu", "feishu_group": "feishu"}
    settings = {
        "per_second": 1_000_000,
        "per_minute": 10_000_000,
        "person_second": 5,
        "robot_second": 5,
        "robot_minute": 100,
        "batch_day": 500_000,
        "repeat": "first",
        "listed_robots_only": False,
    }
    habits = {"read": 0.0, "read_s": [0.0, 0.2], "invisible": 0.0, "left": 0.0, "blocked": 0.0}
    believable = {"world": {"read": 0.6, "read_s": [1.0, 8.0], "invisible": 0.01, "left": 0.005, "blocked": 0.005}}
    operations = ("send", "token", "poll", "recall", "query")
    default_refusal = "230034"
    token_error = "99991663"

    def __init__(self, outside: Outside, post: Poster) -> None:
        super().__init__(outside, post)
        self.tokens: TokenDesk = TokenDesk(TOKEN_LIFE_S, TOKEN_LIFE_S, same_while_valid=True)
        self.apps = {APP_ID: APP_SECRET}
        self.seals = {APP_ID: Seal(ENCRYPT_KEY, VERIFICATION_TOKEN)}
        self.windows = Windows()
        self.robots, self.announcements, self.afterwards = (
            Robots(self, self.windows),
            Announcements(self),
            Afterwards(self),
        )
        self._uuids: dict[tuple[str, str], tuple[float, str, dict[str, Any]]] = {}
        self.sent: dict[str, tuple[str, float, list[Arrival]]] = {}

    # --- control, people and pages

    def control(self, document: dict[str, Any]) -> None:
        """Take apps {app_id: {"secret", "encrypt_key", "token"}} and robots {key: {"secret", "name"}}."""
        for app_id, app in document.pop("apps", {}).items():
            self.apps[app_id] = app["secret"]
            self.seals[app_id] = Seal(app.get("encrypt_key", ENCRYPT_KEY), app.get("token", VERIFICATION_TOKEN))
        self.robots.known.update(document.pop("robots", {}))
        super().control(document)

    def act(self, operation: str, document: dict[str, Any]) -> dict[str, Any] | Awaitable[dict[str, Any]]:
        """``read`` {"id"}: a person reads everything so far; ``verify`` {"app_id"?}: the hook's address is tried."""
        if operation == "verify":
            app_id = str(document.get("app_id", APP_ID))
            return reads.verify(self.post, self.seals[app_id], app_id)
        if operation != "read":
            return super().act(operation, document)
        waiting = [one for one in self.outside.arrived("feishu", str(document["id"])) if not one.read_at]
        for arrival in waiting:
            arrival.read_at = time.time()
            self._tell(arrival, arrival.read_at, ())
        return {"read": len(waiting)}

    def receipt(self, arrival: Arrival) -> None:
        """Let the person read it, or not, by the habits; only a message between two is told of."""
        rates, seed = self.outside.world.rates(self.name), self.outside.world.seed
        about = (arrival.address, arrival.pid)
        if arrival.channel == "feishu" and chance(seed, "feishu-read", *about) < rates["read"]:
            arrival.read_at = arrival.fate.at + between(seed, rates["read_s"], "feishu-read-after", *about)
            self._tell(arrival, arrival.read_at, about)

    def _tell(self, arrival: Arrival, due: float, about: tuple[str, ...]) -> None:
        if arrival.pid.startswith("om_"):
            seal = self.seals[arrival.account]
            event = reads.read_event(arrival.account, seal.token, arrival, self.ids_of(arrival.address))
            reads.push(self.post, seal, arrival.account, event, due, about)

    def ids_of(self, address: str) -> dict[str, str]:
        """Return all three ids of a person who is known by one; the others are made out of it."""
        ids = {
            kind: f"{prefix}{_short(address)}"
            for kind, prefix in (("union_id", "on_"), ("user_id", "u"), ("open_id", "ou_"))
        }
        return ids | {_id_type_of(address): address}

    def fate(self, channel: str, address: str, pid: str, now: float) -> Any:
        """The shares of refusals decide; how many read is no fate of a message."""
        rates = self.outside.world.rates(self.name)
        return self.outside.world.fate(
            channel, address, pid, now, {word: rates[word] for word in ("invisible", "left", "blocked")}
        )

    def places(self, person: dict[str, Any]) -> list[tuple[str, str]]:
        """The person's id, and the robots of the groups that the person is in, without their secrets."""
        one = [("feishu", str(person["feishu"]))] if person.get("feishu") else []
        group = str(person.get("feishu_group") or "").partition("|")[0]
        return one + ([("feishu_group", group)] if group else [])

    def show(self, arrival: Arrival, language: str) -> Shown:
        """Show the message as the app or the group shows it."""
        seen, chinese = arrival.content, language == "zh"
        words = {
            "invisible": "不在应用可用范围" if chinese else "outside the app's availability",
            "invalid": "ID 无效" if chinese else "the id is not valid",
        }
        group = arrival.channel == "feishu_group"
        sender = self.robots.name_of(arrival.address) if group else ("应用机器人" if chinese else "App bot")
        return Shown(
            seen.get("title", ""),
            seen["text"],
            sender,
            button=seen.get("button", ""),
            link=seen.get("link", ""),
            detail="" if group else arrival.account,
            words=words,
        )

    # --- answers that are not acceptances

    def wants(self, call: Call) -> bool:
        """Everything below /open-apis/."""
        return call.path.startswith("/open-apis/")

    def refusal(self, code: str) -> Answer:
        """Answer with a code and the HTTP status that belongs to it."""
        return answer_json(200 if code in TOKEN_CODES else 400, {"code": int(code), "msg": f"error {code}"}, code)

    def throttled(self, seconds: str | None) -> Answer:
        """Answer 429 with both headers of the gateway."""
        headers = {"x-ogw-ratelimit-limit": "50", "x-ogw-ratelimit-reset": seconds or "1"}
        return answer_json(429, {"code": 99991400, "msg": "request trigger frequency limit"}, "99991400", headers)

    def internal_error(self) -> Answer:
        """Answer HTTP 500, which says nothing about acceptance."""
        return answer_json(500, {"code": 2200, "msg": "internal error"}, "2200")

    # --- reading

    def read(self, call: Call) -> Submission | Answer:
        """Authenticate and check a request."""
        try:
            return self._read(call)
        except FeishuError as error:
            if error.code == 99991400:
                return self.throttled(error.words)
            return answer_json(error.status, {"code": error.code, "msg": error.words, "data": {}}, error.code)

    def _read(self, call: Call) -> Submission | Answer:
        if call.path == TOKEN_PATH:
            return self._token(call)
        if call.path.startswith(ROBOT_PATH):
            return self.robots.say(call.path.removeprefix(ROBOT_PATH), body_of(call, 9499, 200), call)
        app_id = self._authenticated(call)
        plain: dict[tuple[str, str], Callable[[str, Call], Submission]] = {
            ("POST", "/open-apis/im/v1/messages"): self._single,
            ("POST", "/open-apis/message/v4/batch_send/"): self.announcements.take,
            ("POST", "/open-apis/contact/v3/users/batch_get_id"): self._lookup,
        }
        if operation := plain.get((call.method, call.path)):
            return operation(app_id, call)
        if found := MESSAGE_PATH.fullmatch(call.path) or BATCH_PATH.fullmatch(call.path):
            return self.afterwards.about(app_id, call, found[1], found[2] or "")
        return Answer(404, b"404 page not found", "404")

    def _token(self, call: Call) -> Submission:
        try:
            given = call.json()
        except ValueError:
            given = None
        if not isinstance(given, dict) or not given.get("app_id") or not given.get("app_secret"):
            raise FeishuError(10003, "invalid param", 200)
        app_id = str(given["app_id"])
        if self.apps.get(app_id) != given["app_secret"]:
            raise FeishuError(10014, "app id not exists", 200)

        def accept(returned: bool) -> Answer:
            token, left = self.tokens.issue(app_id, call.now)
            if left < RENEWED_S:
                token, left = self.tokens.issue(app_id, call.now, force=True)
            return answer_json(200, {"code": 0, "msg": "ok", "tenant_access_token": f"t-{token}", "expire": int(left)})

        return Submission(self.name, "token", [], accept)

    def _authenticated(self, call: Call) -> str:
        kind, _, token = call.headers.get("authorization", "").partition(" ")
        if kind != "Bearer" or not token:
            raise FeishuError(99991661, "Missing access token for authorization")
        if not token.startswith("t-"):
            raise FeishuError(99991671, "Invalid access token for authorization")
        app_id, why = self.tokens.check(token.removeprefix("t-"), call.now)
        if why:
            raise FeishuError(99991663, "Invalid access token for authorization")
        return app_id

    # --- single messages

    def _single(self, app_id: str, call: Call) -> Submission:
        body, id_type = body_of(call, 230001), call.parameters.get("receive_id_type", "")
        if id_type not in ID_TYPES:
            raise FeishuError(230001, "receive_id_type is required")
        receiver, uuid = str(body.get("receive_id") or ""), str(body.get("uuid") or "")
        if not receiver.startswith(PREFIXES.get(id_type, "")) or not receiver:
            raise FeishuError(230034, "invalid receive_id")
        if len(uuid) > LONGEST_UUID:
            raise FeishuError(230001, "uuid is too long")
        content = single_content(body)
        self._within(app_id, receiver, call.now)
        if (code := REFUSED.get(self.fate("feishu", receiver, "", call.now).word)) is not None:
            raise FeishuError(code, "the person cannot be written to")

        def accept(returned: bool) -> Answer:
            return self._accept(app_id, call, receiver, uuid, content, returned)

        return Submission(self.name, "send", [receiver], accept)

    def _within(self, app_id: str, receiver: str, now: float) -> None:
        limits = (self.switches["per_second"], 1.0), (self.switches["per_minute"], 60.0)
        if wait := self.windows.over(app_id, now, *limits):
            raise FeishuError(99991400, str(max(1, round(wait))))
        if self.windows.over(("person", receiver), now, (self.switches["person_second"], 1.0)):
            raise FeishuError(230020, "this message triggers the frequency limit of the user")

    def _accept(
        self, app_id: str, call: Call, receiver: str, uuid: str, content: dict[str, Any], returned: bool
    ) -> Answer:
        message = Message(receiver, uuid, content)
        at, pid, data = self._uuids.get((app_id, uuid), (0.0, "", {}))
        if uuid and pid and call.now - at < UUID_S and self.outside.settings["idempotency"]["mode"] == "key":
            self.outside.record(self.name, app_id, uuid, pid, [message.entry()], returned, "dedup")
            if self.switches["repeat"] == "error":
                return self.refusal("230049")
            return answer_json(200, {"code": 0, "msg": "success", "data": data})
        pid = f"om_{self.outside.new_pid()}"
        self.sent[pid] = (app_id, call.now, self.take("feishu", app_id, uuid, pid, [message], returned))
        moment = str(int(call.now * 1000))
        sender = {"id": app_id, "id_type": "app_id", "sender_type": "app", "tenant_key": "tk_ums01"}
        data = {"message_id": pid, "root_id": "", "parent_id": "", "msg_type": content["type"], "create_time": moment}
        data |= {"update_time": moment, "deleted": False, "updated": False, "chat_id": f"oc_{_short(receiver)}"}
        data |= {"sender": sender, "body": {"content": json.dumps(content, ensure_ascii=False)}}
        self._uuids[app_id, uuid] = (call.now, pid, data)
        return answer_json(200, {"code": 0, "msg": "success", "data": data})

    # --- people

    def _lookup(self, app_id: str, call: Call) -> Submission:
        body, kind = body_of(call, 99992402), call.parameters.get("user_id_type", "open_id")
        by_phone = {str(one.get("phone", "")).removeprefix("+86"): one for one in self.outside.people.values()}
        found = []
        for mobile in body.get("mobiles") or []:
            person = by_phone.get(str(mobile), {})
            known = {"user_id": self.ids_of(str(person["feishu"]))[kind]} if person.get("feishu") else {}
            found.append({"mobile": mobile, **known})
        answer = {"code": 0, "msg": "success", "data": {"user_list": found}}
        return Submission(self.name, "query", [], lambda returned: answer_json(200, answer))


def _short(address: str) -> str:
    return hashlib.sha256(address.encode()).hexdigest()[:24]


def _id_type_of(address: str) -> str:
    return next((kind for kind, prefix in PREFIXES.items() if address.startswith(prefix)), "user_id")
