"""App push over JPush (REST API v3): /v3/push to registration ids under a reserved cid, states asked later.

An account may instead send texts that differ, many in a call (/v3/push/batch/regid/single): a cid for each device then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote, urlsplit

from apps.channels.contract import (
    ADDRESS_LIMITS_FIELD,
    OFFLINE,
    Account,
    Adapter,
    Answer,
    Capabilities,
    ConfigField,
    ContentField,
    Envelope,
    HttpAnswer,
    HttpRequest,
    Idempotency,
    ReceiptEvent,
    Receipts,
)
from apps.channels.outcomes import Accepted, Outcome, Unknown
from apps.channels.providers.push_jpush.answers import answer_body, entry, refusal
from apps.channels.providers.push_jpush.codes import STATES
from apps.channels.providers.push_jpush.payload import (
    Prepared,
    batch_body,
    dumps,
    integer,
    notification,
    platforms,
    prepare,
    push_body,
    vendor_channels,
)

BEIJING = timezone(timedelta(hours=8))
MAX_DEVICES = 1000
ANDROID_BYTES = 4000
IOS_BYTES = 2000
MAX_TTL_S = 10 * 86400
NOT_DELIVERED = "1"
AWAY_AFTER = timedelta(minutes=1)  # a device that is online has its message within seconds [K]
STATE_WORDS = {
    OFFLINE: "The device was offline, and the account keeps nothing for it.",
    "2": "The registration id is not of this app.",
    "3": "The device was no target of this message.",
}


class PushJPush(Adapter):
    kind = "push_jpush"
    label = "App push (JPush)"
    config_fields = (
        ConfigField("app_key", "AppKey", help="JPush console, the app, 应用信息."),
        ConfigField("master_secret", "Master Secret", secret=True, help="Same page as the AppKey."),
        ConfigField("base_url", "Push endpoint", type="url", default="https://api.jpush.cn"),
        ConfigField("report_base_url", "Report endpoint", type="url", default="https://report.jpush.cn"),
        ADDRESS_LIMITS_FIELD,
        ConfigField(
            "platform",
            "Platforms",
            default="android,ios",
            help='"all", or some of android, ios, quickapp, hmos divided by commas.',
        ),
        ConfigField(
            "recipients_per_call",
            "Devices per call",
            type="integer",
            default=MAX_DEVICES,
            required=False,
            help="1 to 1000 devices that get equal text in one call.",
        ),
        ConfigField(
            "own_texts_per_call",
            "Own texts per call",
            type="integer",
            default=0,
            required=False,
            help="Up to 1000 devices share a call, each with a text of its own; needs the provider's VIP. 0: not used.",
        ),
        ConfigField(
            "time_to_live",
            "Seconds kept for offline devices",
            type="integer",
            default=86400,
            required=False,
            help="0 reaches devices online now only; more than 3 days need the provider's VIP.",
        ),
        ConfigField("apns_production", "iOS production environment", type="boolean", default=True, required=False),
        ConfigField(
            "classification",
            "Message class",
            type="choice",
            choices=("", "0", "1"),
            required=False,
            help="0 operation and marketing, 1 system.",
        ),
        ConfigField("channel_id", "Android notification channel", required=False),
        ConfigField(
            "third_party_channel",
            "Vendor channels",
            type="json",
            required=False,
            help="The provider's options.third_party_channel as a JSON object.",
        ),
    )
    content_fields = (
        ContentField("title", "Title", required=False, max_length=100),
        ContentField("alert", "Text", max_length=1000, multiline=True),
        ContentField("extras", "Extra values for the app", required=False, mapping=True),
    )
    capabilities = Capabilities(
        address_kind="jpush",
        recipients_per_call=MAX_DEVICES,
        personalised=True,
        idempotency=Idempotency.KEYED,
        idempotency_window=timedelta(days=1),
        reserves_keys=True,
        key_per_recipient=True,
        receipts=Receipts.POLL,
        poll_group=MAX_DEVICES,
        recall=True,
        offline_store=True,
    )

    verified_with = "jpush 3.4.1"

    def __init__(self) -> None:
        self._settings: dict[str, tuple[Mapping[str, Any], Prepared]] = {}

    def check_config(self, config: Mapping[str, Any]) -> dict[str, str]:
        problems = super().check_config(config)
        for name in ("base_url", "report_base_url"):
            url = urlsplit(str(config.get(name, "")))
            if name not in problems and (url.scheme not in ("http", "https") or not url.netloc):
                problems[name] = "The endpoint must begin with https:// and name a host."
        for name, low, high in (
            ("recipients_per_call", 1, MAX_DEVICES),
            ("own_texts_per_call", 0, MAX_DEVICES),
            ("time_to_live", 0, MAX_TTL_S),
        ):
            if not low <= integer(config.get(name), low) <= high:
                problems[name] = f"Must be a number from {low} to {high}."
        unknown = set(platforms(config)) - {"all", "android", "ios", "quickapp", "hmos"}
        if "platform" not in problems and unknown:
            problems["platform"] = "Platforms are all, android, ios, quickapp, hmos."
        try:
            vendor_channels(config)
        except ValueError:
            problems["third_party_channel"] = "Vendor channels must be a JSON object."
        return problems

    def check_content(self, content: Mapping[str, Any]) -> dict[str, str]:
        problems = super().check_content(content)
        android, ios = notification(content, "0" * 13, "")
        for part, size, limit in (
            ("Android", len(android.encode()), ANDROID_BYTES),
            ("iOS", len(ios.encode()), IOS_BYTES),
        ):
            if "alert" not in problems and size > limit:
                problems["alert"] = f"Title, text and extras take {size} bytes for {part}, {limit} are allowed."
        return problems

    @staticmethod
    def _keeps_nothing(account: Account) -> bool:
        return integer(account.config.get("time_to_live"), 86400) == 0

    def own_texts(self, account: Account) -> bool:
        return integer(account.config.get("own_texts_per_call"), 0) > 0

    def call_size(self, account: Account) -> int:
        name = "own_texts_per_call" if self.own_texts(account) else "recipients_per_call"
        return min(max(integer(account.config.get(name), MAX_DEVICES), 1), MAX_DEVICES)

    def build(self, account: Account, envelopes: Sequence[Envelope], now: datetime) -> HttpRequest:
        """/v3/push with the first envelope's key as cid: a retry must bring the same envelopes in the same order.

        With own texts each envelope stands under its own key, and a retry may bring them in any company.
        """
        ready = self._prepared(account)
        if self._is_batch(account, envelopes):
            return HttpRequest("POST", ready.batch_url, ready.headers, batch_body(ready, envelopes))
        return HttpRequest("POST", ready.push_url, ready.headers, push_body(ready, envelopes))

    def _is_batch(self, account: Account, envelopes: Sequence[Envelope]) -> bool:
        """Not for envelopes that share a key: they went out as one push before the account was changed."""
        return self.own_texts(account) and (len(envelopes) == 1 or envelopes[0].key != envelopes[1].key)

    def _prepared(self, account: Account) -> Prepared:
        known = self._settings.get(account.code)
        if known is None or known[0] is not account.config:
            known = (account.config, prepare(account.config))
            self._settings[account.code] = known
        return known[1]

    def read(self, account: Account, envelopes: Sequence[Envelope], answer: Answer) -> Outcome | Sequence[Outcome]:
        body = answer_body(answer)
        if isinstance(body, Unknown):
            return body
        assert isinstance(answer, HttpAnswer)
        if answer.status == 200 and self._is_batch(account, envelopes):
            return [entry(body.get(one.key), answer) for one in envelopes]
        msg_id = body.get("msg_id")
        if answer.status == 200 and "error" not in body and isinstance(msg_id, str | int) and msg_id:
            return Accepted(str(msg_id))
        return refusal(body, answer, len(envelopes))

    def build_check(self, account: Account) -> HttpRequest:
        """Asks for one cid, which nobody uses."""
        return self.build_reserve(account, 1)

    def read_check(self, account: Account, answer: Answer) -> Outcome:
        assert isinstance(answer, HttpAnswer)
        keys = self.read_reserve(answer)
        return keys if isinstance(keys, Outcome) else Accepted("")

    def build_recall(self, account: Account, provider_id: str, addresses: Sequence[str], now: datetime) -> HttpRequest:
        """Takes back the whole push: `provider_id` is that of all devices of its call."""
        ready = self._prepared(account)
        return HttpRequest("DELETE", f"{ready.push_url}/{quote(provider_id, safe='')}", ready.headers)

    def read_recall(self, account: Account, answer: HttpAnswer) -> Outcome:
        """The body of a success is not documented, that an error never has status 200 is."""
        if answer.status == 200 and not answer.body.strip():
            return Accepted("")
        body = answer_body(answer)
        if isinstance(body, Unknown):
            return body
        return Accepted("") if answer.status == 200 and "error" not in body else refusal(body, answer, 1)

    def build_reserve(self, account: Account, count: int) -> HttpRequest:
        ready = self._prepared(account)
        return HttpRequest(
            "GET", f"{ready.push_url}/cid?count={min(max(count, 1), MAX_DEVICES)}&type=push", ready.headers
        )

    def read_reserve(self, answer: HttpAnswer) -> Sequence[str] | Outcome:
        body = answer_body(answer)
        if isinstance(body, Unknown):
            return body
        keys = body.get("cidlist")
        if answer.status == 200 and isinstance(keys, list) and keys and all(isinstance(k, str) and k for k in keys):
            return keys
        return refusal(body, answer, 1)

    def build_poll(
        self, account: Account, provider_id: str, addresses: Sequence[str], sent_at: datetime
    ) -> HttpRequest:
        ready = self._prepared(account)
        body = dumps(
            {
                "msg_id": int(provider_id) if provider_id.isdecimal() else provider_id,
                "registration_ids": list(addresses),
                "date": f"{sent_at.astimezone(BEIJING):%Y-%m-%d}",
            }
        )
        return HttpRequest("POST", ready.status_url, ready.headers, body.encode())

    def read_poll(
        self,
        account: Account,
        provider_id: str,
        addresses: Sequence[str],
        answer: HttpAnswer,
        now: datetime,
        sent_at: datetime | None = None,
    ) -> list[ReceiptEvent] | Outcome:
        """Only what is final makes an event; the provider gives no time of its own, `now` stands for it."""
        body = answer_body(answer)
        if isinstance(body, Unknown):
            return body
        if answer.status != 200 or "error" in body:
            return refusal(body, answer, 1)
        events = []
        away = sent_at is not None and self._keeps_nothing(account) and sent_at + AWAY_AFTER <= now
        for address in addresses:
            said = body.get(address)
            code = str(said.get("status")) if isinstance(said, dict) else ""
            state = STATES.get(code)
            if code == NOT_DELIVERED and away:
                state, code = "failed", OFFLINE
            if state is not None:
                events.append(
                    ReceiptEvent(
                        state,
                        code,
                        now,
                        provider_id=provider_id,
                        address=address,
                        words=STATE_WORDS.get(code, ""),
                        bad_address=code == "2",
                    )
                )
        return events
