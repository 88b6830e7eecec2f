"""Consents from files: with their proof, refused row by row, never twice, and as if each had been recorded by hand."""

from __future__ import annotations

import csv
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client

from apps.operators.models import AuditEvent, Operator
from apps.partners.models import BusinessLine
from apps.users import services
from apps.users.consents import record_consent, state_of
from apps.users.importing import job
from apps.users.models import BlacklistEntry, ConsentRecord, MessageClass, PeopleImport, Recipient
from tests.workbooks import workbook

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.django_db(transaction=True)
HEADER = "用户编号,手机号,状态,时间,证据,类别,业务线,来源,文本版本,经办人,凭证编号"
GOOD = [
    "U1,,同意,2026/3/1 9:30,勾选“接收优惠”,营销,loans,注册页,v12,王敏,form-1",
    "U1,,撤回,2026-06-01 18:00,电话告知,营销,loans,热线,,李雷,call-9",
    ",＋86 138-0013-8001,withdrawn,2026-05-01,letter,,,mail,,,",
    "U2,13800138002,given,2026-05-02T10:00:00Z,,marketing,,,,,",
]
BAD = {
    "U9,,given,2026-05-01,x,,,,,,": "user_id: nobody has this user id",
    ",12,given,2026-05-01,x,,,,,,": "phone: ",
    ",,given,2026-05-01,x,,,,,,": "user_id: write whose",
    "U1,,perhaps,2026-05-01,x,,,,,,": "state: write given or withdrawn",
    "U1,,given,soon,x,,,,,,": "time: write when",
    "U1,,given,2099-05-01,x,,,,,,": "time: it lies in the future",
    "U1,,given,2026-05-01,x,gossip,,,,,": "class: write one of otp",
    "U1,,given,2026-05-01,x,,nosuch,,,,": "business_line: there is none",
    f"U1,,given,2026-05-01,x,,,,{'v' * 61},,": "text_version: 61 characters",
    "U2,13800138002,given,2026-05-02T10:00:00Z,,marketing,,,,,": "the same record stands in line 5",
}


def file_of(rows: Iterable[str]) -> bytes:
    return (HEADER + "\r\n" + "\r\n".join(rows) + "\r\n").encode("gb18030")


def bring_in(held: bytes, **extra: object) -> PeopleImport:
    order = services.start_import(
        actor="t", file=BytesIO(held), file_name="c.csv", sort="consent", reason="paper archive", at_once=True, **extra
    )
    return job.run(order.pk)


def counts(order: PeopleImport) -> tuple[int, int, int]:
    assert order.state == "DONE", order.error
    return order.entries_added, order.entries_unchanged, order.rows_rejected


@pytest.fixture
def line(db: None) -> BusinessLine:
    for user_id in ("U1", "U2"):
        services.ensure_recipient(actor="t", user_id=user_id)
    return BusinessLine.objects.create(code="loans", name="Loans")


def test_records_come_in_with_their_proof_and_refused_rows_say_what_to_mend(line: BusinessLine) -> None:
    held = file_of([*GOOD, *BAD])
    assert counts(bring_in(held, dry_run=True)) == (4, 0, len(BAD)) and not ConsentRecord.objects.exists()
    order = bring_in(held)
    assert counts(order) == (4, 0, len(BAD))
    with open(order.rejects_path, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))[1:]
    for row, (given, why) in zip(rows, BAD.items(), strict=True):
        assert row[1].startswith(why) and ",".join(row[2:]) == given, row
    first = ConsentRecord.objects.get(reference="form-1")
    said = (first.evidence, first.obtained, first.text_version, first.operator, first.source, first.message_class)
    assert said == ("勾选“接收优惠”", "注册页", "v12", "王敏", "import", "marketing")
    assert first.said_at == datetime(2026, 3, 1, 1, 30, tzinfo=UTC) and first.business_line == line
    assert ConsentRecord.objects.get(message_class="marketing", business_line=None).evidence == "paper archive"
    blocked = BlacklistEntry.objects.values_list("recipient__user_id", "address_masked", "classes", "scope", "origin")
    assert {(*one[:2], *one[2], *one[3:]) for one in blocked} == {
        ("U1", "", "marketing", "business_line", "consent"), (None, "138****8001", "everywhere", "consent"),
    }  # fmt: skip
    outcome = AuditEvent.objects.filter(verb="finish_import").latest("id").detail
    assert (outcome["entries_added"], outcome["rows_rejected"], outcome["sort"]) == (4, len(BAD), "consent")

    before = list(ConsentRecord.objects.order_by("id").values())
    assert counts(bring_in(held)) == (0, 4, len(BAD))
    assert list(ConsentRecord.objects.order_by("id").values()) == before, "the same file again adds nothing"
    mended = Path(order.rejects_path).read_text(encoding="utf-8-sig").replace("perhaps", "given", 1)
    assert bring_in(mended.encode()).entries_added == 0, "U1 took it back later"
    for bad, why in (
        (b"user_id,state\nU1,given\n", "time"),
        (b"state,time\nx,y\n", "neither"),
        (b"user_id,ab\n", "ab"),
    ):
        refused = bring_in(bad)
        assert refused.state == "FAILED" and why in refused.error


def test_what_was_said_last_counts_whatever_is_brought_in_later(line: BusinessLine) -> None:
    person = Recipient.objects.get(user_id="U1")
    services.add_binding(actor="t", recipient=person, kind="phone", address="13800138003")
    record_consent(
        actor="t", kind="phone", address="13800138003", state="withdrawn", message_class="marketing", source="reply",
        evidence="TD",
    )  # fmt: skip
    old = file_of(["U1,,given,2020-01-01,old form,marketing,,,,,", "U1,,given,2020-01-01,old form,otp,,,,,"])
    order = bring_in(old)
    assert counts(order) == (1, 0, 1) and "a later record says the opposite" in Path(order.rejects_path).read_text()
    assert BlacklistEntry.objects.count() == 1, "an old form brings nobody back"
    record_consent(
        actor="t", recipient=person, state="given", message_class="marketing", source="console", evidence="asked again"
    )
    assert counts(bring_in(file_of(["U1,,withdrawn,2021-01-01,old letter,marketing,loans,,,,"]))) == (0, 0, 1)
    assert counts(bring_in(file_of(["U1,,withdrawn,2021-01-01,old letter,,,,,,"]))) == (1, 0, 0), "it was about more"


def standing(lines: Sequence[BusinessLine]) -> tuple[set[object], list[str]]:
    entries = BlacklistEntry.objects.values_list("recipient_id", "address_hash", "classes", "scope", "scope_id")
    asked = [
        state_of(message_class=one, business_line=line, recipient=person)
        for one in MessageClass.values for line in lines for person in Recipient.objects.order_by("user_id")
    ]  # fmt: skip
    return {(who, bytes(hashed or b""), *classes, *where) for who, hashed, classes, *where in entries}, asked


def test_a_file_comes_to_what_recording_by_hand_comes_to(line: BusinessLine) -> None:
    lines = [line, BusinessLine.objects.create(code="cards", name="Cards")]
    people = {one.user_id: one for one in Recipient.objects.all()}
    for user_id, number in (("U1", "13800138001"), ("U2", "13800138002"), ("U2", "13800138001")):
        services.add_binding(actor="t", recipient=people[user_id], kind="phone", address=number)
    luck = random.Random(7)
    for _turn in range(12):
        said = [
            (luck.choice(["U1", "U2", ""]), luck.choice(["", "13800138001", "13800138003"]),
             luck.choice(["given", "withdrawn"]), luck.choice(["", "marketing", "otp"]), luck.choice(["", "loans", "cards"]))
            for _number in range(luck.randint(1, 14))
        ]  # fmt: skip
        said = [one for one in said if one[0] or one[1]]
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE users_consentrecord, users_blacklistentry")
        for user_id, number, state, message_class, code in said:
            record_consent(
                actor="t", recipient=people.get(user_id), kind="phone" if number else "", address=number, state=state,
                message_class=message_class, business_line=next((x for x in lines if x.code == code), None),
                source="console", evidence="x",
            )  # fmt: skip
        by_hand = standing(lines)
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE users_consentrecord, users_blacklistentry")
        begin = datetime(2026, 1, 1)
        rows = [
            f"{user_id},{number},{state},{begin + timedelta(minutes=place)},x,{message_class},{code},,,,"
            for place, (user_id, number, state, message_class, code) in enumerate(said)
        ]
        assert counts(bring_in(file_of(luck.sample(rows, len(rows))))) == (len(rows), 0, 0)
        assert standing(lines) == by_hand, said


def test_50_000_rows_of_a_workbook_killed_in_the_middle(line: BusinessLine) -> None:
    rows = (
        [f"138{number:08d}", "withdrawn" if number % 5 else "given", "2026-01-01", f"n{number}"]
        for number in range(50_000)
    )
    held = workbook([["phone", "state", "time", "reference"], *rows])
    order = services.start_import(
        actor="t", file=BytesIO(held), file_name="c.xlsx", sort="consent", reason="archive", at_once=True
    )
    program = f"import django; django.setup(); from apps.users.importing import job; job.run({order.pk})"
    environment = {**os.environ, "UMS_FAILPOINT": "import_chunk_committed:kill9@3"}
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, timeout=300).returncode == -9
    assert ConsentRecord.objects.count() == PeopleImport.objects.get(pk=order.pk).entries_added == 15_000
    PeopleImport.objects.filter(pk=order.pk).update(heartbeat_at="2001-01-01T00:00Z")
    assert counts(job.run(order.pk)) == (50_000, 0, 0)
    assert ConsentRecord.objects.count() == 50_000 and BlacklistEntry.objects.count() == 40_000
    assert not list(job.imports_folder().glob(f"{Path(order.path).name}*")), "addresses in clear are not left lying"


def test_who_takes_it_back_meanwhile_stays_off(line: BusinessLine) -> None:
    people = [services.ensure_recipient(actor="t", user_id=f"P{number}") for number in range(30)]
    faults: list[BaseException] = []

    def take_back() -> None:
        try:
            for person in people:
                record_consent(
                    actor="t",
                    recipient=person,
                    state="withdrawn",
                    message_class="marketing",
                    source="link",
                    evidence="x",
                )
        except BaseException as fault:
            faults.append(fault)
        finally:
            connection.close()

    other = threading.Thread(target=take_back)
    other.start()
    for number in range(6):
        rows = [f"P{one},,given,2026-01-0{number + 1},x,marketing,,,,," for one in range(30)]
        assert bring_in(file_of(rows)).state == "DONE"
    other.join(60)
    assert not faults and BlacklistEntry.objects.filter(origin="consent").count() == 30


def test_a_file_of_consents_needs_the_permission_to_record_them(line: BusinessLine, client: Client) -> None:
    from django.contrib.auth.models import Permission

    clerk = Operator.objects.create_user("clerk", password="correct-horse-battery", is_staff=True)
    clerk.user_permissions.add(*Permission.objects.filter(codename__in=["add_peopleimport", "view_peopleimport"]))
    client.force_login(clerk)
    page = "/console/users/peopleimport/add/"
    assert "consent" not in client.get(page).context["adminform"].form.fields["sort"].choices
    asked = {"sort": "consent", "reason": "x", "file": BytesIO(file_of(GOOD))}
    answer = client.post(page, asked)
    assert answer.status_code == 200 and not PeopleImport.objects.exists()
    trial = bring_in(file_of(GOOD), dry_run=True)
    assert client.post(f"/console/users/peopleimport/{trial.pk}/repeat/").status_code == 403
    clerk.user_permissions.add(Permission.objects.get(codename="add_consentrecord"))
    assert client.post(f"/console/users/peopleimport/{trial.pk}/repeat/").status_code == 302
