"""Reads what a message says out of what the provider was given."""

from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, NamedTuple


class Note(NamedTuple):
    """An app notification."""

    title: str
    text: str


class Mail(NamedTuple):
    """A mail as a mailbox shows it."""

    subject: str
    sender: str
    recipient: str
    text: str
    html: str
    headers: list[tuple[str, str]]


def read_push(content: dict[str, Any]) -> Note:
    """Return title and text of a push, from whichever platform part has them."""
    notification = content.get("notification", {})
    general, title, text = str(notification.get("alert", "")), "", ""
    for platform in ("android", "ios", "hmos", "quickapp", "winphone"):
        part = notification.get(platform)
        if isinstance(part, dict):
            alert = part.get("alert", general)
            alert = alert if isinstance(alert, dict) else {"body": alert}
            title = title or str(part.get("title") or alert.get("title") or "")
            text = text or str(alert.get("body") or "")
    text = text or general
    message = content.get("message", {})
    return Note(title or str(message.get("title") or ""), text or str(message.get("msg_content") or ""))


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
