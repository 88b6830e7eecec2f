"""5G messages over Alibaba Cloud (dysmsapi 2017-05-25): SendRCS, which falls back to SMS by itself, and 5GSmsReport."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timezone
from typing import Any

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
from apps.channels.outcomes import Accepted, Outcome, Unknown
from apps.channels.providers.rcs_aliyun.codes import CODES, STATES
from apps.channels.wire.alibaba_answers import (
    CREDENTIAL_FIELDS,
    OFFSET_FIELD,
    beginnings,
    credential_problems,
    new_nonce,
    plain_phone,
    receipt_zone,
    refusal,
)
from apps.channels.wire.alibaba_signature import Signer, canonical_query
from apps.channels.wire.json_answer import dumps, json_object, no_answer
from apps.channels.wire.sms_receipts import kept_phone

MAX_LENGTH = 2000


class RcsAliyun(Adapter):
    """`nonce` and `clock` are parameters so that a request can be made again byte for byte."""

    kind = "rcs_aliyun"
    label = "5G message (Alibaba Cloud)"
    config_fields = (
        *CREDENTIAL_FIELDS,
        OFFSET_FIELD,
        ConfigField(
            "bad_number_codes",
            "Receipt codes of numbers that do not exist",
            required=False,
            help="Beginnings of codes, divided by commas. Such a number gets no other message either: leave out those "
            "that say only that it has no 5G messages.",
        ),
    )
    content_fields = (
        ContentField("sign_name", "Signature", literal=True, max_length=30, help="As approved, without 【】."),
        ContentField("template_code", "Template code", literal=True, max_length=64, help="Such as RCS_SMS_100000001."),
        ContentField("params", "Template variables", required=False, mapping=True),
        ContentField(
            "text",
            "Approved text",
            max_length=MAX_LENGTH,
            multiline=True,
            help="The provider's approved wording; for the preview only, the provider fills its own.",
        ),
    )
    capabilities = Capabilities(address_kind="phone", echoes_reference=True, receipts=Receipts.PUSH)
    hook_answer = ("application/json", b'{"code":0,"msg":"ok"}')
    verified_with = "alibabacloud-dysmsapi20170525 4.6.0"

    def __init__(
        self,
        nonce: Callable[[], str] = new_nonce,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._nonce = nonce
        self._clock = clock

    def check_config(self, config: Mapping[str, Any]) -> dict[str, str]:
        return credential_problems(config) | super().check_config(config)

    def build(self, account: Account, envelopes: Sequence[Envelope], now: datetime) -> HttpRequest:
        """SendRCS takes one number a call; OutId is the reference."""
        (one,) = envelopes
        parameters = {
            "OutId": one.reference,
            "PhoneNumbers": plain_phone(one.address),
            "SignName": one.content["sign_name"].strip("【】"),
            "TemplateCode": one.content["template_code"],
        }
        if one.content.get("params"):
            parameters["TemplateParam"] = dumps(one.content["params"])
        return self._call(account, "SendRCS", parameters, now)

    def read(self, account: Account, envelopes: Sequence[Envelope], answer: Answer) -> Outcome:
        """The provider's id comes with the receipt, not with the answer."""
        told = _told(answer)
        return Accepted("") if isinstance(told, dict) else told

    def parse_hook(self, account: Account, request: HookRequest) -> list[ReceiptEvent]:
        try:
            reports = json.loads(request.body)
        except (ValueError, RecursionError):
            raise BadReceipt("The body is not JSON.") from None
        if not isinstance(reports, list):
            raise BadReceipt("The body is not a list of reports.")
        zone, bad = receipt_zone(account.config), beginnings(account.config.get("bad_number_codes"))
        try:
            return [_event(one, zone, bad, request.received_at) for one in reports if "send_status" in one]
        except (AttributeError, KeyError, TypeError, ValueError):
            raise BadReceipt("A report lacks a field or holds a value that cannot be read.") from None

    def build_check(self, account: Account) -> HttpRequest:
        """One row of QuerySmsTemplateList: needs the key and its secret, and sends nothing."""
        return self._call(account, "QuerySmsTemplateList", {"PageIndex": "1", "PageSize": "1"}, self._clock())

    def read_check(self, account: Account, answer: Answer) -> Outcome:
        told = _told(answer)
        return Accepted("") if isinstance(told, dict) else told

    def _call(self, account: Account, action: str, parameters: Mapping[str, str], now: datetime) -> HttpRequest:
        config = account.config
        signer = Signer.at(config["base_url"], config["access_key_id"], config["access_key_secret"])
        return signer.request(action, canonical_query(parameters.items()), now, self._nonce())


def _told(answer: Answer) -> dict[str, Any] | Outcome:
    """The body of a success, which none of Code, Success and Data.Success may deny, else what the refusal means."""
    body = json_object(answer)
    if isinstance(body, Unknown):
        return body
    assert isinstance(answer, HttpAnswer)
    if body.get("Code") != "OK":
        return refusal(CODES, body, answer)
    data = body.get("Data")
    if isinstance(data, dict) and data.get("Success") is False:
        return refusal(CODES, data, answer)
    return body if answer.status == 200 and body.get("Success") is not False else no_answer(answer)


def _event(report: Any, zone: timezone, bad: tuple[str, ...], received_at: datetime) -> ReceiptEvent:
    state = STATES[report["send_status"]]
    code, time = str(report.get("err_code") or ""), report.get("report_time")
    return ReceiptEvent(
        state,
        code,
        datetime.fromisoformat(time).replace(tzinfo=zone) if time else received_at,
        reference=report.get("out_id") or "",
        provider_id=report.get("biz_id") or "",
        address=kept_phone(report["phone_number"]),
        words=_words(report),
        bad_address=state == "failed" and code.startswith(bad),
    )


def _words(report: Mapping[str, Any]) -> str:
    """Whether it came as a 5G message or as the short message that stands in for it."""
    words = str(report.get("err_message") or "")
    form = str(report.get("rcs_template_format") or "")
    return f"{words} ({form})" if form and words else words or form
