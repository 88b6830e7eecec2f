"""A fresh database for every round, copied from a template that was made once in this run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import sql

from ums_site import embedded_paths, env

PREFIX = "bench_"
ROUND = f"{PREFIX}round"
Build = Callable[[str], None]


def var_folder() -> Path:
    """Where the bench's own servers live."""
    return Path(os.environ["UMS_VAR"])


def url_of(name: str) -> str:
    """DATABASE_URL for a database of the embedded server."""
    return embedded_paths.database_url(var_folder()).replace(f"/{embedded_paths.DATABASE}?", f"/{name}?")


def connect(url: str) -> Any:
    """A plain autocommit connection."""
    held = env.database(url)
    connection = psycopg2.connect(
        dbname=held["NAME"],
        user=held["USER"],
        password=held["PASSWORD"] or None,
        host=held["HOST"],
        port=held["PORT"] or None,
    )
    connection.autocommit = True
    return connection


def ask(url: str, question: str, values: tuple[Any, ...] = ()) -> Any:
    """The first row of an answer, or None for a statement without one."""
    with closing(connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(question, values or None)
        return cursor.fetchone() if cursor.description else None


def _order(statement: str, **names: str) -> None:
    """A statement that must stand outside a transaction, on the server's own database."""
    with closing(connect(url_of("postgres"))) as connection, connection.cursor() as cursor:
        cursor.execute(sql.SQL(statement).format(**{key: sql.Identifier(name) for key, name in names.items()}))


def _drop(name: str) -> None:
    _order("DROP DATABASE IF EXISTS {name} WITH (FORCE)", name=name)


class Templates:
    """The templates of one run, each made at its first use by `build(url)` on a copy of its parent."""

    def __init__(self) -> None:
        self._made: set[str] = set()

    def need(self, name: str, parent: str, build: Build) -> str:
        """The template's full name; the build is not measured."""
        full = f"{PREFIX}{name}"
        if full not in self._made:
            _drop(full)
            _order("CREATE DATABASE {name} TEMPLATE {parent}", name=full, parent=parent)
            build(url_of(full))
            ask(url_of(full), "VACUUM ANALYZE")
            self._made.add(full)
        return full

    def drop_all(self) -> None:
        """Removes every database of the bench, also what an earlier run left."""
        with closing(connect(url_of("postgres"))) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [PREFIX])
            left = [row[0] for row in cursor.fetchall()]
        for name in left:
            _drop(name)
        self._made.clear()


@contextmanager
def fresh(template: str) -> Iterator[str]:
    """The URL of a copy of `template` for one round, with everything written to disk before the round begins."""
    _drop(ROUND)
    _order("CREATE DATABASE {name} TEMPLATE {parent}", name=ROUND, parent=template)
    _order("CHECKPOINT")
    try:
        yield url_of(ROUND)
    finally:
        _drop(ROUND)
