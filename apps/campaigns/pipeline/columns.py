"""Columns of values as PostgreSQL array literals, for `unnest`. Pure.

One literal is parsed as one constant; of a list psycopg2 makes an ARRAY[...] with an expression for every element, each
of which it has to quote and Postgres to parse.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def numbers(values: Iterable[int | None]) -> str:
    """`{1,NULL,3}`."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def texts(values: Sequence[str]) -> str:
    """`{"a","b"}`, whatever the texts hold; a NUL is left out, no text column takes one."""
    if not values:
        return "{}"
    inner = '","'.join(values)
    if "\\" in inner or "\0" in inner or inner.count('"') != 2 * (len(values) - 1):
        inner = '","'.join([_escaped(value) for value in values])
    return f'{{"{inner}"}}'


def _escaped(value: str) -> str:
    return value.replace("\0", "").replace("\\", "\\\\").replace('"', '\\"')
