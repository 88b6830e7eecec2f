"""How many billed pieces one short message makes.

One piece holds 70 characters, each piece of a longer message 67; where every character is in the GSM 7-bit default
alphabet (3GPP TS 23.038, 6.2.1) it holds 160, each of a longer one 153. The signature in its 【】 counts.
"""

from __future__ import annotations

import re

GSM_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_EXTENDED = "\f^{}\\[~]|€"  # two septets each, behind an escape

_ALL_GSM = re.compile(f"[{re.escape(GSM_BASIC + GSM_EXTENDED)}]*")
_EXTENDED = re.compile(f"[{re.escape(GSM_EXTENDED)}]")


def count_pieces(text: str, sign_name: str = "") -> int:
    """Pieces of `text` sent under `sign_name` (named with or without its 【】); 1 at least.

    A character outside Unicode's basic plane counts as two, as it travels in UCS-2.
    """
    whole = f"【{sign_name.strip('【】')}】{text}" if sign_name else text
    if _ALL_GSM.fullmatch(whole):
        length, single, part = len(whole) + len(_EXTENDED.findall(whole)), 160, 153
    else:
        length, single, part = len(whole.encode("utf-16-le")) // 2, 70, 67
    return 1 if length <= single else -(-length // part)
