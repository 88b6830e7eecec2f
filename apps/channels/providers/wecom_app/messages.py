"""The forms that a WeCom message may have, and their limits in bytes of UTF-8. Source: page 90236 (README.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TEXT_BYTES = 2048  # the provider cuts a longer text without a word
TITLE_BYTES = 128
CARD_BYTES = 512
FORMATS = ("", "text", "markdown", "card")


def _format(content: Mapping[str, Any]) -> str:
    return str(content.get("format") or ("card" if content.get("title") else "text"))


def problems_of(content: Mapping[str, Any]) -> dict[str, str]:
    """{field name: what is wrong} beside what the declaration of the fields says."""
    problems, shape = {}, _format(content)
    if shape not in FORMATS:
        problems["format"] = "The format is text, markdown or card."
    limits = {"text": CARD_BYTES if shape == "card" else TEXT_BYTES, "title": TITLE_BYTES}
    for name, limit in limits.items():
        size = len(str(content.get(name) or "").encode())
        if size > limit:
            problems[name] = f"It takes {size} bytes, {limit} are allowed."
    if shape == "card":
        for name, label in (("title", "Title of the card"), ("url", "Link of the card")):
            if not content.get(name):
                problems[name] = f"{label} is required."
    return problems


def message_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """msgtype and its object. Raises KeyError for a card without title or link."""
    shape, text = _format(content), content["text"]
    if shape != "card":
        return {"msgtype": shape, shape: {"content": text}}
    card = {"title": content["title"], "description": text, "url": content["url"]}
    if content.get("button"):
        card["btntxt"] = content["button"]
    return {"msgtype": "textcard", "textcard": card}
