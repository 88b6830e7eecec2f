"""SMS over Alibaba Cloud (dysmsapi 2017-05-25): SendSms, SmsReport receipts, QuerySendDetails."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from apps.channels.contract import (
    Account,
    Adapter,
    Answer,
    BadReceipt,
    Capabilities,
    ConfigField,
    ContentField,
    Envelope,
    HookRequest,
    HttpAnswer,
    HttpRequest,
    ReceiptEvent,
    Receipts,
)
from apps.channels.outcomes import Accepted, Outcome, Rejected, Throttled, Unknown
from apps.channels.pieces import count_pieces
from apps.channels.providers.sms_aliyun.codes import CODES, STATES
from apps.channels.providers.sms_aliyun.signature import Signer, canonical_query, percent, percent_cached

BEIJING = timezone(timedelta(hours=8))
MAX_PHONES = 1000
MAX_LENGTH = 500  # signature with its 【】 and text together
QUERY_PAGE = 50
BAD_NUMBER_CODES = "MK:0001,INVALID_NUMBER,MOBILE_NOT_ON_SERVICE,MOBILE_IN_BLACK,BLACKLIST"

_params_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def plain_phone(address: str) -> str:
    """Mainland numbers as 11 digits whatever their prefix, others as country code and number without +."""
    if len(address) == 11:
        return address
    digits = address.removeprefix("+").removeprefix("00")
    return digits[2:] if len(digits) == 13 and digits.startswith("861") else digits


class SmsAliyun(Adapter):
    """`nonce` and `clock` are parameters so that a request can be made again byte for byte."""

    kind = "sms_aliyun"
    label = "SMS (Alibaba Cloud)"
    config_fields = (
        ConfigField("access_key_id", "AccessKey ID"),
        ConfigField("access_key_secret", "AccessKey secret", secret=True),
        ConfigField("base_url", "Endpoint", type="url", default="https://dysmsapi.aliyuncs.com"),
        ConfigField(
            "recipients_per_call",
            "Numbers per call",
            type="integer",
            default=1,
            required=False,
            help="1 to 1000 numbers of equal text in one call. One bad number refuses the whole call.",
        ),
        ConfigField("extend_code", "Extension code for replies", required=False),
        ConfigField(
            "receipt_utc_offset",
            "Hours from UTC of the times in receipts",
            type="integer",
            default=8,
            required=False,
        ),
        ConfigField(
            "bad_number_codes",
            "Receipt codes of numbers that do not exist",
            default=BAD_NUMBER_CODES,
            required=False,
            help="Beginnings of codes, divided by commas.",
        ),
    )
    content_fields = (
        ContentField("sign_name", "Signature", literal=True, max_length=30, help="As approved, without 【】."),
        ContentField("template_code", "Template code", literal=True, max_length=40, help="For example SMS_100000001."),
        ContentField("params", "Template variables", required=False, mapping=True),
        ContentField(
            "text",
            "Approved text",
            max_length=MAX_LENGTH,
            multiline=True,
            help="The provider's approved wording; counts pieces and makes the preview, the provider fills its own.",
        ),
    )
    capabilities = Capabilities(
        address_kind="phone",
        recipients_per_call=MAX_PHONES,
        can_query=True,
        echoes_reference=True,
        receipts=Receipts.PUSH,
        price_unit="piece",
    )
    hook_answer = ("application/json", b'{"code":0,"msg":"ok"}')

    def __init__(
        self,
        nonce: Callable[[], str] = lambda: secrets.token_hex(16),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._nonce = nonce
        self._clock = clock
        self._signers: dict[str, tuple[Mapping[str, Any], Signer, str]] = {}

    def check_config(self, config: Mapping[str, Any]) -> dict[str, str]:
        problems = super().check_config(config)
        url = urlsplit(str(config.get("base_url", "")))
        if "base_url" not in problems and (url.scheme not in ("http", "https") or not url.netloc):
            problems["base_url"] = "Endpoint must begin with https:// and name a host."
        if any(c.isspace() for c in str(config.get("access_key_id", ""))):
            problems["access_key_id"] = "AccessKey ID may not hold blanks or line ends."
        if not 1 <= _integer(config.get("recipients_per_call"), 1) <= MAX_PHONES:
            problems["recipients_per_call"] = f"Numbers per call must be from 1 to {MAX_PHONES}."
        if not -12 <= _integer(config.get("receipt_utc_offset"), 8) <= 14:
            problems["receipt_utc_offset"] = "Hours from UTC must be from -12 to 14."
        return problems

    def check_content(self, content: Mapping[str, Any]) -> dict[str, str]:
        problems = super().check_content(content)
        length = len(content.get("sign_name") or "") + 2 + len(content.get("text") or "")
        if "text" not in problems and length > MAX_LENGTH:
            problems["text"] = f"Signature and text have {length} characters, {MAX_LENGTH} are allowed."
        return problems

    def pieces(self, content: Mapping[str, Any]) -> int:
        return count_pieces(content.get("text") or "", content.get("sign_name") or "")

    def call_size(self, account: Account) -> int:
        return min(max(_integer(account.config.get("recipients_per_call"), 1), 1), MAX_PHONES)

    def build(self, account: Account, envelopes: Sequence[Envelope], now: datetime) -> HttpRequest:
        """SendSms. OutId is the first envelope's reference, for all numbers of the call."""
        signer, extend = self._signer(account)
        first = envelopes[0]
        content = first.content
        params = content.get("params")
        # names in alphabetical order: this is the canonical query that is signed
        query = (
            f"OutId={first.reference}"
            f"&PhoneNumbers={percent(','.join([plain_phone(one.address) for one in envelopes]))}"
            f"&SignName={percent_cached(content['sign_name'].strip('【】'))}{extend}"
            f"&TemplateCode={percent_cached(content['template_code'])}"
        )
        if params:
            query = f"{query}&TemplateParam={percent(_params_json(params))}"
        return signer.request("SendSms", query, now, self._nonce())

    def _signer(self, account: Account) -> tuple[Signer, str]:
        known = self._signers.get(account.code)
        if known is None or known[0] is not account.config:
            config = account.config
            extend = config.get("extend_code")
            signer = Signer.at(config["base_url"], config["access_key_id"], config["access_key_secret"])
            known = (config, signer, f"&SmsUpExtendCode={percent(str(extend))}" if extend else "")
            self._signers[account.code] = known
        return known[1], known[2]

    def read(self, account: Account, envelopes: Sequence[Envelope], answer: Answer) -> Outcome:
        body = _answer_body(answer)
        if isinstance(body, Unknown):
            return body
        assert isinstance(answer, HttpAnswer)
        code = body.get("Code")
        if code == "OK":
            biz_id = body.get("BizId")
            if answer.status == 200 and isinstance(biz_id, str) and biz_id:
                return Accepted(biz_id)
            return Unknown("OK", "The provider said OK without a message id.")
        return _refusal(code, body.get("Message"), answer, len(envelopes))

    def parse_hook(self, account: Account, request: HookRequest) -> list[ReceiptEvent]:
        try:
            reports = json.loads(request.body)
        except (ValueError, RecursionError):
            raise BadReceipt("The body is not JSON.") from None
        if not isinstance(reports, list):
            raise BadReceipt("The body is not a list of reports.")
        config = account.config
        zone = timezone(timedelta(hours=_integer(config.get("receipt_utc_offset"), 8)))
        bad = _prefixes(config.get("bad_number_codes", BAD_NUMBER_CODES))
        try:
            return [_event(one, zone, bad, request.received_at) for one in reports if "success" in one]
        except (AttributeError, KeyError, TypeError, ValueError):
            raise BadReceipt("A report lacks a field or holds a value that cannot be read.") from None

    def build_query(self, account: Account, envelope: Envelope, sent_at: datetime) -> HttpRequest:
        """QuerySendDetails of the day in Beijing. `envelope.reference` is the one that the call carried as OutId."""
        query = canonical_query(
            (
                ("PhoneNumber", plain_phone(envelope.address)),
                ("SendDate", f"{sent_at.astimezone(BEIJING):%Y%m%d}"),
                ("PageSize", str(QUERY_PAGE)),
                ("CurrentPage", "1"),
            )
        )
        return self._signer(account)[0].request("QuerySendDetails", query, self._clock(), self._nonce())

    def read_query(self, account: Account, envelope: Envelope, answer: HttpAnswer) -> list[ReceiptEvent] | Outcome:
        body = _answer_body(answer)
        if isinstance(body, Unknown):
            return body
        if body.get("Code") != "OK" or answer.status != 200:
            return _refusal(body.get("Code"), body.get("Message"), answer, 1)
        zone = timezone(timedelta(hours=_integer(account.config.get("receipt_utc_offset"), 8)))
        bad = _prefixes(account.config.get("bad_number_codes", BAD_NUMBER_CODES))
        try:
            details = body["SmsSendDetailDTOs"]["SmsSendDetailDTO"]
            mine = [one for one in details if one.get("OutId") == envelope.reference]
            events = [_detail_event(one, zone, bad) for one in mine]
            if not events and int(body.get("TotalCount") or 0) > len(details):
                return Unknown("more_pages", "More messages went to this number that day than one page shows.")
        except (AttributeError, KeyError, TypeError, ValueError):
            return Unknown("unreadable", "The details of the send cannot be read.")
        return events


def _integer(value: Any, default: int) -> int:
    try:
        return default if value in (None, "") else int(value)
    except (TypeError, ValueError):
        return -1000


def _prefixes(codes: Any) -> tuple[str, ...]:
    return tuple(code.strip() for code in str(codes).split(",") if code.strip())


def _answer_body(answer: Answer) -> dict[str, Any] | Unknown:
    if not isinstance(answer, HttpAnswer) or answer.truncated:
        return Unknown("truncated", "The answer was too long to be read.")
    try:
        body = json.loads(answer.body)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        return Unknown(f"http_{answer.status}", f"HTTP {answer.status} without a readable answer.")
    return body


def _refusal(code: Any, message: Any, answer: HttpAnswer, recipients: int) -> Outcome:
    if not isinstance(code, str) or not code or code == "OK":
        return Unknown(f"http_{answer.status}", f"HTTP {answer.status} without a readable answer.")
    outcome = CODES.get(code)
    if outcome is None:
        return Unknown(code[:80], "A code that is in no table.", unmapped=True)
    if isinstance(outcome, Rejected) and outcome.scope == "recipient" and recipients > 1:
        return replace(outcome, scope="call")
    if isinstance(outcome, Throttled) and outcome.code.endswith("_LIMIT_CONTROL"):
        if recipients > 1 and outcome.scope == "recipient":
            return Rejected(code, "One of several numbers has had its share of messages for now.", "call")
        return replace(outcome, retry_after=_window(code, str(message), answer.headers.get("date")))
    return outcome


def _window(code: str, message: str, date: str | None) -> timedelta | None:
    """Time to the end of the limit's window: clock minute, hour, day or month in Beijing; "day" of a number is 24 h."""
    now = _server_time(date)
    if code == "isv.MONTH_LIMIT_CONTROL":
        return (_next_month(now) - now) if now else None
    if code == "isv.DAY_LIMIT_CONTROL":
        return _rest(now, timedelta(days=1))
    if "分钟" in message:
        return _rest(now, timedelta(minutes=1))
    if "小时" in message:
        return _rest(now, timedelta(hours=1))
    return timedelta(days=1)


def _server_time(date: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(date).astimezone(BEIJING) if date else None
    except ValueError:
        return None


def _rest(now: datetime | None, window: timedelta) -> timedelta:
    """To the next multiple of `window` on Beijing's clock and a second more; a whole one if the time is unknown."""
    if now is None:
        return window
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return window - (now - midnight) % window + timedelta(seconds=1)


def _next_month(now: datetime) -> datetime:
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first + timedelta(days=32)).replace(day=1)


def _event(report: Any, zone: timezone, bad: tuple[str, ...], received_at: datetime) -> ReceiptEvent:
    code = report.get("err_code") or ""
    time = report.get("report_time")
    size = report.get("sms_size")
    success = report["success"]
    if not isinstance(success, bool):
        raise ValueError("success is neither true nor false")
    return ReceiptEvent(
        "delivered" if success else "failed",
        code,
        datetime.fromisoformat(time).replace(tzinfo=zone) if time else received_at,
        report.get("out_id") or "",
        report.get("biz_id") or "",
        plain_phone(report["phone_number"]),
        report.get("err_msg") or "",
        int(size) if size else None,
        not success and code.startswith(bad),
    )


def _detail_event(detail: Mapping[str, Any], zone: timezone, bad: tuple[str, ...]) -> ReceiptEvent:
    state = STATES[str(detail["SendStatus"])]
    code = detail.get("ErrCode") or ""
    return ReceiptEvent(
        state,
        code,
        datetime.fromisoformat(detail.get("ReceiveDate") or detail["SendDate"]).replace(tzinfo=zone),
        reference=detail["OutId"],
        address=plain_phone(detail["PhoneNum"]),
        bad_address=state == "failed" and code.startswith(bad),
    )
