"""Files of people as they are really exported, into real tables."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import TransactionTestCase

from apps.users.attributes import open_attributes
from apps.users.importing import job
from apps.users.models import Binding, PeopleImport, Recipient, Tag
from ums_site.crypto import binding_place, keyring

DATA = Path(__file__).resolve().parents[2] / "demo" / "data"
PEOPLE = DATA / "people.csv"
DIRTY = DATA / "people_excel_gb18030.csv"
pytestmark = pytest.mark.django_db
BringIn = Callable[..., PeopleImport]


def state_of_tables() -> list[tuple]:
    """Every row with the number of the transaction that wrote it: equal only where nothing was written."""
    rows = []
    for table in ("users_recipient", "users_binding", "users_tag"):
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT '{table}', id, xmin::text, xmax::text FROM {table} ORDER BY id")
            rows += cursor.fetchall()
    return rows


def counts(order: PeopleImport) -> dict[str, int]:
    return {
        name: getattr(order, name)
        for name in (
            "rows_read", "rows_rejected", "recipients_added", "recipients_changed", "recipients_unchanged",
            "bindings_added",
        )
    }  # fmt: skip


def written(tmp_path: Path, text: str, encoding: str = "utf-8", newline: str = "\n") -> Path:
    path = tmp_path / "people.csv"
    path.write_bytes(text.replace("\n", newline).encode(encoding))
    return path


def refused(order: PeopleImport) -> list[list[str]]:
    with open(order.rejects_path, encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def test_five_thousand_people_and_the_same_file_again(bring_in: BringIn) -> None:
    first = bring_in(PEOPLE)
    assert (first.state, first.error, first.rejects_path, first.path) == ("DONE", "", "", "")
    assert counts(first) == {
        "rows_read": 5000, "rows_rejected": 0, "recipients_added": 5000, "recipients_changed": 0,
        "recipients_unchanged": 0, "bindings_added": 18630,
    }  # fmt: skip
    assert (Recipient.objects.count(), Binding.objects.count(), Tag.objects.count()) == (5000, 18630, 5)
    before = state_of_tables()
    again = bring_in(PEOPLE)
    assert counts(again)["recipients_unchanged"] == 5000
    assert counts(again)["recipients_changed"] == counts(again)["bindings_added"] == 0
    assert state_of_tables() == before


def test_what_is_kept_of_a_person(bring_in: BringIn) -> None:
    bring_in(PEOPLE)
    person = Recipient.objects.get(user_id="U0000001")
    assert (person.tags, person.attributes) == ([], {"city": "苏州", "level": "gold", "balance": 5165.71})
    assert open_attributes(person) == {"name": "杜萍"}
    phone = person.bindings.get(address_kind="phone")
    assert phone.address_masked == "187****4483"
    assert keyring().open(phone.address, binding_place(phone.address_hash)) == "18707784483"
    assert bytes(phone.address_hash) == keyring().keyed_hash("phone", "18707784483")


def test_the_dirty_file_keeps_the_good_rows_and_says_why_not_the_others(bring_in: BringIn) -> None:
    order = bring_in(DIRTY)
    assert order.dialect == {"encoding": "gb18030", "delimiter": ";", "skipped_lines": 0}
    assert counts(order)["recipients_added"] == Recipient.objects.count() == 254
    header, *rows = refused(order)
    assert header[:3] == ["line", "reason", "user_id"]
    assert len(rows) == order.rows_rejected == 246
    reasons = {row[1].split(";")[0] for row in rows}
    assert reasons == {
        "user_id is missing",
        "user_id has 65 characters, at most 64 are allowed",
        "name: it holds a spreadsheet formula instead of a value",
        "phone: a spreadsheet turned it into scientific notation",
        "phone: it has 10 digits, a mainland mobile number has 11",
        "email: it is no e-mail address (name@domain)",
    }
    lines = DIRTY.read_text(encoding="gb18030").splitlines()
    for row in rows:
        if row[2]:
            assert row[2] in lines[int(row[0]) - 1], "the line is the physical one, behind quoted line breaks too"
        assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row)
    trimmed = Recipient.objects.get(user_id="U0005009")
    assert trimmed.bindings.filter(address_kind="phone").exists()


def test_refused_rows_corrected_and_given_back_are_taken(bring_in: BringIn, tmp_path: Path) -> None:
    path = written(tmp_path, "user_id,phone,email\nA1,+86 138 0013 8000,bad\nA2,13900139000,a@example.com\n")
    order = bring_in(path)
    corrected = Path(order.rejects_path).read_text(encoding="utf-8-sig").replace(",bad", ",b@example.com")
    assert ",'+86 138" in corrected
    again = bring_in(written(tmp_path, corrected))
    assert counts(again)["recipients_added"] == 1
    assert set(Binding.objects.filter(recipient__user_id="A1").values_list("address_kind", flat=True)) == {
        "phone", "email",
    }  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-16-le"])
@pytest.mark.parametrize(("mark", "newline"), [(",", "\n"), (";", "\r\n"), ("\t", "\r\n")])
def test_encodings_and_delimiters(bring_in: BringIn, tmp_path: Path, encoding: str, mark: str, newline: str) -> None:
    text = mark.join(["客户号", "手机号码", "邮箱", "标签", "城市"]) + "\n"
    text += mark.join(["张三", "１３８００１３８０００", "a@example.com|b@example.com", "新客|vip", "苏州"]) + "\n"
    order = bring_in(written(tmp_path, text, encoding, newline))
    assert (order.error, order.rows_rejected) == ("", 0)
    person = Recipient.objects.get(user_id="张三")
    assert (person.tags, person.attributes) == (["新客", "vip"], {"city": "苏州"})
    assert person.bindings.count() == 3


def test_repeated_ids_are_refused_with_the_line_of_the_first(bring_in: BringIn, tmp_path: Path) -> None:
    path = written(tmp_path, 'user_id,city\nA1,"a\nb"\n\nA2,x\n A1\u3000,y\nA2,z\n')
    order = bring_in(path)
    assert [row[:3] for row in refused(order)[1:]] == [
        ["6", "the same user_id stands in line 2", " A1\u3000"],
        ["7", "the same user_id stands in line 5", "A2"],
    ]
    assert Recipient.objects.get(user_id="A1").attributes == {"city": "a\nb"}
    assert counts(order)["rows_read"] == 4


def test_a_second_file_adds_and_takes_nothing_away(bring_in: BringIn, tmp_path: Path) -> None:
    bring_in(written(tmp_path, "user_id,name,phone,tags,city,level\nA1,张,13800138000,a|b,x,gold\nA2,李,,a,x,\n"))
    order = bring_in(written(tmp_path, "user_id,phone,tags,city,level\nA1,13900139000,b|c,y,\nA2,,a,x,\n"))
    assert (order.recipients_changed, order.recipients_unchanged, order.bindings_added, order.tags_added) == (
        1,
        1,
        1,
        1,
    )
    person = Recipient.objects.get(user_id="A1")
    assert (person.tags, person.attributes) == (["a", "b", "c"], {"city": "y", "level": "gold"})
    assert (open_attributes(person), person.bindings.count()) == ({"name": "张"}, 2)


def test_sensitive_values_of_two_files_are_merged(bring_in: BringIn, tmp_path: Path) -> None:
    from apps.users.models import Attribute

    Attribute.objects.create(key="id_card", label="证件号", sensitive=True)
    bring_in(written(tmp_path, "user_id,证件号,name\nA1,X1,张\n"))
    kept = bytes(Recipient.objects.get().sealed_attributes)
    assert bring_in(written(tmp_path, "user_id,name\nA1,张\n")).recipients_unchanged == 1
    assert bytes(Recipient.objects.get().sealed_attributes) == kept
    assert bring_in(written(tmp_path, "user_id,name\nA1,李\n")).recipients_changed == 1
    assert open_attributes(Recipient.objects.get()) == {"id_card": "X1", "name": "李"}
    assert b"X1" not in bytes(Recipient.objects.get().sealed_attributes)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("user_id,shoe size\nA,1\n", "unknown columns: shoe size. Known are user_id, phone,"),
        ("phone\n13800138000\n", "the column user_id is missing"),
        ("user_id,phone,手机\nA,1,2\n", "columns given twice: phone"),
        ("", "the file is empty"),
        ('user_id,city\nA,x\nB,"' + "y" * 200_000, "line 3 holds a cell of more than 128 KiB"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(bring_in: BringIn, tmp_path: Path, text: str, said: str) -> None:
    order = bring_in(written(tmp_path, text))
    assert order.state == "FAILED"
    assert order.error.startswith(said)
    assert order.finished_at


def test_rows_that_do_not_fit_the_header(bring_in: BringIn, tmp_path: Path) -> None:
    order = bring_in(written(tmp_path, "user_id,city\nA\nB,x,\nC,x,y\n"))
    assert [row[:2] for row in refused(order)[1:]] == [
        ["2", "the row has 1 cells, the header has 2"],
        ["4", "the row has 3 cells, the header has 2"],
    ]


def test_a_dry_run_counts_exactly_and_writes_nothing(bring_in: BringIn) -> None:
    trial = bring_in(PEOPLE, dry_run=True)
    assert state_of_tables() == []
    assert counts(trial) == counts(bring_in(PEOPLE))
    before = state_of_tables()
    trial = bring_in(DIRTY, dry_run=True)
    assert state_of_tables() == before
    assert Path(trial.path).exists(), "kept, so that the trial can be repeated for real"
    assert counts(trial) == counts(bring_in(DIRTY))


class TheTablesOfARun(TransactionTestCase):
    def test_nothing_is_left_behind(self) -> None:
        from apps.users import services
        from apps.users.attributes import ensure_default_attributes

        ensure_default_attributes()
        with DIRTY.open("rb") as file:
            order = services.start_import(actor="test", file=file, file_name="x", at_once=True)
        assert job.run_due() == 1
        assert job.run(order.pk).state == "DONE", "a finished import is not run again"
        tables = [name for name in connection.introspection.table_names() if "seen" in name or "importing" in name]
        assert tables == []


def test_the_command_of_installers(declared: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, "user_id,phone\nA1,13800138000\nA2,12\n")
    call_command("import_people", str(path), "--dry-run")
    assert not Recipient.objects.exists()
    call_command("import_people", str(path))
    assert Recipient.objects.get().user_id == "A1"
    said = capsys.readouterr().out
    assert "rows rejected: 1" in said and "-rejects.csv" in said
    with pytest.raises(CommandError, match="user_id is missing"):
        call_command("import_people", str(written(tmp_path, "phone\n1\n")))


def test_an_upload_that_is_gone_is_a_failure_in_words(declared: None, tmp_path: Path) -> None:
    order = PeopleImport.objects.create(file_name="x", path=str(tmp_path / "gone"))
    assert job.run(order.pk).error.startswith("the uploaded file cannot be read by this worker")
