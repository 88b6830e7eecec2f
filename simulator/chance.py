"""Repeatable luck: every random-looking decision is a hash of the seed and the thing decided about."""

import hashlib


def chance(seed: int, *parts: object) -> float:
    """Return a number in [0, 1) that depends on nothing but the seed and the parts."""
    text = "\x1f".join(map(str, parts))
    digest = hashlib.blake2b(f"{seed}\x1e{text}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def between(seed: int, span: list[float], *parts: object) -> float:
    """Return a repeatable number inside the span [low, high]."""
    low, high = span
    return low + (high - low) * chance(seed, *parts)


def address_hash(address: str) -> str:
    """Return the sha256 hex that the ledger writes instead of an address."""
    return hashlib.sha256(address.encode()).hexdigest()


def address_bucket(address: str, buckets: int) -> int:
    """Return the bucket of an address, as used by the script match ``address%N==K``."""
    return int(address_hash(address)[:8], 16) % buckets
