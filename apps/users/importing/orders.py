"""Orders for an import: the upload kept, the row made, the work lane rung."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import IO

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps.operators import audit
from apps.operators.models import Operator
from apps.users.errors import PeopleError
from apps.users.importing.job import forget_files, imports_folder
from apps.users.models import PeopleImport
from ums_site import queues

BLOCK = 1 << 20
State, Sort = PeopleImport.State, PeopleImport.Sort


@transaction.atomic
def start_import(
    *, actor: object, file: IO[bytes], file_name: str, dry_run: bool = False, at_once: bool = False,
    sort: str = Sort.PEOPLE, reason: str = "",
) -> PeopleImport:  # fmt: skip
    """Keeps the upload (mode 0600) and orders its import; the work lane runs it, the caller itself with `at_once`.

    `sort` says what the file holds: people, or entries of the blacklist (block) or whitelist (allow), for which `reason`
    stands where a row has none of its own.
    """
    path = imports_folder() / f"{uuid.uuid4().hex}.upload"
    size = keep(file, path)
    order = PeopleImport.objects.create(
        file_name=file_name[-200:],
        path=str(path),
        dry_run=dry_run,
        sort=str(sort),
        reason=reason.strip()[:200],
        bytes_total=size,
        created_by=actor if isinstance(actor, Operator) else None,
    )
    audit.record(
        actor=actor, verb="start_import", what=order, detail={"dry_run": dry_run, "bytes": size, "sort": str(sort)}
    )
    if not at_once:
        queues.ring("work")
    return order


def repeat_for_real(*, actor: object, order: PeopleImport) -> PeopleImport:
    """Imports the file of a finished dry run. Raises PeopleError where that file is gone."""
    if not (order.dry_run and order.state == State.DONE and order.path and Path(order.path).exists()):
        raise PeopleError(_("The file of this dry run is no longer kept; upload it again."))
    with open(order.path, "rb") as file:
        return start_import(actor=actor, file=file, file_name=order.file_name, sort=order.sort, reason=order.reason)


@transaction.atomic
def forget_import(*, actor: object, order: PeopleImport) -> None:
    """Deletes the upload and the refused rows; the counts stay. Raises PeopleError while the import is not over."""
    if order.state not in (State.DONE, State.FAILED):
        raise PeopleError(_("The import is not over yet."))
    audit.record(actor=actor, verb="forget_import", what=order)
    transaction.on_commit(lambda: forget_files(order))


def keep(file: IO[bytes], path: Path) -> int:
    size = 0
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        while block := file.read(BLOCK):
            size += out.write(block)
    return size
