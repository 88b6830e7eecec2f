"""Black- and whitelists from files as people really export them: refused with reasons, repeated without a trace, killed."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path

import pytest
from django.db import connection

from apps.partners.models import BusinessLine
from apps.users import protection, services
from apps.users.importing import job
from apps.users.models import Attribute, BlacklistEntry, PeopleImport

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.django_db(transaction=True)
HEADER = "用户编号;手机号;理由;有效期至;消息类别;渠道编码\r\n"
GOOD = [
    "U1;;欺诈;2099-12-31;;",
    ";＋86 138-0013-8000;投诉过;;营销;loans",
    ";13800138001;;2099/06/30;marketing|otp;",
    "U2;;;;;",
]
BAD = {
    ";12;号码不对;;;": "phone",
    "U9;;没有此人;;;": "nobody has this user id",
    "U1;13800138002;两个;;;": "a user id, an address or a region",
    "U2;;;2001-01-01;;": "over already",
    "U2;;;soon;;": "write a date",
    "U2;;;;gossip;": "there is no class gossip",
    "U2;;;;;nosuch": "none with this code",
    "U2;;再一次;;;": "the same entry stands in line 5",
}


def file_of(rows: list[str]) -> bytes:
    return (HEADER + "\r\n".join(rows) + "\r\n").encode("gb18030")


def bring_in(held: bytes, sort: str = "block", reason: str = "历史名单", dry_run: bool = False) -> PeopleImport:
    order = services.start_import(
        actor="t", file=BytesIO(held), file_name="list.csv", sort=sort, reason=reason, dry_run=dry_run, at_once=True
    )
    return job.run(order.pk)


def counts(order: PeopleImport) -> tuple[int, int, int, int]:
    assert order.state == "DONE", order.error
    return order.entries_added, order.entries_changed, order.entries_unchanged, order.rows_rejected


@pytest.fixture
def people(db: None) -> None:
    BusinessLine.objects.create(code="loans", name="Loans")
    for user_id in ("U1", "U2"):
        services.ensure_recipient(actor="t", user_id=user_id)


def test_good_rows_are_kept_bad_ones_come_back_with_reasons(people: None) -> None:
    held = file_of([*GOOD, *BAD])
    assert counts(bring_in(held, dry_run=True)) == (4, 0, 0, len(BAD)) and not BlacklistEntry.objects.exists()
    order = bring_in(held)
    assert counts(order) == (4, 0, 0, len(BAD))
    entries = {entry.reason: entry for entry in BlacklistEntry.objects.all()}
    by_number = entries["投诉过"]
    assert (by_number.address_masked, by_number.classes) == ("138****8000", ["marketing"])
    assert (by_number.scope, by_number.scope_id) == ("business_line", BusinessLine.objects.get().pk)
    assert entries["欺诈"].recipient.user_id == "U1" and entries["欺诈"].expires_at.year == 2099
    assert entries["历史名单"].source == "import" and BlacklistEntry.objects.filter(reason="历史名单").count() == 2
    with open(order.rejects_path, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0][:3] == ["line", "reason", "用户编号"]
    for row, (given, why) in zip(rows[1:], BAD.items(), strict=True):
        assert why in row[1] and ";".join(row[2:]).lstrip("'") == given, row

    before = list(BlacklistEntry.objects.order_by("id").values())
    assert counts(bring_in(file_of(GOOD))) == (0, 0, 4, 0)
    assert list(BlacklistEntry.objects.order_by("id").values()) == before, "the same file again changes nothing"
    assert counts(bring_in(file_of([GOOD[0].replace("欺诈", "查实")]))) == (0, 1, 0, 0)
    mended = Path(order.rejects_path).read_text(encoding="utf-8-sig").replace("12", "13800138009", 1)
    assert bring_in(mended.encode()).entries_added == 1, "our own file of refusals, mended, comes back in"


def test_a_nul_far_down_refuses_its_row_alone(people: None) -> None:
    lines = [HEADER.strip(), *(f";{13900000000 + number};退订;;;" for number in range(300)), "U1;;a\0b;;;", "U2;;好;;;"]
    order = bring_in("\r\n".join(lines).encode())
    assert counts(order) == (301, 0, 0, 1)
    assert not BlacklistEntry.objects.filter(recipient__user_id="U1").exists()


def test_a_whitelist_is_another_list(people: None) -> None:
    assert counts(bring_in(b"\xef\xbb\xbfuser_id\nU1\nU2\n", "allow", "trial")) == (2, 0, 0, 0)
    assert set(BlacklistEntry.objects.values_list("effect", flat=True)) == {"allow"}
    assert counts(bring_in(b"user_id\nU1\n", "block", "x")) == (1, 0, 0, 0)
    for held, why in ((b"user_id,colour\n", "colour"), (b"reason\nx\n", "neither"), (b"user_id,uid\n", "twice")):
        refused = bring_in(held)
        assert refused.state == "FAILED" and why in refused.error


def test_ways_and_regions_come_in(people: None) -> None:
    held = "user_id;地区;通道\nU1;;短信\n;新疆;E-mail\nU2;;sms_tencent\nU2;;pigeon\nU1;新疆;\n".encode()
    refused = bring_in(held)
    assert refused.state == "FAILED" and "declare it under Attributes" in refused.error
    Attribute.objects.create(key="region", label="Region")
    order = bring_in(held)
    assert counts(order) == (3, 0, 0, 2)
    told = Path(order.rejects_path).read_text(encoding="utf-8-sig")
    assert "there is no kind of channel pigeon" in told and "one of them" in told
    assert set(BlacklistEntry.objects.values_list("recipient__user_id", "region", "channel")) == {
        ("U1", "", "sms"), (None, "新疆", "email"), ("U2", "", "sms_tencent"),
    }  # fmt: skip
    assert counts(bring_in(held)) == (0, 0, 3, 2), "the same file again changes nothing"


def numbers(count: int) -> bytes:
    return b"phone\n" + b"".join(b"139%08d\n" % number for number in range(count))


def test_killed_in_the_middle_nothing_is_lost_or_counted_twice(db: None) -> None:
    order = services.start_import(
        actor="t", file=BytesIO(numbers(12_000)), file_name="n.csv", sort="block", reason="x", at_once=True
    )
    program = f"import django; django.setup(); from apps.users.importing import job; job.run({order.pk})"
    environment = {**os.environ, "UMS_FAILPOINT": "import_chunk_committed:kill9@2"}
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, timeout=60).returncode == -9
    cut = PeopleImport.objects.get(pk=order.pk)
    assert (cut.state, cut.entries_added) == ("RUNNING", 10_000)
    PeopleImport.objects.filter(pk=order.pk).update(heartbeat_at="2001-01-01T00:00Z")
    done = job.run(order.pk)
    assert counts(done) == (12_000, 0, 0, 0) and BlacklistEntry.objects.count() == 12_000


def plan_of(sql: str, values: list[object]) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF) {sql}", values)
        return "\n".join(row[0] for row in cursor.fetchall())


def test_200_000_entries_cost_a_look_into_an_index(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO users_recipient (user_id, tags, attributes, sealed_attributes, sealed_digest, created_at,"
            " updated_at) SELECT 'P' || n, '{}', '{}', '', '', now(), now() FROM generate_series(1, 1000) n"
        )
        cursor.execute(
            "INSERT INTO users_blacklistentry (recipient_id, address_hash, address_kind, address_masked, scope,"
            " scope_id, reason, source, created_at) SELECT CASE WHEN n % 200 = 0 THEN (SELECT min(id) FROM"
            " users_recipient) + n / 200 - 1 END, CASE WHEN n % 200 <> 0 THEN decode(md5(n::text), 'hex') END, '',"
            " '', 'everywhere', 0, 'x', 'test', now() FROM generate_series(1, 200000) n"
        )
        cursor.execute("ANALYZE users_blacklistentry; ANALYZE users_recipient")
    where = {"message_class": "marketing", "business_line_id": 1, "account_id": 1, "kind": "sms_aliyun"}
    for condition, alias, table in (
        (protection.blocked_recipient(message_class="marketing", business_line_id=1), "r", "users_recipient r"),
        (protection.blocked_way(**where), "r", "users_recipient r"),
        (protection.blocked_binding(**where), "b", "(SELECT decode(md5(n::text), 'hex') AS address_hash"
                                                   " FROM generate_series(1, 250) n) b"),
    ):  # fmt: skip
        sql, values = condition
        began = time.monotonic()
        plan = plan_of(f"SELECT {sql} FROM {table} LIMIT 250", list(values))
        assert "Seq Scan on users_blacklistentry" not in plan and "Index" in plan, (alias, plan)
        if condition == protection.blocked_way(**where):
            assert "never executed" in plan, "without entries for one way nobody is looked for among them"
        assert time.monotonic() - began < 1.0
