"""Codes of providers that no table knows: counted, so that somebody maps them."""

from __future__ import annotations

from django.db import connection


def count_unmapped(kind: str, code: str) -> None:
    """Counts one sight of a code that the adapter of `kind` does not know."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO ums_channels_unmappedcode (kind, code, seen, last_at) VALUES (%s, %s, 1, now()) "
            "ON CONFLICT (kind, code) DO UPDATE SET seen = ums_channels_unmappedcode.seen + 1, last_at = now()",
            [kind, code[:100]],
        )
