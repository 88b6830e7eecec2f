"""What a kind asks of an account and of a template: declared once, for forms, validation and documents. Pure values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class ConfigField:
    """One setting of an account, from which console form, validation and docs are made.

    `least` and `most` bound an "integer"; `pattern` is a regular expression for the whole of a "text".
    """

    name: str
    label: str
    secret: bool = False
    required: bool = True
    default: Any = ""
    type: Literal["text", "url", "integer", "boolean", "choice", "json"] = "text"
    choices: tuple[str, ...] = ()
    help: str = ""
    least: int | None = None
    most: int | None = None
    pattern: str = ""

    def problem(self, value: Any) -> str:
        """What is wrong with a value, as a sentence that does not hold it; "" for a sound one."""
        if not value and self.required:
            return f"{self.label} is required."
        if value in ("", None):
            return ""
        if self.pattern and not re.fullmatch(self.pattern, str(value)):
            return f"{self.label} is not of the expected form."
        if self.type == "url" and not _is_url(str(value)):
            return f"{self.label} must begin with https:// and name a host."
        if self.type == "integer" and not self._is_within(value):
            return f"{self.label} must be a number from {self.least} to {self.most}."
        return ""

    def _is_within(self, value: Any) -> bool:
        if self.least is None or self.most is None:
            return True
        try:
            return self.least <= int(value) <= self.most
        except (TypeError, ValueError):
            return False


@dataclass(frozen=True, slots=True)
class ContentField:
    """One part of a template body. `mapping` fields hold {provider's name: text}; `literal` ones no placeholders."""

    name: str
    label: str
    required: bool = True
    max_length: int | None = None
    multiline: bool = False
    escape: Literal["none", "html"] = "none"
    mapping: bool = False
    literal: bool = False
    help: str = ""


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc) and text.isprintable() and " " not in text
