"""Prepared statements of the API: planned once a connection, left alone behind a transaction pooler."""

from __future__ import annotations

import pytest
from django.db import connection

from apps.campaigns.models import MessagePayload
from tests.api.bodies import batch, single
from tests.api.conftest import BATCH, Caller
from ums_site import prepared

pytestmark = pytest.mark.django_db
COUNT = "SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'ums\\_%'"


def _count() -> int:
    with connection.cursor() as cursor:
        cursor.execute(COUNT)
        return int(cursor.fetchone()[0])


def test_a_second_call_prepares_nothing_new(bank: Caller) -> None:
    bank.post(single())
    before = _count()
    assert bank.post(single()).status_code == 202
    assert before == _count() > 0


def test_behind_a_pooler_statements_are_sent_whole(bank: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "DISABLE_SERVER_SIDE_CURSORS", True)
    before = _count()
    item = {"to": {"address_kind": "phone", "address": "13800000009"}, "variables": {"name": "a", "balance": "1"}}
    assert bank.post(batch(item), path=BATCH).status_code == 202
    assert MessagePayload.objects.count() == 1
    assert _count() == before


def test_values_stand_in_their_places() -> None:
    with connection.cursor() as cursor:
        for values in ([1, "it's; a %s"], [2, None]):
            prepared.run(cursor, "SELECT %s::int + 1, %s::text", values)
            assert list(cursor.fetchone()) == [values[0] + 1, values[1]]
