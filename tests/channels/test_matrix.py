"""The table of all kinds says what the declarations say, on the command line, too."""

import json

import pytest
from django.core.management import call_command

from apps.channels.matrix import as_text, matrix
from apps.channels.registry import KINDS, adapter

ASKED = {
    "kind",
    "label",
    "address_kind",
    "per_call",
    "personalised",
    "idempotency",
    "receipts",
    "recall",
    "verified_with",
}


def test_every_kind_has_its_row(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("channels", "--json")
    rows = json.loads(capsys.readouterr().out)
    assert [row["kind"] for row in rows] == list(KINDS) and all(set(row) >= ASKED for row in rows)
    for row in rows:
        can = adapter(row["kind"]).capabilities
        assert (row["per_call"], row["recall"]) == (can.recipients_per_call, can.recall)
        assert row["receipts"] == can.receipts and row["idempotency"].startswith(can.idempotency)


def test_the_table_for_a_terminal_has_a_line_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("channels")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(KINDS) + 1 and as_text(matrix()).splitlines() == lines
    assert next(line for line in lines if line.startswith("push_jpush")).split()[1:3] == ["jpush", "1000"]
