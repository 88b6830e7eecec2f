"""One mail as bytes: headers encoded by hand, bodies plain where they are plain and base64 where not.

The result is always 7-bit with CRLF line ends and lines under 998 bytes, so any server takes it as it is; only an
address outside ASCII makes UTF-8 headers (RFC 6532). A value with a line end in it is refused with ValueError.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from datetime import datetime
from email.headerregistry import Address
from email.utils import format_datetime
from functools import lru_cache

BOUNDARY = "=_ums_part"  # can be in no base64 text, and a plain part that holds it is sent as base64
WORD_BYTES = 39  # of text per encoded word: with its frame and "Subject: " a line stays under 76 (RFC 2047, 2)

_BREAKS = re.compile(r"[\r\n\0]")
_PLAIN_HEADER = re.compile(r"[ -~]{0,200}")
_LINE_ENDS = re.compile(r"\r\n|\r|\n")
_LONG_LINE = re.compile(r"[^\n]{900}")


def refuse_breaks(name: str, value: str) -> str:
    """The value itself; ValueError where it would begin a new header line."""
    if _BREAKS.search(value):
        raise ValueError(f"{name} holds a line end.")
    return value


def header_text(value: str) -> str:
    """A header's free text, in encoded words (RFC 2047) unless it is short plain ASCII."""
    if _PLAIN_HEADER.fullmatch(value) and "=?" not in value:
        return value
    raw = value.encode()
    words, begin = [], 0
    while begin < len(raw):
        end = begin + WORD_BYTES
        while end < len(raw) and raw[end] & 0xC0 == 0x80:
            end -= 1  # a character stays in one word
        words.append(f"=?utf-8?B?{b2a_base64(raw[begin:end], newline=False).decode()}?=")
        begin = end
    return "\r\n ".join(words)


def mailbox(name: str, address: str) -> str:
    """`name <address>` for a From header. ValueError for an address that is none."""
    refuse_breaks("The sender", name + address)
    local, at, domain = address.rpartition("@")
    if not at:
        raise ValueError("The sender address has no @.")
    if not name:
        return address
    if name.isascii():
        return str(Address(name, local, domain))
    return f"{header_text(name)} <{address}>"


@lru_cache(maxsize=16)
def _date(second: datetime) -> str:
    return format_datetime(second)


def date_text(now: datetime) -> str:
    """An aware time as a Date header has it, to the second."""
    return _date(now.replace(microsecond=0))


def part(subtype: str, text: str) -> str:
    """One text part with its own headers, from any line ends to CRLF."""
    whole = f"{text}\n" if not text.endswith("\n") else text
    if whole.isascii() and BOUNDARY not in whole and "\0" not in whole and not _LONG_LINE.search(whole):
        if "\r" in whole:
            whole = _LINE_ENDS.sub("\n", whole)
        body = whole.replace("\n", "\r\n")
        return f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n{body}"
    if "\r" in whole:
        whole = _LINE_ENDS.sub("\n", whole)
    coded = b2a_base64(whole.replace("\n", "\r\n").encode(), newline=False).decode()
    lines = "\r\n".join([coded[at : at + 76] for at in range(0, len(coded), 76)])
    return f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n{lines}\r\n"


def body(text: str, html: str) -> str:
    """The rest of a message from Content-Type on: text alone, or text and HTML as alternatives."""
    if not html:
        return part("plain", text)
    return (
        f'Content-Type: multipart/alternative; boundary="{BOUNDARY}"\r\n\r\n--{BOUNDARY}\r\n{part("plain", text)}'
        f"--{BOUNDARY}\r\n{part('html', html)}--{BOUNDARY}--\r\n"
    )
