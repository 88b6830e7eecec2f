"""Alibaba Cloud SMS (dysmsapi 2017-05-25): SendSms, SendBatchSms, QuerySendDetails on ``/``.

Source of every rule: the project's contract sheet for this provider; codes marked there as [K] are not confirmed.
"""

import hashlib
import hmac
import json
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from simulator.clock import BEIJING, beijing_time
from simulator.outside import Answer, Arrival, Call, Outside, Submission
from simulator.posting import Parcel, Poster
from simulator.provider import Message, Provider, Shown
from simulator.providers.aliyun import signature
from simulator.providers.aliyun.reports import REPORTS_PER_POST, final_receipt, report_parcel, sms_report
from simulator.providers.aliyun.rules import (
    AliyunAccount,
    Frequency,
    Refusal,
    Text,
    compose,
    normal_number,
    read_parameters,
)

VERSION = "2017-05-25"
CLOCK_TOLERANCE = 15 * 60
HOST_ID = "dysmsapi.aliyuncs.com"
ACCESS_KEY = "LTAI5tTestKey0000001"
ACCESS_SECRET = "TestSecret0000000000000000000001"
APPROVALS = ("signs", "templates", "account", "secret")
APPROVED: dict[str, Any] = {
    "signs": ("测试签名", "优选银行"),
    "templates": {
        "SMS_100000001": {"text": "您的验证码为${code}，请勿告知他人。", "type": "code"},
        "SMS_100000002": "尊敬的${name}，您的账户余额为${balance}元。回T退订",
    },
}


def answer_json(status: int, document: dict[str, Any]) -> Answer:
    """Return a JSON answer whose code is empty exactly for ``"Code": "OK"``."""
    code = str(document.get("Code", ""))
    return Answer(status, json.dumps(document, ensure_ascii=False).encode(), "" if code == "OK" else code)


class Aliyun(Provider):
    """The SMS provider."""

    name = "aliyun"
    channels = {"sms": "sms"}
    settings = {"frequency_limits": False}
    habits = {"empty": 0.0, "blacklisted": 0.0}
    believable = {"frequency_limits": True, "world": {"empty": 0.02, "blacklisted": 0.01}}
    default_refusal = "isv.OUT_OF_SERVICE"

    def __init__(self, outside: Outside, post: Poster) -> None:
        super().__init__(outside, post)
        self.accounts: dict[str, AliyunAccount] = {}
        self._nonces: set[tuple[str, str]] = set()
        self._nonce_order: deque[tuple[float, tuple[str, str]]] = deque()
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

    def receipt(self, arrival: Arrival) -> None:
        """Plan the report of one accepted short message."""
        if self.post.url(self.name, arrival.account):
            self._tell(
                arrival.account,
                lambda moment: sms_report(arrival, moment),
                arrival.fate.at,
                (arrival.address, arrival.pid),
            )

    def made_up(self, report: dict[str, Any]) -> None:
        """Tell any report at once."""
        self._tell(ACCESS_KEY, lambda moment: report, 0.0, ())

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
        if "authorization" in call.headers:
            key, action, version = self._verify_v3(call, query)
        else:
            key, action, version = self._verify_v1(call, parameters)
        if version != VERSION:
            raise Refusal("InvalidVersion", "Specified parameter Version is not valid.", 400)
        operation = {"SendSms": self._send, "SendBatchSms": self._send_batch, "QuerySendDetails": self._query}.get(
            action
        )
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

    # --- signatures

    def _verify_v3(self, call: Call, query: list[tuple[str, str]]) -> tuple[str, str, str]:
        """Check the V3 signature with the header list as sent; return (key, action, version)."""
        headers = call.headers
        given = signature.parse_authorization(headers["authorization"])
        if given is None:
            raise Refusal("IncompleteSignature", "The request signature does not conform to Aliyun standards.", 400)
        account = self._account(given.key)
        self._check_time(headers.get("x-acs-date", ""), call.now)
        body_hash = hashlib.sha256(call.body).hexdigest() if call.body else signature.EMPTY_HASH
        request = signature.canonical_request(call.method, "/", query, headers, given.signed_headers, body_hash)
        good = hmac.compare_digest(signature.sign_v3(account.secret, request), given.signature)
        if not good or headers.get("x-acs-content-sha256") != body_hash:
            raise Refusal("SignatureDoesNotMatch", "Specified signature is not matched with our calculation.", 400)
        if missing := signature.unsigned_headers(headers, given.signed_headers):
            raise Refusal("IncompleteSignature", f"Headers not signed: {','.join(missing)}", 400)
        self._use_nonce(given.key, headers.get("x-acs-signature-nonce", ""), call.now)
        return given.key, headers.get("x-acs-action", ""), headers.get("x-acs-version", "")

    def _verify_v1(self, call: Call, parameters: dict[str, str]) -> tuple[str, str, str]:
        """Check the legacy signature over all parameters; return (key, action, version)."""
        if "Signature" not in parameters or "AccessKeyId" not in parameters:
            raise Refusal("MissingAccessKeyId", "AccessKeyId is mandatory for this action.", 400)
        account = self._account(parameters["AccessKeyId"])
        self._check_time(parameters.get("Timestamp", ""), call.now)
        method = (parameters.get("SignatureMethod"), parameters.get("SignatureVersion"))
        expected = signature.sign_v1(account.secret, call.method, parameters)
        if method != ("HMAC-SHA1", "1.0") or not hmac.compare_digest(expected, parameters["Signature"]):
            raise Refusal("SignatureDoesNotMatch", "Specified signature is not matched with our calculation.", 400)
        self._use_nonce(parameters["AccessKeyId"], parameters.get("SignatureNonce", ""), call.now)
        return parameters["AccessKeyId"], parameters.get("Action", ""), parameters.get("Version", "")

    def _account(self, key: str) -> AliyunAccount:
        account = self.accounts.get(key)
        if account is None:
            raise Refusal("InvalidAccessKeyId.NotFound", "Specified access key is not found.", 404)
        return account

    def _check_time(self, text: str, now: float) -> None:
        moment = signature.parse_time(text)
        if moment is None:
            raise Refusal("InvalidTimeStamp.Format", "Specified time stamp or date value is not well formatted.", 400)
        if abs(now - moment) > CLOCK_TOLERANCE:
            raise Refusal("InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.", 400)

    def _use_nonce(self, key: str, nonce: str, now: float) -> None:
        """Remember a nonce as long as its time stamp could still be accepted."""
        while self._nonce_order and self._nonce_order[0][0] < now - 2 * CLOCK_TOLERANCE:
            self._nonces.discard(self._nonce_order.popleft()[1])
        if not nonce or (key, nonce) in self._nonces:
            raise Refusal("SignatureNonceUsed", "Specified signature nonce was used already.", 400)
        self._nonces.add((key, nonce))
        self._nonce_order.append((now, (key, nonce)))

    # --- operations

    def _send(self, key: str, parameters: dict[str, str], now: float) -> Submission:
        phones = _required(parameters, "PhoneNumbers").split(",")
        if len(phones) > 1000:
            raise Refusal("isv.MOBILE_COUNT_OVER_LIMIT", "手机号码数量超过限制")
        sign, code = _required(parameters, "SignName"), _required(parameters, "TemplateCode")
        values = read_parameters(_json(parameters["TemplateParam"])) if parameters.get("TemplateParam") else {}
        account = self.accounts[key]
        first = compose(account, normal_number(phones[0]), sign, code, values)
        texts = [first, *(first._replace(phone=normal_number(phone)) for phone in phones[1:])]
        return self._submission(key, texts, parameters, now)

    def _send_batch(self, key: str, parameters: dict[str, str], now: float) -> Submission:
        names = ("PhoneNumberJson", "SignNameJson", "TemplateParamJson")
        phones, signs, values = (_json(_required(parameters, name)) for name in names)
        code = _required(parameters, "TemplateCode")
        if not all(isinstance(column, list) and column for column in (phones, signs, values)):
            raise Refusal("isv.INVALID_JSON_PARAM", "JSON参数不合法,只接受字符串值")
        if len(phones) > 100:
            raise Refusal("isv.MOBILE_COUNT_OVER_LIMIT", "手机号码数量超过限制")
        if not len(phones) == len(signs) == len(values):
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
        return answer_json(200, {"Code": "OK", "Message": "OK", "BizId": pid, "RequestId": str(uuid.uuid4()).upper()})

    def _query(self, key: str, parameters: dict[str, str], now: float) -> Submission:
        phone, day = normal_number(_required(parameters, "PhoneNumber")), _required(parameters, "SendDate")
        size, page = _whole(parameters, "PageSize", 50), _whole(parameters, "CurrentPage", 1_000_000)
        if not _recent_day(day, now):
            raise Refusal("isv.INVALID_PARAMETERS", "SendDate不合法")
        biz_id = parameters.get("BizId", "")

        def answer(returned: bool) -> Answer:
            found = [
                arrival
                for arrival in reversed(self.outside.arrived("sms", phone))
                if arrival.account == key
                and beijing_time(arrival.at)[:10].replace("-", "") == day
                and biz_id in ("", arrival.pid)
            ]
            rows = [send_detail(arrival, now) for arrival in found[(page - 1) * size : page * size]]
            document = {
                "Code": "OK",
                "Message": "OK",
                "TotalCount": str(len(found)),
                "RequestId": str(uuid.uuid4()).upper(),
            }
            return answer_json(200, document | {"SmsSendDetailDTOs": {"SmsSendDetailDTO": rows}})

        return Submission(self.name, "query", [phone], answer)


def _required(parameters: dict[str, str], name: str) -> str:
    if not parameters.get(name):
        raise Refusal("isv.INVALID_PARAMETERS", f"参数缺失: {name}")
    return parameters[name]


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise Refusal("isv.INVALID_JSON_PARAM", "JSON参数不合法,只接受字符串值") from None


def _whole(parameters: dict[str, str], name: str, most: int) -> int:
    text = _required(parameters, name)
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
