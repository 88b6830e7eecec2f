"""SMS over Alibaba Cloud (dysmsapi 2017-05-25): SendSms, SendBatchSms, SmsReport receipts, QuerySendDetails."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from apps.channels.address_limits import limits_in
from apps.channels.contract import (
    ADDRESS_LIMITS_FIELD,
    Account,
    Adapter,
    Answer,
    ApprovedTemplate,
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
from apps.channels.outcomes import Accepted, Outcome, Rejected, Unknown
from apps.channels.pieces import count_pieces
from apps.channels.providers.sms_aliyun.codes import CODES
from apps.channels.providers.sms_aliyun.receipts import BAD_NUMBER_CODES, bad_numbers, detailed, listed, pushed, replied
from apps.channels.wire.alibaba_answers import (
    BEIJING,
    CREDENTIAL_FIELDS,
    OFFSET_FIELD,
    credential_problems,
    integer,
    new_nonce,
    plain_phone,
    receipt_zone,
    refusal,
)
from apps.channels.wire.alibaba_signature import Signer, canonical_query, percent, percent_cached
from apps.channels.wire.json_answer import dumps, json_object

MAX_PHONES = 1000
MAX_OWN = 100  # of SendBatchSms
MAX_LENGTH = 500  # signature with its 【】 and text together
QUERY_PAGE = 50
SAMPLE_PHONE = "13800138000"  # asked for when credentials are tried; nothing is sent to it


class SmsAliyun(Adapter):
    """`nonce` and `clock` are parameters so that a request can be made again byte for byte."""

    kind = "sms_aliyun"
    label = "SMS (Alibaba Cloud)"
    config_fields = (
        *CREDENTIAL_FIELDS,
        ConfigField(
            "recipients_per_call",
            "Numbers per call",
            type="integer",
            default=1,
            required=False,
            help="1 to 1000 numbers of equal text in one call, 1 to 100 with own texts. One bad number refuses the whole call.",
        ),
        ConfigField(
            "texts_of_call",
            "Texts of one call",
            type="choice",
            choices=("equal", "own"),
            default="equal",
            required=False,
            help="equal: SendSms, one text for all its numbers. own: SendBatchSms, values of its own for each number.",
        ),
        ConfigField(
            "extend_code",
            "Extension code for replies",
            required=False,
            help="SMS console, where the account may have one: the end of the number that people answer to.",
        ),
        OFFSET_FIELD,
        ADDRESS_LIMITS_FIELD,
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
        personalised=True,
        can_query=True,
        echoes_reference=True,
        receipts=Receipts.PUSH,
        price_unit="piece",
        address_limits=limits_in("otp 1/1m 5/1h 10/1d; transactional 50/1d"),
    )
    hook_answer = ("application/json", b'{"code":0,"msg":"ok"}')
    verified_with = "alibabacloud-dysmsapi20170525 4.6.0"

    def __init__(
        self,
        nonce: Callable[[], str] = new_nonce,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._nonce = nonce
        self._clock = clock
        self._signers: dict[str, tuple[Mapping[str, Any], Signer, str]] = {}

    def check_config(self, config: Mapping[str, Any]) -> dict[str, str]:
        problems = credential_problems(config) | super().check_config(config)
        form = config.get("texts_of_call") or "equal"
        if form not in ("equal", "own"):
            problems["texts_of_call"] = "Texts of one call is equal or own."
        most = MAX_OWN if form == "own" else MAX_PHONES
        if not 1 <= integer(config.get("recipients_per_call"), 1) <= most:
            problems["recipients_per_call"] = f"Numbers per call must be from 1 to {most}."
        return problems

    def check_content(self, content: Mapping[str, Any]) -> dict[str, str]:
        problems = super().check_content(content)
        length = len(content.get("sign_name") or "") + 2 + len(content.get("text") or "")
        if "text" not in problems and length > MAX_LENGTH:
            problems["text"] = f"Signature and text have {length} characters, {MAX_LENGTH} are allowed."
        return problems

    def pieces(self, content: Mapping[str, Any]) -> int:
        return count_pieces(content.get("text") or "", content.get("sign_name") or "")

    def own_texts(self, account: Account) -> bool:
        return account.config.get("texts_of_call") == "own"

    def call_size(self, account: Account) -> int:
        most = MAX_OWN if self.own_texts(account) else MAX_PHONES
        return min(max(integer(account.config.get("recipients_per_call"), 1), 1), most)

    def build(self, account: Account, envelopes: Sequence[Envelope], now: datetime) -> HttpRequest:
        """SendSms, or SendBatchSms for several with own texts. OutId is the first reference, for all numbers of the call."""
        if len(envelopes) > 1 and self.own_texts(account):
            return self._batch(account, envelopes, now)
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
            query = f"{query}&TemplateParam={percent(dumps(params))}"
        return signer.request("SendSms", query, now, self._nonce())

    def _batch(self, account: Account, envelopes: Sequence[Envelope], now: datetime) -> HttpRequest:
        """Columns in a form body, as the provider's own client has them."""
        code = envelopes[0].content["template_code"]
        if any(one.content["template_code"] != code for one in envelopes):
            raise ValueError("One call carries texts of one template only.")
        columns = {
            "PhoneNumberJson": [plain_phone(one.address) for one in envelopes],
            "SignNameJson": [one.content["sign_name"].strip("【】") for one in envelopes],
            "TemplateParamJson": [one.content.get("params") or {} for one in envelopes],
        }
        extend = account.config.get("extend_code")
        if extend:
            columns["SmsUpExtendCodeJson"] = [str(extend)] * len(envelopes)
        form = canonical_query((name, dumps(column)) for name, column in columns.items())
        query = f"OutId={envelopes[0].reference}&TemplateCode={percent_cached(code)}"
        return self._signer(account)[0].request("SendBatchSms", query, now, self._nonce(), form)

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
        body = json_object(answer)
        if isinstance(body, Unknown):
            return body
        assert isinstance(answer, HttpAnswer)
        if body.get("Code") == "OK":
            biz_id = body.get("BizId")
            if answer.status == 200 and isinstance(biz_id, str) and biz_id:
                return Accepted(biz_id)
            return Unknown("OK", "The provider said OK without a message id.")
        refused = refusal(CODES, body, answer, len(envelopes))
        if isinstance(refused, Rejected) and len(envelopes) > 1 and self.own_texts(account):
            return replace(refused, scope="call")  # whose text it was is not told
        return refused

    def parse_hook(self, account: Account, request: HookRequest) -> list[HookEvent]:
        """Reports, and what people answered (SmsUp)."""
        try:
            reports = json.loads(request.body)
        except (ValueError, RecursionError):
            raise BadReceipt("The body is not JSON.") from None
        if not isinstance(reports, list):
            raise BadReceipt("The body is not a list of reports.")
        zone, bad = receipt_zone(account.config), bad_numbers(account.config)
        try:
            events: list[HookEvent] = [
                pushed(one, zone, bad, request.received_at) for one in reports if "success" in one
            ]
            return events + [replied(one, zone, request.received_at) for one in reports if "content" in one]
        except (AttributeError, KeyError, TypeError, ValueError):
            raise BadReceipt("A report lacks a field or holds a value that cannot be read.") from None

    def build_query(self, account: Account, envelope: Envelope, sent_at: datetime) -> HttpRequest:
        """QuerySendDetails of the day in Beijing. `envelope.reference` is the one that the call carried as OutId."""
        return self._ask(account, "QuerySendDetails", _details_of(envelope.address, sent_at))

    def read_query(self, account: Account, envelope: Envelope, answer: HttpAnswer) -> list[ReceiptEvent] | Outcome:
        body = _told(answer)
        if not isinstance(body, dict):
            return body
        zone, bad = receipt_zone(account.config), bad_numbers(account.config)
        try:
            details = body["SmsSendDetailDTOs"]["SmsSendDetailDTO"]
            mine = [one for one in details if one.get("OutId") == envelope.reference]
            events = [detailed(one, zone, bad) for one in mine]
            if not events and int(body.get("TotalCount") or 0) > len(details):
                return Unknown("more_pages", "More messages went to this number that day than one page shows.")
        except (AttributeError, KeyError, TypeError, ValueError):
            return Unknown("unreadable", "The details of the send cannot be read.")
        return events

    def build_check(self, account: Account) -> HttpRequest:
        """Today's QuerySendDetails of a sample number: needs the key, its secret and the permission, and sends nothing."""
        return self._ask(account, "QuerySendDetails", _details_of(SAMPLE_PHONE, self._clock()))

    def read_check(self, account: Account, answer: Answer) -> Outcome:
        assert isinstance(answer, HttpAnswer)
        body = _told(answer)
        return Accepted("") if isinstance(body, dict) else body

    def build_templates(self, account: Account, page: int) -> HttpRequest:
        asked = {"PageIndex": str(page), "PageSize": str(QUERY_PAGE)}
        return self._ask(account, "QuerySmsTemplateList", asked)

    def read_templates(self, account: Account, answer: HttpAnswer) -> tuple[list[ApprovedTemplate], bool] | Outcome:
        body = _told(answer)
        if not isinstance(body, dict):
            return body
        try:
            found = [listed(row) for row in body["SmsTemplateList"]]
            seen = (int(body["CurrentPage"]) - 1) * QUERY_PAGE + len(found)
            return found, seen < int(body["TotalCount"])
        except (AttributeError, KeyError, TypeError, ValueError):
            return Unknown("unreadable", "The list of templates cannot be read.")

    def _ask(self, account: Account, action: str, parameters: Mapping[str, str]) -> HttpRequest:
        query = canonical_query(parameters.items())
        return self._signer(account)[0].request(action, query, self._clock(), self._nonce())


def _details_of(address: str, day: datetime) -> dict[str, str]:
    return {
        "PhoneNumber": plain_phone(address),
        "SendDate": f"{day.astimezone(BEIJING):%Y%m%d}",
        "PageSize": str(QUERY_PAGE),
        "CurrentPage": "1",
    }


def _told(answer: HttpAnswer) -> dict[str, Any] | Outcome:
    """The body of an answer to a question, or what its refusal means."""
    body = json_object(answer)
    if isinstance(body, Unknown):
        return body
    return body if body.get("Code") == "OK" and answer.status == 200 else refusal(CODES, body, answer)
