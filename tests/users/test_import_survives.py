"""An import that is killed is taken up again; its memory does not grow with the file."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection

from apps.users import services
from apps.users.attributes import ensure_default_attributes
from apps.users.importing import apply, job, reader
from apps.users.models import Binding, PeopleImport, Recipient
from ums_site.clock import database_now

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.django_db(transaction=True)
RUN = "import django; django.setup(); from apps.users.importing import job; job.run({})"
MEASURE = RUN + "; import resource; print('peak', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"


def people(path: Path, count: int) -> Path:
    """A file of so many people with two addresses each; every thousandth row repeats the id of the first."""
    with path.open("w", encoding="utf-8") as file:
        file.write("user_id,name,phone,email,city,tags\n")
        for number in range(count):
            user = 0 if number % 1000 == 999 else number
            file.write(f"U{user},人{number},13{number:09d},u{number}@example.com,苏州,新客\n")
    return path


def ordered(path: Path) -> PeopleImport:
    with path.open("rb") as file:
        return services.start_import(actor="test", file=file, file_name=path.name, at_once=True)


def in_another_process(program: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, env=os.environ.copy(), stdout=subprocess.PIPE, text=True
    )


def end_state() -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT r.user_id, r.tags, r.attributes::text, array_agg(b.address_hash ORDER BY b.address_hash)"
            " FROM users_recipient r LEFT JOIN users_binding b ON b.recipient_id = r.id GROUP BY r.id ORDER BY 1"
        )
        return [(*row[:3], [bytes(one) for one in row[3]]) for row in cursor.fetchall()]


def test_killed_in_the_middle_and_started_again(tmp_path: Path) -> None:
    ensure_default_attributes()
    order = ordered(people(tmp_path / "people.csv", 40_000))
    runner = in_another_process(RUN.format(order.pk))
    deadline = time.monotonic() + 60
    while not PeopleImport.objects.get(pk=order.pk).applied_line:
        assert runner.poll() is None and time.monotonic() < deadline
    runner.send_signal(signal.SIGKILL)
    runner.communicate()
    cut = PeopleImport.objects.get(pk=order.pk)
    assert (cut.state, 0 < cut.recipients_added < 39_000) == ("RUNNING", True)
    assert job.run(order.pk).state == "RUNNING", "its runner is not known to be dead yet"
    PeopleImport.objects.filter(pk=order.pk).update(heartbeat_at=database_now() - 2 * job.STALE)
    assert job.run_due() == 1
    done = PeopleImport.objects.get(pk=order.pk)
    assert (done.state, done.epoch, done.rows_read, done.rows_rejected) == ("DONE", 2, 40_000, 40)
    assert (done.recipients_added, done.recipients_unchanged, done.bindings_added) == (39_960, 0, 79_920)
    assert len(Path(done.rejects_path).read_text(encoding="utf-8-sig").splitlines()) == 41
    interrupted = end_state()
    Binding.objects.all().delete()
    Recipient.objects.all().delete()
    assert job.run(ordered(people(tmp_path / "people.csv", 40_000)).pk).recipients_added == 39_960
    assert end_state() == interrupted


def test_a_runner_that_was_thought_dead_writes_no_more(tmp_path: Path) -> None:
    ensure_default_attributes()
    order = ordered(people(tmp_path / "people.csv", 10))
    held = job._start(order.pk)
    assert held is not None
    PeopleImport.objects.filter(pk=order.pk).update(heartbeat_at=database_now() - 2 * job.STALE)
    assert job.run(order.pk).recipients_added == 10
    with pytest.raises(job.Superseded):
        job._note(held, rows_read=99)
    assert PeopleImport.objects.get(pk=order.pk).rows_read == 10


def test_an_import_that_kills_its_runner_is_given_up() -> None:
    order = PeopleImport.objects.create(file_name="x", state="RUNNING", crashes=job.CRASHES - 1)
    PeopleImport.objects.update(heartbeat_at=database_now() - timedelta(hours=1))
    job.run_due()
    order.refresh_from_db()
    assert (order.state, order.error) == ("FAILED", "given up: 5 runners died on it")


def test_a_long_import_is_done_in_slices_as_if_in_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader.chunks, "__defaults__", (0, 100))
    ensure_default_attributes()
    path = people(tmp_path / "people.csv", 1500)
    with path.open("a") as file:
        file.write("U7,again,13000000007,,,\nU9999,x,12,,,\n")
    order = ordered(path)
    slices = 0
    while job.run_due(seconds=0):
        slices += 1
        if slices == 3:  # the database fell over and emptied what is not logged: the pass begins anew
            with connection.cursor() as cursor:
                cursor.execute(f"TRUNCATE {apply.seen_table(order.pk)}")
    done = PeopleImport.objects.get(pk=order.pk)
    assert slices > 15 and (done.state, done.crashes, done.rows_read) == ("DONE", 0, 1502)
    assert (done.recipients_added, done.rows_rejected, Recipient.objects.count()) == (1499, 3, 1499)
    with open(done.rejects_path, encoding="utf-8-sig", newline="") as file:
        assert [row[1] for row in list(csv.reader(file))[1:]] == [
            "the same user_id stands in line 2",
            "the same user_id stands in line 9",
            "phone: it has 2 digits, a mainland mobile number has 11; write a foreign number with a plus sign",
        ]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    ensure_default_attributes()
    peaks = []
    for count in (20_000, 120_000):
        order = ordered(people(tmp_path / f"{count}.csv", count))
        said, _ = in_another_process(MEASURE.format(order.pk)).communicate(timeout=300)
        found = re.search(r"peak (\d+)", said)
        assert found
        peaks.append(int(found[1]))
        assert PeopleImport.objects.get(pk=order.pk).state == "DONE"
    assert peaks[1] <= peaks[0] * 1.2, peaks
