"""A short message cut into parts as it travels: alphabet, cuts that break no character, headers that join the parts.

One part alone holds 160 septets or 70 UCS-2 units, each of several 153 or 67: the header that joins them takes the
rest (3GPP TS 23.040, 9.2.3.24.1). A pair that belongs together – escape and character, high and low surrogate – is
never cut, so a text may need a part more than its mere length says.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from apps.channels.pieces import GSM_BASIC, GSM_EXTENDED

Alphabet = Literal["gsm7", "ascii", "ucs2"]
MOST_PARTS = 255
_EXTENDED_CODES = dict(zip("\f^{}\\[~]|€", (0x0A, 0x14, 0x28, 0x29, 0x2F, 0x3C, 0x3D, 0x3E, 0x40, 0x65), strict=True))
assert set(_EXTENDED_CODES) == set(GSM_EXTENDED)
_ESCAPE = 0x1B
# the escape itself stands at 27 of the default alphabet, between Ξ and Æ
_BASIC_CODES = {char: code if code < _ESCAPE else code + 1 for code, char in enumerate(GSM_BASIC)}
_GSM = {char: bytes((code,)) for char, code in _BASIC_CODES.items()} | {
    char: bytes((_ESCAPE, code)) for char, code in _EXTENDED_CODES.items()
}
_ASCII = {char: char.encode() for char in GSM_BASIC if char.isascii()}


_BASIC_OF = {code: char for char, code in _BASIC_CODES.items()}
_EXTENDED_OF = {code: char for char, code in _EXTENDED_CODES.items()}


def from_gsm7(octets: bytes) -> str:
    """The text of septets one to an octet; what is no character becomes the replacement character."""
    out, escaped = [], False
    for code in octets:
        if escaped:
            out.append(_EXTENDED_OF.get(code, "\ufffd"))
        elif code != _ESCAPE:
            out.append(_BASIC_OF.get(code, "\ufffd"))
        escaped = not escaped and code == _ESCAPE
    return "".join(out)


@dataclass(frozen=True, slots=True)
class Parts:
    """The octets of each part, without headers, and the alphabet they are in (septets one to an octet)."""

    alphabet: Alphabet
    texts: list[bytes]


def cut(text: str, narrow: Alphabet = "gsm7") -> Parts:
    """Cuts a text into parts: in the `narrow` alphabet where it has every character, else in UCS-2.

    Raises ValueError for a text that makes more than 255 parts or holds half a surrogate pair.
    """
    table = {"gsm7": _GSM, "ascii": _ASCII, "ucs2": None}[narrow]
    if table is not None and all(char in table for char in text):
        parts = Parts(narrow, _filled([table[char] for char in text], 160, 153))
    else:
        parts = Parts("ucs2", _filled([char.encode("utf-16-be") for char in text], 140, 134))
    if len(parts.texts) > MOST_PARTS:
        raise ValueError("The text is longer than 255 parts.")
    return parts


def _filled(characters: Sequence[bytes], alone: int, each: int) -> list[bytes]:
    """Characters packed into as few parts as their order allows."""
    whole = b"".join(characters)
    return [whole] if len(whole) <= alone else list(_packed(characters, each))


def _packed(characters: Sequence[bytes], each: int) -> Iterator[bytes]:
    part = bytearray()
    for character in characters:
        if len(part) + len(character) > each:
            yield bytes(part)
            part.clear()
        part += character
    yield bytes(part)


def with_headers(texts: Sequence[bytes], reference: int) -> list[bytes]:
    """Puts the joining header before each of several parts (8-bit reference); one part alone stays as it is."""
    if len(texts) == 1:
        return list(texts)
    return [bytes((5, 0, 3, reference & 0xFF, len(texts), number)) + text for number, text in enumerate(texts, start=1)]


class PartReferences:
    """References that join parts: one recipient's messages count on, and a repeat of a message has its old one.

    A phone joins what has the same sender and reference, so two long messages under way to one person must not share
    it. Kept in memory for the `most` last recipients; whoever is not known begins somewhere.
    """

    def __init__(self, most: int = 20_000) -> None:
        self._most = most
        self._last: OrderedDict[int, tuple[str, int]] = OrderedDict()

    def of(self, address: str, message: str) -> int:
        """The reference, 0 to 255, of a message (named by its delivery's reference) to this address."""
        place = hash(address)
        known = self._last.pop(place, None)
        if known is None:
            number = zlib.crc32(message.encode()) & 0xFF
        elif known[0] == message:
            number = known[1]
        else:
            number = (known[1] + 1) & 0xFF
        self._last[place] = (message, number)
        if len(self._last) > self._most:
            self._last.popitem(last=False)
        return number
