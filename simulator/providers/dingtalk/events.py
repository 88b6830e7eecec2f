"""DingTalk's event callback: AES-256-CBC with the application's key behind the text, SHA-1 over the sorted parts."""

import base64
import hashlib
import json
import os
import secrets
import time
from typing import Any, NamedTuple
from urllib.parse import urlencode

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from simulator.posting import Parcel

BLOCK = 32
HEADERS = {"Content-Type": "application/json"}


class Seal(NamedTuple):
    """The callback secrets of one application."""

    token: str
    aes_key: str
    app_key: str

    def _cipher(self) -> Cipher[modes.CBC]:
        key = base64.b64decode(self.aes_key + "=")
        return Cipher(algorithms.AES(key), modes.CBC(key[:16]))

    def signature(self, timestamp: str, nonce: str, encrypted: str) -> str:
        """Return the hex SHA-1 over the sorted parts."""
        return hashlib.sha1("".join(sorted((self.token, timestamp, nonce, encrypted))).encode()).hexdigest()

    def lock(self, text: bytes) -> str:
        """Encrypt a text for this application."""
        plain = os.urandom(16) + len(text).to_bytes(4, "big") + text + self.app_key.encode()
        fill = BLOCK - len(plain) % BLOCK
        maker = self._cipher().encryptor()
        return base64.b64encode(maker.update(plain + bytes([fill]) * fill) + maker.finalize()).decode()

    def unlock(self, encrypted: str) -> bytes:
        """Decrypt; ValueError if it is not for this application."""
        opener = self._cipher().decryptor()
        plain = opener.update(base64.b64decode(encrypted)) + opener.finalize()
        plain = plain[: -plain[-1]]
        length = int.from_bytes(plain[16:20], "big")
        if plain[20 + length :] != self.app_key.encode():
            raise ValueError("sealed for somebody else")
        return plain[20 : 20 + length]


def parcel(url: str, seal: Seal, event: dict[str, Any]) -> Parcel:
    """Return one event, encrypted and signed at this moment; a stranger signs with another token."""
    stamp, nonce = str(int(time.time() * 1000)), secrets.token_hex(4)
    encrypted = seal.lock(json.dumps(event, ensure_ascii=False).encode())
    body = json.dumps({"encrypt": encrypted}).encode()

    def address(signer: Seal) -> str:
        signature = signer.signature(stamp, nonce, encrypted)
        query = urlencode({"msg_signature": signature, "signature": signature, "timestamp": stamp, "nonce": nonce})
        return f"{url}{'&' if '?' in url else '?'}{query}"

    def forged() -> Parcel:
        return Parcel("dingtalk", address(seal._replace(token="stranger")), body, HEADERS)

    return Parcel("dingtalk", address(seal), body, HEADERS, forged=forged)


def greeted(seal: Seal, status: int, body: bytes) -> bool:
    """Tell whether the answer to ``check_url`` is the encrypted word that DingTalk wants."""
    try:
        said = json.loads(body)
        signature = seal.signature(said["timeStamp"], said["nonce"], said["encrypt"])
        return status == 200 and said["msg_signature"] == signature and seal.unlock(said["encrypt"]) == b"success"
    except (ValueError, KeyError, TypeError):
        return False
