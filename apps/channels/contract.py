"""The contract of a channel: what a kind declares, and the five things that its code can do.

A kind lives in one folder, `providers/<kind>/adapter.py`, and is a subclass of `Adapter`. All methods are pure: they
turn plain values into requests and answers into outcomes; sending is the transport's work, deciding is the
dispatcher's. Nothing in here or in a provider imports Django.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

from apps.channels.address_limits import ADDRESS_LIMITS_FIELD, NAME, AddressLimit, limits_in
from apps.channels.fields import ConfigField, ContentField
from apps.channels.outcomes import Outcome
from apps.channels.requests import (
    Answer,
    AppriseAnswer,
    AppriseRequest,
    HttpAnswer,
    HttpRequest,
    InboundPdu,
    MailAnswer,
    MailRequest,
    PartAnswer,
    Request,
    SessionAnswer,
    SessionLink,
    SessionRequest,
    SmtpServer,
    TransportFault,
)

__all__ = [  # for who imports fields, limits, requests and answers together with the contract
    "ADDRESS_LIMITS_FIELD",
    "AddressLimit",
    "Answer",
    "AppriseAnswer",
    "AppriseRequest",
    "ConfigField",
    "ContentField",
    "HttpAnswer",
    "HttpRequest",
    "InboundPdu",
    "MailAnswer",
    "MailRequest",
    "PartAnswer",
    "Request",
    "SessionAnswer",
    "SessionLink",
    "SessionRequest",
    "SmtpServer",
    "TransportFault",
]


class Idempotency(StrEnum):
    NONE = "none"
    KEYED = "keyed"  # our key repeated inside the window sends nothing twice
    CONTENT = "content"  # equal content inside the window sends nothing twice


OFFLINE = "offline"  # the code of a failed event: the device was away, and its provider keeps nothing for it


class Receipts(StrEnum):
    NONE = "none"
    FAILURES = "failures"  # only bad news comes back (bounces): silence is the best that can be known
    PUSH = "push"  # the provider calls our hook
    POLL = "poll"  # we ask
    BOTH = "both"  # it may call, and we ask for what it did not say

    @property
    def pushed(self) -> bool:
        return self in (Receipts.PUSH, Receipts.BOTH, Receipts.FAILURES)

    @property
    def polled(self) -> bool:
        return self in (Receipts.POLL, Receipts.BOTH)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What strategy and dispatch ask a kind. Durations are timedelta; sources stand in the kind's README."""

    address_kind: str
    recipients_per_call: int = 1
    personalised: bool = False  # one call can carry a text of its own for each recipient: see `Adapter.own_texts`
    idempotency: Idempotency = Idempotency.NONE
    idempotency_window: timedelta = timedelta(0)
    reserves_keys: bool = False  # keys must be fetched from the provider before the send
    key_per_recipient: bool = False  # calls with own texts need a reserved key for each recipient, not one for all
    can_query: bool = False  # the fate of one send can be asked by our reference
    echoes_reference: bool = False  # receipts carry our reference
    finds_by_provider_id: bool = False  # receipts carry the provider's id only: dispatch files it for the merge
    receipts: Receipts = Receipts.NONE
    reports_read: bool = False  # "read" comes, not only "delivered"
    reports_clicks: bool = False  # "clicked" comes as well
    poll_group: int = 0  # addresses per poll of one provider id
    recall: bool = False
    recall_within: timedelta = timedelta(0)  # after acceptance; zero: no limit is known
    recall_undelivered: bool = False  # only while no device has the message
    recall_told: bool = False  # the answer says only that it will be tried; the verdict comes as a receipt
    address_limits: tuple[AddressLimit, ...] = ()
    offline_store: bool = False
    price_unit: Literal["message", "piece"] = "message"
    unsubscribe_header: bool = (
        False  # it says beside the text where to unsubscribe: envelopes of marketing carry the link
    )
    host_per_address: bool = False  # each address has a server of its own: one that fails says nothing of the account


@dataclass(frozen=True, slots=True)
class Account:
    """One configured sender as an adapter sees it: settings and opened secrets in one mapping.

    `token` is the access token now in force; empty where the kind has none (`Adapter.uses_token`).
    """

    code: str
    kind: str
    config: Mapping[str, Any] = field(repr=False)
    token: str = field(default="", repr=False)

    def url(self, path: str) -> str:
        """`path`, which begins with a slash, behind the account's `base_url`."""
        return str(self.config["base_url"]).rstrip("/") + path


@dataclass(frozen=True, slots=True)
class Token:
    """An access token and how long the provider says it is good for."""

    value: str = field(repr=False)
    valid: timedelta


@dataclass(slots=True)
class Envelope:
    """One delivery as an adapter sees it.

    key        repeated on every retry of the delivery (or reserved at the provider, see `reserves_keys`)
    reference  base36 of the delivery id, to be put wherever the provider echoes something back
    address    opened just now, never to be logged
    content    the rendered body: field name -> text, or {name: text} for mapping fields
    unsubscribe_url  the page that takes this person off (capability `unsubscribe_header`); empty where there is none
    """

    key: str
    reference: str
    address: str = field(repr=False)
    content: Mapping[str, Any] = field(repr=False)
    unsubscribe_url: str = field(default="", repr=False)


def call_key(envelopes: Sequence[Envelope]) -> str:
    """The idempotency key of one call: that of its envelopes where they have one, else one that nobody else's call has.

    A key that came again with other people in the call would have the provider drop those who are new.
    """
    keys = sorted({one.key for one in envelopes})
    return keys[0] if len(keys) == 1 else hashlib.sha256(" ".join(keys).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class ReceiptEvent:
    """One fact that a provider reports about one delivery.

    Found by `reference` (our delivery, or the first delivery of the call with `address` naming the person), or by
    `provider_id` plus `address`. state: "accepted", "delivered", "failed", "read", "clicked", or the verdict on a recall
    (`recall_told`). `code` is the provider's word. `occurred_at` is aware. `bad_address` says the address should not be
    tried again.
    """

    state: Literal["accepted", "delivered", "failed", "read", "clicked", "recalled", "recall_refused"]
    code: str
    occurred_at: datetime
    reference: str = ""
    provider_id: str = ""
    address: str = field(default="", repr=False)
    words: str = ""
    pieces: int | None = None
    bad_address: bool = False


@dataclass(frozen=True, slots=True)
class AddressEvent:
    """What a provider says about an address itself: it followed or left, allowed or refused.

    A binding turns unreachable with `reason` (a word such as "unfollowed") and comes back by itself. `unionid`, where
    the provider tells it, ties the address to the person who has another identity with the same one.
    """

    address: str = field(repr=False)
    reachable: bool
    reason: str
    occurred_at: datetime
    unionid: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class ReplyEvent:
    """What somebody wrote back to an account: from which address, the text, and the number (or its end) they wrote to.

    `reply_id` is the provider's own id of it, by which a repeat is known; empty where there is none.
    """

    address: str = field(repr=False)
    text: str = field(repr=False)
    occurred_at: datetime
    extension: str = ""
    reply_id: str = ""


HookEvent = ReceiptEvent | AddressEvent | ReplyEvent


@dataclass(frozen=True, slots=True)
class HookRequest:
    """What arrived at an account's hook; header names in lower case, `query` decoded, `received_at` aware."""

    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes = field(repr=False)
    received_at: datetime
    method: str = "POST"
    path: str = ""  # what the provider put behind the account's own address


@dataclass(frozen=True, slots=True)
class HookReply:
    """What the hook answers, at once."""

    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ApprovedTemplate:
    """A template as the provider lists it. `state`: "approved", "pending", "refused"; `text` with its own placeholders."""

    code: str
    name: str
    text: str
    state: Literal["approved", "pending", "refused"]


class BadReceipt(ValueError):
    """The body at the hook cannot be read or is not authentic; the sentence says what is wrong, without contents."""


class Adapter:
    """Base of every kind. Subclasses set the class attributes and override what their capabilities promise."""

    kind: str
    label: str
    transport: Literal["http", "smtp", "session", "apprise"] = "http"
    config_fields: tuple[ConfigField, ...] = ()
    content_fields: tuple[ContentField, ...] = ()
    capabilities: Capabilities
    hook_answer: tuple[str, bytes] = ("application/json", b"{}")  # content type and body the provider expects
    hook_trust: Literal["signature", "address"] = "address"  # what makes a body at the hook authentic
    uses_token: bool = False  # calls carry an access token: `build_token`, `read_token`
    verified_with: str = ""  # which independent client or peer the kind was run against, with version; empty: none

    def check_config(self, config: Mapping[str, Any]) -> dict[str, str]:
        """{field name: what is wrong and how to mend it}; empty when the account can be used. Secrets included.

        Finds what is missing, a "text" of another pattern, a "url" that is none, an "integer" outside its bounds.
        """
        found = {one.name: one.problem(config.get(one.name)) for one in self.config_fields}
        return {name: words for name, words in found.items() if words}

    def check_content(self, content: Mapping[str, Any]) -> dict[str, str]:
        """{field name: what is wrong} for one rendered or raw body, limits of the provider included."""
        problems = {}
        for part in self.content_fields:
            value = content.get(part.name)
            if part.required and not value:
                problems[part.name] = f"{part.label} is required."
            elif part.max_length and isinstance(value, str) and len(value) > part.max_length:
                problems[part.name] = f"{part.label} has {len(value)} characters, {part.max_length} are allowed."
        return problems

    def call_size(self, account: Account) -> int:
        """How many recipients one call of this account takes, 1 to `recipients_per_call`; of equal content unless
        `own_texts`. Read from the setting `recipients_per_call` where the kind declares one.
        """
        most = self.capabilities.recipients_per_call
        try:
            return max(1, min(int(account.config.get("recipients_per_call") or most), most))
        except (TypeError, ValueError):
            return 1

    def capabilities_of(self, account: Account, content: Mapping[str, Any] | None = None) -> Capabilities:
        """What holds for calls of this account with this content; without content: what holds for any.

        `capabilities`, but where a setting takes away from them, or a sort of message has what not every one has.
        """
        return self.capabilities

    def address_limits(self, account: Account) -> tuple[AddressLimit, ...]:
        """What the provider takes for one address: the account's own setting, or what the kind declares."""
        text = str(account.config.get(NAME) or "")
        return limits_in(text) if text else self.capabilities.address_limits

    def own_texts(self, account: Account) -> bool:
        """Whether calls of this account carry a text of its own for each recipient (never unless `personalised`).

        Envelopes that share a reserved key still come together: they went out under it before the account was changed.
        """
        return self.capabilities.personalised

    def pieces(self, content: Mapping[str, Any]) -> int:
        """How many billed units one rendered body makes; 1 unless the price is by piece."""
        return 1

    def build(self, account: Account, envelopes: Sequence[Envelope], now: datetime) -> Request:
        """One call for these envelopes: never more than `call_size`, equal content unless `own_texts`.

        Raises ValueError for an address or content that cannot be written into a request.
        """
        raise TypeError(f"{self.kind} does not send")

    def read(self, account: Account, envelopes: Sequence[Envelope], answer: Answer) -> Outcome | Sequence[Outcome]:
        """What the answer means: one outcome for the whole call, or one per envelope in order."""
        raise TypeError(f"{self.kind} does not send")

    def build_reserve(self, account: Account, count: int) -> HttpRequest:
        """Asks for `count` keys (capability `reserves_keys`)."""
        raise TypeError(f"{self.kind} reserves no keys")

    def read_reserve(self, answer: HttpAnswer) -> Sequence[str] | Outcome:
        """The keys, or the outcome that stands for their refusal (never Accepted)."""
        raise TypeError(f"{self.kind} reserves no keys")

    def build_token(self, account: Account, now: datetime) -> HttpRequest | Token:
        """Asks for a new access token (`uses_token`), or makes one here where the provider takes signed ones."""
        raise TypeError(f"{self.kind} uses no token")

    def read_token(self, account: Account, answer: HttpAnswer) -> Token | Outcome:
        """The token, or the outcome that stands for its refusal (neither Accepted nor StaleToken)."""
        raise TypeError(f"{self.kind} uses no token")

    def build_check(self, account: Account) -> HttpRequest | SmtpServer | SessionLink | None:
        """What shows whether the credentials are good and sends nothing: a call, or a log-in at a server.

        None: there is nothing but the access token to be asked for.
        """
        return None

    def read_check(self, account: Account, answer: Answer) -> Outcome:
        """Accepted("") for good credentials, else the outcome that says what is wrong."""
        raise TypeError(f"{self.kind} cannot be checked")

    def verify_hook(self, account: Account, request: HookRequest) -> bytes:
        """The body in clear of an authentic request (decrypted where it is encrypted). Raises BadReceipt.

        Must be overridden where `hook_trust` is "signature"; the time stamps of a request are judged by `received_at`.
        """
        return request.body

    def greet_hook(self, account: Account, request: HookRequest, body: bytes) -> HookReply | None:
        """The answer to a provider's trial of the address, given the verified body; None for everything else."""
        return None

    def parse_hook(self, account: Account, request: HookRequest) -> Sequence[HookEvent]:
        """Reads a pushed body; `request.body` is what `verify_hook` returned. Raises BadReceipt.

        An authentic body without anything for us gives an empty list.
        """
        raise TypeError(f"{self.kind} has no receipts by push")

    def build_recall(self, account: Account, provider_id: str, addresses: Sequence[str], now: datetime) -> HttpRequest:
        """Takes back what one call sent, from all of its recipients (capability `recall`); harmless where repeated."""
        raise TypeError(f"{self.kind} cannot recall")

    def read_recall(self, account: Account, answer: HttpAnswer) -> Outcome:
        """Accepted("") where it is taken back (or will be tried, see `recall_told`); Rejected where it is too late."""
        raise TypeError(f"{self.kind} cannot recall")

    def build_lookup(self, account: Account, phone: str) -> HttpRequest:
        """Asks which address of this kind a mobile number has (optional)."""
        raise TypeError(f"{self.kind} looks nothing up")

    def read_lookup(self, account: Account, answer: HttpAnswer) -> str | Outcome:
        """The address, "" where nobody has that number, or the outcome that stands for a refusal."""
        raise TypeError(f"{self.kind} looks nothing up")

    def build_templates(self, account: Account, page: int) -> HttpRequest:
        """Asks for one page (from 1) of the templates that the provider approved (optional)."""
        raise TypeError(f"{self.kind} lists no templates")

    def read_templates(self, account: Account, answer: HttpAnswer) -> tuple[Sequence[ApprovedTemplate], bool] | Outcome:
        """The templates of that page and whether there is another, or the outcome that stands for a refusal."""
        raise TypeError(f"{self.kind} lists no templates")

    def session(self, account: Account) -> SessionLink:
        """The link that an account of a session kind keeps open, also while nothing is to be sent."""
        raise TypeError(f"{self.kind} keeps no session")

    def parse_inbound(self, account: Account, inbound: InboundPdu) -> Sequence[HookEvent]:
        """Reads what came over a session, in place of `parse_hook`. Raises BadReceipt; nothing for us: an empty list."""
        raise TypeError(f"{self.kind} keeps no session")

    def build_poll(
        self, account: Account, provider_id: str, addresses: Sequence[str], sent_at: datetime
    ) -> HttpRequest:
        """Asks what became of one provider id (capability POLL), at most `poll_group` addresses."""
        raise TypeError(f"{self.kind} cannot be polled")

    def read_poll(
        self,
        account: Account,
        provider_id: str,
        addresses: Sequence[str],
        answer: HttpAnswer,
        now: datetime,
        sent_at: datetime | None = None,
    ) -> Sequence[ReceiptEvent] | Outcome:
        """Events known by now (none for those still under way), or the outcome that stands for a refusal.

        `sent_at` is when the youngest of them was accepted: where the provider keeps nothing for devices that are away, a
        device without the message is a failure of code `OFFLINE` some time later.
        """
        raise TypeError(f"{self.kind} cannot be polled")

    def build_query(self, account: Account, envelope: Envelope, sent_at: datetime) -> HttpRequest:
        """Asks for the fate of one send of unknown outcome (capability `can_query`); `content` is empty here."""
        raise TypeError(f"{self.kind} cannot be queried")

    def read_query(self, account: Account, envelope: Envelope, answer: HttpAnswer) -> Sequence[ReceiptEvent] | Outcome:
        """Events of that send; an empty list means that the provider knows nothing of it (yet)."""
        raise TypeError(f"{self.kind} cannot be queried")
