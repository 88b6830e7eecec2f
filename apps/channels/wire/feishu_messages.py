"""The forms that a Feishu message may have, the same for single messages, announcements and robots of groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apps.channels.contract import ContentField
from apps.channels.wire.json_answer import dumps

FORMATS = ("text", "post", "card")

CONTENT_FIELDS = (
    ContentField("text", "Text", multiline=True),
    ContentField("title", "Title", required=False, max_length=200, help="Makes the message a post."),
    ContentField("url", "Link", required=False, help="Stands below the text of a post or card."),
    ContentField("button", "Words of the link", required=False, max_length=40),
    ContentField(
        "format", "Format", required=False, literal=True, help="text, post or card; left empty, a title makes a post."
    ),
)


def format_of(content: Mapping[str, Any]) -> str:
    """text, post or card; whatever else stands in the content comes back as it is."""
    return str(content.get("format") or ("post" if content.get("title") else "text"))


def problems_of(content: Mapping[str, Any], text_bytes: int, other_bytes: int) -> dict[str, str]:
    """{field name: what is wrong} beside what the declaration of the fields says; limits are bytes of the JSON."""
    shape = format_of(content)
    if shape not in FORMATS:
        return {"format": "The format is text, post or card."}
    problems = {}
    if shape == "text" and content.get("url"):
        problems["url"] = "A text has no link beside it; give it a title, or write the link into the text."
    size = len(dumps(message_of(content)).encode())
    limit = text_bytes if shape == "text" else other_bytes
    if size > limit:
        problems["text"] = f"The message takes {size} bytes, {limit} are allowed."
    return problems


def message_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """The object that stands for the content in the provider's form."""
    shape = format_of(content)
    text, title, url = str(content.get("text") or ""), str(content.get("title") or ""), content.get("url")
    button = content.get("button") or "查看详情"
    if shape == "text":
        return {"text": text}
    if shape == "post":
        lines: list[list[dict[str, Any]]] = [[{"tag": "text", "text": line}] for line in text.split("\n")]
        if url:
            lines.append([{"tag": "a", "text": button, "href": url}])
        return {"zh_cn": {"title": title, "content": lines}}
    elements: list[dict[str, Any]] = [{"tag": "div", "text": {"tag": "plain_text", "content": text}}]
    if url:
        press = {"tag": "button", "text": {"tag": "plain_text", "content": button}, "type": "primary", "url": url}
        elements.append({"tag": "action", "actions": [press]})
    head = {"header": {"title": {"tag": "plain_text", "content": title}}} if title else {}
    return {"config": {"wide_screen_mode": True}, **head, "elements": elements}


def type_of(content: Mapping[str, Any]) -> str:
    """The provider's msg_type."""
    shape = format_of(content)
    return "interactive" if shape == "card" else shape
