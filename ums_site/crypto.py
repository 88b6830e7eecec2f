"""Sealing and hashing of what must not be read: addresses, credentials, sensitive attributes, raw receipts.

A sealed value is `version(1) key id(1) nonce(12) AES-256-GCM ciphertext+tag`, bound to the place where it stands by the
associated data `where` (table.column, plus the address hash for bindings), so that a value copied elsewhere does not
open. A damaged or foreign value raises `SealBroken`; nothing is ever returned in its stead.

The keyring is a JSON file made on first start (mode 0600): `{"current": 1, "keys": {"1": base64}, "hash_key": base64}`.
Older keys stay in the file and keep opening; `current` seals. The hash key never changes, or lookups would miss.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
from functools import cache
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

VERSION = 1
HASH_BYTES = 16


class SealBroken(ValueError):
    """The value was not sealed here, was moved, or was altered."""


class Keyring:
    """The keys of one installation, read from its file; `Keyring.load` makes the file where there is none."""

    def __init__(self, current: int, keys: dict[int, bytes], hash_key: bytes) -> None:
        self.current = current
        self.hash_key = hash_key
        self._ciphers = {kid: AESGCM(key) for kid, key in keys.items()}

    @classmethod
    def load(cls, path: Path) -> Keyring:
        """Raises OSError where the file cannot be read or made, ValueError where it is not a keyring."""
        if not path.exists():
            _make(path)
        held = json.loads(path.read_text())
        keys = {int(kid): base64.b64decode(key) for kid, key in held["keys"].items()}
        return cls(int(held["current"]), keys, base64.b64decode(held["hash_key"]))

    def seal(self, plain: str | bytes, where: bytes) -> bytes:
        """Seals text or bytes for the place `where`."""
        raw = plain.encode() if isinstance(plain, str) else plain
        nonce = os.urandom(12)
        return bytes((VERSION, self.current)) + nonce + self._ciphers[self.current].encrypt(nonce, raw, where)

    def open_bytes(self, sealed: bytes | memoryview, where: bytes) -> bytes:
        """Opens what `seal` made for the same place. Raises SealBroken."""
        held = bytes(sealed)
        cipher = self._ciphers.get(held[1]) if len(held) >= 30 and held[0] == VERSION else None
        if cipher is None:
            raise SealBroken("not a sealed value, or its key is not in the keyring")
        try:
            return cipher.decrypt(held[2:14], held[14:], where)
        except InvalidTag as broken:
            raise SealBroken("the sealed value was altered or moved") from broken

    def open(self, sealed: bytes | memoryview, where: bytes) -> str:
        """As `open_bytes`, decoded."""
        return self.open_bytes(sealed, where).decode()

    def keyed_hash(self, kind: str, value: str) -> bytes:
        """16 bytes of HMAC-SHA-256 for lookup, blacklist and de-duplication; `value` must be normalised before."""
        return hmac.digest(self.hash_key, f"{kind}:{value}".encode(), "sha256")[:HASH_BYTES]


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    ring = {"current": 1, "keys": {"1": _fresh()}, "hash_key": _fresh()}
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        json.dump(ring, out)
        out.flush()
        os.fsync(out.fileno())
    try:
        os.link(draft, path)  # fails where another process was first: then its keys count
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _fresh() -> str:
    return base64.b64encode(os.urandom(32)).decode()


@cache
def keyring() -> Keyring:
    """The keyring of this process, read once from settings.UMS_KEYRING."""
    return Keyring.load(Path(settings.UMS_KEYRING))


def binding_place(address_hash: bytes | memoryview) -> bytes:
    """The associated data of a binding's address: the row's own hash, since the primary key is not known to COPY."""
    return b"users_binding.address:" + bytes(address_hash)
