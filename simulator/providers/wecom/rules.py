"""What WeCom checks in a message before it looks at members: fields, types, sizes. Errors are WeComError."""

from collections.abc import Mapping
from typing import Any, NamedTuple

MOST_MEMBERS, MOST_OTHERS = 1000, 100
LONGEST_INTERVAL = 14400
TEXT_BYTES, MARKDOWN_BYTES, ROBOT_MARKDOWN_BYTES = 2048, 2048, 4096
TYPES = frozenset(
    (
        "text",
        "image",
        "voice",
        "video",
        "file",
        "textcard",
        "news",
        "mpnews",
        "markdown",
        "miniprogram_notice",
        "template_card",
    )
)
ROBOT_TYPES = frozenset(("text", "markdown", "image", "news", "file", "template_card"))


class WeComError(Exception):
    """A refusal: its number and words."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code, self.words = code, words


class Targets(NamedTuple):
    """Whom a message is for; userids in lower case, as often as they were named."""

    members: list[str]
    parties: list[str]
    tags: list[str]
    everybody: bool


def targets_of(body: Mapping[str, Any]) -> Targets:
    """Return whom a message names, or refuse the lists."""
    members, parties, tags = (_names(body, field) for field in ("touser", "toparty", "totag"))
    if not members and not parties and not tags:
        raise WeComError(82001, "touser & toparty & totag all empty")
    for names, most, code in (
        (members, MOST_MEMBERS, 40032),
        (parties, MOST_OTHERS, 82002),
        (tags, MOST_OTHERS, 82003),
    ):
        if len(names) > most:
            raise WeComError(code, "list too long")
    return Targets([name.lower() for name in members], parties, tags, "@all" in members)


def _names(body: Mapping[str, Any], field: str) -> list[str]:
    value = body.get(field, "")
    if not isinstance(value, str):
        raise WeComError(40058, f"{field} must be a string")
    return [name for name in value.split("|") if name]


def check_options(body: Mapping[str, Any]) -> int:
    """Return the interval without duplicates in seconds, 0 where they are not looked for."""
    if body.get("safe", 0) not in (0, 1, 2):
        raise WeComError(40058, "safe must be 0, 1 or 2")
    wanted, interval = body.get("enable_duplicate_check", 0), body.get("duplicate_check_interval", 1800)
    if wanted not in (0, 1) or not _whole(interval) or not 1 <= interval <= LONGEST_INTERVAL:
        raise WeComError(40058, "duplicate check out of range")
    return int(interval) if wanted else 0


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def content_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a member will see: type, title, text, link, button; a text is cut at its limit without a word."""
    kind = body.get("msgtype")
    if kind not in TYPES:
        raise WeComError(40008, "invalid message type")
    part = body.get(str(kind))
    if not isinstance(part, dict) or not part:
        raise WeComError(40058, f"{kind} missing")
    if kind == "text":
        return {"type": kind, "text": cut(_text(part, "content"), TEXT_BYTES)}
    if kind == "markdown":
        text = _text(part, "content")
        if len(text.encode()) > MARKDOWN_BYTES:
            raise WeComError(45002, "content size out of limit")
        return {"type": kind, "text": text}
    if kind == "textcard":
        return _card(part)
    if kind == "news" and not 1 <= len(part.get("articles") or []) <= 8:
        raise WeComError(40058, "articles out of range")
    return {"type": kind, "text": str(part)}


def _card(part: Mapping[str, Any]) -> dict[str, Any]:
    for field in ("title", "description", "url"):
        if not isinstance(part.get(field), str) or not part[field]:
            raise WeComError(40058, f"textcard.{field} missing")
    button = str(part.get("btntxt", "详情"))
    if len(button) > 4:
        raise WeComError(40058, "btntxt too long")
    title, text = cut(part["title"], 128), cut(part["description"], 512)
    return {"type": "textcard", "title": title, "text": text, "link": part["url"], "button": button}


def robot_content_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a group will see of a robot's message."""
    kind = body.get("msgtype")
    if kind not in ROBOT_TYPES:
        raise WeComError(40008, "invalid message type")
    part = body.get(str(kind))
    if not isinstance(part, dict) or not part:
        raise WeComError(40058, f"{kind} missing")
    if kind not in ("text", "markdown"):
        return {"type": kind, "text": str(part)}
    text, limit = _text(part, "content"), TEXT_BYTES if kind == "text" else ROBOT_MARKDOWN_BYTES
    if len(text.encode()) > limit:
        raise WeComError(40058, f"content exceed max length {limit}")
    mentions = part.get("mentioned_list", [])
    if not isinstance(mentions, list):
        raise WeComError(40058, "mentioned_list must be a list")
    return {"type": kind, "text": text, "mentions": [str(name) for name in mentions]}


def _text(part: Mapping[str, Any], field: str) -> str:
    value = part.get(field)
    if not isinstance(value, str) or not value:
        raise WeComError(44004, "empty content")
    return value


def cut(text: str, limit: int) -> str:
    """Return the text cut at so many bytes, between characters."""
    return text.encode()[:limit].decode(errors="ignore")
