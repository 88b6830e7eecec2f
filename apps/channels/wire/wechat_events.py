"""Events as WeChat calls them back, in XML or JSON (contract sheets wechat_oa 7, wechat_mini 7).

Both forms are brought to one: an event with plain fields, and the entries of its list. In XML the list stands below an
element named after the event, in JSON at the top; it is an object for one entry and an array for several; numbers
come as texts or as numbers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from apps.channels.contract import AddressEvent, BadReceipt
from apps.channels.wire.wechat_xml import xml_root

ALLOWED, REFUSED = "subscribed", "subscription_refused"


@dataclass(frozen=True, slots=True)
class WechatEvent:
    """`name` in lower case, "" for what is no event (a message that somebody wrote)."""

    name: str
    openid: str = field(repr=False)
    at: datetime
    fields: Mapping[str, str] = field(repr=False)
    entries: Sequence[Mapping[str, str]] = field(repr=False)


def read_event(body: bytes) -> WechatEvent:
    """One callback in clear. Raises BadReceipt."""
    fields, entries = _from_json(body) if body[:1] == b"{" else _from_xml(body)
    is_event = fields.get("MsgType", "").lower() == "event"
    try:
        at = datetime.fromtimestamp(int(fields["CreateTime"]), UTC)
        return WechatEvent(
            fields["Event"].lower() if is_event else "", fields["FromUserName"], at, fields, tuple(entries)
        )
    except (KeyError, ValueError, OverflowError, OSError):
        raise BadReceipt("The callback lacks a field or holds a value that cannot be read.") from None


def required(fields: Mapping[str, str], *names: str) -> tuple[str, ...]:
    """These fields' values. Raises BadReceipt where one is missing or empty."""
    values = tuple(fields.get(name, "") for name in names)
    if not all(values):
        raise BadReceipt("The callback lacks a field that says what became of a message.")
    return values


def encrypted_text(body: bytes) -> str:
    """The text of `Encrypt` in either form of envelope; "" where the body is in clear. Raises BadReceipt."""
    fields, _entries = _from_json(body) if body[:1] == b"{" else _from_xml(body)
    return fields.get("Encrypt", "")


def consent(event: WechatEvent, templates: Sequence[str]) -> list[AddressEvent]:
    """What somebody said about messages they subscribe to; the last word counts, a yes to any template before a no.

    `templates`: only what is said about these counts; empty: about any.
    """
    said = [
        entry.get("SubscribeStatusString", "").lower()
        for entry in event.entries
        if not templates or entry.get("TemplateId") in templates
    ]
    if "accept" in said:
        return [address_event(event, True, ALLOWED)]
    return [address_event(event, False, REFUSED)] if "reject" in said else []


def address_event(event: WechatEvent, reachable: bool, reason: str) -> AddressEvent:
    """The event as news about the address it came from."""
    unionid = event.fields.get("UnionId") or event.fields.get("unionid") or ""
    return AddressEvent(event.openid, reachable, reason, event.at, unionid)


def _from_xml(body: bytes) -> tuple[dict[str, str], list[dict[str, str]]]:
    root = xml_root(body)
    fields = {child.tag: child.text or "" for child in root}
    entries = [{part.tag: part.text or "" for part in one} for child in root for one in child if one.tag == "List"]
    return fields, entries


def _from_json(body: bytes) -> tuple[dict[str, str], list[dict[str, str]]]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise BadReceipt("The body is neither XML nor JSON.") from None
    if not isinstance(document, dict):
        raise BadReceipt("The body is no callback.")
    listed = document.get("List", [])
    entries = [one for one in (listed if isinstance(listed, list) else [listed]) if isinstance(one, dict)]
    return _plain(document), [_plain(one) for one in entries]


def _plain(document: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in document.items() if isinstance(value, str | int | float)}
