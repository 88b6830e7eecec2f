"""The words of SMTP: commands, paths and parameters (RFC 5321, RFC 1870, RFC 3461, RFC 6531)."""

import base64
import binascii
import re
from typing import NamedTuple

PATH = re.compile(r"(FROM|TO):\s*<([^<>]*)>(?:\s+(.*))?", re.IGNORECASE)
ADDRESS = re.compile(r"[^\s@<>\",;:\\()\[\]]+@[^\s@<>\",;:\\()\[\]]+")
XTEXT = re.compile(r"\+([0-9A-F]{2})")
MESSAGE_ID = re.compile(rb"^message-id:\s*<([^@>\s]+)", re.IGNORECASE | re.MULTILINE)
MAIL_PARAMETERS = frozenset(("SIZE", "BODY", "SMTPUTF8", "RET", "ENVID"))
RCPT_PARAMETERS = frozenset(("NOTIFY", "ORCPT"))


class Path(NamedTuple):
    """The address and the parameters of a MAIL or RCPT command."""

    address: str
    parameters: dict[str, str]


class GrammarError(ValueError):
    """A command cannot be understood; the text is the reply to give."""


def read_path(word: str, rest: str, known: frozenset[str]) -> Path:
    """Read ``FROM:<..> A=b`` or ``TO:<..> A=b``; GrammarError carries the refusal."""
    found = PATH.fullmatch(rest.strip())
    if not found or found[1].upper() != word:
        raise GrammarError(f"501 5.5.4 Syntax: {word}:<address>")
    parameters: dict[str, str] = {}
    for item in (found[3] or "").split():
        name, _, value = item.partition("=")
        parameters[name.upper()] = value
    if unknown := set(parameters) - known:
        raise GrammarError(f"555 5.5.4 Unsupported option: {sorted(unknown)[0]}")
    return Path(found[2], parameters)


def good_address(address: str) -> bool:
    """Tell whether an address has a local part and a domain."""
    return ADDRESS.fullmatch(address) is not None and len(address) <= 254


def from_xtext(text: str) -> str:
    """Undo the +XX writing of ENVID and ORCPT."""
    return XTEXT.sub(lambda found: chr(int(found[1], 16)), text)


def read_plain(token: str) -> tuple[str, str]:
    """Return user and password of an AUTH PLAIN token; GrammarError if it is none."""
    parts = read_base64(token).split("\0")
    if len(parts) != 3:
        raise GrammarError("501 5.5.2 Cannot decode response")
    return parts[1], parts[2]


def read_base64(token: str) -> str:
    """Decode one AUTH answer; GrammarError carries the refusal."""
    try:
        return base64.b64decode(token, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise GrammarError("501 5.5.2 Cannot decode response") from None


def message_id_local(head: bytes) -> str:
    """Return what stands before the @ in the Message-ID header, empty if there is none."""
    found = MESSAGE_ID.search(head)
    return found[1].decode(errors="replace") if found else ""
