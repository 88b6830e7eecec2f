"""How Feishu signs and encrypts what it pushes, and what a group robot must sign."""

import base64
import hashlib
import hmac
import json
import secrets
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

BLOCK = 16


class Seal(NamedTuple):
    """The callback secrets of one app."""

    encrypt_key: str
    token: str

    def body(self, event: dict[str, Any]) -> bytes:
        """Return an event as it travels, encrypted under a fresh vector."""
        plain, vector = (
            json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode(),
            secrets.token_bytes(BLOCK),
        )
        fill = BLOCK - len(plain) % BLOCK
        key = hashlib.sha256(self.encrypt_key.encode()).digest()
        maker = Cipher(algorithms.AES(key), modes.CBC(vector)).encryptor()
        sealed = maker.update(plain + bytes([fill]) * fill) + maker.finalize()
        return json.dumps({"encrypt": base64.b64encode(vector + sealed).decode()}).encode()

    def headers(self, body: bytes, now: float) -> dict[str, str]:
        """Return the headers that prove a body at a moment."""
        timestamp, nonce = str(int(now)), str(secrets.randbelow(10**9))
        proof = hashlib.sha256(f"{timestamp}{nonce}{self.encrypt_key}".encode() + body).hexdigest()
        return {
            "Content-Type": "application/json; charset=utf-8",
            "X-Lark-Request-Timestamp": timestamp,
            "X-Lark-Request-Nonce": nonce,
            "X-Lark-Signature": proof,
        }


def robot_proof(timestamp: str, secret: str) -> str:
    """Return what stands in ``sign`` of a robot's message."""
    return base64.b64encode(hmac.new(f"{timestamp}\n{secret}".encode(), digestmod="sha256").digest()).decode()
