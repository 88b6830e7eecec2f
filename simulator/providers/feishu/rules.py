"""What Feishu checks in a message before it looks at people: fields, types, sizes. Errors are FeishuError."""

import json
from collections.abc import Mapping
from typing import Any

from simulator.outside import Call

TEXT_BYTES, OTHER_BYTES, ROBOT_BYTES = 150 * 1024, 30 * 1024, 20 * 1024
LONGEST_UUID = 50
TYPES = frozenset(
    (
        "text",
        "post",
        "image",
        "file",
        "audio",
        "media",
        "sticker",
        "interactive",
        "share_chat",
        "share_user",
        "system",
    )
)
BATCH_TYPES = frozenset(("text", "post", "image", "share_chat", "interactive"))
ID_TYPES = ("open_id", "union_id", "user_id", "email", "chat_id")
REFUSED = {"invisible": 230013, "left": 230029, "invalid": 230034, "blocked": 230053}
PREFIXES = {"open_id": "ou_", "union_id": "on_", "chat_id": "oc_"}


class FeishuError(Exception):
    """A refusal: code, words, HTTP status."""

    def __init__(self, code: int, words: str, status: int = 400) -> None:
        super().__init__(words)
        self.code, self.words, self.status = code, words, status


def body_of(call: Call, code: int, status: int = 400) -> dict[str, Any]:
    """Return the JSON object of a call, whatever its content type says."""
    try:
        body = call.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise FeishuError(code, "the body is not a JSON object", status)
    return body


def text_field(body: Mapping[str, Any], name: str, code: int = 230001) -> str:
    """Return a field that must be a text with something in it."""
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise FeishuError(code, f"{name} is required")
    return value


def single_content(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the person will see of a single message, whose content is a JSON text."""
    kind = text_field(body, "msg_type")
    if kind not in TYPES:
        raise FeishuError(230001, "msg_type is invalid")
    text = text_field(body, "content")
    if len(text.encode()) > (TEXT_BYTES if kind == "text" else OTHER_BYTES):
        raise FeishuError(230025, "the length of the message content reaches its limit")
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise FeishuError(230001, "content is not in JSON format")
    if kind == "interactive" and not content.get("elements"):
        raise FeishuError(230099, "Failed to create card content, ErrCode: 11310; ErrMsg: no elements")
    return seen(kind, content, 230001)


def batch_content(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what people will see of an announcement, whose content is an object."""
    kind = text_field(body, "msg_type", 10003)
    if kind not in BATCH_TYPES:
        raise FeishuError(11203, "msg_type is invalid")
    return seen(kind, _inner(kind, body, 10003), 10003)


def robot_content(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a group will see of a robot's message."""
    kind = body.get("msg_type")
    if kind not in ("text", "post", "image", "share_chat", "interactive"):
        raise FeishuError(9499, "Bad Request", 200)
    return seen(str(kind), _inner(str(kind), body, 9499), 9499)


def _inner(kind: str, body: Mapping[str, Any], code: int) -> dict[str, Any]:
    inner = body.get("card" if kind == "interactive" else "content")
    if not isinstance(inner, dict) or not inner:
        raise FeishuError(code, "content must be an object")
    if kind == "post":
        inner = inner.get("post")
        if not isinstance(inner, dict):
            raise FeishuError(code, "post is missing")
    return inner


def seen(kind: str, content: Mapping[str, Any], code: int) -> dict[str, Any]:
    """Return type, title, text, button and link out of the provider's forms."""
    if kind == "text":
        return {"type": kind, "text": text_field(content, "text", code)}
    if kind == "post":
        return _post(content, code)
    if kind == "interactive":
        return _card(content)
    return {"type": kind, "text": json.dumps(content, ensure_ascii=False)}


def _post(content: Mapping[str, Any], code: int) -> dict[str, Any]:
    part = next((one for one in content.values() if isinstance(one, dict)), None)
    if part is None or not isinstance(part.get("content"), list):
        raise FeishuError(code, "post has no content")
    lines, button, link = [], "", ""
    for line in part["content"]:
        lines.append("".join(str(one.get("text", "")) for one in line if one.get("tag") != "a"))
        for one in line:
            if one.get("tag") == "a":
                button, link = str(one.get("text", "")), str(one.get("href", ""))
    text = "\n".join(lines).rstrip("\n")
    return {"type": "post", "title": str(part.get("title", "")), "text": text, "button": button, "link": link}


def _card(content: Mapping[str, Any]) -> dict[str, Any]:
    found = {"type": "interactive", "title": "", "text": "", "button": "", "link": ""}
    found["title"] = str(content.get("header", {}).get("title", {}).get("content", ""))
    for element in content.get("elements", []):
        if element.get("tag") == "div":
            found["text"] += str(element.get("text", {}).get("content", ""))
        for action in element.get("actions", []):
            found["button"], found["link"] = str(action.get("text", {}).get("content", "")), str(action.get("url", ""))
    return found
