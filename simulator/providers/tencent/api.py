"""Tencent Cloud SMS (2021-01-11): SendSms, PullSmsSendStatus, PullSmsSendStatusByPhoneNumber, SmsPackagesStatistics.

Source of every rule: the project's contract sheet for this provider; see README.md for what is not confirmed.
"""

import hmac
import json
import time
import uuid
from collections import deque
from collections.abc import Sequence
from typing import Any

from simulator.outside import Answer, Arrival, Call, Outside, Submission
from simulator.posting import Poster
from simulator.provider import Message, Provider, Shown
from simulator.providers.tencent import rules
from simulator.providers.tencent.reports import (
    REPORTS_PER_POST,
    callback,
    callback_row,
    pulled_row,
    reply,
    split_number,
)
from simulator.providers.tencent.rules import App, Frequency, Refusal, Text
from simulator.providers.tencent.signature import parse_authorization, sign, utc_day

VERSION = "2021-01-11"
CLOCK_TOLERANCE = 300
SECRET_ID = "AKIDtestsecretid000000000000000000"
SECRET_KEY = "testsecretkey000000000000000000"
APP_ID = "1400000001"
APPROVED: dict[str, Any] = {
    "signs": ("测试签名", "优选银行"),
    "templates": {
        "100001": {"text": "您的验证码为{1}，请于{2}分钟内填写。", "type": "code"},
        "100002": "尊敬的{1}，您的账户余额为{2}元。回T退订",
        "100003": {"text": "{1}，新品上市。拒收请回复R", "type": "marketing"},
    },
}
WEEK = 7 * 86400
QUEUED = 100_000
SEND = "SendSms"
BY_NUMBER = "PullSmsSendStatusByPhoneNumber"


class Tencent(Provider):
    """The SMS provider."""

    name = "tencent"
    content_type = "application/json"  # exactly: the official client looks for refusals under no other type
    channels = {"sms": "sms"}
    settings = {
        "frequency_limits": False,
        "marketing_hours": False,
        "ext_in_callback": False,
        "pull_enabled": True,
        "per_second": {SEND: 3000, "PullSmsSendStatus": 100, BY_NUMBER: 20, "SmsPackagesStatistics": 20},
    }
    habits = {"empty": 0.0, "blacklisted": 0.0}
    believable = {"marketing_hours": True, "world": {"empty": 0.02, "blacklisted": 0.01}}
    operations = ("send", "query", "poll")
    default_refusal = "UnauthorizedOperation.ServiceSuspendDueToArrears"

    def __init__(self, outside: Outside, post: Poster) -> None:
        super().__init__(outside, post)
        self.secrets = {SECRET_ID: SECRET_KEY}
        self.apps: dict[tuple[str, str], App] = {}
        self._queues: dict[str, deque[Arrival]] = {}
        self._frequency = Frequency()
        self._second: dict[str, list[int]] = {}
        self._approve({"account": SECRET_ID, "app": APP_ID, **APPROVED})

    # --- control and pages

    def control(self, document: dict[str, Any]) -> None:
        """Take {"account", "secret", "app", "signs", "templates"} and the switches."""
        names = ("account", "secret", "app", "signs", "templates")
        if approvals := {name: document.pop(name) for name in names if name in document}:
            self._approve(approvals)
        super().control(document)

    def _approve(self, document: dict[str, Any]) -> None:
        account = document.get("account", SECRET_ID)
        self.secrets[account] = document.get("secret", self.secrets.get(account, SECRET_KEY))
        self.apps.setdefault((account, document.get("app", APP_ID)), App()).approve(document)

    def show(self, arrival: Arrival, language: str) -> Shown:
        """Show the text under its signature."""
        text: Text = arrival.content
        return Shown(sender=text.sign, text=f"【{text.sign}】{text.text}" if text.sign else text.text)

    def wants(self, call: Call) -> bool:
        """Everything is on the root; the action stands in a header."""
        return call.path == "/" and "x-tc-action" in call.headers

    # --- receipts

    def receipt(self, arrival: Arrival) -> None:
        """Plan the callback of one message, and put it into the queue that PullSmsSendStatus empties."""
        self._queues.setdefault(arrival.account, deque(maxlen=QUEUED)).append(arrival)
        self._tell(arrival.account, lambda moment: self._row(arrival, moment), arrival.fate.at,
                   (arrival.address, arrival.pid))  # fmt: skip

    def _row(self, arrival: Arrival, moment: float) -> dict[str, Any]:
        return callback_row(arrival, moment, self.switches["ext_in_callback"])

    def made_up(self, report: dict[str, Any]) -> None:
        """Tell any report at once."""
        self._tell(APP_ID, lambda moment: report, 0.0, ())

    def act(self, operation: str, document: dict[str, Any]) -> Any:
        """``reply`` {phone, text, account?, extension?, at?}: somebody answers; told as a document of its own."""
        if operation != "reply":
            return super().act(operation, document)
        country, number = split_number(str(document["phone"]))
        said = {
            "extend": str(document.get("extension", "")),
            "mobile": number,
            "nationcode": country,
            "sign": "",
            "text": str(document["text"]),
            "time": int(document.get("at") or time.time()),
        }
        if url := self.post.url(self.name, str(document.get("account", APP_ID))):
            self.post.later(reply(url, said), 0.0)
        return said

    def _tell(self, account: str, item: Any, due: float, about: Sequence[str]) -> None:
        if url := self.post.url(self.name, account):
            self.post.gather(f"{self.name} {url}", item, due, REPORTS_PER_POST, lambda rows: callback(url, rows), about)

    # --- answers

    def refusal(self, code: str) -> Answer:
        """Refuse the whole call; HTTP 200 like every answer."""
        return self._answer({"Error": {"Code": code, "Message": code}}, code)

    def throttled(self, seconds: str | None) -> Answer:
        """Answer that too many calls came in this second."""
        return self.refusal("RequestLimitExceeded")

    def internal_error(self) -> Answer:
        """Answer that the provider failed, which says nothing about acceptance."""
        return self.refusal("InternalError.Timeout")

    def _answer(self, document: dict[str, Any], code: str = "") -> Answer:
        whole = {"Response": document | {"RequestId": str(uuid.uuid4())}}
        return Answer(200, json.dumps(whole, ensure_ascii=False).encode(), code)

    # --- reading

    def read(self, call: Call) -> Submission | Answer:
        """Authenticate and check a request; return it ready to be accepted, or the refusal."""
        try:
            return self._read(call)
        except Refusal as refusal:
            return self._answer({"Error": {"Code": refusal.code, "Message": refusal.message}}, refusal.code)

    def _read(self, call: Call) -> Submission:
        account = self._verify(call)
        if call.headers.get("x-tc-version") != VERSION:
            raise Refusal("NoSuchVersion")
        action = call.headers["x-tc-action"]
        operation = {
            SEND: self._send,
            BY_NUMBER: self._pull_by_number,
            "PullSmsSendStatus": self._pull,
            "SmsPackagesStatistics": self._statistics,
        }.get(action)
        if operation is None:
            raise Refusal("InvalidAction", f"The request action={action} is invalid.")
        self._count(action, call.now)
        try:
            document = call.json()
        except ValueError:
            raise Refusal("InvalidParameter", "The request is not valid JSON.") from None
        return operation(account, document, call.now)

    def _verify(self, call: Call) -> str:
        """Check the signature over the Host header as it came; return the SecretId."""
        given = parse_authorization(call.headers.get("authorization", ""))
        if call.method != "POST" or not call.headers.get("content-type", "").startswith("application/json"):
            raise Refusal("UnsupportedProtocol")
        if given is None or not {"content-type", "host"} <= set(given.signed):
            raise Refusal("AuthFailure.InvalidAuthorization")
        secret = self.secrets.get(given.secret_id)
        if secret is None:
            raise Refusal("AuthFailure.SecretIdNotFound")
        stamp = call.headers.get("x-tc-timestamp", "")
        if not stamp.isdecimal():
            raise Refusal("MissingParameter", "X-TC-Timestamp")
        if abs(call.now - int(stamp)) > CLOCK_TOLERANCE:
            raise Refusal("AuthFailure.SignatureExpire")
        expected = sign(secret, given.service, int(stamp), call.headers, given.signed, call.body, call.query)
        right = (utc_day(int(stamp)), "sms") == (given.day, given.service)
        if not right or not hmac.compare_digest(expected, given.signature):
            raise Refusal("AuthFailure.SignatureFailure")
        if not call.headers.get("x-tc-region"):
            raise Refusal("MissingParameter", "X-TC-Region")
        return given.secret_id

    def _count(self, action: str, now: float) -> None:
        state = self._second.setdefault(action, [0, 0])
        if state[0] != int(now):
            state[:] = [int(now), 0]
        state[1] += 1
        if state[1] > self.switches["per_second"][action]:
            raise Refusal("RequestLimitExceeded")

    def _app(self, account: str, document: dict[str, Any]) -> App:
        app = self.apps.get((account, document["SmsSdkAppId"]))
        if app is None:
            raise Refusal("UnauthorizedOperation.SmsSdkAppIdVerifyFail")
        return app

    # --- operations

    def _send(self, account: str, given: Any, now: float) -> Submission:
        document = rules.fields(given, rules.SEND_FIELDS)
        app = self._app(account, document)
        phones = rules.numbers(document)
        text = rules.compose(app, document, abroad=not phones[0].startswith("+86"))
        if self.switches["marketing_hours"]:
            rules.check_hours(text, now)
        context = document.get("SessionContext", "")

        def accept(returned: bool) -> Answer:
            statuses = [self._one(document["SmsSdkAppId"], phone, text, context, now, returned) for phone in phones]
            return self._answer({"SendStatusSet": statuses})

        return Submission(self.name, "send", [rules.place_of(phone) for phone in phones], accept)

    def _one(self, app: str, phone: str, text: Text, context: str, now: float, returned: bool) -> dict[str, Any]:
        """Take one number's message, or say why not; each number has a status and a serial number of its own."""
        place = rules.place_of(phone)
        code = "" if rules.valid(phone) else "InvalidParameterValue.IncorrectPhoneNumber"
        if not code and self.outside.state("sms", place) in ("unsubscribed", "stopped"):
            code = "FailedOperation.PhoneNumberInBlacklist"
        if not code and self.switches["frequency_limits"]:
            code = self._frequency.refused(place, now)
        row = {"SerialNo": "", "PhoneNumber": phone, "Fee": 0, "SessionContext": context, "Code": code,
               "Message": code, "IsoCode": "CN" if phone.startswith("+86") else ""}  # fmt: skip
        if code:
            self.outside.counts[self.name].refused[code] += 1
            return row
        pid = f"5000:{self.outside.new_pid()}"
        self._frequency.count(place, now)
        self.take("sms", app, context, pid, [Message(place, context, text, f"【{text.sign}】{text.text}")], returned)
        return row | {"SerialNo": pid, "Fee": text.fee, "Code": "Ok", "Message": "send success"}

    def _pull_by_number(self, account: str, given: Any, now: float) -> Submission:
        document = rules.fields(given, rules.PULL_FIELDS)
        self._app(account, document)
        begin, end = document["BeginTime"], document.get("EndTime", int(now))
        if document["Offset"] != 0:
            raise Refusal("InvalidParameterValue.OffsetVerifyFail")
        if not 1 <= document["Limit"] <= 100:
            raise Refusal("InvalidParameterValue.LimitVerifyFail")
        if begin < now - WEEK or begin > now:
            raise Refusal("InvalidParameterValue.BeginTimeVerifyFail")
        if end < begin:
            raise Refusal("InvalidParameterValue.EndTimeVerifyFail")
        place = rules.place_of(document["PhoneNumber"])

        def answer(returned: bool) -> Answer:
            found = [
                one
                for one in self.outside.arrived("sms", place)
                if one.provider == self.name and one.account == document["SmsSdkAppId"]
                and begin <= int(one.at) <= end and one.fate.at <= now
            ]  # fmt: skip
            rows = [pulled_row(one) for one in found[: document["Limit"]]]
            return self._answer({"PullSmsSendStatusSet": rows if self.switches["pull_enabled"] else []})

        return Submission(self.name, "query", [place], answer)

    def _pull(self, account: str, given: Any, now: float) -> Submission:
        """Empty the queue of finished messages; each is returned once."""
        document = rules.fields(given, rules.QUEUE_FIELDS)
        self._app(account, document)
        if not self.switches["pull_enabled"]:
            raise Refusal("UnauthorizedOperation.RequestPermissionDeny")
        if not 1 <= document["Limit"] <= 100:
            raise Refusal("InvalidParameterValue.LimitVerifyFail")

        def answer(returned: bool) -> Answer:
            queue = self._queues.setdefault(document["SmsSdkAppId"], deque())
            told = [one for one in queue if one.fate.at <= now][: document["Limit"]]
            for one in told:
                queue.remove(one)
            return self._answer({"PullSmsSendStatusSet": [pulled_row(one) for one in told]})

        return Submission(self.name, "poll", [], answer)

    def _statistics(self, account: str, given: Any, now: float) -> Submission:
        self._app(account, rules.fields(given, rules.STATISTICS_FIELDS))
        return Submission(self.name, "query", [], lambda returned: self._answer({"SmsPackagesStatisticsSet": []}))
