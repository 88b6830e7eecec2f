"""Delivery reports (RFC 3464), bounces of older form, complaints (RFC 5965), and what ties each to a delivery.

The token is `<reference>=<first 8 hex digits of HMAC-SHA-256>`: in the envelope sender (VERP) and, without "=", in the
envelope id. Nobody without the secret can make a report that marks an address as bad; and who got a mail, and so its
token, can speak of that mail's own address alone: addresses that stand in a complaint are not believed.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator, Mapping
from email import message_from_bytes, policy
from email.message import EmailMessage, Message
from email.utils import getaddresses
from typing import cast

from flufl.bounce import all_failures

from apps.channels.contract import BadReceipt, HookRequest, ReceiptEvent
from apps.channels.providers.email_smtp.codes import BAD_MAILBOX, STATES

_VERP = re.compile(r"b\+([0-9a-z]{1,13})=([0-9a-f]{8})@(.+)", re.IGNORECASE)
_ENVELOPE_ID = re.compile(r"([0-9a-z]{1,13})\.([0-9a-f]{8}|1)", re.IGNORECASE)
_MESSAGE_ID = re.compile(r"<([0-9a-z]{1,13})\.1@([^<>\s]+)>", re.IGNORECASE)
_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
_TOKEN = re.compile(r"([0-9a-z]{1,13})(?:=|%3D)([0-9a-f]{8})(?![0-9a-z])", re.IGNORECASE)
_COMPLAINTS = frozenset({"abuse", "fraud", "virus", "other"})  # RFC 5965, 7.3; "not-spam" is the contrary
_DELIVERED_TO = ("delivered-to", "x-original-to", "envelope-to", "to")


def stamp(secret: bytes, reference: str) -> str:
    """The eight hex digits that prove a reference is ours."""
    return hmac.digest(secret, reference.encode(), "sha256")[:4].hex()


def read_token(secret: str, token: str) -> str | None:
    """The reference in `<reference>=<stamp>`, None where the stamp is not ours."""
    reference, _, given = token.lower().partition("=")
    return reference if hmac.compare_digest(stamp(secret.encode(), reference).encode(), given.encode()) else None


def events(request: HookRequest, secret: str, message_id_domain: str) -> list[ReceiptEvent]:
    """Facts in one raw mail; none in a mail that is no report. Raises BadReceipt for a forged one."""
    mail = message_from_bytes(request.body, policy=policy.default)
    if not mail.keys():
        raise BadReceipt("The body is not a mail.")
    report = str(mail.get_param("report-type", "")).lower() if mail.get_content_type() == "multipart/report" else ""
    if report == "feedback-report":
        return _complaint(mail, request, secret, message_id_domain)
    if report != "delivery-status":
        return [] if report else _older_bounce(mail, request, secret)
    blocks = list(_status_blocks(mail))
    if len(blocks) < 2:
        raise BadReceipt("The delivery report has no readable status.")
    reference, proven = _reference(mail, blocks[0], request.query, secret, message_id_domain)
    if not reference:
        return []
    found = (_event(block, reference, proven, request) for block in blocks[1:])
    return [event for event in found if event is not None]


def _complaint(mail: EmailMessage, request: HookRequest, secret: str, domain: str) -> list[ReceiptEvent]:
    """A recipient called it spam: it did arrive, and nobody writes to that address again."""
    fields = _feedback(mail)
    if fields is None:
        raise BadReceipt("The complaint has no readable report.")
    if str(fields.get("Feedback-Type", "")).strip().lower() not in _COMPLAINTS:
        return []
    reference = _complained_of(mail, fields, secret, domain)
    if not reference:
        return []
    words = "The recipient reported the mail as spam."
    event = ReceiptEvent("delivered", "complaint", request.received_at, reference, words=words, bad_address=True)
    return [event]


def _feedback(mail: EmailMessage) -> Message | None:
    for piece in mail.walk():
        if piece.get_content_type() == "message/feedback-report":
            payload = piece.get_payload()
            return cast(Message, payload[0]) if isinstance(payload, list) and payload else None
    return None


def _complained_of(mail: EmailMessage, fields: Message, secret: str, domain: str) -> str:
    """The reference: proven by a token in the envelope sender or the returned header lines; bare without a secret."""
    returned = _returned_headers(mail)
    if not secret:
        message_id = _MESSAGE_ID.fullmatch(str(returned.get("Message-ID", "")).strip()) if returned else None
        return message_id[1].lower() if message_id and message_id[2].lower() == domain.lower() else ""
    held = [str(fields.get("Original-Mail-From", ""))]
    held += [str(returned.get(name, "")) for name in ("Return-Path", "List-Unsubscribe")] if returned else []
    found = [f"{token[1]}={token[2]}" for text in held for token in _TOKEN.finditer(text)]
    proven = next((reference for token in found if (reference := read_token(secret, token)) is not None), None)
    if found and proven is None:
        raise BadReceipt("The complaint speaks of no mail of this account.")
    return proven or ""


def _older_bounce(mail: EmailMessage, request: HookRequest, secret: str) -> list[ReceiptEvent]:
    """A bounce that is no report, recognised by its wording, at the bounce address of one of our mails."""
    automatic = str(mail.get("Auto-Submitted", "no")).strip().lower() != "no" or "X-Autoreply" in mail
    if automatic or not secret or not any(_VERP.fullmatch(one) for one in _recipients(mail, request.query)):
        return []
    _temporary, permanent = all_failures(mail)
    reference = _by_recipient(mail, request.query, secret) if permanent else None
    if reference is None:
        return []
    words = "A mail system wrote that it could not be delivered."
    return [ReceiptEvent("failed", "bounced", request.received_at, reference, words=words)]


def _status_blocks(mail: EmailMessage) -> Iterator[Message]:
    """Per-message fields first, then one block for each recipient; empty blocks are left out."""
    for piece in mail.walk():
        if piece.get_content_type() == "message/delivery-status":
            payload = piece.get_payload()
            if isinstance(payload, list):
                yield from (cast(Message, block) for block in payload if cast(Message, block).keys())
            return


def _event(block: Message, reference: str, proven: bool, request: HookRequest) -> ReceiptEvent | None:
    action = str(block.get("Action", "")).strip().lower()
    state = STATES.get(action)
    if state is None:
        return None
    status = _STATUS.match(str(block.get("Status", "")).strip())
    code = status.group() if status else action
    address = str(block.get("Original-Recipient") or block.get("Final-Recipient") or "").partition(";")[2].strip()
    return ReceiptEvent(
        state,
        code,
        request.received_at,
        reference=reference,
        address=_unxtext(address),
        words=f"The mail system reports {action} with status {code}.",
        bad_address=state == "failed" and proven and code in BAD_MAILBOX,
    )


def _reference(
    mail: EmailMessage, per_message: Message, query: Mapping[str, str], secret: str, domain: str
) -> tuple[str, bool]:
    """(reference, is it proven): by envelope sender, by envelope id, by the Message-ID of the returned mail."""
    by_recipient = _by_recipient(mail, query, secret)
    if by_recipient is not None:
        return by_recipient, True
    envelope_id = _ENVELOPE_ID.fullmatch(str(per_message.get("Original-Envelope-Id", "")).strip())
    if envelope_id:
        if not secret:
            return envelope_id[1].lower(), True
        reference = read_token(secret, f"{envelope_id[1]}={envelope_id[2]}")
        if reference is not None:
            return reference, True
    returned = _returned_headers(mail)
    message_id = _MESSAGE_ID.fullmatch(str(returned.get("Message-ID", "")).strip()) if returned else None
    if message_id and message_id[2].lower() == domain.lower():
        return message_id[1].lower(), not secret
    return "", False


def _by_recipient(mail: EmailMessage, query: Mapping[str, str], secret: str) -> str | None:
    """The reference in the envelope sender that we had made. Raises BadReceipt where somebody else made it."""
    for recipient in _recipients(mail, query):
        verp = _VERP.fullmatch(recipient)
        if verp and secret:
            reference = read_token(secret, f"{verp[1]}={verp[2]}")
            if reference is None:
                raise BadReceipt("The bounce address was not made by this account.")
            return reference
    return None


def _recipients(mail: EmailMessage, query: Mapping[str, str]) -> Iterator[str]:
    if query.get("recipient"):
        yield query["recipient"]
    for name in _DELIVERED_TO:
        values = [str(value) for value in mail.get_all(name, [])]
        yield from (address for _name, address in getaddresses(values) if address)


def _returned_headers(mail: EmailMessage) -> Message | None:
    """The header lines of our own mail, where the report brings them back."""
    for piece in mail.walk():
        if piece.get_content_type() == "message/rfc822":
            inner = piece.get_payload()
            if isinstance(inner, list) and inner:
                return cast(Message, inner[0])
        elif piece.get_content_type() == "text/rfc822-headers":
            raw = piece.get_payload(decode=True)
            if isinstance(raw, bytes):
                return message_from_bytes(raw, policy=policy.default)
    return None


def _unxtext(value: str) -> str:
    """RFC 3461 xtext back to plain characters."""
    return re.sub(r"\+([0-9A-F]{2})", lambda match: chr(int(match[1], 16)), value)
