"""E-mail over any SMTP server: submission, one recipient a message, and bounces read from what comes back."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from apps.channels.contract import (
    Account,
    Adapter,
    Answer,
    Capabilities,
    ConfigField,
    ContentField,
    Envelope,
    HookRequest,
    MailAnswer,
    MailRequest,
    ReceiptEvent,
    Receipts,
    SmtpServer,
)
from apps.channels.outcomes import Accepted, Misconfigured, Outcome, Rejected, Throttled, Unknown
from apps.channels.providers.email_smtp import bounces
from apps.channels.providers.email_smtp.codes import CODES
from apps.channels.providers.email_smtp.mime import body, date_text, header_text, mailbox, refuse_breaks

MAX_SUBJECT = 200
_TOO_BIG = frozenset({"552", "5.2.3", "5.3.4"})  # said at MAIL already where the server knows the size
SECURITIES = ("starttls", "tls", "none")

_BREAKS = re.compile(r"[\r\n\0]")
_ENHANCED = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})(?!\d)")
_ADDRESS = re.compile(r"[^\s<>()\[\]\\,;:\"@\x00-\x1f\x7f]+@[^\s<>()\[\]\\,;:\"@\x00-\x1f\x7f]+")
_NOT_XTEXT = re.compile(r"[^!-*,-<>-~]")  # "+" and "=" stand for themselves no longer (RFC 3461, 4)


class EmailSmtp(Adapter):
    kind = "email_smtp"
    label = "E-mail (SMTP)"
    transport = "smtp"
    config_fields = (
        ConfigField("host", "Server"),
        ConfigField("port", "Port", type="integer", default=587),
        ConfigField("security", "Encryption", type="choice", choices=SECURITIES, default="starttls"),
        ConfigField("username", "User name", required=False),
        ConfigField("password", "Password", secret=True, required=False),
        ConfigField(
            "sessions", "Connections per worker", type="integer", default=10, required=False, help="From 1 to 100."
        ),
        ConfigField("hostname", "Own host name in EHLO", required=False, default="localhost"),
        ConfigField("from_address", "Sender address", help="Its domain is the one that SPF, DKIM and DMARC speak of."),
        ConfigField("from_name", "Sender name", required=False),
        ConfigField("reply_to", "Reply-To address", required=False),
        ConfigField(
            "bounce_domain",
            "Bounce domain",
            required=False,
            help="Mail to every address of this domain must reach the receipt hook. Needs the bounce secret.",
        ),
        ConfigField("bounce_secret", "Bounce secret", secret=True, required=False),
        ConfigField(
            "unsubscribe_url",
            "Unsubscribe link",
            type="url",
            required=False,
            help="Left empty, marketing carries the link of UMS itself, if UMS has a public address. A link of yours is https; "
            "{token} becomes a proven reference to the delivery, {reference} the bare one. One-click (RFC 8058) is offered "
            "where the link is https and holds {token}; the relay must sign both List-Unsubscribe headers.",
        ),
        ConfigField(
            "unsubscribe_mailbox",
            "Unsubscribe mailbox",
            required=False,
            help="Beside the link: mail to this address, the proven reference as its subject.",
        ),
    )
    content_fields = (
        ContentField("subject", "Subject", max_length=MAX_SUBJECT),
        ContentField("text", "Text", multiline=True, help="What is read where HTML is not shown."),
        ContentField("html", "HTML", required=False, multiline=True, escape="html"),
    )
    capabilities = Capabilities(
        address_kind="email", echoes_reference=True, receipts=Receipts.FAILURES, unsubscribe_header=True
    )
    verified_with = "aiosmtpd 1.4.6, dkimpy 1.1.8"

    def __init__(self) -> None:
        self._senders: dict[str, tuple[Mapping[str, Any], _Sender]] = {}

    def check_config(self, config: Mapping[str, Any]) -> dict[str, str]:
        problems = super().check_config(config)
        for name in ("from_address", "reply_to", "unsubscribe_mailbox"):
            if config.get(name) and not _ADDRESS.fullmatch(str(config[name])):
                problems[name] = "This is not one mail address."
        if config.get("security") and config["security"] not in SECURITIES:
            problems["security"] = "Encryption is starttls, tls or none."
        for name, high in (("port", 65535), ("sessions", 100)):
            if config.get(name) not in (None, "") and not _between(config[name], 1, high):
                problems[name] = f"Must be a number from 1 to {high}."
        if bool(config.get("username")) != bool(config.get("password")):
            problems["password"] = "User name and password go together."
        if bool(config.get("bounce_domain")) != bool(config.get("bounce_secret")):
            problems["bounce_secret"] = "Bounce domain and bounce secret go together."
        for name in ("from_name", "hostname", "bounce_domain", "unsubscribe_url", "username", "password", "host"):
            if re.search(r"[\r\n\0]", str(config.get(name) or "")):
                problems[name] = "This may not hold a line end."
        url = str(config.get("unsubscribe_url") or "")
        if url and not re.match(r"https?://[^\s<>]+$", url):
            problems["unsubscribe_url"] = "Unsubscribe link must begin with https:// and hold no blanks."
        elif "{token}" in url and not config.get("bounce_secret") and "bounce_secret" not in problems:
            problems["unsubscribe_url"] = "{token} needs the bounce secret."
        return problems

    def check_content(self, content: Mapping[str, Any]) -> dict[str, str]:
        problems = super().check_content(content)
        if _BREAKS.search(content.get("subject") or ""):
            problems["subject"] = "Subject may not hold a line end."
        return problems

    def build(self, account: Account, envelopes: Sequence[Envelope], now: datetime) -> MailRequest:
        """One mail. Raises ValueError for an address or subject that would break out of its place."""
        one = envelopes[0]
        sender = self._sender(account)
        content, reference, address = one.content, one.reference, one.address
        if not _ADDRESS.fullmatch(address):
            raise ValueError("The address is not a mail address.")
        subject = refuse_breaks("The subject", content["subject"])
        token = bounces.stamp(sender.secret, reference) if sender.secret else "1"
        unsubscribe = sender.unsubscribe_lines(reference, token, one.unsubscribe_url)
        text = (
            f"Date: {date_text(now)}\r\nMessage-ID: <{reference}.1@{sender.domain}>\r\n{sender.headers}"
            f"To: {address}\r\nSubject: {header_text(subject)}\r\n{unsubscribe}"
            f"MIME-Version: 1.0\r\n{body(content['text'], content.get('html') or '')}"
        )
        return MailRequest(
            sender.server,
            f"b+{reference}={token}@{sender.bounce_domain}" if sender.bounce_domain else sender.address,
            address,
            text.encode(),
            f"RET=HDRS ENVID={reference}.{token}",
            f"NOTIFY=FAILURE ORCPT=rfc822;{_xtext(address)}" if address.isascii() else "NOTIFY=FAILURE",
        )

    def _sender(self, account: Account) -> _Sender:
        known = self._senders.get(account.code)
        if known is None or known[0] is not account.config:
            known = (account.config, _prepare(account.config))
            self._senders[account.code] = known
        return known[1]

    def read(self, account: Account, envelopes: Sequence[Envelope], answer: Answer) -> Outcome:
        if not isinstance(answer, MailAnswer):
            return Unknown("unreadable", "The answer is not one of a mail server.")
        if answer.stage == "dot" and 200 <= answer.code < 300:
            text = answer.text[:200]
            for one in envelopes:
                text = text.replace(one.address, "…")
            return Accepted(text)
        outcome, code = _known(answer)
        if outcome is None:
            return Unknown(code, "A reply that is in no table.", unmapped=True)
        if isinstance(outcome, Throttled) and answer.stage in ("connect", "auth", "mail"):
            return replace(outcome, scope="account")  # said before the server knew the recipient
        if (
            isinstance(outcome, Rejected)
            and answer.stage in ("connect", "auth", "mail")
            and outcome.code not in _TOO_BIG
        ):
            return Misconfigured(outcome.code, "The server refuses this sender.")
        return outcome

    def build_check(self, account: Account) -> SmtpServer:
        return self._sender(account).server

    def read_check(self, account: Account, answer: Answer) -> Outcome:
        if isinstance(answer, MailAnswer) and (answer.stage, answer.code) == ("auth", 235):
            return Accepted("")
        return self.read(account, [], answer)

    def parse_hook(self, account: Account, request: HookRequest) -> list[ReceiptEvent]:
        sender = self._sender(account)
        return bounces.events(request, sender.secret.decode(), sender.domain)


@dataclass(frozen=True, slots=True, repr=False)
class _Sender:
    """What stays the same for all mails of one account."""

    server: SmtpServer
    address: str
    domain: str
    headers: str
    bounce_domain: str
    secret: bytes
    unsubscribe_url: str
    unsubscribe_mailbox: str
    one_click: bool

    def unsubscribe_lines(self, reference: str, token: str, link: str) -> str:
        """List-Unsubscribe, and its one-click companion only where a single POST to the link is safe (RFC 8058, 3.1).

        The account's own link goes before the one that came with the envelope, which a single POST may always use.
        """
        ways, one_click = [], self.one_click
        if link and not self.unsubscribe_url:
            ways.append(f"<{refuse_breaks('The unsubscribe link', link)}>")
            one_click = link.startswith("https://")
        elif self.unsubscribe_url:
            url = self.unsubscribe_url.replace("{token}", f"{reference}={token}").replace("{reference}", reference)
            ways.append(f"<{url}>")
        if self.unsubscribe_mailbox:
            ways.append(f"<mailto:{self.unsubscribe_mailbox}?subject={reference}%3D{token}>")
        if not ways:
            return ""
        post = "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" if one_click else ""
        return "List-Unsubscribe: " + ",\r\n ".join(ways) + "\r\n" + post


def _prepare(config: Mapping[str, Any]) -> _Sender:
    address = str(config["from_address"])
    reply_to = config.get("reply_to")
    secret = str(config.get("bounce_secret") or "")
    url = refuse_breaks("The unsubscribe link", str(config.get("unsubscribe_url") or ""))
    return _Sender(
        server=SmtpServer(
            host=str(config["host"]),
            port=int(config.get("port") or 587),
            security=str(config.get("security") or "starttls"),
            username=str(config.get("username") or ""),
            password=str(config.get("password") or ""),
            sessions=int(config.get("sessions") or 10),
            hostname=str(config.get("hostname") or "localhost"),
        ),
        address=address,
        domain=address.rpartition("@")[2],
        headers=f"From: {mailbox(str(config.get('from_name') or ''), address)}\r\n"
        + (f"Reply-To: {refuse_breaks('Reply-To', str(reply_to))}\r\n" if reply_to else "")
        + "Auto-Submitted: auto-generated\r\n",
        bounce_domain=str(config.get("bounce_domain") or "") if secret else "",
        secret=secret.encode(),
        unsubscribe_url=url,
        unsubscribe_mailbox=refuse_breaks("The unsubscribe mailbox", str(config.get("unsubscribe_mailbox") or "")),
        one_click=url.startswith("https://") and "{token}" in url and bool(secret),
    )


def _known(answer: MailAnswer) -> tuple[Outcome | None, str]:
    """The table's outcome and the code it was found by (or the most exact code there is)."""
    enhanced = _ENHANCED.match(answer.text)
    digits = str(answer.code)
    if enhanced is None or enhanced[1] != digits[0]:
        return CODES.get(digits), digits
    for code in (enhanced[0], f"{enhanced[1]}.{enhanced[2]}.x", f"{enhanced[1]}.x.x", digits):
        if code in CODES:
            return CODES[code], code
    return None, enhanced[0]


def _between(value: Any, low: int, high: int) -> bool:
    try:
        return low <= int(value) <= high
    except (TypeError, ValueError):
        return False


def _xtext(address: str) -> str:
    return _NOT_XTEXT.sub(lambda match: f"+{ord(match[0]):02X}", address)
