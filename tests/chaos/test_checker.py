"""The judge must be able to say no: a planted duplicate, a planted loss and a ghost are found, a clean run is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from apps.users.models import Binding
from apps.users.services import bind_raw_addresses
from tests.chaos.checker import Findings, address_hashes, check
from tests.chaos.ground import phone_of
from ums_site.ids import to_base36

pytestmark = pytest.mark.django_db
CAMPAIGN = 1
N = 3
ROWS = """
INSERT INTO campaigns_message (id, campaign_id, recipient_id, state, reason, step, finished_at)
VALUES (%(message)s, 1, %(message)s, 'SUCCEEDED', '', 0, now());
INSERT INTO campaigns_delivery (id, message_id, campaign_id, batch_id, account_id, recipient_id, binding_id, step, state,
                                epoch, attempts, provider_key, provider_id, accepted_at)
VALUES (%(delivery)s, %(message)s, 1, 1, 1, %(message)s, %(binding)s, 0, 'ACCEPTED', 1, 1, %(key)s, %(pid)s, now());
INSERT INTO campaigns_attempt (delivery_id, number, epoch, key, intent_at, outcome, code, words, provider_id, finished_at)
VALUES (%(delivery)s, 1, 1, %(key)s, to_timestamp(1000), 'accepted', '', '', %(pid)s, to_timestamp(1002));
"""
Line = dict[str, Any]


@pytest.fixture
def ledger() -> list[Line]:
    """Three people, each sent to once, and the three lines of the ledger that belong to them."""
    bind_raw_addresses(kind="phone", addresses=[phone_of(number) for number in range(N)])
    for number, binding in enumerate(Binding.objects.order_by("id"), start=1):
        delivery = 1000 + number
        values = {"message": number, "delivery": delivery, "binding": binding.pk, "key": to_base36(delivery)}
        with connection.cursor() as cursor:
            cursor.execute(ROWS, {**values, "pid": f"p{number}"})
    return [
        {"t": 1001, "ev": "accept", "key": to_base36(one), "delivery_ref": to_base36(one), "addr_hash": hashed,
         "pid": f"p{one - 1000}"}
        for one, hashed in sorted(address_hashes(CAMPAIGN).items())
    ]  # fmt: skip


@pytest.fixture
def judged(tmp_path: Path, ledger: list[Line]) -> Callable[[], Findings]:
    def judge() -> Findings:
        path = tmp_path / "ledger.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in ledger))
        return check(CAMPAIGN, path, N)

    return judge


def change(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def test_a_clean_run_is_clean(judged: Callable[[], Findings]) -> None:
    assert judged() == Findings(accepted=3, lost=0, duplicates=0, unknown=0, problems=[])


def test_a_duplicate_is_found(judged: Callable[[], Findings], ledger: list[Line]) -> None:
    ledger.append(ledger[0] | {"pid": "p9", "t": 1001.5})
    assert judged().duplicates == 1
    change("UPDATE campaigns_delivery SET may_duplicate = true WHERE id = 1001")
    assert judged().duplicates == 0, "a licensed repeat is none"


def test_a_repeat_that_the_provider_swallowed_is_none(judged: Callable[[], Findings], ledger: list[Line]) -> None:
    ledger.append(ledger[0] | {"ev": "dedup", "t": 1001.5})
    assert (judged().duplicates, judged().problems) == (0, [])


PLANTED = {
    "a message that vanished": ("DELETE FROM campaigns_message WHERE id = 2", "targets without a message"),
    "a message left open": ("UPDATE campaigns_message SET state = 'ACTIVE' WHERE id = 2", "without a final state"),
    "an acceptance denied": ("UPDATE campaigns_delivery SET state = 'REJECTED' WHERE id = 1002", "our row denies it"),
    "a message given up": ("UPDATE campaigns_message SET state = 'FAILED' WHERE id = 2", "given up"),
}


@pytest.mark.parametrize("what", PLANTED)
def test_a_lost_row_is_found(judged: Callable[[], Findings], what: str) -> None:
    sql, words = PLANTED[what]
    change(sql)
    found = judged()
    assert found.lost == 1
    assert any(words in problem for problem in found.problems), found.problems


def test_a_ghost_is_found(judged: Callable[[], Findings], ledger: list[Line]) -> None:
    del ledger[1]
    found = judged()
    assert found.lost == 1
    assert any(problem.startswith("I6") for problem in found.problems)


BROKEN = {
    "I1": "UPDATE campaigns_delivery SET state = 'SENDING' WHERE id = 1002",
    "I2 message": "UPDATE campaigns_message SET state = 'UNKNOWN' WHERE id = 2",
    "I2 attempts": "DELETE FROM campaigns_attempt WHERE delivery_id = 1002",
    "I2 attempt after": "INSERT INTO campaigns_attempt (delivery_id, number, epoch, key, intent_at, outcome, code, words, "
    "provider_id) VALUES (1002, 2, 1, 'k', now(), '', '', '', '')",
    "I3": "UPDATE campaigns_attempt SET finished_at = to_timestamp(1000.5) WHERE delivery_id = 1002",
    "I5": "UPDATE campaigns_attempt SET intent_at = to_timestamp(1001.5) WHERE delivery_id = 1002",
    "I6": "UPDATE campaigns_delivery SET provider_id = 'invented' WHERE id = 1002",
    "I10 a person": "UPDATE campaigns_message SET recipient_id = 1 WHERE id = 2",
    "I10 a delivery": "UPDATE campaigns_delivery SET recipient_id = 1 WHERE id = 1002",
}


@pytest.mark.parametrize("name", BROKEN)
def test_each_invariant_can_fail(judged: Callable[[], Findings], name: str) -> None:
    change(BROKEN[name])
    assert any(problem.startswith(name) for problem in judged().problems), judged().problems
