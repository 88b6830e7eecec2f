"""What a phone does with the parts of a message: reads the header that joins them, decodes each alone, puts them together."""

import math
from typing import NamedTuple

# 3GPP TS 23.038, 6.2.1: the default alphabet row by row, and what stands behind an escape
GSM = (
    "@£$¥èéùìòÇ\nØø\rÅå"
    "Δ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ"
    " !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNO"
    "PQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_BEHIND_ESCAPE = {10: "\f", 20: "^", 40: "{", 41: "}", 47: "\\", 60: "[", 61: "~", 62: "]", 64: "|", 101: "€"}
ON_AIR = 140


class Garbled(ValueError):
    """A phone could not show this part by itself."""


class HeaderError(ValueError):
    """The user data header contradicts itself."""


class Place(NamedTuple):
    """Where a part stands in its message: reference, how many there are, which one it is from 1."""

    reference: int
    total: int
    number: int


ALONE = Place(0, 1, 1)


def split_header(octets: bytes) -> tuple[Place, bytes]:
    """Read the user data header; return the part's place and its text."""
    if not octets or octets[0] + 1 > len(octets):
        raise HeaderError("the header is longer than the message")
    header, text = octets[1 : octets[0] + 1], octets[octets[0] + 1 :]
    place = ALONE
    while header:
        if len(header) < 2 or header[1] + 2 > len(header):
            raise HeaderError("an element is longer than the header")
        kind, value, header = header[0], header[2 : 2 + header[1]], header[2 + header[1] :]
        if kind == 0 and len(value) == 3:
            place = Place(value[0], value[1], value[2])
        elif kind == 8 and len(value) == 4:
            place = Place(value[0] << 8 | value[1], value[2], value[3])
        elif kind in (0, 8):
            raise HeaderError("a joining element of another length")
    if not 1 <= place.number <= place.total:
        raise HeaderError("a part that its message does not have")
    return place, text


def read_gsm(octets: bytes) -> str:
    """Decode septets that travel one to an octet."""
    found, codes = "", iter(octets)
    for code in codes:
        if code == 27:
            behind = next(codes, None)
            if behind is None:
                raise Garbled("an escape without its character")
            found += GSM_BEHIND_ESCAPE.get(behind, "")
        elif code > 127:
            raise Garbled("eight bits in the default alphabet")
        else:
            found += GSM[code]
    return found


def read_ucs2(octets: bytes) -> str:
    """Decode UCS-2; half a surrogate pair is garbled."""
    try:
        return octets.decode("utf-16-be")
    except UnicodeDecodeError:
        raise Garbled("half a character") from None


def octets_on_air(text: bytes, header: int, septets: bool) -> int:
    """Return how many octets a part takes in a short message; ``header`` octets come before the text."""
    if not septets:
        return header + len(text)
    return math.ceil((math.ceil(header * 8 / 7) + len(text)) * 7 / 8)


class Assembler:
    """Keeps the parts of unfinished messages, as a phone does."""

    def __init__(self) -> None:
        self._parts: dict[tuple[str, str, int, int], dict[int, str]] = {}

    def add(self, address: str, sender: str, place: Place, text: str) -> str | None:
        """Return the whole text once its last part is here, else None."""
        if place.total == 1:
            return text
        name = (address, sender, place.reference, place.total)
        parts = self._parts.setdefault(name, {})
        parts[place.number] = text
        if len(parts) < place.total:
            return None
        del self._parts[name]
        return "".join(parts[number] for number in sorted(parts))
