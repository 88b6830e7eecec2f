"""Day partitions of the hot tables: made ahead by beat, dropped by retention, plain SQL without an extension.

Every hot table is `PARTITION BY RANGE (its time-ordered id)`, so a lookup by id goes to one day. A default partition
catches what no day holds: an insert never fails for a missing partition, and a row found there is an alarm.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db import connection, transaction

from ums_site.ids import first_id_at

HOT_TABLES = (
    "campaigns_message",
    "campaigns_messagepayload",
    "campaigns_delivery",
    "campaigns_attempt",
    "campaigns_receipt",
    "campaigns_providerid",
    "campaigns_recall",
    "campaigns_decision",
    "campaigns_withheld",
)
DAYS_AHEAD = 14
PARTITION_LOCK = 7_201_001


def bounds(day: date) -> tuple[int, int]:
    """First id of the day (UTC) and first id of the next."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return first_id_at(start), first_id_at(start + timedelta(days=1))


def name(table: str, day: date) -> str:
    return f"{table}_{day:%Y%m%d}"


def ensure(today: date, days_back: int = 1, days_ahead: int = DAYS_AHEAD) -> list[str]:
    """Makes what is missing from `days_back` before to `days_ahead` after `today`; returns the names made."""
    days = [today + timedelta(days=shift) for shift in range(-days_back, days_ahead + 1)]
    wanted = {name(table, day): (table, day) for table in HOT_TABLES for day in days}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [PARTITION_LOCK])
        cursor.execute("SELECT relname FROM pg_class WHERE relname = ANY(%s)", [list(wanted)])
        missing = wanted.keys() - {row[0] for row in cursor.fetchall()}
        for partition in sorted(missing):
            table, day = wanted[partition]
            _make(cursor, table, partition, *bounds(day))
            cursor.execute(f"ALTER TABLE {partition} SET ({STORAGE[table]})")
    return sorted(missing)


def _make(cursor: Any, table: str, partition: str, low: int, high: int) -> None:
    """Makes the partition of ids from `low` to before `high`; rows that the default one caught meanwhile move into it."""
    cursor.execute("SELECT split_part(pg_get_partkeydef(%s::regclass), '(', 2)", [table])
    key = cursor.fetchone()[0].rstrip(")")
    cursor.execute(f"LOCK TABLE {table}_default IN ACCESS EXCLUSIVE MODE")
    cursor.execute(f"CREATE TABLE {partition} (LIKE {table} INCLUDING ALL)")
    cursor.execute(
        f"WITH caught AS (DELETE FROM {table}_default WHERE {key} >= {low} AND {key} < {high} RETURNING *) "
        f"INSERT INTO {partition} SELECT * FROM caught"
    )
    cursor.execute(f"ALTER TABLE {table} ATTACH PARTITION {partition} FOR VALUES FROM ({low}) TO ({high})")


_OFTEN = "autovacuum_vacuum_scale_factor=0.05, autovacuum_analyze_scale_factor=0.05"
STORAGE = {
    "campaigns_message": f"fillfactor=80, {_OFTEN}",
    "campaigns_messagepayload": _OFTEN,
    "campaigns_delivery": f"fillfactor=60, {_OFTEN}",
    "campaigns_attempt": f"fillfactor=70, {_OFTEN}",
    "campaigns_receipt": _OFTEN,
    "campaigns_providerid": f"fillfactor=80, {_OFTEN}",
    "campaigns_recall": f"fillfactor=80, {_OFTEN}",
    "campaigns_decision": "autovacuum_vacuum_insert_scale_factor=0.2",
    "campaigns_withheld": "autovacuum_vacuum_insert_scale_factor=0.2",
}


def horizon() -> date | None:
    """The last day for which every hot table has a partition; None where there is none."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT right(c.relname, 8) AS day FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
            "JOIN pg_class p ON p.oid = i.inhparent WHERE p.relname = ANY(%s) AND c.relname ~ '_[0-9]{8}$' "
            "GROUP BY 1 HAVING count(*) = %s ORDER BY 1 DESC LIMIT 1",
            [list(HOT_TABLES), len(HOT_TABLES)],
        )
        row = cursor.fetchone()
    return datetime.strptime(row[0], "%Y%m%d").date() if row else None
