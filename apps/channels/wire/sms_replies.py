"""What a phone answered, as gateways hand it over: octets of some alphabet, perhaps behind a header that joins parts.

SMPP 3.4, 5.2.19 (data_coding) and CMPP's Msg_Fmt agree on 8 for UCS-2; CMPP has 15 for GB18030. A reply in several parts is
read part by part: what matters here is short.
"""

from __future__ import annotations

from apps.channels.wire.sms_parts import from_gsm7

UCS2, LATIN, GB, ASCII, DEFAULT = 8, 3, 15, 1, 0


def reply_text(octets: bytes, coding: int, *, header: bool, gsm: bool) -> str:
    """The text; `header`: a user data header stands before it; `gsm`: alphabet 0 is the GSM default alphabet, not ASCII.

    What the alphabet does not have comes out as the replacement character: a reply is kept, not refused.
    """
    if header and octets:
        octets = octets[1 + octets[0] :]
    if coding == UCS2:
        return octets.decode("utf-16-be", "replace")
    if coding == GB:
        return octets.decode("gb18030", "replace")
    if coding == DEFAULT and gsm:
        return from_gsm7(octets)
    return octets.decode("latin-1" if coding == LATIN else "ascii", "replace")
