"""SMS over Tencent Cloud (sms 2021-01-11): SendSms, status callbacks, PullSmsSendStatusByPhoneNumber."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlsplit

from apps.channels.contract import (
    ADDRESS_LIMITS_FIELD,
    Account,
    Adapter,
    Answer,
    BadReceipt,
    Capabilities,
    ConfigField,
    ContentField,
    Envelope,
    HookEvent,
    HookRequest,
    HttpAnswer,
    HttpRequest,
    ReceiptEvent,
    Receipts,
)
from apps.channels.outcomes import Accepted, Outcome, Unknown
from apps.channels.pieces import count_pieces
from apps.channels.providers.sms_tencent.answers import (
    BEIJING,
    e164,
    look_for_it,
    numbered,
    response,
    status,
)
from apps.channels.providers.sms_tencent.receipts import BAD_NUMBER_CODES, bad_numbers, pulled, pushed, replied
from apps.channels.providers.sms_tencent.signature import Signer
from apps.channels.wire.json_answer import dumps, no_answer

VERSION = "2021-01-11"
MAX_PHONES = 200
MAX_LENGTH = 500  # signature with its 【】 and text together
ROWS = 100
AROUND = timedelta(minutes=10)  # how far our clock and the provider's may lie apart in a question


class SmsTencent(Adapter):
    """`clock` is a parameter so that a question can be made again byte for byte."""

    kind = "sms_tencent"
    label = "SMS (Tencent Cloud)"
    config_fields = (
        ConfigField("secret_id", "SecretId", help="Console: Access Management, API keys; begins with AKID."),
        ConfigField("secret_key", "SecretKey", secret=True, help="Shown beside the SecretId."),
        ConfigField("sdk_app_id", "SdkAppId", help="Console: SMS, applications; ten digits such as 1400000001."),
        ConfigField("region", "Region", default="ap-guangzhou", required=False),
        ConfigField("base_url", "Endpoint", type="url", default="https://sms.tencentcloudapi.com"),
        ConfigField(
            "recipients_per_call",
            "Numbers per call",
            type="integer",
            default=MAX_PHONES,
            required=False,
            help="1 to 200 numbers of equal text in one call; each gets a status of its own.",
        ),
        ConfigField("extend_code", "Extension code for replies", required=False),
        ADDRESS_LIMITS_FIELD,
        ConfigField("sender_id", "Sender id abroad", required=False),
        ConfigField("receipt_utc_offset", "Hours from UTC of the times in receipts", type="integer", default=8, required=False),
        ConfigField(
            "bad_number_codes",
            "Receipt codes of numbers that do not exist",
            default=BAD_NUMBER_CODES,
            required=False,
            help="Beginnings of codes, divided by commas.",
        ),
    )  # fmt: skip
    content_fields = (
        ContentField("sign_name", "Signature", literal=True, max_length=30, help="As approved, without 【】."),
        ContentField("template_id", "Template id", literal=True, max_length=20, help="A number such as 1000001."),
        ContentField(
            "params",
            "Template variables",
            required=False,
            mapping=True,
            help="Named 1, 2, 3 as in the approved text: {1}, {2}, {3}.",
        ),
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
        finds_by_provider_id=True,
        receipts=Receipts.PUSH,
        price_unit="piece",
    )
    hook_answer = ("application/json", b'{"result":0,"errmsg":"OK"}')
    verified_with = "tencentcloud-sdk-python-sms 3.1.153"

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._clock = clock

    def check_config(self, config: Mapping[str, Any]) -> dict[str, str]:
        problems = super().check_config(config)
        url = urlsplit(str(config.get("base_url", "")))
        if "base_url" not in problems and (url.scheme not in ("http", "https") or not url.netloc):
            problems["base_url"] = "Endpoint must begin with https:// and name a host."
        if any(c.isspace() for c in str(config.get("secret_id", ""))):
            problems["secret_id"] = "SecretId may not hold blanks or line ends."
        if "sdk_app_id" not in problems and not str(config.get("sdk_app_id")).isdecimal():
            problems["sdk_app_id"] = "SdkAppId is a number such as 1400000001."
        if not str(config.get("region") or "ap").replace("-", "").isalnum():
            problems["region"] = "Region is a word such as ap-guangzhou."
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
        names = set(content.get("params") or ())
        if names != {str(number) for number in range(1, len(names) + 1)}:
            problems["params"] = "The variables are named 1, 2, 3 and so on, without a gap."
        return problems

    def pieces(self, content: Mapping[str, Any]) -> int:
        return count_pieces(content.get("text") or "", content.get("sign_name") or "")

    def call_size(self, account: Account) -> int:
        return min(max(_integer(account.config.get("recipients_per_call"), MAX_PHONES), 1), MAX_PHONES)

    def build(self, account: Account, envelopes: Sequence[Envelope], now: datetime) -> HttpRequest:
        """SendSms. SessionContext is the first envelope's reference, for all numbers of the call."""
        first, config = envelopes[0], account.config
        params = first.content.get("params") or {}
        document: dict[str, Any] = {
            "PhoneNumberSet": [e164(one.address) for one in envelopes],
            "SmsSdkAppId": str(config["sdk_app_id"]),
            "TemplateId": first.content["template_id"],
            "SignName": first.content["sign_name"].strip("【】"),
            "TemplateParamSet": [str(params[name]) for name in sorted(params, key=int)],
            "SessionContext": first.reference,
        }
        for name, field in (("ExtendCode", "extend_code"), ("SenderId", "sender_id")):
            if config.get(field):
                document[name] = str(config[field])
        return _call(account, "SendSms", document, now)

    def read(self, account: Account, envelopes: Sequence[Envelope], answer: Answer) -> Outcome | Sequence[Outcome]:
        """One outcome per number: the provider judges each by itself, behind one HTTP 200."""
        said = response(answer)
        if isinstance(said, Outcome):
            return look_for_it(said) if len(envelopes) > 1 else said
        statuses = said.get("SendStatusSet")
        assert isinstance(answer, HttpAnswer)
        if not isinstance(statuses, list) or not all(isinstance(one, dict) for one in statuses):
            return no_answer(answer)
        outcomes = [status(one, statuses, answer) for one in numbered(envelopes, statuses)]
        return outcomes[0] if len(outcomes) == 1 else outcomes

    def parse_hook(self, account: Account, request: HookRequest) -> list[HookEvent]:
        """A list of reports, or one document with what somebody answered."""
        try:
            reports = json.loads(request.body)
        except (ValueError, RecursionError):
            raise BadReceipt("The body is not JSON.") from None
        if not isinstance(reports, (list, dict)):
            raise BadReceipt("The body is neither a list of reports nor a reply.")
        zone = timezone(timedelta(hours=_integer(account.config.get("receipt_utc_offset"), 8)))
        bad = bad_numbers(account)
        try:
            if isinstance(reports, dict):
                return [replied(reports)]
            return [pushed(one, zone, bad, request.received_at) for one in reports if "report_status" in one]
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError, OSError):
            raise BadReceipt("A report lacks a field or holds a value that cannot be read.") from None

    def build_query(self, account: Account, envelope: Envelope, sent_at: datetime) -> HttpRequest:
        """PullSmsSendStatusByPhoneNumber around the send; `envelope.reference` is what the call carried as SessionContext."""
        document = {
            "PhoneNumber": e164(envelope.address),
            "SmsSdkAppId": str(account.config["sdk_app_id"]),
            "BeginTime": int((sent_at - AROUND).timestamp()),
            "EndTime": int((self._clock() + AROUND).timestamp()),
            "Offset": 0,
            "Limit": ROWS,
        }
        return _call(account, "PullSmsSendStatusByPhoneNumber", document, self._clock())

    def read_query(self, account: Account, envelope: Envelope, answer: HttpAnswer) -> list[ReceiptEvent] | Outcome:
        said = response(answer)
        if isinstance(said, Outcome):
            return said
        rows = said.get("PullSmsSendStatusSet")
        if not isinstance(rows, list):
            return no_answer(answer)
        bad = bad_numbers(account)
        try:
            mine = [one for one in rows if one.get("SessionContext") == envelope.reference]
            events = [pulled(one, envelope.reference, bad) for one in mine]
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
            return Unknown("unreadable", "The states of the send cannot be read.")
        if not events and len(rows) >= ROWS:
            return Unknown("more_rows", "More messages went to this number than one answer shows.")
        return events

    def build_check(self, account: Account) -> HttpRequest:
        """SmsPackagesStatistics of this hour: needs the key, the signature and the SdkAppId, and sends nothing."""
        hour = f"{self._clock().astimezone(BEIJING):%Y%m%d%H}"
        document = {
            "SmsSdkAppId": str(account.config["sdk_app_id"]),
            "Limit": 1,
            "Offset": 0,
            "BeginTime": hour,
            "EndTime": hour,
        }
        return _call(account, "SmsPackagesStatistics", document, self._clock())  # fmt: skip

    def read_check(self, account: Account, answer: Answer) -> Outcome:
        said = response(answer)
        if isinstance(said, Outcome):
            return said
        assert isinstance(answer, HttpAnswer)
        return Accepted("") if isinstance(said.get("SmsPackagesStatisticsSet"), list) else no_answer(answer)


def _call(account: Account, action: str, document: Mapping[str, Any], now: datetime) -> HttpRequest:
    config = account.config
    signer = Signer.at(config["base_url"], config["secret_id"], config["secret_key"])
    return signer.request(action, VERSION, str(config.get("region") or "ap-guangzhou"), dumps(document).encode(), now)


def _integer(value: Any, default: int) -> int:
    try:
        return default if value in (None, "") else int(value)
    except (TypeError, ValueError):
        return -1000
