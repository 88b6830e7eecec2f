"""What goes over each transport and what comes back: HTTP, SMTP, sessions of short-message gateways, Apprise. Pure values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from apps.channels.outcomes import Rejected, Unavailable, Unknown


@dataclass(slots=True)
class HttpRequest:
    """`headers` are ready "Name: value" lines; `body` None means a request without one."""

    method: str
    url: str = field(repr=False)  # a provider may want addresses in it
    headers: list[str] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)
    http2: bool = False  # the provider speaks nothing else
    public_only: bool = False  # the address was given by a user: never into our own network (egress rule)


@dataclass(slots=True)
class HttpAnswer:
    """`headers` has lower-case names; `body` is cut at the client's cap, then `truncated` is true."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    truncated: bool = False


@dataclass(slots=True)
class MailRequest:
    """One message to one recipient. `data` is the whole MIME text with CRLF line ends, not dot-stuffed."""

    server: SmtpServer
    mail_from: str = field(repr=False)
    rcpt_to: str = field(repr=False)
    data: bytes = field(repr=False)
    mail_options: str = ""  # used where the server offers DSN, e.g. "RET=HDRS ENVID=k3x"
    rcpt_options: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where and how to submit. `security` is "none", "starttls" or "tls"."""

    host: str
    port: int
    security: str = "starttls"
    username: str = ""
    password: str = field(default="", repr=False)
    sessions: int = 10
    hostname: str = "localhost"


@dataclass(slots=True)
class MailAnswer:
    """The reply that decided: at which command ("connect", "auth", "mail", "rcpt", "data", "dot"), code and text."""

    stage: str
    code: int
    text: str = field(repr=False)  # servers like to repeat the address in it


@dataclass(frozen=True, slots=True)
class SessionLink:
    """Where and how to log in to a gateway that keeps a session, and how much it takes at once.

    protocol "smpp" or "cmpp", `version` "3.4" or "2.0"/"3.0"; `security` is "none" or "tls". `binds` connections, each
    with at most `window` unanswered requests; `per_second` requests over all of them, 0 for no limit of ours. A link
    that was silent for `idle_s` seconds is asked whether it lives. `mode` (SMPP) is "transceiver" or "separate" (one
    receiver beside the transmitters). `check_gateway` (CMPP): the gateway's own proof must be right.
    """

    protocol: Literal["smpp", "cmpp"]
    host: str
    port: int
    user: str
    password: str = field(repr=False)
    version: str = "3.4"
    security: str = "none"
    binds: int = 1
    window: int = 10
    per_second: float = 0.0
    idle_s: float = 30.0
    mode: str = "transceiver"
    system_type: str = ""
    check_gateway: bool = False


@dataclass(slots=True)
class SessionRequest:
    """One message for one recipient. `parts` are the bodies of its submit requests in order, without header."""

    link: SessionLink
    parts: list[bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class PartAnswer:
    """What the gateway said to one request: its status and, where that is 0, its id for the part."""

    status: int
    message_id: str = ""


@dataclass(frozen=True, slots=True)
class SessionAnswer:
    """What came back. stage "submit": answers to the parts in order, or to the first alone where it was refused: the
    others were never sent then. stage "bind": no session came up, and the one answer says why.
    """

    stage: Literal["bind", "submit"]
    parts: tuple[PartAnswer, ...]


@dataclass(frozen=True, slots=True, eq=False)
class InboundPdu:
    """A whole request of the gateway as it came, header included; `received_at` is aware. `origin` is the transport's."""

    pdu: bytes = field(repr=False)
    received_at: datetime
    origin: object = field(default=None, repr=False)


@dataclass(slots=True)
class AppriseRequest:
    """One message for one Apprise URL."""

    url: str = field(repr=False)  # holds the keys of the service
    title: str = field(repr=False)
    body: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AppriseAnswer:
    """The word of the process that runs Apprise: "sent", "unreadable", "not_begun", "refused", "failed"."""

    word: str


Request = HttpRequest | MailRequest | SessionRequest | AppriseRequest
Answer = HttpAnswer | MailAnswer | SessionAnswer | AppriseAnswer


@dataclass(frozen=True, slots=True)
class TransportFault:
    """No answer. `sent` is False only where no byte of the request itself can have reached the provider.

    `refused`: it was not sent because our own rules forbid it, and no later time will change that.
    """

    sent: bool
    code: str
    words: str
    refused: bool = False

    def outcome(self) -> Unknown | Unavailable | Rejected:
        """What it comes to for every recipient of the call."""
        if self.refused and not self.sent:
            return Rejected(self.code, self.words)
        return (Unknown if self.sent else Unavailable)(self.code, self.words)
