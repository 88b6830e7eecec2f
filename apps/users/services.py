"""What may be done to people: one function each for console, API, commands and workers. All are audited."""

from __future__ import annotations

import os
import uuid
from typing import IO

from django.db import transaction

from apps.operators import audit
from apps.operators.models import Operator
from apps.users.importing.job import imports_folder
from apps.users.models import PeopleImport
from ums_site import queues

BLOCK = 1 << 20


@transaction.atomic
def start_import(
    *, actor: object, file: IO[bytes], file_name: str, dry_run: bool = False, at_once: bool = False
) -> PeopleImport:
    """Keeps the upload and orders its import; the work lane runs it, or the caller itself with `at_once`."""
    path = imports_folder() / f"{uuid.uuid4().hex}.upload"
    size = 0
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        while block := file.read(BLOCK):
            size += out.write(block)
    order = PeopleImport.objects.create(
        file_name=file_name[-200:],
        path=str(path),
        dry_run=dry_run,
        bytes_total=size,
        created_by=actor if isinstance(actor, Operator) else None,
    )
    audit.record(actor=actor, verb="start_import", what=order, detail={"dry_run": dry_run, "bytes": size})
    if not at_once:
        queues.ring("work")
    return order
