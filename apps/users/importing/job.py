"""The import as a job that works in slices, may die anywhere, and is started again.

A start raises the row's epoch; every chunk is one transaction that writes people, counts and `applied_line` together
and commits only while its epoch is still the newest. So a second runner, or a first one thought dead, changes nothing
twice, and the counts of an interrupted import are exact.

When its slice of time is over the job gives the import back as WAITING and rings again; the next slice goes on behind
`reached_line`. After a crash the file is read from its beginning: rows up to `applied_line` are then only remembered
(for repeated user ids) and refused again into a fresh file of refusals.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import structlog
from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.db.models import F, Q

from apps.operators import audit
from apps.users.importing import apply, dialect, reader, rejects
from apps.users.importing.ahead import read_ahead
from apps.users.importing.rows import RowRefused
from apps.users.importing.sheet import let_go, readable
from apps.users.importing.sorts import Sort, sort_of
from apps.users.models import PeopleImport
from ums_site import queues
from ums_site.clock import boottime, database_now
from ums_site.failpoints import failpoint

log = structlog.get_logger(__name__)

STALE = timedelta(seconds=30)
KEEP_FILES = timedelta(days=7)
CRASHES = 5
UNREADABLE = dialect._("the uploaded file cannot be read by this worker (%(fault)s)")
GIVEN_UP = dialect._("given up: %(crashes)s runners died on it")
State = PeopleImport.State


class Superseded(Exception):
    """Another runner has started the same import since; this one stops without a trace."""


def run_due(seconds: float | None = None) -> int:
    """Runs imports that wait, and those whose runner went silent, for so long (default: the slice of a job).

    Returns how many were started. What is not over by then waits for the next call and has rung for it.
    """
    end = boottime() + (settings.UMS_TIMERS.slice if seconds is None else seconds)
    started = 0
    while (import_id := _claimable()) is not None:
        run(import_id, end)
        started += 1
        if boottime() >= end:
            break
    forget_old_files()
    return started


def run(import_id: int, end: float | None = None) -> PeopleImport:
    """Runs one import in this process, to its end or until `end` on the boot clock; returns the row as it stands then.

    A fault of the file, or of ours, ends it as FAILED with the reason; what was applied before stays. A lost database
    raises OperationalError and leaves it to the next start.
    """
    order = _start(import_id)
    if order is None:
        return PeopleImport.objects.get(pk=import_id)
    try:
        if _import(order, end):
            _finish(order, str(State.DONE))
        else:
            _give_back(order)
    except Superseded:
        log.warning("import_superseded", people_import=import_id)
    except dialect.BadFile as bad:
        _finish(order, str(State.FAILED), rejects.in_words(bad.words, bad.params))
    except OperationalError:
        raise
    except OSError as fault:
        _finish(order, str(State.FAILED), rejects.in_words(UNREADABLE, {"fault": type(fault).__name__}))
    except Exception as fault:  # its text may quote a row of the file: only its kind and place are kept
        _finish(order, str(State.FAILED), type(fault).__name__)
        place = traceback.extract_tb(fault.__traceback__)[-1]
        log.error(
            "import_failed", people_import=import_id, fault=type(fault).__name__, at=f"{place.name}:{place.lineno}"
        )
    return PeopleImport.objects.get(pk=import_id)


def imports_folder() -> Path:
    """Where uploads and files of refusals stand, readable by the service account only."""
    folder = Path(settings.UMS_VAR) / "imports"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def forget_old_files() -> None:
    """Deletes uploads and refusals of imports that ended more than a week ago: they hold addresses in clear."""
    ended = PeopleImport.objects.filter(finished_at__lt=database_now() - KEEP_FILES).exclude(path="", rejects_path="")
    for order in ended:
        forget_files(order)


def forget_files(order: PeopleImport) -> None:
    """Deletes the upload and the refusals of one import."""
    if order.path:
        let_go(Path(order.path))
    if order.rejects_path:
        Path(order.rejects_path).unlink(missing_ok=True)
    PeopleImport.objects.filter(pk=order.pk).update(path="", rejects_path="")


def _due() -> Q:
    return Q(state=State.WAITING) | Q(state=State.RUNNING, heartbeat_at__lt=database_now() - STALE)


def _claimable() -> int | None:
    return PeopleImport.objects.filter(_due()).order_by("id").values_list("id", flat=True).first()


@transaction.atomic
def _start(import_id: int) -> PeopleImport | None:
    """Takes the import with a new epoch; None where somebody else has it or it is over."""
    order = PeopleImport.objects.select_for_update(skip_locked=True).filter(_due(), pk=import_id).first()
    if order is None:
        return None
    if order.state == State.RUNNING:
        order.crashes += 1
        order.reached_line = 0
    now = database_now()
    given_up = order.crashes >= CRASHES
    if given_up:
        order.state, order.finished_at = State.FAILED, now
        order.error = rejects.in_words(GIVEN_UP, {"crashes": order.crashes})
    else:
        order.state, order.heartbeat_at = State.RUNNING, now
        order.started_at = order.started_at or now
        order.epoch += 1
    order.save()
    return None if given_up else order


def _import(order: PeopleImport, end: float | None) -> bool:
    """One slice; True at the end of the file."""
    path = readable(Path(order.path), lambda: _note(order))
    kind = dialect.Dialect(**order.dialect) if order.reached_line else dialect.detect(path)
    with reader.opened(path, kind) as file:
        sort = sort_of(order, file.header)
        anew = _prepare(order, kind, path.stat().st_size)
        rows = reader.chunks(file, len(sort.header), sort.check, order.reached_line)
        with (
            rejects.written(Path(order.rejects_path), sort.header if anew else None) as refused,
            closing(read_ahead(rows, lambda: _note(order))) as chunks,
        ):
            over = _take_all(order, sort, chunks, refused, end)
    if over and not order.rows_rejected:
        Path(order.rejects_path).unlink(missing_ok=True)
        _note(order, rejects_path="")
    return over


def _prepare(order: PeopleImport, kind: dialect.Dialect, size: int) -> bool:
    """Makes ready for the first slice of a pass (True), or for the next one where all is still in place (False)."""
    with connection.cursor() as cursor:
        if order.reached_line and Path(order.rejects_path).exists() and apply.has_seen(cursor, order.pk):
            return False
        apply.make_seen(cursor, order.pk)
    order.reached_line = order.rows_read = order.rows_rejected = 0
    order.rejects_path = str(imports_folder() / f"{order.pk}-rejects.csv")
    _note(order, dialect=kind.as_json(), bytes_total=size, rejects_path=order.rejects_path, reached_line=0)
    return True


def _take_all(
    order: PeopleImport, sort: Sort, chunks: Iterator[reader.Chunk], refused: rejects.Rejects, end: float | None
) -> bool:
    for chunk in chunks:
        reasons = _take(order, sort, chunk)
        for line in sorted(reasons):
            refused.add(line, rejects.in_words(reasons[line].words, reasons[line].params), chunk.cells[line])
        if end is not None and boottime() >= end:
            return False
    return True


def _take(order: PeopleImport, sort: Sort, chunk: reader.Chunk) -> dict[int, RowRefused]:
    """One chunk in one transaction; the refused lines, each with its reason."""
    with transaction.atomic(), connection.cursor() as cursor:
        taken = sort.take(cursor, order, chunk.rows)
        refused = chunk.refused | taken.refused
        order.rows_read += len(chunk.cells)
        order.rows_rejected += len(refused)
        order.applied_line = max(order.applied_line, chunk.last_line)
        _note(
            order,
            rows_read=order.rows_read,
            rows_rejected=order.rows_rejected,
            bytes_read=chunk.bytes_read,
            reached_line=chunk.last_line,
            applied_line=order.applied_line,
            **{name: F(name) + more for name, more in taken.counts.items()},
        )
    failpoint("import_chunk_committed")
    return refused


def _note(order: PeopleImport, **facts: object) -> None:
    """Writes progress and a heartbeat while this start is the newest. Raises Superseded."""
    mine = PeopleImport.objects.filter(pk=order.pk, epoch=order.epoch, state=State.RUNNING)
    if not mine.update(heartbeat_at=database_now(), **facts):
        raise Superseded


def _give_back(order: PeopleImport) -> None:
    _note(order, state=State.WAITING, crashes=0)
    queues.ring("work")


def _finish(order: PeopleImport, state: str, error: str = "") -> None:
    now = database_now()
    mine = PeopleImport.objects.filter(pk=order.pk, epoch=order.epoch, state=State.RUNNING)
    if not mine.update(state=state, error=error[:400], finished_at=now, heartbeat_at=now):
        return
    _drop(apply.seen_table(order.pk))
    _note_outcome(order, state)
    if not order.dry_run:
        let_go(Path(order.path))
        PeopleImport.objects.filter(pk=order.pk).update(path="")


def _note_outcome(order: PeopleImport, state: str) -> None:
    """What came of it stands in the audit log beside who ordered it."""
    done = PeopleImport.objects.select_related("created_by").get(pk=order.pk)
    names = (one.name for one in PeopleImport._meta.fields if one.name.endswith(("_added", "_changed", "_unchanged")))
    counts = {name: count for name in ("rows_read", "rows_rejected", *names) if (count := getattr(done, name))}
    detail = {"state": state, "sort": done.sort, "dry_run": done.dry_run, **counts}
    audit.record(actor=done.created_by or "import", verb="finish_import", what=done, detail=detail)


def _drop(table: str) -> None:
    """Removes the helper table; where the database is gone, the next start does it."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TABLE IF EXISTS {table}")
    except Exception as gone:
        log.warning("import_table_left", table=table, error=type(gone).__name__)
