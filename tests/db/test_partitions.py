"""Day partitions of the hot tables: made ahead, also where rows came before their day had one."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection

from ums_site import partitions
from ums_site.clock import database_now

pytestmark = pytest.mark.django_db(transaction=True)


def ask(sql: str) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def shape(table: str) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    """What a table is made of, its name and those of its indexes aside."""
    columns = ask(
        f"SELECT attname, atttypid, attnotnull FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum > 0"
    )
    indexes = ask(
        "SELECT regexp_replace(pg_get_indexdef(indexrelid), '^.* USING', '') FROM pg_index "
        f"WHERE indrelid = '{table}'::regclass ORDER BY 1"
    )
    return columns, indexes


def test_rows_that_came_before_their_partition_move_into_it() -> None:
    """As after a beat that stood still for weeks: the default partition caught them, and no day is missing for ever."""
    day = database_now().date() + timedelta(days=40)
    low, high = partitions.bounds(day)
    with connection.cursor() as cursor:
        for row_id in (low, high - 1, high):
            cursor.execute("INSERT INTO campaigns_message (id, campaign_id) VALUES (%s, 1)", [row_id])
    assert ask("SELECT count(*) FROM campaigns_message_default") == [(3,)]
    made = partitions.ensure(day, days_back=0, days_ahead=0)
    assert sorted(made) == sorted(partitions.name(table, day) for table in partitions.HOT_TABLES)
    try:
        found = ask("SELECT id, tableoid::regclass::text FROM campaigns_message ORDER BY id")
        own = partitions.name("campaigns_message", day)
        assert found == [(low, own), (high - 1, own), (high, "campaigns_message_default")]
        assert partitions.ensure(day, days_back=0, days_ahead=0) == []
        today = database_now().date()
        partitions.ensure(today, days_back=0, days_ahead=0)
        for table in partitions.HOT_TABLES:
            assert shape(partitions.name(table, day)) == shape(partitions.name(table, today))
            assert shape(partitions.name(table, day))[1], "with the indexes of the table"
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM campaigns_message")
            for partition in made:
                cursor.execute(f"DROP TABLE {partition}")
