"""What Alipay posts to a life account's application gateway: the trial of its address, and who follows or leaves.

A form with `service`, `charset`, `sign_type`, `sign` and `biz_content`, an XML text. Reply format: the provider's demo.
"""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from apps.channels.contract import AddressEvent, BadReceipt, HookReply
from apps.channels.providers.alipay_life.signing import canonical
from apps.channels.wire import rsa
from apps.channels.wire.wechat_xml import read_xml

LARGEST = 64 * 1024
CHARSETS = ("utf-8", "gbk", "gb18030", "gb2312")
DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
FOLLOWED = {"follow": True, "unfollow": False}


def clear(body: bytes, key: RSAPublicKey, without: tuple[str, ...]) -> bytes:
    """The XML of an authentic form, in UTF-8. `without`: the parameters that the signature leaves out. Raises BadReceipt."""
    if len(body) > LARGEST:
        raise BadReceipt("The body is no form of a callback.")
    try:
        text = body.decode("ascii")
        charset = dict(parse_qsl(text)).get("charset", "").lower() or "gbk"
        if charset not in CHARSETS:
            raise BadReceipt("The form names a charset that is not read.")
        params = dict(parse_qsl(text, encoding=charset, errors="strict", strict_parsing=True))
        signed = canonical(params, without).encode(charset)
    except ValueError as unreadable:
        if isinstance(unreadable, BadReceipt):
            raise
        raise BadReceipt("The body is no form.") from None
    if not params.get("sign") or not rsa.verifies(key, signed, params["sign"]):
        raise BadReceipt("The signature does not match.")
    return DECLARATION.sub("", params.get("biz_content", "")).encode()


def greeting(body: bytes, own: RSAPrivateKey) -> HookReply | None:
    """The answer to `verifygw`: our public key, signed with our private one; None for everything else."""
    if read_xml(body).get("EventType") != "verifygw":
        return None
    der = own.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    said = f"<success>true</success><biz_content>{base64.b64encode(der).decode()}</biz_content>"
    sign = rsa.sign(own, said.encode())
    whole = f"<alipay><response>{said}</response><sign>{sign}</sign><sign_type>RSA2</sign_type></alipay>"
    return HookReply(f'<?xml version="1.0" encoding="GBK"?>{whole}'.encode(), "text/xml;charset=GBK")


def events(body: bytes, received_at: datetime) -> list[AddressEvent]:
    """Follow and unfollow; other events are not for us. Raises BadReceipt."""
    said = read_xml(body)
    reachable = FOLLOWED.get(said.get("EventType", "")) if said.get("MsgType", "event") == "event" else None
    address = said.get("FromAlipayUserId") or said.get("FromOpenId") or said.get("FromUserId") or ""
    if reachable is None or not address:
        return []
    return [
        AddressEvent(
            address,
            reachable,
            "followed" if reachable else "unfollowed",
            _time(said.get("CreateTime", ""), received_at),
        )
    ]


def _time(milliseconds: str, received_at: datetime) -> datetime:
    if not milliseconds.isascii() or not milliseconds.isdigit() or len(milliseconds) != 13:
        return received_at
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC)
