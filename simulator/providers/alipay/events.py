"""What Alipay posts to the application gateway of a life account: signed forms with XML in them."""

from urllib.parse import quote
from xml.sax.saxutils import escape

from simulator.posting import Parcel
from simulator.providers.alipay.keys import ALIPAY_PRIVATE_KEY
from simulator.providers.alipay.signature import content, sign

HEADERS = {"Content-Type": "application/x-www-form-urlencoded;charset=GBK"}
CHARSET = "GBK"
NOTIFY, CHECK = "alipay.mobile.public.message.notify", "alipay.service.check"


def xml(app_id: str, kind: str, person: str, now: float) -> str:
    """Return the text of one event; an open id stands in its own field."""
    user = person if person.startswith("2088") else ""
    fields = {
        "AppId": app_id,
        "FromAlipayUserId": user,
        "FromOpenId": "" if user else person,
        "CreateTime": str(int(now * 1000)),
        "MsgType": "event",
        "EventType": kind,
    }
    return f'<?xml version="1.0" encoding="{CHARSET}"?><XML>{"".join(map(_element, fields.items()))}</XML>'


def _element(pair: tuple[str, str]) -> str:
    return f"<{pair[0]}><![CDATA[{escape(pair[1])}]]></{pair[0]}>"


def parcel(url: str, service: str, text: str, v1: bool) -> Parcel:
    """Return one signed post; ``v1`` leaves sign_type out of what is signed. A stranger cannot sign."""
    fields = {"biz_content": text, "charset": CHARSET, "service": service, "sign_type": "RSA2"}
    signature = sign(ALIPAY_PRIVATE_KEY, content(fields, ("sign_type",) if v1 else ()).encode(CHARSET))

    def form(signed: str) -> bytes:
        pairs = (fields | {"sign": signed}).items()
        return "&".join(f"{name}={quote(value, safe='', encoding=CHARSET)}" for name, value in pairs).encode()

    def forged() -> Parcel:
        return Parcel("alipay", url, form(signature[::-1]), HEADERS)

    return Parcel("alipay", url, form(signature), HEADERS, forged=forged)
