"""The callback scheme of WeCom: AES-256-CBC under the EncodingAESKey, SHA-1 over the sorted parts."""

import base64
import hashlib
import secrets
from typing import NamedTuple
from urllib.parse import urlencode
from xml.sax.saxutils import escape

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

BLOCK = 32


class Seal(NamedTuple):
    """What an app's callback is signed and encrypted with."""

    token: str
    aes_key: str
    corpid: str

    def encrypt(self, text: str) -> str:
        """Return the text sealed under fresh random bytes."""
        message = text.encode()
        plain = secrets.token_bytes(16) + len(message).to_bytes(4, "big") + message + self.corpid.encode()
        fill = BLOCK - len(plain) % BLOCK
        key = base64.b64decode(self.aes_key + "=")
        maker = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
        return base64.b64encode(maker.update(plain + bytes([fill]) * fill) + maker.finalize()).decode()

    def query(self, encrypted: str, now: float, **more: str) -> str:
        """Return the query that proves an encrypted text."""
        timestamp, nonce = str(int(now)), str(secrets.randbelow(10**10))
        proof = hashlib.sha1("".join(sorted((self.token, timestamp, nonce, encrypted))).encode()).hexdigest()
        return urlencode({"msg_signature": proof, "timestamp": timestamp, "nonce": nonce, **more})


def event_xml(corpid: str, userid: str, agentid: int, event: str, now: float) -> str:
    """Return the clear XML of an event about a member."""
    return (
        f"<xml><ToUserName><![CDATA[{corpid}]]></ToUserName><FromUserName><![CDATA[{userid}]]></FromUserName>"
        f"<CreateTime>{int(now)}</CreateTime><MsgType><![CDATA[event]]></MsgType><AgentID>{agentid}</AgentID>"
        f"<Event><![CDATA[{escape(event)}]]></Event></xml>"
    )


def envelope_xml(corpid: str, agentid: int, encrypted: str) -> str:
    """Return the body that carries an encrypted text."""
    return (
        f"<xml><ToUserName><![CDATA[{corpid}]]></ToUserName><AgentID><![CDATA[{agentid}]]></AgentID>"
        f"<Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>"
    )
