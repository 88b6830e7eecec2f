"""The import as a job that may die anywhere and be started again.

A start raises the row's epoch; every chunk is one transaction that writes people, counts and `applied_line` together
and commits only while its epoch is still the newest. So a second runner, or a first one thought dead, changes nothing
twice, and the counts of an interrupted import are exact. The file is read from its beginning each time: rows up to
`applied_line` are only remembered (for repeated user ids) and refused again into the fresh file of refusals.
"""

from __future__ import annotations

import queue
import threading
import traceback
from collections.abc import Generator, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import structlog
from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.db.models import F, Q

from apps.users.importing import apply, columns, dialect, reader, rejects, staging
from apps.users.models import Attribute, PeopleImport
from ums_site.clock import database_now
from ums_site.crypto import keyring

log = structlog.get_logger(__name__)

STALE = timedelta(seconds=30)
KEEP_FILES = timedelta(days=7)
STARTS = 5
BEAT_SECONDS = 0.5
CHUNKS_AHEAD = 1
UNREADABLE = dialect._("the uploaded file cannot be read by this worker (%(fault)s)")
GIVEN_UP = dialect._("given up after %(starts)s starts")
State = PeopleImport.State


class Superseded(Exception):
    """Another runner has started the same import since; this one stops without a trace."""


def run_due() -> int:
    """Runs the imports that wait, and those whose runner went silent; how many were run. Forgets old files."""
    ran = 0
    while (import_id := _claimable()) is not None:
        run(import_id)
        ran += 1
    forget_old_files()
    return ran


def run(import_id: int) -> PeopleImport:
    """Runs one import to its end in this process and returns the finished row.

    A fault of the file, or of ours, ends it as FAILED with the reason; what was applied before stays. A lost database
    raises OperationalError and leaves it to the next start.
    """
    order = _start(import_id)
    if order is None:
        return PeopleImport.objects.get(pk=import_id)
    try:
        _import(order)
        _finish(order, str(State.DONE))
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
    for path in filter(None, (order.path, order.rejects_path)):
        Path(path).unlink(missing_ok=True)
    PeopleImport.objects.filter(pk=order.pk).update(path="", rejects_path="")


def _due() -> Q:
    return Q(state=State.WAITING) | Q(state=State.RUNNING, heartbeat_at__lt=database_now() - STALE)


def _claimable() -> int | None:
    return PeopleImport.objects.filter(_due()).order_by("id").values_list("id", flat=True).first()


def _start(import_id: int) -> PeopleImport | None:
    """Takes the import with a new epoch; None where somebody else has it or it is over."""
    with transaction.atomic():
        order = PeopleImport.objects.select_for_update(skip_locked=True).filter(_due(), pk=import_id).first()
        if order is None:
            return None
        now = database_now()
        if order.epoch >= STARTS:
            order.state, order.finished_at = State.FAILED, now
            order.error = rejects.in_words(GIVEN_UP, {"starts": STARTS})
            order.save()
            return None
        order.state, order.heartbeat_at = State.RUNNING, now
        order.started_at = order.started_at or now
        order.epoch += 1
        order.rows_rejected = 0
        order.save()
    return order


def _import(order: PeopleImport) -> None:
    path = Path(order.path)
    kind = dialect.detect(path)
    order.rejects_path = str(imports_folder() / f"{order.pk}-rejects.csv")
    _note(order, dialect=kind.as_json(), bytes_total=path.stat().st_size, rejects_path=order.rejects_path)
    seen = apply.seen_table(order.pk)
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {seen}")
        cursor.execute(f"CREATE UNLOGGED TABLE {seen} (user_id text PRIMARY KEY, line bigint NOT NULL)")
    try:
        with reader.opened(path, kind) as file, rejects.written(Path(order.rejects_path)) as refused:
            header = columns.read_header(file.header, _declared())
            refused.header(header.header)
            with closing(_read_ahead(order, reader.chunks(file, header, keyring()))) as chunks:
                _take_all(order, chunks, refused)
    finally:
        _drop(seen)
    if not order.rows_rejected:
        Path(order.rejects_path).unlink(missing_ok=True)
        _note(order, rejects_path="")


def _take_all(order: PeopleImport, chunks: Iterator[reader.Chunk], refused: rejects.Rejects) -> None:
    rows = 0
    for chunk in chunks:
        rows += len(chunk.cells)
        repeated = _take(order, chunk, rows)
        for line in sorted(chunk.refused.keys() | repeated.keys()):
            refused.add(line, _why(chunk, repeated, line), chunk.cells[line])


def _why(chunk: reader.Chunk, repeated: dict[int, int], line: int) -> str:
    if line in repeated:
        return rejects.in_words(dialect._("the same user_id stands in line %(line)s"), {"line": repeated[line]})
    reason = chunk.refused[line]
    return rejects.in_words(reason.words, reason.params)


def _take(order: PeopleImport, chunk: reader.Chunk, rows: int) -> dict[int, int]:
    """One chunk in one transaction; the lines whose user id came before, each with the line of the first."""
    with transaction.atomic(), connection.cursor() as cursor:
        staging.fill(cursor, chunk.rows, keyring())
        repeated = apply.take_out_repeated(cursor, order.pk)
        apply.drop_applied(cursor, order.applied_line)
        done = apply.measure(cursor) if order.dry_run else apply.apply(cursor)
        order.rows_rejected += len(chunk.refused) + len(repeated)
        _note(
            order,
            rows_read=rows,
            rows_rejected=order.rows_rejected,
            bytes_read=chunk.bytes_read,
            applied_line=max(order.applied_line, chunk.last_line),
            recipients_added=F("recipients_added") + done.added,
            recipients_changed=F("recipients_changed") + done.changed,
            recipients_unchanged=F("recipients_unchanged") + done.unchanged,
            bindings_added=F("bindings_added") + done.bindings,
            tags_added=F("tags_added") + done.tags,
        )
    return repeated


def _read_ahead(order: PeopleImport, chunks: Iterator[reader.Chunk]) -> Generator[reader.Chunk, None, None]:
    """The same chunks, read by a thread while the database works on the one before; beats while it waits."""
    ready: queue.Queue[reader.Chunk | BaseException | None] = queue.Queue(CHUNKS_AHEAD)
    stop = threading.Event()

    def hand_over(item: reader.Chunk | BaseException | None) -> None:
        while not stop.is_set():
            try:
                return ready.put(item, timeout=BEAT_SECONDS)
            except queue.Full:
                continue

    def read() -> None:
        try:
            for chunk in chunks:
                hand_over(chunk)
                if stop.is_set():
                    return
            hand_over(None)
        except BaseException as fault:  # raised again by the thread that waits for the chunks
            hand_over(fault)

    thread = threading.Thread(target=read, name=f"people-import-{order.pk}", daemon=True)
    thread.start()
    try:
        while (item := _waited_for(order, ready)) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join()


def _waited_for(
    order: PeopleImport, ready: queue.Queue[reader.Chunk | BaseException | None]
) -> reader.Chunk | BaseException | None:
    while True:
        try:
            return ready.get(timeout=BEAT_SECONDS)
        except queue.Empty:
            _note(order)


def _note(order: PeopleImport, **facts: object) -> None:
    """Writes progress and a heartbeat while this start is the newest. Raises Superseded."""
    mine = PeopleImport.objects.filter(pk=order.pk, epoch=order.epoch, state=State.RUNNING)
    if not mine.update(heartbeat_at=database_now(), **facts):
        raise Superseded


def _finish(order: PeopleImport, state: str, error: str = "") -> None:
    now = database_now()
    mine = PeopleImport.objects.filter(pk=order.pk, epoch=order.epoch, state=State.RUNNING)
    if mine.update(state=state, error=error[:400], finished_at=now, heartbeat_at=now) and not order.dry_run:
        Path(order.path).unlink(missing_ok=True)
        mine.model.objects.filter(pk=order.pk).update(path="")


def _declared() -> list[columns.DeclaredAttribute]:
    return [columns.DeclaredAttribute(a.key, a.label, a.type, a.sensitive) for a in Attribute.objects.order_by("key")]


def _drop(table: str) -> None:
    """Removes the helper table; where the database is gone, the next start does it."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TABLE IF EXISTS {table}")
    except Exception as gone:
        log.warning("import_table_left", table=table, error=type(gone).__name__)
