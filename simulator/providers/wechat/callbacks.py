"""What WeChat tells an account's server: signed, in secure mode encrypted, in XML or JSON."""

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode
from xml.sax.saxutils import escape

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from simulator.posting import Parcel, Poster
from simulator.providers.wechat.apps import App

PROVIDER = "wechat"
RETRIES_S = (5.0, 5.0, 5.0)
BLOCK = 32
LISTS = {
    "subscribe_msg_sent_event": "SubscribeMsgSentEvent",
    "subscribe_msg_popup_event": "SubscribeMsgPopupEvent",
    "subscribe_msg_change_event": "SubscribeMsgChangeEvent",
}
OPPOSITE = {
    "success": "failed:user block",
    "0": "43101",
    "accept": "reject",
    "reject": "accept",
    "subscribe": "unsubscribe",
}


def sign(token: str, *parts: str) -> str:
    """Return the SHA-1 over the sorted parts."""
    return hashlib.sha1("".join(sorted((token, *parts))).encode()).hexdigest()


def encrypt(app: App, message: bytes) -> str:
    """Return a message sealed for the account under fresh random bytes."""
    plain = secrets.token_bytes(16) + len(message).to_bytes(4, "big") + message + app.appid.encode()
    fill = BLOCK - len(plain) % BLOCK
    key = base64.b64decode(app.aes_key + "=")
    maker = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
    return base64.b64encode(maker.update(plain + bytes([fill]) * fill) + maker.finalize()).decode()


def as_xml(fields: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> str:
    """Return the event in XML: the list stands below an element named after the event."""
    parts = "".join(_element(name, value) for name, value in fields.items())
    lists = "".join(f"<List>{''.join(_element(*pair) for pair in entry.items())}</List>" for entry in entries)
    outer = LISTS.get(str(fields.get("Event")), "")
    return f"<xml>{parts}{f'<{outer}>{lists}</{outer}>' if entries else ''}</xml>"


def _element(name: str, value: Any) -> str:
    text = str(value) if isinstance(value, int) else f"<![CDATA[{value}]]>"
    return f"<{name}>{text}</{name}>"


def as_json(fields: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> str:
    """Return the event in JSON: numbers are texts, one entry is an object, several are an array."""
    document: dict[str, Any] = {name: str(value) for name, value in fields.items()}
    if entries:
        plain = [{name: str(value) for name, value in entry.items()} for entry in entries]
        document["List"] = plain[0] if len(plain) == 1 else plain
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


class Callbacks:
    """Sends events to the address of an account, as often as it takes."""

    def __init__(self, post: Poster) -> None:
        self.post = post

    def tell(
        self,
        app: App,
        openid: str,
        fields: Mapping[str, Any],
        due: float,
        entries: Sequence[Mapping[str, Any]] = (),
        about: Sequence[str] = (),
    ) -> None:
        """Tell an event or a message at a moment; a stranger who does not know the secrets may try first."""
        url = self.post.url(PROVIDER, app.appid)

        def parcel() -> Parcel:
            now = time.time()
            genuine = self._parcel(app, url, openid, _whole(app, openid, fields, now), entries, now)
            turned = _turned(fields), [_turned(entry) for entry in entries]
            stranger = App(app.appid, "", app.kind, app.origin, app.name, "guess", app.aes_key, app.mode, app.form)
            genuine.forged = lambda: self._parcel(
                stranger, url, openid, _whole(app, openid, turned[0], now), turned[1], now
            )
            return genuine

        if url:
            self.post.later(parcel, due, about)

    def _parcel(
        self,
        app: App,
        url: str,
        openid: str,
        fields: Mapping[str, Any],
        entries: Sequence[Mapping[str, Any]],
        now: float,
    ) -> Parcel:
        clear = as_json(fields, entries) if app.form == "json" else as_xml(fields, entries)
        stamp, nonce = str(int(now)), str(secrets.randbelow(10**10))
        query = {
            "signature": sign(app.callback_token, stamp, nonce),
            "timestamp": stamp,
            "nonce": nonce,
            "openid": openid,
        }
        body = clear
        if app.mode != "plain":
            sealed = encrypt(app, clear.encode())
            query |= {"encrypt_type": "aes", "msg_signature": sign(app.callback_token, stamp, nonce, sealed)}
            body = _envelope(app, sealed, clear if app.mode == "compatible" else "")
        kind = "application/json" if app.form == "json" else "text/xml"
        return Parcel(
            PROVIDER,
            f"{url}{'&' if '?' in url else '?'}{urlencode(query)}",
            body.encode(),
            {"Content-Type": kind},
            taken=lambda status, answer: status == 200 and answer in (b"success", b""),
            retry_s=RETRIES_S,
        )

    async def verify(self, app: App) -> dict[str, Any]:
        """Try the address as saving it in the console does; the text must come back as it is."""
        url, echo = self.post.url(PROVIDER, app.appid), str(secrets.randbelow(10**19))
        stamp, nonce = str(int(time.time())), str(secrets.randbelow(10**10))
        signature = sign(app.callback_token, stamp, nonce)
        query = urlencode({"signature": signature, "timestamp": stamp, "nonce": nonce, "echostr": echo})
        status, body = await self.post.ask(Parcel(PROVIDER, f"{url}?{query}", method="GET"))
        return {"status": status, "passed": status == 200 and body == echo.encode()}


def _whole(app: App, openid: str, fields: Mapping[str, Any], now: float) -> dict[str, Any]:
    head = {"ToUserName": app.origin, "FromUserName": openid, "CreateTime": int(now)}
    return head | dict(fields)


def _turned(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same news turned round."""
    return {name: OPPOSITE.get(str(value), value) for name, value in fields.items()}


def _envelope(app: App, sealed: str, clear: str) -> str:
    if app.form == "json":
        return json.dumps((json.loads(clear) if clear else {"ToUserName": app.origin}) | {"Encrypt": sealed})
    inner = clear.removeprefix("<xml>").removesuffix("</xml>") or f"<ToUserName>{escape(app.origin)}</ToUserName>"
    return f"<xml>{inner}<Encrypt><![CDATA[{sealed}]]></Encrypt></xml>"
