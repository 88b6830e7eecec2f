"""Delivery reports (RFC 3464) and what ties them to a delivery.

The token is `<reference>=<first 8 hex digits of HMAC-SHA-256>`: in the envelope sender (VERP) and, without "=", in the
envelope id. Nobody without the secret can make a report that marks an address as bad.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator, Mapping
from email import message_from_bytes, policy
from email.message import EmailMessage, Message
from email.utils import getaddresses
from typing import cast

from apps.channels.contract import BadReceipt, HookRequest, ReceiptEvent
from apps.channels.providers.email_smtp.codes import BAD_MAILBOX, STATES

_VERP = re.compile(r"b\+([0-9a-z]{1,13})=([0-9a-f]{8})@(.+)", re.IGNORECASE)
_ENVELOPE_ID = re.compile(r"([0-9a-z]{1,13})\.([0-9a-f]{8}|1)", re.IGNORECASE)
_MESSAGE_ID = re.compile(r"<([0-9a-z]{1,13})\.1@([^<>\s]+)>", re.IGNORECASE)
_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
_DELIVERED_TO = ("delivered-to", "x-original-to", "envelope-to", "to")


def stamp(secret: bytes, reference: str) -> str:
    """The eight hex digits that prove a reference is ours."""
    return hmac.digest(secret, reference.encode(), "sha256")[:4].hex()


def read_token(secret: str, token: str) -> str | None:
    """The reference in `<reference>=<stamp>`, None where the stamp is not ours."""
    reference, _, given = token.lower().partition("=")
    return reference if hmac.compare_digest(stamp(secret.encode(), reference).encode(), given.encode()) else None


def events(request: HookRequest, secret: str, message_id_domain: str) -> list[ReceiptEvent]:
    """Facts in one raw mail; none in a mail that is no delivery report. Raises BadReceipt for a forged one."""
    mail = message_from_bytes(request.body, policy=policy.default)
    if not mail.keys():
        raise BadReceipt("The body is not a mail.")
    if (
        mail.get_content_type() != "multipart/report"
        or str(mail.get_param("report-type", "")).lower() != "delivery-status"
    ):
        return []
    blocks = list(_status_blocks(mail))
    if len(blocks) < 2:
        raise BadReceipt("The delivery report has no readable status.")
    reference, proven = _reference(mail, blocks[0], request.query, secret, message_id_domain)
    if not reference:
        return []
    found = (_event(block, reference, proven, request) for block in blocks[1:])
    return [event for event in found if event is not None]


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
    for recipient in _recipients(mail, query):
        verp = _VERP.fullmatch(recipient)
        if verp and secret:
            reference = read_token(secret, f"{verp[1]}={verp[2]}")
            if reference is None:
                raise BadReceipt("The bounce address was not made by this account.")
            return reference, True
    envelope_id = _ENVELOPE_ID.fullmatch(str(per_message.get("Original-Envelope-Id", "")).strip())
    if envelope_id:
        if not secret:
            return envelope_id[1].lower(), True
        reference = read_token(secret, f"{envelope_id[1]}={envelope_id[2]}")
        if reference is not None:
            return reference, True
    returned = _returned_message_id(mail)
    message_id = _MESSAGE_ID.fullmatch(returned)
    if message_id and message_id[2].lower() == domain.lower():
        return message_id[1].lower(), not secret
    return "", False


def _recipients(mail: EmailMessage, query: Mapping[str, str]) -> Iterator[str]:
    if query.get("recipient"):
        yield query["recipient"]
    for name in _DELIVERED_TO:
        values = [str(value) for value in mail.get_all(name, [])]
        yield from (address for _name, address in getaddresses(values) if address)


def _returned_message_id(mail: EmailMessage) -> str:
    for piece in mail.walk():
        if piece.get_content_type() == "message/rfc822":
            inner = piece.get_payload()
            if isinstance(inner, list) and inner:
                return str(cast(Message, inner[0]).get("Message-ID", "")).strip()
        elif piece.get_content_type() == "text/rfc822-headers":
            raw = piece.get_payload(decode=True)
            if isinstance(raw, bytes):
                return str(message_from_bytes(raw, policy=policy.default).get("Message-ID", "")).strip()
    return ""


def _unxtext(value: str) -> str:
    """RFC 3461 xtext back to plain characters."""
    return re.sub(r"\+([0-9A-F]{2})", lambda match: chr(int(match[1], 16)), value)
