"""Reads what a push says out of its parts."""

from typing import Any, NamedTuple


class Note(NamedTuple):
    """An app notification."""

    title: str
    text: str


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
