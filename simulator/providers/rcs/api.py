"""5G messages over the platform of China Telecom and China Unicom (MaaP northbound V1.0.4): token, messages, revoke.

Source of every rule: the project's contract sheet; see README.md beside this for what is unconfirmed.
"""

import re
from collections import Counter
from collections.abc import Awaitable
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import unquote

from simulator.outside import Answer, Arrival, Call, Outside, Submission
from simulator.posting import Poster
from simulator.provider import Message, Provider, Shown, answer_json
from simulator.providers.rcs.callbacks import Callbacks, wanted
from simulator.providers.rcs.rules import Chatbot, Note, RcsError, note_of, phone_of
from simulator.tokens import TokenDesk
from simulator.world import Fate

BOT = "106500000001"
SENDER = "sip:106500000001@botplatform.rcs.example.cn"
DEFAULT = Chatbot("app0001", "AppKey-000000000001", SENDER, "callback-token-1", "优选银行")
PATH = re.compile(r"/bot/v1/([^/]+)/(accessToken|messages|revoke)")
TOKEN_LIFE_S, DAY_S = 7200, 86400
AS_SMS = frozenset(("unsupported", "offline"))


class Rcs(Provider):
    """The platform of 5G messages."""

    name = "rcs"
    channels = {"rcs": "rcs"}
    settings = {
        "per_second": 100_000,
        "daily": 100_000_000,
        "tokens_daily": 2000,
        "expired_code": "42001",
        "same_id_once": False,
        "form_callbacks": False,
    }
    habits = {"unsupported": 0.0, "offline": 0.0, "empty": 0.0, "refused": 0.0, "read": 0.0}
    believable = {"world": {"unsupported": 0.25, "offline": 0.03, "empty": 0.01, "refused": 0.005, "read": 0.5}}
    operations = ("send", "token", "recall")
    default_refusal = "60001"
    token_error = "42001"

    def __init__(self, outside: Outside, post: Poster) -> None:
        super().__init__(outside, post)
        self.tokens: TokenDesk = TokenDesk(TOKEN_LIFE_S, 0, same_while_valid=False)
        self.bots = {BOT: DEFAULT}
        self.callbacks = Callbacks(post, self.bots)
        self._counts: Counter[tuple[str, str, int]] = Counter()

    # --- control, people and pages

    def control(self, document: dict[str, Any]) -> None:
        """Take chatbots {id: {"app_id", "app_key", "sender", "token", "name"}}."""
        for bot, held in document.pop("bots", {}).items():
            self.bots[bot] = Chatbot(**held)
        super().control(document)

    def act(self, operation: str, document: dict[str, Any]) -> dict[str, Any] | Awaitable[dict[str, Any]]:
        """Do ``read`` {"phone"}, ``write`` {"phone", "text"} or ``verify``, each with "account" (a chatbot id) or the first."""
        bot = str(document.get("account", BOT))
        if operation == "verify":
            return self.callbacks.verify(bot)
        if operation == "write":
            self.callbacks.write(bot, str(document["phone"]), str(document["text"]))
            return {"written": True}
        if operation == "read":
            arrival = self.outside.find("rcs", str(document["phone"]))
            if arrival is not None:
                arrival.read_at = max(arrival.at, arrival.fate.at)
                self._tell(arrival, "displayed", arrival.read_at)
            return {"read": arrival is not None}
        return super().act(operation, document)

    def places(self, person: dict[str, Any]) -> list[tuple[str, str]]:
        """The phone number, mainland with 11 digits, others without plus sign."""
        phone = str(person.get("phone") or "").removeprefix("+86").removeprefix("+")
        return [("rcs", phone)] if phone else []

    def show(self, arrival: Arrival, language: str) -> Shown:
        """Show a card, or the short message that stands in for it."""
        note: Note = arrival.content
        if self._went_as_sms(arrival):
            said = "以短信发送" if language == "zh" else "sent as a short message"
            return Shown(text=note.sms, sender=note.bot, detail=said, words={arrival.fate.word: said})
        label, link = next(((one, link) for one, link in note.buttons if link.startswith("http")), ("", ""))
        others = [one for one, _ in note.buttons if one != label]
        detail = " · ".join(others)
        return Shown(note.title, note.text, note.bot, button=label, link=link, detail=detail)

    # --- answers that are not acceptances

    def wants(self, call: Call) -> bool:
        """Everything below /bot/."""
        return call.path.startswith("/bot/")

    def refusal(self, code: str) -> Answer:
        """Answer with an error number; the status is always 200."""
        return answer_json(200, {"errorCode": int(code), "errorMessage": f"error {code}"}, code)

    def throttled(self, seconds: str | None) -> Answer:
        """Answer 30003, which names no time."""
        return self.refusal("30003")

    def internal_error(self) -> Answer:
        """Answer HTTP 500, which says nothing about acceptance."""
        return answer_json(500, {"errorCode": -2, "errorMessage": "system error"}, "-2")

    # --- reading

    def read(self, call: Call) -> Submission | Answer:
        """Authenticate and check a request."""
        try:
            return self._read(call)
        except RcsError as error:
            return answer_json(200, {"errorCode": error.code, "errorMessage": error.words}, str(error.code))

    def _read(self, call: Call) -> Submission:
        found = PATH.fullmatch(unquote(call.path))
        if found is None or call.method != "POST":
            raise RcsError(20003, "no such interface")
        bot, operation = found[1], found[2]
        body = self._body(call)
        if operation == "accessToken":
            return self._token(bot, call, body)
        self._authenticate(bot, call)
        return self._send(bot, call, body) if operation == "messages" else self._revoke(bot, call, body)

    def _body(self, call: Call) -> dict[str, Any]:
        kinds = [call.headers.get(name, "").partition(";")[0] for name in ("content-type", "accept")]
        if kinds != ["application/json"] * 2:
            raise RcsError(20003, "content-type and accept are application/json")
        try:
            parsedate_to_datetime(call.headers.get("date", ""))
        except ValueError:
            raise RcsError(20003, "date is missing or not valid") from None
        try:
            body = call.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise RcsError(47001, "the body cannot be read")
        return body

    def _token(self, bot: str, call: Call, body: dict[str, Any]) -> Submission:
        for name, code in (("appId", 41002), ("appKey", 41004)):
            if not body.get(name):
                raise RcsError(code, f"{name} is missing")
        held = self.bots.get(bot)
        if held is None or body["appId"] != held.app_id or body["appKey"] != held.app_key:
            raise RcsError(40001, "appKey is wrong")
        if self._over("token", bot, int(call.now) // DAY_S, self.switches["tokens_daily"]):
            raise RcsError(45001, "too many tokens today")

        def accept(returned: bool) -> Answer:
            token, left = self.tokens.issue(bot, call.now)
            url = f"http://{call.headers.get('host', '')}"
            return answer_json(200, {"accessToken": token, "expires": int(left), "url": url, "errorCode": 0})

        return Submission(self.name, "token", [], accept)

    def _authenticate(self, bot: str, call: Call) -> None:
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        account, why = self.tokens.check(token if scheme == "accessToken" else "", call.now)
        codes = {"missing": 41001, "unknown": 40014, "expired": int(self.switches["expired_code"])}
        if why or account != bot:
            raise RcsError(codes.get(why, 40014), f"accessToken {why or 'of another chatbot'}")

    def _over(self, what: str, bot: str, window: int, most: int) -> bool:
        """Count one call and tell whether its window had its share already."""
        self._counts[what, bot, window] += 1
        return self._counts[what, bot, window] > most

    # --- messages

    def _send(self, bot: str, call: Call, body: dict[str, Any]) -> Submission:
        if self._over("second", bot, int(call.now), self.switches["per_second"]):
            raise RcsError(30003, "too many messages in a second")
        note, phone = note_of(body, self.bots[bot]), phone_of(body)
        if self._over("day", bot, int(call.now) // DAY_S, self.switches["daily"]):
            raise RcsError(30001, "too many messages today")
        if self.outside.state("rcs", phone) == "unknown":
            raise RcsError(46001, "no such user")
        given = {name: body[name] for name in ("messageId", "conversationId", "contributionId")}

        def accept(returned: bool) -> Answer:
            message = Message(phone, body["contributionId"], note)
            key = given["messageId"]
            if self.switches["same_id_once"] and self.outside.find("rcs", phone, key) is not None:
                self.outside.record(self.name, bot, key, key, [message.entry()], returned, "dedup")
            else:
                self.take("rcs", bot, key, key, [message], returned)
            return answer_json(200, given | {"errorCode": 0, "errorMessage": "success"})

        return Submission(self.name, "send", [phone], accept)

    def fate(self, channel: str, address: str, pid: str, now: float) -> Fate:
        """Who reads is decided apart: it is no way for a message to end."""
        habits = self.outside.world.rates(self.name)
        shares = {word: share for word, share in habits.items() if word != "read"}
        return self.outside.world.fate(channel, address, pid, now, shares)

    def _went_as_sms(self, arrival: Arrival) -> bool:
        """A phone without 5G messages, or one that is off and not waited for, gets the short message."""
        note: Note = arrival.content
        waited_for = arrival.fate.word == "offline" and note.stored
        return bool(note.sms) and arrival.fate.word in AS_SMS and not waited_for

    def receipt(self, arrival: Arrival) -> None:
        """Plan the states that the sender asked for."""
        note: Note = arrival.content
        word, at = arrival.fate
        self._tell(arrival, "sent", arrival.at)
        if self._went_as_sms(arrival):
            self._tell(arrival, "deliveredToNetwork", at)
        elif word in ("delivered", "read"):
            self._tell(arrival, "delivered", at)
            share = self.outside.world.rates(self.name)["read"]
            if word == "read" or self.outside.world.lot("rcs reads", arrival.address, {"read": share}) == "read":
                arrival.read_at = at + 0.2
                self._tell(arrival, "displayed", arrival.read_at)
        elif not (word == "offline" and note.stored):
            self._tell(arrival, "failed", at)

    def _tell(self, arrival: Arrival, status: str, due: float) -> None:
        if wanted(arrival.content, status):
            self.callbacks.tell(arrival, status, due, self.switches["form_callbacks"])

    def _revoke(self, bot: str, call: Call, body: dict[str, Any]) -> Submission:
        phone = phone_of(body)
        arrival = self.outside.find("rcs", phone, str(body.get("messageId") or "none"))
        if body.get("status") != "RevokeRequested" or arrival is None or arrival.account != bot:
            raise RcsError(20002, "no such message to be recalled")

        def accept(returned: bool) -> Answer:
            there = self._went_as_sms(arrival) or arrival.fate.reached(call.now) or arrival.fate.word == "failed"
            arrival.recalled = not there
            self._tell(arrival, "revokeFail" if there else "revokeOk", call.now)
            return answer_json(200, {"messageId": arrival.pid, "errorCode": 0, "errorMessage": "success"})

        return Submission(self.name, "recall", [phone], accept)
