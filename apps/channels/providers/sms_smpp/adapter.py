"""SMS over SMPP 3.4: one message as one or several submit_sm over a kept session, receipts over the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from apps.channels.contract import (
    Account,
    Adapter,
    Answer,
    BadReceipt,
    Capabilities,
    ContentField,
    Envelope,
    HookEvent,
    InboundPdu,
    ReceiptEvent,
    Receipts,
    ReplyEvent,
    SessionAnswer,
    SessionLink,
    SessionRequest,
)
from apps.channels.outcomes import Accepted, Misconfigured, Outcome, Rejected, Throttled, Unavailable, Unknown
from apps.channels.providers.sms_smpp.codes import CODES, code_of
from apps.channels.providers.sms_smpp.settings import CONFIG_FIELDS, wrong_settings
from apps.channels.wire import smpp
from apps.channels.wire.sms_parts import PartReferences, cut, with_headers
from apps.channels.wire.sms_receipts import international, is_number, kept_phone, moment, national, state_of
from apps.channels.wire.sms_replies import reply_text

MAX_LENGTH = 1000
MEANINGS: dict[str, Callable[[str], Outcome]] = {
    "rejected": lambda code: Rejected(code, "The gateway refuses the message (as this account reads the code)."),
    "content": lambda code: Rejected(code, "The gateway refuses the text (as this account reads the code).", "content"),
    "account": lambda code: Misconfigured(code, "The gateway refuses the account (as this account reads the code)."),
    "throttled": lambda code: Throttled(code, "Too fast (as this account reads the code).", timedelta(seconds=1)),
    "retry": lambda code: Unavailable(code, "Not taken now (as this account reads the code)."),
    "unknown": lambda code: Unknown(code, "The outcome is open (as this account reads the code)."),
}


class SmsSmpp(Adapter):
    kind = "sms_smpp"
    label = "SMS (SMPP)"
    transport = "session"
    verified_with = "npm smpp 0.5.1"
    config_fields = CONFIG_FIELDS
    content_fields = (
        ContentField(
            "sign_name", "Signature", required=False, literal=True, max_length=30, help="Put before the text in 【】."
        ),
        ContentField("text", "Text", max_length=MAX_LENGTH, multiline=True),
    )
    capabilities = Capabilities(
        address_kind="phone", receipts=Receipts.PUSH, finds_by_provider_id=True, price_unit="piece"
    )  # fmt: skip

    def __init__(self) -> None:
        self._references = PartReferences()
        self._links: dict[str, tuple[Mapping[str, Any], SessionLink]] = {}

    def check_config(self, config: Mapping[str, Any]) -> dict[str, str]:
        return super().check_config(config) | wrong_settings(config)

    def check_content(self, content: Mapping[str, Any]) -> dict[str, str]:
        problems = super().check_content(content)
        if "text" not in problems and any("\ud800" <= char <= "\udfff" for char in content.get("text") or ""):
            problems["text"] = "Text holds half a character."
        return problems

    def pieces(self, content: Mapping[str, Any]) -> int:
        """The parts that really go out, which may be one more than the length alone says."""
        return len(cut(_whole(content)).texts)

    def session(self, account: Account) -> SessionLink:
        known = self._links.get(account.code)
        if known is None or known[0] is not account.config:
            known = (account.config, _link(account.config))
            self._links[account.code] = known
        return known[1]

    def build(self, account: Account, envelopes: Sequence[Envelope], now: datetime) -> SessionRequest:
        """One submit_sm for each part. Raises ValueError for an address or text that cannot be written."""
        one, config = envelopes[0], account.config
        number = international(one.address)
        if not is_number(number):
            raise ValueError("The address is not a phone number.")
        parts = cut(_whole(one.content), "gsm7" if config.get("gsm7", True) else "ucs2")
        several = len(parts.texts) > 1
        reference = self._references.of(number, one.reference) if several else 0
        validity = _integer(config.get("validity_minutes"), 0)
        message = smpp.Message(
            source=(
                _integer(config.get("source_ton"), 0),
                _integer(config.get("source_npi"), 0),
                str(config["source_address"]),
            ),
            destination=(_integer(config.get("dest_ton"), 1), _integer(config.get("dest_npi"), 1), number),
            data_coding=8 if parts.alphabet == "ucs2" else 0,
            esm_class=smpp.UDHI if several else 0,
            registered_delivery=1,
            service_type=str(config.get("service_type") or ""),
            validity=_relative(validity) if validity else "",
        )
        bodies = []
        for text in with_headers(parts.texts, reference):
            message.text = text
            bodies.append(message.encoded())
        return SessionRequest(self.session(account), bodies)

    def read(self, account: Account, envelopes: Sequence[Envelope], answer: Answer) -> Outcome:
        if not isinstance(answer, SessionAnswer) or not answer.parts:
            return Unknown("unreadable", "The answer is not one of a session.")
        refused = next((part for part in answer.parts if part.status), None)
        if answer.stage == "bind":
            return _login(_meaning(account, refused.status if refused else 0))
        if refused is None:
            form = str(account.config.get("response_id") or "text")
            ids = [plain_id(part.message_id, form) for part in answer.parts]
            if all(ids):
                return Accepted(",".join(ids))
            return Unknown("0x00", "The gateway said yes without a message id.")
        outcome = _meaning(account, refused.status)
        if any(part.status == 0 for part in answer.parts):
            code = f"part {answer.parts.index(refused) + 1}: {code_of(refused.status)}"
            return Unknown(code, "Some parts were taken and one was refused: the phone may show half of it.")
        return outcome

    def build_check(self, account: Account) -> SessionLink:
        return self.session(account)

    def read_check(self, account: Account, answer: Answer) -> Outcome:
        """A login that was taken has no status but 0."""
        if isinstance(answer, SessionAnswer) and answer.parts and not answer.parts[0].status:
            return Accepted("")
        return self.read(account, [], answer)

    def parse_inbound(self, account: Account, inbound: InboundPdu) -> list[HookEvent]:
        """A receipt, or what somebody answered from a phone, as one event; receipts on the way give none."""
        try:
            pdu = smpp.decoded(inbound.pdu)
            read = smpp.read_data_sm if pdu.command == smpp.DATA_SM else smpp.read_message
            message = read(pdu.body)
        except smpp.BadPdu:
            raise BadReceipt("The request cannot be read as deliver_sm.") from None
        if not message.is_receipt:
            header = bool(message.esm_class & smpp.UDHI)
            text = reply_text(message.payload, message.data_coding, header=header, gsm=True)
            return [ReplyEvent(kept_phone(message.source[2]), text, inbound.received_at, message.destination[2])]
        receipt = smpp.read_receipt(message)
        if receipt is None:
            raise BadReceipt("A receipt names no message or no state.")
        config = account.config
        state = state_of(receipt.word, config.get("receipt_map") or {})
        if state is None:
            return []
        error = "" if receipt.error.strip("0") == "" else receipt.error
        bad = {one.strip() for one in str(config.get("bad_number_codes") or "").split(",") if one.strip()}
        return [
            ReceiptEvent(
                state,
                f"{receipt.word}:{error}" if error and state == "failed" else receipt.word,
                moment(receipt.done, _integer(config.get("receipt_utc_offset"), 8), inbound.received_at),
                provider_id=plain_id(receipt.message_id, str(config.get("receipt_id") or "text")),
                address=national(message.source[2]),
                bad_address=state == "failed" and bool(bad & {error, receipt.word}),
            )
        ]


def plain_id(message_id: str, form: str) -> str:
    """A message id in the one spelling that answers and receipts share; what is no such number stays as it came."""
    text = message_id.strip()
    if form == "unpadded":
        return text.lower().lstrip("0") or text[:1]
    if form in ("decimal", "hex"):
        try:
            return str(int(text, 16 if form == "hex" else 10))
        except ValueError:
            return text
    return text


def _whole(content: Mapping[str, Any]) -> str:
    sign = str(content.get("sign_name") or "").strip("【】")
    return f"【{sign}】{content['text']}" if sign else str(content["text"])


def _meaning(account: Account, status: int) -> Outcome:
    code = code_of(status)
    said = (account.config.get("status_map") or {}).get(code)
    if said in MEANINGS:
        return MEANINGS[said](code)
    return CODES.get(code) or Unknown(code, "A status that is in no table.", unmapped=True)


def _login(outcome: Outcome) -> Outcome:
    """The same status at the login, where nothing can have been sent."""
    if isinstance(outcome, Misconfigured | Throttled | Unavailable):
        return outcome
    code = getattr(outcome, "code", "")
    if code == "0x08":
        return Unavailable(code, "The gateway had an error of its own.")
    return Misconfigured(code, "The gateway refuses the login.")


def _link(config: Mapping[str, Any]) -> SessionLink:
    return SessionLink(
        protocol="smpp",
        host=str(config["host"]),
        port=_integer(config.get("port"), 2775),
        user=str(config["system_id"]),
        password=str(config["password"]),
        security=str(config.get("security") or "none"),
        binds=_integer(config.get("binds"), 1),
        window=_integer(config.get("window"), 10),
        per_second=float(_integer(config.get("per_second"), 0)),
        idle_s=float(_integer(config.get("enquire_seconds"), 30)),
        mode=str(config.get("mode") or "transceiver"),
        system_type=str(config.get("system_type") or ""),
    )


def _relative(minutes: int) -> str:
    """A validity from now on, YYMMDDhhmmsstnnp with R at its end (SMPP 3.4, 7.1.1)."""
    days, rest = divmod(minutes, 24 * 60)
    return f"0000{days:02d}{rest // 60:02d}{rest % 60:02d}00000R"


def _integer(value: Any, default: int) -> int:
    return default if value in (None, "") else int(value)
