"""Alibaba Cloud messaging (dysmsapi 2017-05-25): SendSms, SendBatchSms, QuerySendDetails, templates and SendRCS on ``/``.

Source of every rule: the project's contract sheet for this provider; codes marked there as [K] are not confirmed.
"""

import json
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from simulator.clock import BEIJING, beijing_time
from simulator.outside import Answer, Arrival, Call, Outside, Submission
from simulator.posting import Parcel, Poster
from simulator.provider import Message, Provider, Shown
from simulator.providers.aliyun.gate import Gate
from simulator.providers.aliyun.rcs import FiveG
from simulator.providers.aliyun.reports import REPORTS_PER_POST, final_receipt, report_parcel, sms_report
from simulator.providers.aliyun.rules import (
    AliyunAccount,
    Frequency,
    Refusal,
    Text,
    compose,
    normal_number,
    read_json,
    read_parameters,
    required,
)
from simulator.world import Fate

VERSION = "2017-05-25"
HOST_ID = "dysmsapi.aliyuncs.com"
ACCESS_KEY = "LTAI5tTestKey0000001"
ACCESS_SECRET = "TestSecret0000000000000000000001"
APPROVALS = ("signs", "templates", "account", "secret")
APPROVED: dict[str, Any] = {
    "signs": ("测试签名", "优选银行"),
    "templates": {
        "SMS_100000001": {"text": "您的验证码为${code}，请勿告知他人。", "type": "code"},
        "SMS_100000002": "尊敬的${name}，您的账户余额为${balance}元。回T退订",
        "RCS_SMS_100000001": {"text": "尊敬的${name}，您的账户余额为${balance}元。", "type": "rcs"},
    },
}


def answer_json(status: int, document: dict[str, Any]) -> Answer:
    """Return a JSON answer whose code is empty exactly for ``"Code": "OK"``."""
    code = str(document.get("Code", ""))
    return Answer(status, json.dumps(document, ensure_ascii=False).encode(), "" if code == "OK" else code)


class Aliyun(Provider):
    """The provider of short messages, and of 5G messages beside them."""

    name = "aliyun"
    channels = {"sms": "sms", "rcs": "rcs"}
    settings = {"frequency_limits": False, "rcs_falls_back": True}
    habits = {"empty": 0.0, "blacklisted": 0.0, "unsupported": 0.0}
    believable = {"frequency_limits": True, "world": {"empty": 0.02, "blacklisted": 0.01, "unsupported": 0.3}}
    default_refusal = "isv.OUT_OF_SERVICE"

    def __init__(self, outside: Outside, post: Poster) -> None:
        super().__init__(outside, post)
        self.accounts: dict[str, AliyunAccount] = {}
        self._gate = Gate(self.accounts)
        self._rcs = FiveG(self)
        self._frequency = Frequency()
        self._approve(APPROVED)

    # --- control and pages

    def control(self, document: dict[str, Any]) -> None:
        """Take accounts, signatures and templates, and the switches."""
        if approvals := {name: document.pop(name) for name in APPROVALS if name in document}:
            self._approve(approvals)
        super().control(document)

    def _approve(self, document: dict[str, Any]) -> None:
        key = document.get("account", ACCESS_KEY)
        account = self.accounts.setdefault(key, AliyunAccount(ACCESS_SECRET))
        account.secret = document.get("secret", account.secret)
        account.approve(document)

    def places(self, person: dict[str, Any]) -> list[tuple[str, str]]:
        """A mainland number is written with 11 digits, others without the plus sign."""
        phone = str(person.get("phone") or "").removeprefix("+86").removeprefix("+")
        return [("sms", phone)] if phone else []

    def show(self, arrival: Arrival, language: str) -> Shown:
        """Show the text under its signature."""
        text: Text = arrival.content
        return Shown(sender=text.sign, text=f"【{text.sign}】{text.text}")

    def fate(self, channel: str, address: str, pid: str, now: float) -> Fate:
        """A number that exists for no carrier gets neither kind of message."""
        habits = self.outside.world.rates(self.name)
        return self.outside.world.fate(
            channel, address, pid, now, {word: habits[word] for word in ("empty", "blacklisted")}
        )

    def receipt(self, arrival: Arrival) -> None:
        """Plan the report of one accepted message; 5G messages have an address for reports of their own."""
        if arrival.content.rcs:
            self._rcs.tell(arrival)
        elif self.post.url(self.name, arrival.account):
            self._tell(
                arrival.account,
                lambda moment: sms_report(arrival, moment),
                arrival.fate.at,
                (arrival.address, arrival.pid),
            )

    def made_up(self, report: dict[str, Any]) -> None:
        """Tell any report at once."""
        self._tell(ACCESS_KEY, lambda moment: report, 0.0, ())

    def act(self, operation: str, document: dict[str, Any]) -> Any:
        """``reply`` {phone, text, account?, extension?, at?}: somebody answers; told as SmsUp, to the address of reports."""
        if operation != "reply":
            return super().act(operation, document)
        said = {
            "phone_number": str(document["phone"]),
            "send_time": beijing_time(float(document.get("at") or time.time())),
            "content": str(document["text"]),
            "sign_name": "",
            "dest_code": "106900001234" + str(document.get("extension", "")),
            "sequence_id": int(document.get("sequence_id") or self.outside.new_pid()),
        }
        self._tell(str(document.get("account", ACCESS_KEY)), lambda moment: said, 0.0, ())
        return said

    def _tell(self, account: str, item: Callable[[float], Any], due: float, about: Sequence[str]) -> None:
        url = self.post.url(self.name, account)

        def make(reports: list[Any]) -> Parcel:
            return report_parcel(url, reports)

        self.post.gather(f"{self.name} {url}", item, due, REPORTS_PER_POST, make, about)

    def wants(self, call: Call) -> bool:
        """Everything is on the root; other providers on the root name their action in a header of their own."""
        return call.path == "/" and "x-tc-action" not in call.headers

    # --- answers that are not acceptances

    def refusal(self, code: str) -> Answer:
        """Answer with a code: gateway words carry a 4xx status, business words (isv., isp.) HTTP 200."""
        status = 200 if code.startswith(("isv.", "isp.")) else 400
        return self._refused(Refusal(code, code, status))

    def throttled(self, seconds: str | None) -> Answer:
        """Answer that the user sends too fast."""
        return self._refused(Refusal("Throttling.User", "Request was denied due to user flow control.", 400))

    def internal_error(self) -> Answer:
        """Answer HTTP 500, which says nothing about acceptance."""
        return self._refused(
            Refusal("InternalError", "The request processing has failed due to some unknown error.", 500)
        )

    def answered(self, document: dict[str, Any]) -> Answer:
        """Answer a success."""
        return answer_json(200, {"Code": "OK", "Message": "OK"} | document)

    def _refused(self, refusal: Refusal) -> Answer:
        document = {"Code": refusal.code, "Message": refusal.message, "RequestId": str(uuid.uuid4()).upper()}
        if refusal.status != 200:
            document["HostId"] = HOST_ID
        return answer_json(refusal.status, document)

    # --- reading

    def read(self, call: Call) -> Submission | Answer:
        """Authenticate and check a request; return it ready to be accepted, or the refusal."""
        try:
            return self._read(call)
        except Refusal as refusal:
            return self._refused(refusal)

    def _read(self, call: Call) -> Submission:
        if call.method not in ("GET", "POST"):
            raise Refusal("UnsupportedHTTPMethod", "This http method is not supported.", 405)
        query = parse_qsl(call.query, keep_blank_values=True)
        form = self._form(call)
        parameters = dict(query + form)
        key, action, version = self._gate.admit(call, query, parameters)
        if version != VERSION:
            raise Refusal("InvalidVersion", "Specified parameter Version is not valid.", 400)
        operation = {
            "SendSms": self._send,
            "SendBatchSms": self._send_batch,
            "QuerySendDetails": self._query,
            "QuerySmsTemplateList": self._templates,
            "SendRCS": self._rcs.send,
        }.get(action)
        if operation is None:
            raise Refusal(
                "InvalidAction.NotFound", "Specified api is not found, please check your url and method.", 404
            )
        return operation(key, parameters, call.now)

    def _form(self, call: Call) -> list[tuple[str, str]]:
        if not call.body or not call.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            return []
        try:
            return parse_qsl(call.body.decode(), keep_blank_values=True)
        except UnicodeDecodeError:
            raise Refusal("isv.INVALID_PARAMETERS", "参数格式不正确") from None

    # --- operations

    def _send(self, key: str, parameters: dict[str, str], now: float) -> Submission:
        phones = required(parameters, "PhoneNumbers").split(",")
        if len(phones) > 1000:
            raise Refusal("isv.MOBILE_COUNT_OVER_LIMIT", "手机号码数量超过限制")
        sign, code = required(parameters, "SignName"), required(parameters, "TemplateCode")
        values = read_parameters(read_json(parameters["TemplateParam"])) if parameters.get("TemplateParam") else {}
        account = self.accounts[key]
        first = compose(account, normal_number(phones[0]), sign, code, values)
        texts = [first, *(first._replace(phone=normal_number(phone)) for phone in phones[1:])]
        return self._submission(key, texts, parameters, now)

    def _send_batch(self, key: str, parameters: dict[str, str], now: float) -> Submission:
        names = ("PhoneNumberJson", "SignNameJson", "TemplateParamJson")
        phones, signs, values = (read_json(required(parameters, name)) for name in names)
        code = required(parameters, "TemplateCode")
        if not all(isinstance(column, list) and column for column in (phones, signs, values)):
            raise Refusal("isv.INVALID_JSON_PARAM", "JSON参数不合法,只接受字符串值")
        if len(phones) > 100:
            raise Refusal("isv.MOBILE_COUNT_OVER_LIMIT", "手机号码数量超过限制")
        extends = read_json(parameters.get("SmsUpExtendCodeJson") or json.dumps([""] * len(phones)))
        if not isinstance(extends, list) or not len(phones) == len(signs) == len(values) == len(extends):
            raise Refusal("isv.INVALID_PARAMETERS", "号码、签名、变量的个数不一致")
        account = self.accounts[key]
        texts = [
            compose(account, normal_number(str(phone)), sign, code, read_parameters(value))
            for phone, sign, value in zip(phones, signs, values, strict=True)
        ]
        return self._submission(key, texts, parameters, now)

    def _submission(self, key: str, texts: list[Text], parameters: dict[str, str], now: float) -> Submission:
        out_id = parameters.get("OutId", "")
        if len(out_id) >= 256:
            raise Refusal("isv.INVALID_PARAMETERS", "OutId超出长度限制")
        if self.switches["frequency_limits"]:
            for text in texts:
                self._frequency.check(text, now)
        addresses = [text.phone for text in texts]
        return Submission(self.name, "send", addresses, lambda returned: self._accept(key, texts, out_id, returned))

    def _accept(self, key: str, texts: Sequence[Text], out_id: str, returned: bool) -> Answer:
        pid = f"{self.outside.new_pid()}^0"
        messages = [Message(text.phone, out_id, text, f"【{text.sign}】{text.text}") for text in texts]
        arrivals = self.take("sms", key, out_id, pid, messages, returned)
        if self.switches["frequency_limits"]:
            for arrival in arrivals:
                self._frequency.count(arrival.content, arrival.at)
        return self.answered({"BizId": pid, "RequestId": str(uuid.uuid4()).upper()})

    def _query(self, key: str, parameters: dict[str, str], now: float) -> Submission:
        phone, day = normal_number(required(parameters, "PhoneNumber")), required(parameters, "SendDate")
        size, page = _whole(parameters, "PageSize", 50), _whole(parameters, "CurrentPage", 1_000_000)
        if not _recent_day(day, now):
            raise Refusal("isv.INVALID_PARAMETERS", "SendDate不合法")
        biz_id = parameters.get("BizId", "")

        def answer(returned: bool) -> Answer:
            found = [
                arrival
                for arrival in reversed(self.outside.arrived("sms", phone))
                if arrival.account == key
                and not arrival.content.rcs
                and beijing_time(arrival.at)[:10].replace("-", "") == day
                and biz_id in ("", arrival.pid)
            ]
            rows = [send_detail(arrival, now) for arrival in found[(page - 1) * size : page * size]]
            document = {"TotalCount": str(len(found)), "RequestId": str(uuid.uuid4()).upper()}
            return self.answered(document | {"SmsSendDetailDTOs": {"SmsSendDetailDTO": rows}})

        return Submission(self.name, "query", [phone], answer)

    def _templates(self, key: str, parameters: dict[str, str], now: float) -> Submission:
        size, page = _whole(parameters, "PageSize", 50), _whole(parameters, "PageIndex", 1_000_000)
        every = [(code, one) for code, one in self.accounts[key].templates.items() if one["type"] != "rcs"]
        rows = [template_row(code, one) for code, one in every[(page - 1) * size : page * size]]
        document = {"TotalCount": len(every), "CurrentPage": page, "PageSize": size, "SmsTemplateList": rows}
        document |= {"RequestId": str(uuid.uuid4()).upper()}
        return Submission(self.name, "query", [], lambda returned: self.answered(document))


def template_row(code: str, template: dict[str, str]) -> dict[str, Any]:
    """Return one row of QuerySmsTemplateList."""
    audit = {"approved": "AUDIT_STATE_PASS", "pending": "AUDIT_STATE_INIT"}.get(
        template["state"], "AUDIT_STATE_NOT_PASS"
    )
    return {
        "TemplateCode": code,
        "TemplateName": template.get("name", code),
        "TemplateContent": template["text"],
        "TemplateType": {"code": 2, "marketing": 1}.get(template["type"], 0),
        "AuditStatus": audit,
        "CreateDate": "2025-01-02 11:04:05",
        "Reason": {},
    }


def _whole(parameters: dict[str, str], name: str, most: int) -> int:
    text = required(parameters, name)
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= most:
        raise Refusal("isv.INVALID_PARAMETERS", f"{name}不合法")
    return int(text)


def _recent_day(day: str, now: float) -> bool:
    """Tell whether the day is one of the last 30 (Beijing)."""
    try:
        start = datetime.strptime(day, "%Y%m%d").replace(tzinfo=BEIJING).timestamp()
    except ValueError:
        return False
    return now - 31 * 86400 < start <= now


def send_detail(arrival: Arrival, now: float) -> dict[str, Any]:
    """Return one row of QuerySendDetails: SendStatus 1 waiting, 2 failed, 3 delivered."""
    text: Text = arrival.content
    row = {
        "PhoneNum": arrival.address,
        "SendStatus": 1,
        "ErrCode": "",
        "TemplateCode": text.template,
        "Content": f"【{text.sign}】{text.text}",
        "SendDate": beijing_time(arrival.at),
        "ReceiveDate": "",
        "OutId": arrival.ref,
    }
    if now >= arrival.fate.at:
        success, code, _ = final_receipt(arrival)
        row |= {"SendStatus": 3 if success else 2, "ErrCode": code, "ReceiveDate": beijing_time(arrival.fate.at)}
    return row
