"""SMS over CMPP 2.0 and 3.0 (China Mobile): one message as one or several SUBMIT over a kept session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
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
    HookEvent,
    InboundPdu,
    ReceiptEvent,
    Receipts,
    ReplyEvent,
    SessionAnswer,
    SessionLink,
    SessionRequest,
)
from apps.channels.outcomes import Accepted, Misconfigured, Outcome, Unknown
from apps.channels.providers.sms_cmpp.codes import CODES
from apps.channels.wire import cmpp
from apps.channels.wire.sms_parts import PartReferences, cut, with_headers
from apps.channels.wire.sms_receipts import (
    CHANGED_STATES,
    dialled,
    international,
    is_number,
    kept_phone,
    moment,
    national,
    state_of,
)
from apps.channels.wire.sms_replies import reply_text

MAX_LENGTH = 1000
BAD_NUMBER_CODES = "MK:0001"
_NUMBERS = {
    "port": (1, 65535),
    "binds": (1, 20),
    "window": (1, 1000),
    "per_second": (0, 100_000),
    "active_test_seconds": (5, 600),
    "fee_user_type": (0, 3),
    "receipt_utc_offset": (-12, 14),
}
_TEXTS = {"sp_id": 6, "source_number": 21, "service_id": 10, "fee_type": 2, "fee_code": 6, "msg_src": 6}


class SmsCmpp(Adapter):
    kind = "sms_cmpp"
    label = "SMS (CMPP)"
    transport = "session"
    config_fields = (
        ConfigField("host", "Gateway"),
        ConfigField("port", "Port", type="integer", default=7890),
        ConfigField("version", "Version", type="choice", choices=("2.0", "3.0"), default="2.0"),
        ConfigField("sp_id", "Enterprise code", help="SP id of six characters, the login."),
        ConfigField("shared_secret", "Shared secret", secret=True),
        ConfigField("source_number", "Source number", help="Access number (10690001) with its extension."),
        ConfigField("service_id", "Service code"),
        ConfigField("security", "Encryption", type="choice", choices=("none", "tls"), default="none"),
        ConfigField("binds", "Sessions at once", type="integer", default=1, required=False),
        ConfigField("window", "Unanswered requests per session", type="integer", default=16, required=False),
        ConfigField(
            "per_second",
            "Requests per second",
            type="integer",
            default=0,
            required=False,
            help="As agreed with the operator; every part of a long message counts. 0 for no limit.",
        ),
        ConfigField("active_test_seconds", "Ask for life after seconds", type="integer", default=60, required=False),
        ConfigField("fee_user_type", "Fee: who pays", type="integer", default=2, required=False),
        ConfigField("fee_type", "Fee: type", default="01", required=False),
        ConfigField("fee_code", "Fee: amount", default="000000", required=False),
        ConfigField("msg_src", "Msg_src", required=False, help="Empty: the enterprise code."),
        ConfigField(
            "country_prefix",
            "Mainland numbers",
            type="choice",
            choices=("without 86", "with 86"),
            default="without 86",
        ),
        ConfigField(
            "ascii",
            "Send plain ASCII texts as such",
            type="boolean",
            default=True,
            required=False,
            help="Off: everything travels as UCS-2, 70 characters instead of 160.",
        ),
        ConfigField(
            "check_gateway",
            "Check the gateway's own proof",
            type="boolean",
            default=False,
            required=False,
            help="Some gateways of 3.0 compute it over another width; leave off where logins then fail.",
        ),
        ConfigField(
            "receipt_map",
            "Own meanings of receipts",
            type="json",
            default={},
            required=False,
            help='For example {"UNKNOWN": "failed"}: delivered, failed, accepted or ignore.',
        ),
        ConfigField(
            "bad_number_codes",
            "Receipt codes of numbers that do not exist",
            default=BAD_NUMBER_CODES,
            required=False,
            help="Divided by commas.",
        ),
        ConfigField(
            "receipt_utc_offset", "Hours from UTC of the times in receipts", type="integer", default=8, required=False
        ),
    )
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
        problems = super().check_config(config)
        for name, (low, high) in _NUMBERS.items():
            if config.get(name) not in (None, "") and not _between(config[name], low, high):
                problems[name] = f"Must be a number from {low} to {high}."
        for name, most in _TEXTS.items():
            value = str(config.get(name) or "")
            if value and (not value.isascii() or not value.isprintable() or len(value) > most):
                problems[name] = f"At most {most} ASCII characters."
        for name, choices in (
            ("version", tuple(cmpp.VERSIONS)),
            ("security", ("none", "tls")),
            ("country_prefix", ("without 86", "with 86")),
        ):
            if config.get(name) and config[name] not in choices:
                problems[name] = f"One of: {', '.join(choices)}."
        changed = config.get("receipt_map") or {}
        if not isinstance(changed, Mapping) or any(one not in CHANGED_STATES for one in changed.values()):
            problems["receipt_map"] = f'Must be like {{"UNKNOWN": "failed"}}, with {", ".join(CHANGED_STATES)}.'
        return problems

    def check_content(self, content: Mapping[str, Any]) -> dict[str, str]:
        problems = super().check_content(content)
        if "text" not in problems and any("\ud800" <= char <= "\udfff" for char in content.get("text") or ""):
            problems["text"] = "Text holds half a character."
        return problems

    def pieces(self, content: Mapping[str, Any]) -> int:
        """The parts that really go out."""
        return len(cut(_whole(content), "ascii").texts)

    def session(self, account: Account) -> SessionLink:
        known = self._links.get(account.code)
        if known is None or known[0] is not account.config:
            known = (account.config, _link(account.config))
            self._links[account.code] = known
        return known[1]

    def build(self, account: Account, envelopes: Sequence[Envelope], now: datetime) -> SessionRequest:
        """One SUBMIT for each part. Raises ValueError for an address or text that cannot be written."""
        one, config = envelopes[0], account.config
        number = dialled(one.address)
        number = international(one.address) if config.get("country_prefix") == "with 86" else number
        if not is_number(number):
            raise ValueError("The address is not a phone number.")
        parts = cut(_whole(one.content), "ascii" if config.get("ascii", True) else "ucs2")
        several = len(parts.texts) > 1
        reference = self._references.of(number, one.reference) if several else 0
        wide = config.get("version") == "3.0"
        submit = cmpp.Submit(
            source=str(config["source_number"]),
            destinations=[number],
            content=b"",
            coding=cmpp.UCS2 if parts.alphabet == "ucs2" else cmpp.ASCII,
            udhi=several,
            total=len(parts.texts),
            service=str(config["service_id"]),
            fee_user=_integer(config.get("fee_user_type"), 2),
            fee_type=str(config.get("fee_type") or "01"),
            fee_code=str(config.get("fee_code") or "000000"),
            user=str(config.get("msg_src") or config["sp_id"]),
        )
        bodies = []
        for submit.number, submit.content in enumerate(with_headers(parts.texts, reference), start=1):
            bodies.append(submit.encoded(wide))
        return SessionRequest(self.session(account), bodies)

    def read(self, account: Account, envelopes: Sequence[Envelope], answer: Answer) -> Outcome:
        if not isinstance(answer, SessionAnswer) or not answer.parts:
            return Unknown("unreadable", "The answer is not one of a session.")
        refused = next((part for part in answer.parts if part.status), None)
        if answer.stage == "bind":
            code = f"connect:{refused.status if refused else 0}"
            return CODES.get(code) or Misconfigured(code, "The gateway refuses the login.")
        if refused is None:
            ids = [part.message_id for part in answer.parts]
            if all(one.strip("0") for one in ids):
                return Accepted(",".join(ids))
            return Unknown("0", "The gateway said yes without a message id.")
        if any(part.status == 0 for part in answer.parts):
            code = f"part {answer.parts.index(refused) + 1}: {refused.status}"
            return Unknown(code, "Some parts were taken and one was refused: the phone may show half of it.")
        code = str(refused.status)
        return CODES.get(code) or Unknown(code, "A result that is in no table.", unmapped=True)

    def build_check(self, account: Account) -> SessionLink:
        return self.session(account)

    def read_check(self, account: Account, answer: Answer) -> Outcome:
        """A login that was taken has no status but 0."""
        if isinstance(answer, SessionAnswer) and answer.parts and not answer.parts[0].status:
            return Accepted("")
        return self.read(account, [], answer)

    def parse_inbound(self, account: Account, inbound: InboundPdu) -> list[HookEvent]:
        """A status report, or what somebody answered from a phone, as one event."""
        try:
            deliver = cmpp.read_deliver(cmpp.decoded(inbound.pdu).body)
            if not deliver.report:
                return [_reply(deliver, inbound.received_at)]
            report = cmpp.read_report(deliver.content)
        except cmpp.BadPacket:
            raise BadReceipt("The request cannot be read as a status report.") from None
        if not report.word:
            raise BadReceipt("A status report has no state.")
        config = account.config
        state = state_of(report.word, config.get("receipt_map") or {})
        if state is None:
            return []
        bad = {one.strip() for one in str(config.get("bad_number_codes", BAD_NUMBER_CODES) or "").split(",")} - {""}
        return [
            ReceiptEvent(
                state,
                report.word,
                moment(report.done, _integer(config.get("receipt_utc_offset"), 8), inbound.received_at),
                provider_id=report.message_id,
                address=national(report.number or deliver.source),
                bad_address=state == "failed" and report.word in bad,
            )
        ]


def _reply(deliver: cmpp.Deliver, received_at: datetime) -> ReplyEvent:
    text = reply_text(deliver.content, deliver.coding, header=deliver.udhi, gsm=False)
    number = int.from_bytes(deliver.message_id, "big")
    return ReplyEvent(kept_phone(deliver.source), text, received_at, deliver.destination, str(number) if number else "")


def _whole(content: Mapping[str, Any]) -> str:
    sign = str(content.get("sign_name") or "").strip("【】")
    return f"【{sign}】{content['text']}" if sign else str(content["text"])


def _link(config: Mapping[str, Any]) -> SessionLink:
    return SessionLink(
        protocol="cmpp",
        host=str(config["host"]),
        port=_integer(config.get("port"), 7890),
        user=str(config["sp_id"]),
        password=str(config["shared_secret"]),
        version=str(config.get("version") or "2.0"),
        security=str(config.get("security") or "none"),
        binds=_integer(config.get("binds"), 1),
        window=_integer(config.get("window"), 16),
        per_second=float(_integer(config.get("per_second"), 0)),
        idle_s=float(_integer(config.get("active_test_seconds"), 60)),
        check_gateway=bool(config.get("check_gateway")),
    )


def _integer(value: Any, default: int) -> int:
    return default if value in (None, "") else int(value)


def _between(value: Any, low: int, high: int) -> bool:
    try:
        return low <= int(value) <= high
    except (TypeError, ValueError):
        return False
