"""Workbooks come in like any file: the sheet that people see, cells as they show them, refused rows by their row."""

from __future__ import annotations

import csv
from datetime import date, datetime
from io import BytesIO
from pathlib import Path

import pytest
from django.core.management import call_command

from apps.users import services
from apps.users.importing import job, sheet
from apps.users.models import Attribute, BlacklistEntry, PeopleImport, Recipient
from tests.workbooks import workbook

pytestmark = pytest.mark.django_db(transaction=True)


def bring_in(held: bytes, sort: str = "people", **extra: object) -> PeopleImport:
    order = services.start_import(
        actor="t", file=BytesIO(held), file_name="book.xlsx", sort=sort, reason="x", at_once=True, **extra
    )
    return job.run(order.pk)


@pytest.fixture
def declared(db: None) -> None:
    for key, type_ in (("name", "text"), ("balance", "number"), ("since", "date"), ("vip", "boolean")):
        Attribute.objects.create(key=key, label=key.title(), type=type_)


def test_people_come_in_from_the_sheet_that_is_shown(declared: None) -> None:
    rows = [
        ["用户编号", "手机号", "姓名", "balance", "since", "vip", None],
        ["U1", 13800138001, "张三\n（夫人）", 1234.5, date(2026, 3, 4), True],
        [],
        [1002, "=1+1", "李四", 7.0, datetime(2026, 3, 5), False],
        ["U3", "12", "bad number"],
        ["U4", None, "王五", "#N/A"],
        ["U1", 13800138009, "twice"],
    ]
    held = workbook(rows, hidden=True, saved={"1+1": "13800138002"})
    trial = bring_in(held, dry_run=True)
    assert (trial.state, trial.recipients_added, trial.bindings_added, trial.rows_rejected) == ("DONE", 2, 2, 3)
    assert not Recipient.objects.exists()
    order = job.run(services.repeat_for_real(actor="t", order=trial).pk)
    assert (order.state, order.recipients_added, order.bindings_added, order.rows_rejected) == ("DONE", 2, 2, 3)
    people = {one.user_id: one for one in Recipient.objects.all()}
    assert people["U1"].attributes == {"name": "张三\n（夫人）", "balance": 1234.5, "since": "2026-03-04", "vip": True}
    assert people["1002"].attributes == {"name": "李四", "balance": 7, "since": "2026-03-05", "vip": False}
    assert people["1002"].bindings.get().address_masked == "138****8002", "a formula counts as the value it came to"
    with open(order.rejects_path, encoding="utf-8-sig", newline="") as file:
        told = list(csv.reader(file))[1:]
    assert [row[0] for row in told] == ["5", "6", "7"], "the rows of the spreadsheet"
    assert "phone" in told[0][1] or "手机号" in told[0][1]
    assert "not a number" in told[1][1] and "line 2" in told[2][1]
    again = bring_in(held)
    assert (again.recipients_unchanged, again.recipients_added, again.recipients_changed) == (2, 0, 0)
    folder = job.imports_folder()
    services.forget_import(actor="t", order=PeopleImport.objects.get(pk=trial.pk))
    assert [path.name for path in folder.iterdir() if path.name.startswith(Path(trial.path).name)] == []
    assert [path.name for path in folder.iterdir() if path.name.startswith(Path(order.path or "none").name)] == []


def test_a_list_comes_in_and_the_command_takes_a_workbook(declared: None, tmp_path: Path) -> None:
    services.ensure_recipient(actor="t", user_id="U1")
    rows = [["user_id", "phone", "expires_at", "channel"], ["U1", None, datetime(2099, 1, 2, 18, 30), "sms"],
            [None, 13800138001, date(2099, 12, 31)], ["U1", 13800138002]]  # fmt: skip
    for counts in ((2, 0, 1), (0, 2, 1)):
        order = bring_in(workbook(rows), sort="block")
        assert (order.state, order.error) == ("DONE", "")
        assert (order.entries_added, order.entries_unchanged, order.rows_rejected) == counts
    by_person = BlacklistEntry.objects.get(channel="sms")
    assert by_person.expires_at is not None and by_person.expires_at.isoformat() == "2099-01-02T10:30:00+00:00"
    book = tmp_path / "people.xlsx"
    book.write_bytes(workbook([["user_id", "email"], ["U7", "u7@bank.example"]]))
    call_command("import_people", str(book))
    assert Recipient.objects.get(user_id="U7").bindings.get().address_kind == "email"


@pytest.mark.parametrize(
    ("held", "why"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "old .xls workbook"),
        (b"PK\x03\x04" + bytes(600), "cannot be read"),
        (workbook([["user_id"], ["U1"]])[:-900], "cannot be read"),
        (workbook([[]]), "empty"),
        (workbook([["colour"], ["red"]]), "unknown columns: colour"),
    ],
)
def test_what_is_no_workbook_says_what_to_do(declared: None, held: bytes, why: str) -> None:
    order = bring_in(held)
    assert order.state == "FAILED" and why in order.error


def test_what_would_unpack_to_too_much_is_refused_before_it_does(
    declared: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sheet, "MOST_UNPACKED", 1000)
    order = bring_in(workbook([["user_id"], ["U1"]]))
    assert order.state == "FAILED" and "too big" in order.error
