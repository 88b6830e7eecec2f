"""Statements that Postgres plans once a connection instead of once a call, for the few that every call of the API runs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary

from django.db import connection

_made: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()


def run(cursor: Any, sql: str, values: Sequence[Any]) -> None:
    """`cursor.execute`, prepared at its first use on this connection. Every `%s` must be of a type that its place tells.

    Where a transaction pooler stands between, the next statement may reach another server process, which knows of no
    prepared statement: there it is executed as it is.
    """
    if connection.settings_dict["DISABLE_SERVER_SIDE_CURSORS"]:
        cursor.execute(sql, values)
        return
    name, prepare, execute = _forms(sql)
    known = _made.setdefault(connection.connection, set())
    if name not in known:
        cursor.execute(prepare)
        known.add(name)
    cursor.execute(execute, values)


@lru_cache(maxsize=256)
def _forms(sql: str) -> tuple[str, str, str]:
    """Its name, the PREPARE, and the EXECUTE with as many places."""
    name = "ums_" + hashlib.blake2b(sql.encode(), digest_size=8).hexdigest()
    parts = sql.split("%s")
    numbers: Iterator[int] = count(1)
    text = parts[0] + "".join(f"${next(numbers)}{part}" for part in parts[1:])
    places = ", ".join(["%s"] * (len(parts) - 1))
    return name, f"PREPARE {name} AS {text}", f"EXECUTE {name} ({places})"
