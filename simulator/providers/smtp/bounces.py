"""Undeliverable mail comes back as an RFC 3464 report, in the shape postfix writes it."""

import re
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import NamedTuple

REPORTER = "mx.ums.example"
DIAGNOSIS = "550 5.1.1 no such mailbox here"
HEADER_END = re.compile(rb"\r?\n\r?\n")


class Bounce(NamedTuple):
    """One recipient of one mail that could not be delivered, with what the envelope said."""

    sender: str
    recipient: str
    original_recipient: str
    envelope_id: str
    returns_full: bool
    queue_id: str
    arrived_at: float
    message: bytes


def write_bounce(bounce: Bounce) -> bytes:
    """Return the whole report as it would be delivered to the envelope sender (the VERP address)."""
    boundary = f"{bounce.queue_id}.{int(bounce.arrived_at)}/{REPORTER}"
    parts = [_words(bounce), _status(bounce), _returned(bounce)]
    body = b"".join(f"--{boundary}\r\n".encode() + part + b"\r\n" for part in parts)
    return _head(bounce, boundary) + body + f"--{boundary}--\r\n".encode()


def _lines(*lines: str) -> bytes:
    return "".join(f"{line}\r\n" for line in lines if line).encode()


def _date(moment: float) -> str:
    return format_datetime(datetime.fromtimestamp(moment, UTC))


def _head(bounce: Bounce, boundary: str) -> bytes:
    head = _lines(
        "Return-Path: <>",
        f"Date: {_date(bounce.arrived_at)}",
        f"From: MAILER-DAEMON@{REPORTER} (Mail Delivery System)",
        "Subject: Undelivered Mail Returned to Sender",
        f"To: {bounce.sender}",
        "Auto-Submitted: auto-replied",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type=delivery-status;\r\n boundary="{boundary}"',
        f"Message-Id: <{bounce.queue_id}.{int(bounce.arrived_at)}@{REPORTER}>",
    )
    return head + b"\r\nThis is a MIME-encapsulated message.\r\n\r\n"


def _words(bounce: Bounce) -> bytes:
    text = (
        f"This is the mail system at host {REPORTER}.\r\n\r\n"
        "I'm sorry to have to inform you that your message could not\r\n"
        "be delivered to one or more recipients. It's attached below.\r\n\r\n"
        f"<{bounce.recipient}>: host 127.0.0.1[127.0.0.1] said: {DIAGNOSIS}\r\n"
        "    (in reply to RCPT TO command)\r\n"
    )
    head = _lines("Content-Description: Notification", "Content-Type: text/plain; charset=utf-8")
    return head + b"\r\n" + text.encode()


def _status(bounce: Bounce) -> bytes:
    per_message = _lines(
        f"Reporting-MTA: dns; {REPORTER}",
        f"Original-Envelope-Id: {bounce.envelope_id}" if bounce.envelope_id else "",
        f"X-Postfix-Queue-ID: {bounce.queue_id}",
        f"X-Postfix-Sender: rfc822; {bounce.sender}",
        f"Arrival-Date: {_date(bounce.arrived_at)}",
    )
    per_recipient = _lines(
        f"Final-Recipient: rfc822; {bounce.recipient}",
        f"Original-Recipient: {bounce.original_recipient}" if bounce.original_recipient else "",
        "Action: failed",
        "Status: 5.1.1",
        "Remote-MTA: dns; 127.0.0.1",
        f"Diagnostic-Code: smtp; {DIAGNOSIS}",
    )
    head = _lines("Content-Description: Delivery report", "Content-Type: message/delivery-status")
    return head + b"\r\n" + per_message + b"\r\n" + per_recipient


def _returned(bounce: Bounce) -> bytes:
    kind = "message/rfc822" if bounce.returns_full else "text/rfc822-headers"
    head = _lines(
        "Content-Description: Undelivered Message", f"Content-Type: {kind}", "Content-Transfer-Encoding: 8bit"
    )
    message = bounce.message
    if not bounce.returns_full:
        message = HEADER_END.split(message, 1)[0] + b"\r\n"
    return head + b"\r\n" + message
