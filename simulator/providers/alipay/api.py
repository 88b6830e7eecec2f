"""Alipay's open gateway: single template messages of life accounts, followers; who follows and who leaves.

Source of every rule: the project's contract sheet for this provider; see README.md for what is not confirmed.
"""

import json
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

from simulator.outside import Answer, Arrival, Call, Outside, Submission
from simulator.posting import Poster
from simulator.provider import Message, Provider, Shown
from simulator.providers.alipay import events, rules
from simulator.providers.alipay.keys import ALIPAY_PRIVATE_KEY
from simulator.providers.alipay.rules import App, Refusal
from simulator.providers.alipay.signature import content, good, sign
from simulator.world import SettingError

APP_ID = "2021000000000001"
TEMPLATE = "umstpl0000000000000000000000001"
SEND = "alipay.open.public.message.single.send"
FOLLOW_QUERY = "alipay.open.public.user.follow.query"
FOLLOWERS = "alipay.open.public.follow.batchquery"
PAGE = 10000


class Alipay(Provider):
    """The life-account provider."""

    name = "alipay"
    channels = {"alipay": "alipay"}
    settings = {
        "timestamp_tolerance_s": 600,
        "answer_signature": "right",
        "error_response": False,
        "callbacks_v1": False,
    }
    habits = {"unfollowed": 0.0}
    believable = {"world": {"unfollowed": 0.05}}
    content_type = "text/html;charset=utf-8"
    default_refusal = "isv.insufficient-isv-permissions"

    def __init__(self, outside: Outside, post: Poster) -> None:
        super().__init__(outside, post)
        self.apps = {APP_ID: App(templates={TEMPLATE: ["keyword1", "keyword2"]})}
        self._method = SEND

    # --- control, people and pages

    def control(self, document: dict[str, Any]) -> None:
        """Take {"apps": {app id: {public_key, app_cert_sn, root_cert_sn, alipay_cert_sn, online, permitted, templates}}}."""
        for app_id, changes in document.pop("apps", {}).items():
            if unknown := set(changes) - set(App.__slots__):
                raise SettingError(f"an application has no {sorted(unknown)[0]}")
            self.apps.setdefault(app_id, App()).change(dict(changes))
        if document.get("answer_signature", "right") not in ("right", "wrong", "missing"):
            raise SettingError("answer_signature is right, wrong or missing")
        super().control(document)

    def places(self, person: dict[str, Any]) -> list[tuple[str, str]]:
        """One place for the user id or open id."""
        return [("alipay", str(person["alipay"]))] if person.get("alipay") else []

    def show(self, arrival: Arrival, language: str) -> Shown:
        """Show the rows of the template between its opening and closing lines."""
        context = arrival.content["context"]
        rows = [
            (name, part["value"])
            for name, part in context.items()
            if isinstance(part, dict) and name.startswith("keyword")
        ]
        return Shown(
            title=context.get("first", {}).get("value", ""),
            text=context.get("remark", {}).get("value", ""),
            fields=rows,
            button=context["action_name"],
            link=context["url"],
            detail=arrival.content["template_id"],
        )

    def act(self, operation: str, document: dict[str, Any]) -> dict[str, Any] | Awaitable[dict[str, Any]]:
        """``follow``, ``unfollow`` {"user_id"}: a person decides; ``verify`` {"app_id"}: the console tries the gateway."""
        app_id = str(document.get("app_id", APP_ID))
        if operation in ("follow", "unfollow"):
            return self._decide(app_id, operation, str(document["user_id"]))
        if operation == "verify":
            return self._try_gateway(app_id)
        return super().act(operation, document)

    def _decide(self, app_id: str, operation: str, person: str) -> dict[str, Any]:
        self.outside.set_state("alipay", person, f"{operation}ed")
        if url := self.post.url(self.name, app_id):
            text = events.xml(app_id, operation, person, time.time())
            self.post.later(events.parcel(url, events.NOTIFY, text, self.switches["callbacks_v1"]), time.time())
        return {"state": f"{operation}ed"}

    async def _try_gateway(self, app_id: str) -> dict[str, Any]:
        """Post ``verifygw`` and judge the answer: our own key back, signed with its private half."""
        text = events.xml(app_id, "verifygw", "", time.time())
        url = self.post.url(self.name, app_id)
        status, body = await self.post.ask(events.parcel(url, events.CHECK, text, self.switches["callbacks_v1"]))
        found = re.search(rb"<response>(.*)</response><sign>(.*)</sign>", body)
        own = "".join(self.apps[app_id].public_key.strip().splitlines()[1:-1]).encode()
        right = found is not None and b"<success>true</success>" in found[1] and own in found[1]
        signed = found is not None and good(self.apps[app_id].public_key, found[1], found[2].decode())
        return {"status": status, "verified": right and signed}

    def wants(self, call: Call) -> bool:
        """Everything is under one path."""
        return call.path == "/gateway.do"

    # --- answers

    def refusal(self, code: str) -> Answer:
        """Refuse by cause; business causes are signed, those of the gateway are not."""
        return self._refused(self._method, Refusal(code, signed=not code.startswith(("isv.invalid-", "isv.missing-"))))

    def throttled(self, seconds: str | None) -> Answer:
        """Answer that the application calls too often."""
        return self.refusal("isv.app-call-limited")

    def internal_error(self) -> Answer:
        """Answer that the service failed, which says nothing about acceptance."""
        return self.refusal("isp.unknow-error")

    def _refused(self, method: str, refusal: Refusal, app: App | None = None) -> Answer:
        return self._answer(method, refusal.document, refusal.signed, app, refusal.sub_code)

    def _answer(
        self, method: str, document: dict[str, Any], signed: bool, app: App | None = None, code: str = ""
    ) -> Answer:
        """Sign exactly the bytes that are written; the signature stands right behind the object."""
        inner = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
        gateway = self.switches["error_response"] and not signed
        key = "error_response" if gateway or not method else f"{method.replace('.', '_')}_response"
        how = self.switches["answer_signature"]
        tail = ""
        if signed and how != "missing":
            text = inner if how == "right" else inner + " "
            tail = f',"sign":"{sign(ALIPAY_PRIVATE_KEY, text.encode())}"'
            if app is not None and app.alipay_cert_sn:
                tail += f',"alipay_cert_sn":"{app.alipay_cert_sn}"'
        return Answer(200, f'{{"{key}":{inner}{tail}}}'.encode(), code)

    # --- reading

    def read(self, call: Call) -> Submission | Answer:
        """Check in the provider's order: method, application, signature, time, permission, content, business."""
        parameters = call.parameters
        if call.method == "POST":
            try:
                parameters |= call.form
            except ValueError:
                return self._refused("", Refusal("isv.invalid-charset"))
        method = parameters.get("method", "")
        self._method = method or SEND
        app = self.apps.get(parameters.get("app_id", ""))
        try:
            return self._read(parameters, method, app, call.now)
        except Refusal as refusal:
            return self._refused(method, refusal, app)

    def _read(self, parameters: dict[str, str], method: str, app: App | None, now: float) -> Submission:
        if not method:
            raise Refusal("isv.missing-method")
        if not parameters.get("app_id"):
            raise Refusal("isv.missing-app-id")
        if app is None:
            raise Refusal("isv.invalid-app-id")
        for name, cause in rules.REQUIRED.items():
            if not parameters.get(name):
                raise Refusal(cause)
        self._verify(parameters, app)
        rules.clock(parameters, now, self.switches["timestamp_tolerance_s"])
        if parameters.get("format", "JSON").upper() != "JSON" or parameters["version"] != "1.0":
            raise Refusal("isv.invalid-parameter")
        operations: dict[str, Callable[..., Submission]] = {
            SEND: self._send,
            FOLLOW_QUERY: self._follow_query,
            FOLLOWERS: self._followers,
        }
        if method not in operations:
            raise Refusal("isv.invalid-method")
        if not app.online:
            raise Refusal("isv.not-online-app")
        if not app.permitted:
            raise Refusal("isv.insufficient-isv-permissions", signed=True)
        return operations[method](parameters["app_id"], app, rules.biz_content(parameters), now)

    def _verify(self, parameters: dict[str, str], app: App) -> None:
        if parameters["sign_type"] != "RSA2":
            raise Refusal("isv.invalid-signature-type")
        if parameters.get("charset", "").lower() != "utf-8":
            raise Refusal("isv.invalid-charset")
        if not app.public_key:
            raise Refusal("isv.missing-signature-config")
        serials = (parameters.get("app_cert_sn", ""), parameters.get("alipay_root_cert_sn", ""))
        if serials != (app.app_cert_sn, app.root_cert_sn):
            raise Refusal("isv.invalid-signature", "app_cert_sn")
        if not good(app.public_key, content(parameters).encode(), parameters["sign"]):
            raise Refusal("isv.invalid-signature")

    # --- operations

    def _send(self, app_id: str, app: App, document: dict[str, Any], now: float) -> Submission:
        person = rules.receiver(document)
        message = rules.template(app, document)
        if self.fate("alipay", person, "", now).word == "unfollowed":
            raise Refusal("PUB.MSG_SD_NOFOLLOW", "没有关注者，发送消息失败", signed=True)

        def accept(returned: bool) -> Answer:
            pid = str(self.outside.new_pid())  # the caller never learns it
            self.take("alipay", app_id, "", pid, [Message(person, "", message)], returned)
            return self._answer(SEND, {"code": "10000", "msg": "Success"}, True, app)

        return Submission(self.name, "send", [person], accept)

    def _follow_query(self, app_id: str, app: App, document: dict[str, Any], now: float) -> Submission:
        person = str(document.get("user_id", ""))
        follows = self.fate("alipay", person, "", now).word != "unfollowed"
        said = {"code": "10000", "msg": "Success", "is_follow": "T" if follows else "F"}
        return Submission(self.name, "query", [person], lambda returned: self._answer(FOLLOW_QUERY, said, True, app))

    def _followers(self, app_id: str, app: App, document: dict[str, Any], now: float) -> Submission:
        """One page of the known people who follow."""
        known = sorted(str(person["alipay"]) for person in self.outside.people.values() if person.get("alipay"))
        page = [
            person
            for person in known
            if person > str(document.get("next_user_id", ""))
            and self.fate("alipay", person, "", now).word != "unfollowed"
        ][:PAGE]
        said = {"code": "10000", "msg": "Success", "count": len(page), "user_id_list": page}
        if page:
            said["next_user_id"] = page[-1]
        return Submission(self.name, "query", [], lambda returned: self._answer(FOLLOWERS, said, True, app))
