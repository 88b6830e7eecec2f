"""The settings of an SMPP account, and what may stand in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from apps.channels.contract import ConfigField
from apps.channels.wire.sms_receipts import CHANGED_STATES

ID_FORMS = ("text", "unpadded", "decimal", "hex")
STATUS_MEANINGS = ("rejected", "content", "account", "throttled", "retry", "unknown")
_NUMBERS = {
    "port": (1, 65535),
    "binds": (1, 20),
    "window": (1, 1000),
    "per_second": (0, 100_000),
    "enquire_seconds": (5, 600),
    "source_ton": (0, 7),
    "source_npi": (0, 18),
    "dest_ton": (0, 7),
    "dest_npi": (0, 18),
    "validity_minutes": (0, 10_080),
    "receipt_utc_offset": (-12, 14),
}
_TEXTS = {"system_id": 15, "password": 8, "system_type": 12, "source_address": 20, "service_type": 5}
_CHOICES = {
    "security": ("none", "tls"),
    "mode": ("transceiver", "separate"),
    "response_id": ID_FORMS,
    "receipt_id": ID_FORMS,
}
CONFIG_FIELDS = (
    ConfigField("host", "Gateway"),
    ConfigField("port", "Port", type="integer", default=2775),
    ConfigField("security", "Encryption", type="choice", choices=("none", "tls"), default="none"),
    ConfigField("system_id", "System id"),
    ConfigField("password", "Password", secret=True, help="At most 8 characters."),
    ConfigField("system_type", "System type", required=False),
    ConfigField(
        "mode",
        "Sessions",
        type="choice",
        choices=("transceiver", "separate"),
        default="transceiver",
        help="separate: transmitters to send and one receiver for receipts.",
    ),
    ConfigField("binds", "Sessions at once", type="integer", default=1, required=False),
    ConfigField("window", "Unanswered requests per session", type="integer", default=10, required=False),
    ConfigField(
        "per_second",
        "Requests per second",
        type="integer",
        default=0,
        required=False,
        help="As agreed with the operator; every part of a long message counts. 0 for no limit.",
    ),
    ConfigField("enquire_seconds", "Ask for life after seconds", type="integer", default=30, required=False),
    ConfigField("source_address", "Source address", help="Number or name that the phone shows."),
    ConfigField("source_ton", "Source: type of number", type="integer", default=0, required=False),
    ConfigField("source_npi", "Source: numbering plan", type="integer", default=0, required=False),
    ConfigField("dest_ton", "Recipient: type of number", type="integer", default=1, required=False),
    ConfigField("dest_npi", "Recipient: numbering plan", type="integer", default=1, required=False),
    ConfigField("service_type", "Service type", required=False),
    ConfigField(
        "validity_minutes",
        "Validity in minutes",
        type="integer",
        default=0,
        required=False,
        help="0: the gateway's own.",
    ),
    ConfigField(
        "gsm7",
        "Use the GSM alphabet where a text allows it",
        type="boolean",
        default=True,
        required=False,
        help="Off: everything travels as UCS-2, 70 characters instead of 160.",
    ),
    ConfigField(
        "response_id",
        "Message ids in answers",
        type="choice",
        choices=ID_FORMS,
        default="text",
        help="How to read the ids of submit_sm_resp, so that they equal those of receipts.",
    ),
    ConfigField("receipt_id", "Message ids in receipts", type="choice", choices=ID_FORMS, default="text"),
    ConfigField(
        "status_map",
        "Own meanings of statuses",
        type="json",
        default={},
        required=False,
        help='For example {"0x400": "rejected"}: rejected, content, account, throttled, retry or unknown.',
    ),
    ConfigField(
        "receipt_map",
        "Own meanings of receipts",
        type="json",
        default={},
        required=False,
        help='For example {"UNKNOWN": "failed"}: delivered, failed, accepted or ignore.',
    ),
    ConfigField(
        "bad_number_codes",
        "Receipt codes of numbers that do not exist",
        required=False,
        help="Network codes or words, divided by commas.",
    ),
    ConfigField(
        "receipt_utc_offset", "Hours from UTC of the times in receipts", type="integer", default=8, required=False
    ),
)


def wrong_settings(config: Mapping[str, Any]) -> dict[str, str]:
    """{setting: what is wrong}, without the value."""
    problems = {}
    for name, (low, high) in _NUMBERS.items():
        if config.get(name) not in (None, "") and not _between(config[name], low, high):
            problems[name] = f"Must be a number from {low} to {high}."
    for name, most in _TEXTS.items():
        value = str(config.get(name) or "")
        if value and (not value.isascii() or not value.isprintable() or len(value) > most):
            problems[name] = f"At most {most} ASCII characters."
    for name, choices in _CHOICES.items():
        if config.get(name) and config[name] not in choices:
            problems[name] = f"One of: {', '.join(choices)}."
    if not _is_map(config.get("status_map"), STATUS_MEANINGS):
        problems["status_map"] = f'Must be like {{"0x400": "rejected"}}, with {", ".join(STATUS_MEANINGS)}.'
    if not _is_map(config.get("receipt_map"), CHANGED_STATES):
        problems["receipt_map"] = f'Must be like {{"UNKNOWN": "failed"}}, with {", ".join(CHANGED_STATES)}.'
    return problems


def _between(value: Any, low: int, high: int) -> bool:
    try:
        return low <= int(value) <= high
    except (TypeError, ValueError):
        return False


def _is_map(value: Any, meanings: Sequence[str]) -> bool:
    if value in (None, ""):
        return True
    return isinstance(value, Mapping) and all(one in meanings for one in value.values())
