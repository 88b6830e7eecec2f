"""The callback scheme of the WeChat family: official account, mini program, WeCom, and with another trailing id DingTalk.

Signature: hex SHA-1 over the sorted, joined strings (token, timestamp, nonce, and the encrypted text). Encryption: AES-256
in CBC, key = Base64(EncodingAESKey + "="), IV = its first 16 bytes, PKCS#7 to blocks of 32, plain text = 16 random bytes,
length in 4 bytes, message, id of the receiver. Source: the providers' pages on message encryption (contract sheets
wechat_oa 7.5, wecom 7.1, dingtalk 9), whose vectors are tests.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from apps.channels.contract import BadReceipt

BLOCK = 32
HEAD = 20  # 16 random bytes and the length
OLDEST = timedelta(hours=1)  # providers repeat a call for seconds; what is older was recorded by somebody


@dataclass(frozen=True, slots=True)
class WechatCrypt:
    """One account's callback secrets. `receiver` is the id that must stand behind the message: appid, corpid, appkey."""

    token: str = field(repr=False)
    aes_key: str = field(repr=False)
    receiver: str

    def check_key(self) -> bool:
        """Whether the key has the shape that providers give out: 43 characters of Base64."""
        return self._key() is not None

    def sign(self, timestamp: str, nonce: str, *more: str) -> str:
        """The signature over these strings, in any order."""
        return hashlib.sha1("".join(sorted((self.token, timestamp, nonce, *more))).encode()).hexdigest()

    def verify(self, signature: str, timestamp: str, nonce: str, *more: str) -> None:
        """Raises BadReceipt."""
        if not signature or not timestamp:
            raise BadReceipt("The request carries no signature.")
        if not hmac.compare_digest(self.sign(timestamp, nonce, *more).encode(), signature.encode()):
            raise BadReceipt("The signature does not match.")

    def open(self, encrypted: str) -> bytes:
        """The message in clear, proved to be for this receiver. Raises BadReceipt."""
        key = self._key()
        try:
            sealed = base64.b64decode(encrypted, validate=True)
        except (binascii.Error, ValueError):
            sealed = b""
        if key is None or not sealed or len(sealed) % 16:
            raise BadReceipt("The encrypted text cannot be read.")
        opener = Cipher(algorithms.AES(key), modes.CBC(key[:16])).decryptor()
        padded = opener.update(sealed) + opener.finalize()
        plain = padded[: -padded[-1]] if 1 <= padded[-1] <= BLOCK else b""
        length = int.from_bytes(plain[16:HEAD], "big")
        message, receiver = plain[HEAD : HEAD + length], plain[HEAD + length :]
        if len(plain) < HEAD or len(message) != length:
            raise BadReceipt("The encrypted text cannot be read.")
        if not hmac.compare_digest(receiver, self.receiver.encode()):
            raise BadReceipt("The encrypted text is for another receiver.")
        return message

    def seal(self, message: bytes, random16: bytes) -> str:
        """The encrypted form of an answer. Raises ValueError for a key that cannot be used."""
        key = self._key()
        if key is None:
            raise ValueError("the EncodingAESKey cannot be used")
        plain = random16 + len(message).to_bytes(4, "big") + message + self.receiver.encode()
        fill = BLOCK - len(plain) % BLOCK
        maker = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
        return base64.b64encode(maker.update(plain + bytes([fill]) * fill) + maker.finalize()).decode()

    def _key(self) -> bytes | None:
        try:
            key = base64.b64decode(self.aes_key + "=", validate=True)
        except (binascii.Error, ValueError):
            return None
        return key if len(key) == 32 else None


def require_fresh(timestamp: str, received_at: datetime, unit: int = 1) -> None:
    """Refuses what was signed too long before (or after) it arrived. `unit` is parts of a second. Raises BadReceipt."""
    if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 16:
        raise BadReceipt("The time stamp cannot be read.")
    if abs(received_at.timestamp() - int(timestamp) / unit) > OLDEST.total_seconds():
        raise BadReceipt("The time stamp is too old.")
