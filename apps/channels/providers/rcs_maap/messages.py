"""What a 5G message is made of: a text or a card, buttons below it, and the ids that it travels under.

Shapes and limits: the platform's specification V1.0.4, which takes the schemas of GSMA's bot messages over.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from apps.channels.contract import ContentField

CARD_TYPE = "application/vnd.gsma.botmessage.v1.0+json"
BUTTONS_TYPE = "application/vnd.gsma.botsuggestion.v1.0+json"
CARDS = ("generalPurposeCard", "generalPurposeCardCarousel")
MAX_BUTTONS = 11
BUTTON_BYTES = 25
POSTBACK_LENGTH = 2048

CONTENT_FIELDS = (
    ContentField("text", "Text", max_length=2000, multiline=True, help="Of a card the description."),
    ContentField(
        "sms_text",
        "Text of the short message",
        required=False,
        max_length=500,
        multiline=True,
        help="For phones without 5G messages; left empty, the text.",
    ),
    ContentField("title", "Title of the card", required=False, max_length=200, help="Makes the message a card."),
    ContentField(
        "media",
        "Picture or film of the card",
        required=False,
        literal=True,
        help='JSON as the platform has it, such as {"mediaUrl": …, "mediaContentType": "image/png", "mediaFileSize": 7427, '
        '"height": "MEDIUM_HEIGHT"}.',
    ),
    ContentField(
        "buttons",
        "Buttons",
        required=False,
        mapping=True,
        help="Label and what it does: a link (https://…), a call (tel:+86…), else the answer that is sent back.",
    ),
    ContentField(
        "suggestions",
        "More buttons",
        required=False,
        literal=True,
        help='JSON list as the platform has it: [{"action": …}, {"reply": …}].',
    ),
    ContentField(
        "card",
        "Whole card",
        required=False,
        literal=True,
        help='JSON object as the platform has it: {"generalPurposeCard": …} or {"generalPurposeCardCarousel": …}; '
        "takes the place of text, title and picture.",
    ),
)

_TAG = 0x756D_7300_0000_8000  # "ums", then the version nibble of free-form UUIDs (8)
_LOW = (1 << 62) - 1
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def message_id(reference: str) -> str:
    """The UUID that a delivery's message is sent and reported under, the same on every retry."""
    number = int(reference, 36)
    return str(uuid.UUID(int=(_TAG | number >> 62) << 64 | 0b10 << 62 | number & _LOW))


def reference_of(sent_as: str) -> str:
    """The reference behind a message id, in whatever case and with whatever behind it; "" where it is none of ours."""
    try:
        whole = uuid.UUID(sent_as[:36]).int
    except ValueError:
        return ""
    high = whole >> 64
    if high >> 1 != _TAG >> 1:
        return ""
    number, digits = (high & 1) << 62 | whole & _LOW, ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits


def message_list(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The parts of the message: a text or card, then the buttons."""
    parts: list[dict[str, Any]] = [_first(content)]
    buttons = _buttons(content)
    if buttons:
        parts.append({"contentType": BUTTONS_TYPE, "contentText": {"suggestions": buttons}})
    return parts


def problems_of(content: Mapping[str, Any]) -> dict[str, str]:
    """{field name: what is wrong} beside what the declaration of the fields says."""
    problems = {}
    for name, kind in (("media", dict), ("suggestions", list), ("card", dict)):
        if content.get(name) and not isinstance(_json(content, name), kind):
            problems[name] = "This is no JSON object." if kind is dict else "This is no JSON list."
    card = _json(content, "card")
    if "card" not in problems and card is not None and (len(card) != 1 or next(iter(card)) not in CARDS):
        problems["card"] = f"A card is an object with {CARDS[0]} or {CARDS[1]}."
    if content.get("media") and not content.get("title"):
        problems.setdefault("media", "A picture needs a title beside it.")
    labels = content.get("buttons") or {}
    if any(not label.strip() or len(label.encode()) > BUTTON_BYTES for label in labels):
        problems["buttons"] = f"A label has 1 to {BUTTON_BYTES} bytes (8 Chinese characters)."
    elif any(not value or len(value) > POSTBACK_LENGTH for value in labels.values()):
        problems["buttons"] = f"What a button does has 1 to {POSTBACK_LENGTH} characters."
    elif "suggestions" not in problems and len(_buttons(content)) > MAX_BUTTONS:
        problems["buttons"] = f"There are more than {MAX_BUTTONS} buttons."
    return problems


def _first(content: Mapping[str, Any]) -> dict[str, Any]:
    card = _json(content, "card")
    if card is None and content.get("title"):
        media = _json(content, "media")
        shown = {"title": content["title"], "description": content["text"]} | ({"media": media} if media else {})
        card = {"generalPurposeCard": {"layout": {"cardOrientation": "VERTICAL"}, "content": shown}}
    if card is None:
        return {"contentType": "text/plain", "contentEncoding": "utf8", "contentText": content["text"]}
    return {"contentType": CARD_TYPE, "contentEncoding": "utf8", "contentText": {"message": card}}


def _buttons(content: Mapping[str, Any]) -> list[Any]:
    labels: Mapping[str, str] = content.get("buttons") or {}
    more = _json(content, "suggestions") or []
    return [*(_button(label, value) for label, value in labels.items()), *more]


def _button(label: str, value: str) -> dict[str, Any]:
    shown = {"displayText": label, "postback": {"data": label}}
    if value.startswith(("https://", "http://")):
        return {"action": {"urlAction": {"openUrl": {"application": "browser", "url": value}}, **shown}}
    if value.startswith("tel:"):
        return {"action": {"dialerAction": {"dialPhoneNumber": {"phoneNumber": value[4:]}}, **shown}}
    return {"reply": {**shown, "postback": {"data": value}}}


def _json(content: Mapping[str, Any], name: str) -> Any:
    """The value of a JSON field; None where it is empty or no JSON."""
    try:
        return json.loads(content.get(name) or "null")
    except (ValueError, TypeError, RecursionError):
        return None
