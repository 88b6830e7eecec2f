"""Everything that Apprise knows: the address is an Apprise URL, and success or failure is all that is ever told."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from apps.channels.contract import (
    Account,
    Adapter,
    Answer,
    AppriseAnswer,
    AppriseRequest,
    Capabilities,
    ConfigField,
    ContentField,
    Envelope,
)
from apps.channels.outcomes import Accepted, Outcome, Unknown
from apps.channels.providers.apprise.codes import CODES

# Services that are no service but this machine: its desktop, its log, its programs.
LOCAL = frozenset({"dbus", "gio", "glib", "gnome", "kde", "macosx", "qt", "syslog", "windows"})
WITH_HEADERS = re.compile(r"(json|xml|form)s?://")
_SCHEME = re.compile(r"([a-z][a-z0-9+_-]*)://[!-~]+")
_REPEATS = re.compile(r"(?<=[?&])(?:retry|wait)=[^&]*&?")
_WORD = re.compile(r"[a-z][a-z0-9+_-]*")


class Apprise(Adapter):
    kind = "apprise"
    label = "Apprise"
    transport = "apprise"
    config_fields = (
        ConfigField(
            "services",
            "Services allowed",
            required=False,
            help="The words before :// divided by commas, such as slack, mailtos, ntfys; empty allows all but the own machine.",
        ),
    )
    content_fields = (
        ContentField("title", "Title", required=False, max_length=250),
        ContentField("text", "Text", multiline=True, max_length=20000),
    )
    capabilities = Capabilities(address_kind="apprise", host_per_address=True)
    verified_with = "apprise 2.2.0"

    def check_config(self, config: Mapping[str, Any]) -> dict[str, str]:
        problems = super().check_config(config)
        if not all(_WORD.fullmatch(one) for one in _services(config)):
            problems["services"] = "Services are words such as slack or ntfys, divided by commas."
        return problems

    def build(self, account: Account, envelopes: Sequence[Envelope], now: datetime) -> AppriseRequest:
        """One message. Raises ValueError for an address of no allowed service."""
        one = envelopes[0]
        found = _SCHEME.fullmatch(one.address)
        if not found:
            raise ValueError("The address is no Apprise address.")
        allowed = _services(account.config)
        if found[1] in LOCAL or (allowed and found[1] not in allowed):
            raise ValueError("The service of this address is not allowed.")
        url = _REPEATS.sub("", one.address)  # repeating is ours
        if WITH_HEADERS.match(url):
            url += f"{'&' if '?' in url else '?'}+X-UMS-Delivery={one.reference}"
        return AppriseRequest(url, one.content.get("title") or "", one.content["text"])

    def read(self, account: Account, envelopes: Sequence[Envelope], answer: Answer) -> Outcome:
        if not isinstance(answer, AppriseAnswer):
            return Unknown("unreadable_answer", "The answer is not one of Apprise.")
        if answer.word == "sent":
            return Accepted("")
        return CODES.get(answer.word) or Unknown(answer.word, "A word that is in no table.", unmapped=True)


def _services(config: Mapping[str, Any]) -> list[str]:
    return [one.strip().lower() for one in str(config.get("services") or "").split(",") if one.strip()]
