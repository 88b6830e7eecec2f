"""Imported target lists: ordered, read in the background chunk by chunk, and from then on never changed.

Each chunk is one transaction that writes its targets and moves the list's place in the file, so that a run that died is
taken up where it was and no target stands there twice. The same file again is the same list, whoever brings it.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import IO

import structlog
from django.conf import settings
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from apps.campaigns.errors import CampaignError
from apps.campaigns.freezing import digest_of_rows
from apps.campaigns.list_rows import ListChunk, Target, list_chunks, read_list_header
from apps.campaigns.models import TargetList
from apps.operators import audit
from apps.operators.models import Operator
from apps.users.importing import dialect, reader, rejects
from apps.users.importing.job import imports_folder
from apps.users.importing.orders import keep
from apps.users.importing.sheet import let_go, readable
from apps.users.services import bind_raw_addresses
from ums_site.clock import boottime, database_now
from ums_site.crypto import keyring
from ums_site.failpoints import failpoint
from ums_site.queues import ring

log = structlog.get_logger(__name__)
STALE = timedelta(seconds=30)
CRASHES = 5
State = TargetList.State


class Superseded(Exception):
    """Another run has taken the list over."""


def start_list(*, actor: object, file: IO[bytes], file_name: str, name: str = "", dry_run: bool = False) -> TargetList:
    """Keeps the upload and orders its reading. A file that is a list already gives that list, and nothing is done again.

    A dry run reads and counts, and writes no target.
    """
    path = imports_folder() / f"{uuid.uuid4().hex}.list"
    size = keep(file, path)
    digest = _file_digest(path)
    held = _same_file(digest) if not dry_run else None
    if held is None:
        try:
            return _order(actor, path, size, digest, file_name, name, dry_run)
        except IntegrityError:  # somebody was first with the same file
            held = _same_file(digest)
    path.unlink(missing_ok=True)
    assert held is not None
    return held


@transaction.atomic
def _order(actor: object, path: Path, size: int, digest: str, file_name: str, name: str, dry_run: bool) -> TargetList:
    made = TargetList.objects.create(
        name=(name.strip() or file_name)[:200], file_name=file_name[-200:], file_digest=digest, path=str(path),
        dry_run=dry_run, bytes_total=size, created_by=actor if isinstance(actor, Operator) else None,
    )  # fmt: skip
    audit.record(actor=actor, verb="start_list", what=made, detail={"file": digest, "bytes": size, "dry_run": dry_run})
    ring("work")
    return made


def _same_file(digest: str) -> TargetList | None:
    return TargetList.objects.filter(file_digest=digest, dry_run=False).exclude(state=State.FAILED).first()


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def repeat_for_real(*, actor: object, held: TargetList) -> TargetList:
    """Reads for real what a dry run has checked. Raises CampaignError where its file is gone."""
    if not (held.dry_run and held.state == State.DONE and held.path and Path(held.path).exists()):
        raise CampaignError(_("The file of this dry run is no longer kept; upload it again."))
    with open(held.path, "rb") as file:
        return start_list(actor=actor, file=file, file_name=held.file_name, name=held.name)


def run_due(seconds: float | None = None) -> int:
    """Reads lists that wait, and those whose run went silent, for a slice of time; returns how many were begun."""
    end = boottime() + (settings.UMS_TIMERS.slice if seconds is None else seconds)
    begun = 0
    while (due := _due()) is not None:
        run(due, end)
        begun += 1
        if boottime() >= end:
            break
    return begun


def _due() -> int | None:
    silent = Q(state=State.RUNNING, heartbeat_at__lt=database_now() - STALE)
    return (
        TargetList.objects.filter(Q(state=State.WAITING) | silent).order_by("id").values_list("pk", flat=True).first()
    )


def run(list_id: int, end: float | None = None) -> TargetList:
    """Reads one list to its end, or until `end` on the boot clock; what was written before a fault stays."""
    held = _take(list_id)
    if held is not None:
        try:
            over = _read(held, end)
            _note(held, **(_ended(held) if over else {"state": State.WAITING, "crashes": 0}))
            if not over:
                ring("work")
        except Superseded:
            pass
        except dialect.BadFile as bad:
            _fail(held, rejects.in_words(bad.words, bad.params))
        except OperationalError:
            raise
        except Exception as fault:  # its text may quote a row: only its kind is kept
            log.error("list_failed", target_list=list_id, fault=type(fault).__name__)
            _fail(held, type(fault).__name__)
    return TargetList.objects.get(pk=list_id)


@transaction.atomic
def _take(list_id: int) -> TargetList | None:
    due = Q(state=State.WAITING) | Q(state=State.RUNNING, heartbeat_at__lt=database_now() - STALE)
    held = TargetList.objects.select_for_update(skip_locked=True).filter(due, pk=list_id).first()
    if held is None:
        return None
    held.crashes += 1 if held.state == State.RUNNING else 0
    held.epoch, held.heartbeat_at = held.epoch + 1, database_now()
    if held.crashes >= CRASHES:
        held.state, held.finished_at = State.FAILED, database_now()
        held.error = rejects.in_words(dialect._("given up: %(crashes)s runners died on it"), {"crashes": held.crashes})
    else:
        held.state = State.RUNNING
    held.save()
    return held if held.state == State.RUNNING else None


def _note(held: TargetList, **facts: object) -> None:
    mine = TargetList.objects.filter(pk=held.pk, epoch=held.epoch, state=State.RUNNING)
    if not mine.update(heartbeat_at=database_now(), **facts):
        raise Superseded
    for name, value in facts.items():
        setattr(held, name, value)


def _fail(held: TargetList, words: str) -> None:
    mine = TargetList.objects.filter(pk=held.pk, epoch=held.epoch, state=State.RUNNING)
    mine.update(state=State.FAILED, error=words[:400], finished_at=database_now())


def _ended(held: TargetList) -> dict[str, object]:
    """What the row says of a list that was read whole. The upload of a real one is let go: it holds addresses in clear."""
    facts: dict[str, object] = {"state": State.DONE, "finished_at": database_now(), "crashes": 0}
    if not held.dry_run:
        let_go(Path(held.path))
        facts |= {"path": "", "digest": digest_of_rows(held.pk)}
    if not held.rows_rejected:
        Path(held.rejects_path).unlink(missing_ok=True)
        facts["rejects_path"] = ""
    return facts


def _read(held: TargetList, end: float | None) -> bool:
    """One slice; True at the end of the file."""
    path = readable(Path(held.path), lambda: _note(held))
    kind = dialect.Dialect(**held.dialect) if held.dialect else dialect.detect(path)
    with reader.opened(path, kind) as file:
        columns = read_list_header(file.header)
        if not held.dialect:
            _note(
                held, dialect=kind.as_json(), bytes_total=path.stat().st_size,
                variables=[name for _place, name in columns.variables],
                rejects_path=str(imports_folder() / f"list-{held.pk}-rejects.csv"),
            )  # fmt: skip
        anew = held.reached_line == 0 or not Path(held.rejects_path).exists()
        with rejects.written(Path(held.rejects_path), columns.header if anew else None) as refused:
            for chunk in list_chunks(file, columns, keyring(), held.reached_line):
                _keep_chunk(held, chunk)
                for line, reason in sorted(chunk.refused.items()):
                    refused.add(line, rejects.in_words(reason.words, reason.params), chunk.cells[line])
                failpoint("list_after_chunk")
                if end is not None and boottime() >= end:
                    return False
    return True


@transaction.atomic
def _keep_chunk(held: TargetList, chunk: ListChunk) -> None:
    fresh = list({target.key: target for target in reversed(chunk.targets)}.values())[::-1]
    targets = _not_held(held, fresh)
    known = _known([target.user_id for target in targets if target.user_id])
    if not held.dry_run:
        _write(held, targets)
    people = sum(target.user_id in known for target in targets)
    named = sum(bool(target.user_id) for target in targets)
    _note(
        held,
        rows_read=held.rows_read + chunk.rows,
        rows_rejected=held.rows_rejected + len(chunk.refused),
        rows_repeated=held.rows_repeated + len(chunk.targets) - len(targets),
        targets=held.targets + len(targets),
        people=held.people + people,
        unknown=held.unknown + named - people,
        addresses=held.addresses + len(targets) - named,
        reached_line=chunk.last_line,
        bytes_read=chunk.bytes_read,
    )


def _not_held(held: TargetList, targets: Sequence[Target]) -> list[Target]:
    """Those whom no earlier row of the list names. (A dry run knows those of its own chunk only.)"""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT key FROM campaigns_targetlistrow WHERE target_list_id = %s AND key = ANY(%s)",
            [held.pk, [target.key for target in targets]],
        )
        found = {bytes(row[0]) for row in cursor.fetchall()}
    return [target for target in targets if target.key not in found]


def _known(user_ids: Sequence[str]) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT user_id FROM users_recipient WHERE user_id = ANY(%s)", [list(user_ids)])
        return {row[0] for row in cursor.fetchall()}


WRITE = """
INSERT INTO campaigns_targetlistrow (target_list_id, number, key, user_id, binding_id, sealed)
SELECT %s, %s + row_number() OVER (ORDER BY place), key, user_id, nullif(binding_id, 0), sealed
FROM unnest(%s::bytea[], %s::text[], %s::bigint[], %s::bytea[]) WITH ORDINALITY AS v(key, user_id, binding_id, sealed, place)
"""


def _write(held: TargetList, targets: Sequence[Target]) -> None:
    bound: dict[tuple[str, str], int] = {}
    for kind in sorted({target.kind for target in targets if target.kind}):
        made = bind_raw_addresses(kind=kind, addresses=[one.address for one in targets if one.kind == kind])
        bound |= {(kind, address): number for address, number in made.bound.items()}
    columns = [
        [target.key for target in targets],
        [target.user_id for target in targets],
        [bound.get((target.kind, target.address), 0) for target in targets],
        [target.sealed for target in targets],
    ]
    with connection.cursor() as cursor:
        cursor.execute(WRITE, [held.pk, held.targets, *columns])
