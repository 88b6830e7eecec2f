"""What the carriers' platform checks of a message before it takes it over.

Source: the project's contract sheet (V1.0.4 of the specification); see README.md beside this for what is unconfirmed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

TEL = re.compile(r"tel:\+(\d{5,15})")
TEXT, FILE = "text/plain", "application/vnd.gsma.rcs-ft-http"
CARD, BUTTONS = "application/vnd.gsma.botmessage.v1.0+json", "application/vnd.gsma.botsuggestion.v1.0+json"
MANDATORY = {
    "messageId": str,
    "messageList": list,
    "destinationAddress": list,
    "senderAddress": str,
    "conversationId": str,
    "contributionId": str,
    "serviceCapability": list,
    "smsSupported": bool,
    "storeSupported": bool,
}
STATES = {"sent", "delivered", "displayed", "failed", "deliveredToNetwork"}
TRAFFIC = {"advertisement", "payment", "premium", "subscription", "token"}
ACTIONS = {
    "urlAction",
    "dialerAction",
    "mapAction",
    "calendarAction",
    "composeAction",
    "deviceAction",
    "settingsAction",
}
LONGEST_TEXT, LONGEST_TITLE, LONGEST_URL = 2000, 200, 2048
MOST_BUTTONS, MOST_CARD_BUTTONS, BUTTON_BYTES = 11, 4, 25


class RcsError(Exception):
    """A refusal with the platform's number."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code, self.words = code, words


@dataclass(frozen=True)
class Chatbot:
    """One admitted chatbot. ``token`` signs callbacks."""

    app_id: str
    app_key: str
    sender: str
    token: str
    name: str = ""


class Note(NamedTuple):
    """One message as the phone shows it; ``wants`` are the states that were asked for."""

    text: str
    sms: str
    stored: bool
    wants: frozenset[str]
    bot: str
    title: str = ""
    picture: str = ""
    buttons: tuple[tuple[str, str], ...] = ()


def phone_of(document: Mapping[str, Any]) -> str:
    """Return the one recipient: mainland 11 digits, others with their country code."""
    found = document.get("destinationAddress")
    if not isinstance(found, list) or len(found) != 1 or not isinstance(found[0], str):
        raise RcsError(20002, "destinationAddress takes one user")
    match = TEL.fullmatch(found[0])
    if match is None:
        raise RcsError(20002, "destinationAddress is no tel URI")
    return match[1].removeprefix("86") if len(match[1]) == 13 else match[1]


def note_of(document: Mapping[str, Any], bot: Chatbot) -> Note:
    """Check a message and return what a phone makes of it."""
    for name, kind in MANDATORY.items():
        if not isinstance(document.get(name), kind) or document[name] in ("", []):
            raise RcsError(20002, f"{name} is missing or not valid")
    if document["senderAddress"] != bot.sender:
        raise RcsError(30008, "chatbotId and senderAddress do not match")
    for one in document["serviceCapability"]:
        if not isinstance(one, dict) or one.get("capabilityId") != "ChatbotSA" or not one.get("version"):
            raise RcsError(20002, "serviceCapability is not valid")
    wants = _wants(document)
    sms = document.get("smsContent") or ""
    if document["smsSupported"] and (not isinstance(sms, str) or not sms):
        raise RcsError(20002, "smsContent is missing")
    shown = _parts(document["messageList"])
    stored, name = document["storeSupported"], bot.name or bot.sender
    return Note(sms=sms if document["smsSupported"] else "", stored=stored, wants=wants, bot=name, **shown)


def _wants(document: Mapping[str, Any]) -> frozenset[str]:
    wants = document.get("reportRequest", [])
    if not isinstance(wants, list) or not set(wants) <= STATES:
        raise RcsError(20002, "reportRequest holds an unknown state")
    if document.get("trafficType", "advertisement") not in TRAFFIC:
        raise RcsError(20002, "trafficType is not valid")
    return frozenset(wants)


def _parts(parts: list[Any]) -> dict[str, Any]:
    """Return text, title, picture and buttons of a list of one content and perhaps a menu."""
    if not all(isinstance(part, dict) and "contentText" in part for part in parts):
        raise RcsError(47001, "messageList cannot be read")
    kinds = [part.get("contentType") for part in parts]
    if len(kinds) > 2 or kinds[1:] not in ([], [BUTTONS]) or kinds[0] not in (TEXT, FILE, CARD):
        raise RcsError(40008, "contentType is not valid")
    if any(part.get("contentEncoding", "utf8") not in ("utf8", "base64") for part in parts):
        raise RcsError(20002, "contentEncoding is not valid")
    shown = _content(kinds[0], parts[0]["contentText"])
    if len(parts) == 2:
        menu = parts[1]["contentText"]
        shown["buttons"] += _buttons(menu.get("suggestions") if isinstance(menu, dict) else None, MOST_BUTTONS)
    return shown


def _content(kind: str, content: Any) -> dict[str, Any]:
    if kind == TEXT:
        if not isinstance(content, str) or not 0 < len(content) <= LONGEST_TEXT:
            raise RcsError(40021, "the text is empty or too long")
        return {"text": content, "buttons": ()}
    if kind == FILE:
        if not isinstance(content, list) or not content or len(content) > 2:
            raise RcsError(40040, "a message takes one file and its thumbnail")
        return {"text": "", "picture": str(content[-1].get("url", "")), "buttons": ()}
    message = content.get("message") if isinstance(content, dict) else None
    if not isinstance(message, dict) or len(message) != 1:
        raise RcsError(47001, "the card cannot be read")
    cards = _cards(message)
    seen = [_card(card) for card in cards]
    buttons = tuple(button for one in seen for button in one["buttons"])
    return {**seen[0], "text": "\n".join(one["text"] for one in seen), "buttons": buttons}


def _cards(message: Mapping[str, Any]) -> list[Any]:
    name, held = next(iter(message.items()))
    layout = held.get("layout") if isinstance(held, dict) else None
    if not isinstance(layout, dict):
        raise RcsError(47001, "the card has no layout")
    content = held.get("content")
    if name == "generalPurposeCard" and layout.get("cardOrientation") in ("VERTICAL", "HORIZONTAL"):
        return [content]
    if name == "generalPurposeCardCarousel" and isinstance(content, list) and 2 <= len(content) <= 12:
        return content
    raise RcsError(47001, "the card has no valid layout")


def _card(card: Any) -> dict[str, Any]:
    if not isinstance(card, dict) or not any(card.get(name) for name in ("media", "title", "description")):
        raise RcsError(47001, "the card is empty")
    title, text, media = card.get("title", ""), card.get("description", ""), card.get("media", {})
    if not isinstance(title, str) or not isinstance(text, str) or len(title) > LONGEST_TITLE:
        raise RcsError(40021, "the title is too long")
    if len(text) > LONGEST_TEXT:
        raise RcsError(40021, "the description is too long")
    if media and not all(media.get(name) for name in ("mediaUrl", "mediaContentType", "mediaFileSize")):
        raise RcsError(40007, "the media of the card is not valid")
    buttons = _buttons(card["suggestions"], MOST_CARD_BUTTONS) if "suggestions" in card else ()
    return {"title": title, "text": text, "picture": media.get("mediaUrl", ""), "buttons": buttons}


def _buttons(found: Any, most: int) -> tuple[tuple[str, str], ...]:
    """Return (label, link or answer) of each button."""
    if not isinstance(found, list) or not found:
        raise RcsError(47002, "the menu cannot be read")
    if len(found) > most:
        raise RcsError(40016, f"more than {most} buttons")
    return tuple(_button(one) for one in found)


def _button(one: Any) -> tuple[str, str]:
    kind, held = next(iter(one.items())) if isinstance(one, dict) and len(one) == 1 else ("", None)
    if kind not in ("reply", "action") or not isinstance(held, dict):
        raise RcsError(40017, "a button is a reply or an action")
    label, postback = held.get("displayText"), held.get("postback", {})
    if not isinstance(label, str) or not 0 < len(label.encode()) <= BUTTON_BYTES:
        raise RcsError(40018, "a label is too long")
    data = postback.get("data") if isinstance(postback, dict) else None
    if kind == "reply":
        if not isinstance(data, str) or len(data) > LONGEST_URL:
            raise RcsError(40019, "the answer of a button is not valid")
        return label, data
    actions = ACTIONS & set(held)
    if len(actions) != 1:
        raise RcsError(40017, "an action does one thing")
    link = held.get("urlAction", {}).get("openUrl", {}).get("url", "")
    if "urlAction" in held and not (link.startswith(("https://", "http://")) and len(link) <= LONGEST_URL):
        raise RcsError(40020, "the link of a button is not valid")
    return label, link
