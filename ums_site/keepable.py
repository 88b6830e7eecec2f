"""What Postgres can keep as text and JSON."""

from __future__ import annotations

from collections.abc import Mapping


def keepable(held: object) -> bool:
    """False where some text in it, also a key, holds NUL or half a character (a lone surrogate)."""
    if isinstance(held, str):
        return "\0" not in held and not any("\ud800" <= character <= "\udfff" for character in held)
    if isinstance(held, Mapping):
        return all(keepable(key) and keepable(value) for key, value in held.items())
    return all(map(keepable, held)) if isinstance(held, list | tuple) else True
