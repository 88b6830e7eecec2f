"""One chunk from the staging table into recipients, bindings and tags: set-based, no write where nothing differs.

`Applied` counts what differs. A dry run asks the same questions and writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db.backends.utils import CursorWrapper

from apps.users.attributes import open_sealed, seal_attributes
from apps.users.importing.staging import TABLE
from ums_site.crypto import keyring

LOCK = 7_205_001  # one chunk at a time over all imports: two files with the same people cannot deadlock

DIFFERS = """(NOT r.tags @> s.tags::varchar[] OR NOT r.attributes @> s.attributes
              OR (s.sealed_digest <> '' AND s.sealed_digest <> r.sealed_digest))"""
NEW_BINDINGS = f"""
    FROM {TABLE} s LEFT JOIN users_recipient r ON r.user_id = s.user_id
    CROSS JOIN LATERAL unnest(s.kinds, s.hashes, s.addresses, s.masked) AS b(kind, hash, address, masked)
    WHERE (SELECT held.id FROM users_binding held WHERE held.recipient_id = r.id AND held.address_kind = b.kind
             AND held.address_hash = b.hash AND held.scope = 'everywhere' AND held.scope_id = 0 LIMIT 1) IS NULL"""


@dataclass(slots=True)
class Applied:
    """What one chunk did, or would do."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    bindings: int = 0
    tags: int = 0


def seen_table(import_id: int) -> str:
    """The table of the user ids that one import has met, with the line of the first row of each."""
    return f"users_peopleimport_seen_{import_id:d}"


def make_seen(cursor: CursorWrapper, import_id: int) -> None:
    """Makes the table anew. The row without an id tells it from one that a crash of the database has emptied."""
    seen = seen_table(import_id)
    cursor.execute(f"DROP TABLE IF EXISTS {seen}")
    cursor.execute(f"CREATE UNLOGGED TABLE {seen} (user_id text PRIMARY KEY, line bigint NOT NULL)")
    cursor.execute(f"INSERT INTO {seen} VALUES ('', 0)")


def has_seen(cursor: CursorWrapper, import_id: int) -> bool:
    """Whether the table stands and is whole."""
    cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [seen_table(import_id)])
    return (
        cursor.fetchone()[0] and _count(cursor, f"SELECT count(*) FROM {seen_table(import_id)} WHERE user_id=''") == 1
    )


def take_out_repeated(
    cursor: CursorWrapper, import_id: int, table: str = TABLE, key: str = "user_id"
) -> dict[int, int]:
    """Removes staged rows whose key came before in the file; {line: line of the first}."""
    seen = seen_table(import_id)
    cursor.execute(
        f"INSERT INTO {seen} (user_id, line) SELECT {key}, min(line) FROM {table} GROUP BY {key}"
        " ON CONFLICT (user_id) DO NOTHING"
    )
    cursor.execute(
        f"DELETE FROM {table} s USING {seen} f WHERE f.user_id = s.{key} AND f.line < s.line RETURNING s.line, f.line"
    )
    return dict(cursor.fetchall())


def drop_applied(cursor: CursorWrapper, applied_line: int, table: str = TABLE) -> None:
    """Removes staged rows that an earlier start of the same import has committed and counted."""
    cursor.execute(f"DELETE FROM {table} WHERE line <= %s", [applied_line])


def apply(cursor: CursorWrapper) -> Applied:
    """Writes the staged rows. Tags are united, attributes merged, bindings added; nothing is taken away."""
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
    _merge_sealed(cursor, "FOR UPDATE OF r")
    applied = Applied()
    applied.changed = _run(
        cursor,
        f"""UPDATE users_recipient r SET
              tags = CASE WHEN r.tags @> s.tags::varchar[] THEN r.tags ELSE r.tags || ARRAY(
                       SELECT t FROM unnest(s.tags) WITH ORDINALITY u(t, place)
                       WHERE NOT t = ANY(r.tags) ORDER BY place)::varchar[] END,
              attributes = r.attributes || s.attributes,
              sealed_attributes = CASE WHEN s.sealed_digest = '' THEN r.sealed_attributes ELSE s.sealed_attributes END,
              sealed_digest = CASE WHEN s.sealed_digest = '' THEN r.sealed_digest ELSE s.sealed_digest END,
              updated_at = now()
            FROM {TABLE} s WHERE r.user_id = s.user_id AND {DIFFERS}""",
    )
    applied.added = _run(
        cursor,
        f"""INSERT INTO users_recipient
              (user_id, tags, attributes, sealed_attributes, sealed_digest, created_at, updated_at)
            SELECT s.user_id, s.tags, s.attributes, s.sealed_attributes, s.sealed_digest, now(), now()
            FROM {TABLE} s LEFT JOIN users_recipient r ON r.user_id = s.user_id WHERE r.id IS NULL
            ON CONFLICT (user_id) DO NOTHING""",
    )
    applied.bindings = _run(
        cursor,
        f"""INSERT INTO users_binding (recipient_id, address_kind, address, address_hash, address_masked,
                                       scope, scope_id, state, created_at)
            SELECT r.id, b.kind, b.address, b.hash, b.masked, 'everywhere', 0, 'ACTIVE', now() {NEW_BINDINGS}
            ON CONFLICT DO NOTHING""",
    )
    applied.tags = _run(
        cursor,
        f"""INSERT INTO users_tag (name, created_at) SELECT DISTINCT unnest(tags), now() FROM {TABLE}
            EXCEPT SELECT name, now() FROM users_tag ON CONFLICT DO NOTHING""",
    )
    applied.unchanged = _count(cursor, f"SELECT count(*) FROM {TABLE}") - applied.added - applied.changed
    return applied


def measure(cursor: CursorWrapper) -> Applied:
    """What `apply` would do; writes to the staging table only."""
    _merge_sealed(cursor)
    joined = f"FROM {TABLE} s LEFT JOIN users_recipient r ON r.user_id = s.user_id"
    cursor.execute(f"SELECT count(*), count(*) FILTER (WHERE r.id IS NULL), count(*) FILTER (WHERE {DIFFERS}) {joined}")
    total, added, changed = cursor.fetchone()
    tags = f"SELECT count(*) FROM (SELECT unnest(tags) FROM {TABLE} EXCEPT SELECT name FROM users_tag) new"
    return Applied(
        added,
        changed,
        total - added - changed,
        bindings=_count(cursor, f"SELECT count(*) {NEW_BINDINGS}"),
        tags=_count(cursor, tags),
    )


def _merge_sealed(cursor: CursorWrapper, lock: str = "") -> None:
    """Where a person has other sensitive values already, the staged object becomes the merged one."""
    cursor.execute(
        f"""SELECT s.line, s.user_id, s.sealed_attributes, r.sealed_attributes, r.sealed_digest
            FROM {TABLE} s JOIN users_recipient r ON r.user_id = s.user_id
            WHERE s.sealed_digest <> '' AND r.sealed_digest <> '' AND s.sealed_digest <> r.sealed_digest {lock}"""
    )
    ring = keyring()
    merged = []
    for line, user_id, given, held, held_digest in cursor.fetchall():
        sealed, digest = seal_attributes(user_id, open_sealed(user_id, held) | open_sealed(user_id, given), ring)
        same = digest == bytes(held_digest)
        merged.append((line, bytes(held) if same else sealed, digest))
    if merged:
        lines, sealed_, digests = (list(column) for column in zip(*merged, strict=True))
        cursor.execute(
            f"""UPDATE {TABLE} s SET sealed_attributes = m.sealed, sealed_digest = m.digest
                FROM unnest(%s::bigint[], %s::bytea[], %s::bytea[]) AS m(line, sealed, digest)
                WHERE s.line = m.line""",
            [lines, sealed_, digests],
        )


def _run(cursor: CursorWrapper, statement: str) -> int:
    cursor.execute(statement)
    return cursor.rowcount


def _count(cursor: CursorWrapper, query: str) -> int:
    cursor.execute(query)
    return cursor.fetchone()[0]
