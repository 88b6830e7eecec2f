"""Ids of hot rows: time-ordered 63-bit integers, `ms since 2025 (41) | cell (8) | sequence (14)`.

They are made by the SQL function `ums_id()` (see the first migration of campaigns), so that every writer, in Python or
in set-based SQL, takes them from one place. Shown to people and clients as decimal strings; to providers as base 36.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(2025, 1, 1, tzinfo=UTC)
SHIFT = 22
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
PAIRS = [first + second for first in DIGITS for second in DIGITS]

SQL_CREATE = f"""
CREATE SEQUENCE ums_id_sequence AS bigint CYCLE;
CREATE FUNCTION ums_id() RETURNS bigint LANGUAGE sql VOLATILE PARALLEL UNSAFE AS $$
  SELECT (((extract(epoch FROM clock_timestamp()) * 1000)::bigint - {int(EPOCH.timestamp() * 1000)}) << {SHIFT})
         | (coalesce(nullif(current_setting('ums.cell', true), ''), '0')::bigint << 14)
         | (nextval('ums_id_sequence') & 16383)
$$;
"""
SQL_DROP = "DROP FUNCTION ums_id(); DROP SEQUENCE ums_id_sequence;"


def first_id_at(moment: datetime) -> int:
    """The smallest id that a row made at `moment` (aware) can have."""
    return int((moment - EPOCH) / timedelta(milliseconds=1)) << SHIFT


def first_row_id(parent_id: int) -> int:
    """No row that belongs to the one with this id has a smaller id, an hour of clocks apart included.

    It bounds the partitions to look into; it is not a filter.
    """
    return max(0, parent_id - (3_600_000 << SHIFT))


def moment_of(row_id: int) -> datetime:
    """When a row with this id was made, to the millisecond, in UTC."""
    return EPOCH + timedelta(milliseconds=row_id >> SHIFT)


def to_base36(number: int) -> str:
    """A non-negative integer in lower-case base 36, as providers see our ids."""
    out = ""
    while number >= 1296:
        number, rest = divmod(number, 1296)
        out = PAIRS[rest] + out
    return (PAIRS[number] + out).lstrip("0") or "0"


def from_base36(text: str) -> int | None:
    """The id behind a reference; None for anything that is not one of ours (receipts carry foreign ones too)."""
    if not text or len(text) > 13 or not text.isascii() or not text.isalnum() or text != text.lower():
        return None
    number = int(text, 36)
    return number if number < 1 << 63 else None
