"""Reads what a mail says out of its bytes."""

from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import NamedTuple


class Mail(NamedTuple):
    """A mail as a mailbox shows it."""

    subject: str
    sender: str
    recipient: str
    text: str
    html: str
    headers: list[tuple[str, str]]


def read_mail(raw: bytes) -> Mail:
    """Parse a mail; parts that cannot be decoded come out as far as they can be."""
    message = message_from_bytes(raw, policy=policy.default)
    headers = [(name, str(value)) for name, value in message.items()]
    found = {name.lower(): value for name, value in reversed(headers)}
    text, html = _part(message, "plain"), _part(message, "html")
    return Mail(found.get("subject", ""), found.get("from", ""), found.get("to", ""), text, html, headers)


def _part(message: EmailMessage, kind: str) -> str:
    try:
        part = message.get_body((kind,))
        return str(part.get_content()) if part is not None else ""
    except (LookupError, ValueError, KeyError, AttributeError):
        return ""
