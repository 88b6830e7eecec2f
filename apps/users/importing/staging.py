"""Rows of a chunk in the binary format of COPY: no escaping, arrays included.

Format: https://www.postgresql.org/docs/current/sql-copy.html ("Binary Format"); arrays as array_send writes them:
dimensions, null flag, element type, length, lower bound, then the elements with their lengths.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from struct import pack

from django.db.backends.utils import CursorWrapper

from apps.users.attributes import seal_attributes
from apps.users.importing.rows import Row
from ums_site.crypto import Keyring

TABLE = "importing_people"
COLUMNS = (
    "line bigint, user_id text, tags text[], attributes jsonb, sealed_attributes bytea, sealed_digest bytea,"
    " kinds text[], hashes bytea[], addresses bytea[], masked text[]"
)
SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
END = b"\xff\xff"
FIELDS = pack(">h", 10)
TEXT, BYTEA = 25, 17
EIGHT = pack(">i", 8)
JSONB_VERSION = b"\x01"
NEVER = ("hashjoin", "mergejoin", "material", "seqscan")
_LENGTHS = [pack(">i", length) for length in range(4096)]
_EMPTY = {oid: pack(">iiiI", 12, 0, 0, oid) for oid in (TEXT, BYTEA)}


def fill(cursor: CursorWrapper, rows: Sequence[Row], ring: Keyring) -> None:
    """Makes the staging table anew for this transaction and copies the rows into it."""
    cursor.execute(f"DROP TABLE IF EXISTS {TABLE}")
    cursor.execute(f"CREATE TEMPORARY TABLE {TABLE} ({COLUMNS}) ON COMMIT DROP")
    cursor.copy_expert(f"COPY {TABLE} FROM STDIN (FORMAT binary)", io.BytesIO(as_binary(rows, ring)))
    # A chunk is small beside the people, whatever the planner believes of tables that have just grown: look each of its
    # rows up by index, never hash, sort, copy or scan the whole tables.
    cursor.execute("; ".join(f"SET LOCAL enable_{way} = off" for way in NEVER))


def as_binary(rows: Sequence[Row], ring: Keyring) -> bytes:
    """The whole COPY stream of some rows."""
    out = [SIGNATURE]
    for row in rows:
        sealed, digest = seal_attributes(row.user_id, row.sensitive, ring)
        out += (FIELDS, EIGHT, pack(">q", row.line))
        _put(out, row.user_id.encode())
        _put_array(out, [tag.encode() for tag in row.tags], TEXT)
        _put(out, JSONB_VERSION + row.attributes.encode())
        _put(out, sealed)
        _put(out, digest)
        _put_array(out, [kind.encode() for kind in row.kinds], TEXT)
        _put_array(out, row.hashes, BYTEA)
        _put_array(out, row.sealed, BYTEA)
        _put_array(out, [text.encode() for text in row.masked], TEXT)
    out.append(END)
    return b"".join(out)


def _length(count: int) -> bytes:
    return _LENGTHS[count] if count < 4096 else pack(">i", count)


def _put(out: list[bytes], value: bytes) -> None:
    out += (_length(len(value)), value)


def _put_array(out: list[bytes], values: Sequence[bytes], oid: int) -> None:
    if not values:
        out.append(_EMPTY[oid])
        return
    out += (
        _length(20 + 4 * len(values) + sum(map(len, values))),
        pack(">iiIii", 1, 0, oid, len(values), 1),
    )
    for value in values:
        out += (_length(len(value)), value)
