"""`python -m bench.ours.work WHAT ...`: the measured work of UMS, done by the functions that its workers call."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.db import connection

import bench.ours  # noqa: F401  (sets Django up)
from apps.campaigns.pipeline.expand import expand_next
from apps.campaigns.tasks import drain, spare_the_collector
from apps.users.importing import job
from apps.users.importing.orders import start_import
from bench.child import when_told
from ums_site.crypto import keyring

LONG = 3600.0
NO_BELL = 0.002  # seconds: the merger is no RQ job here, so nothing rings it awake
Work = Callable[[], dict[str, Any] | None]


def _warm() -> None:
    """What a worker that lives has behind it: a connection, its keys, a collector that leaves its modules alone."""
    spare_the_collector()
    connection.ensure_connection()
    keyring()


def dispatch() -> Work:
    """One dispatcher: drains the bulk lane until nothing is due."""
    _warm()
    return lambda: {"pieces_of_work": drain("bulk", LONG)}


def expand() -> Work:
    """One expander: all chunks of what waits in the bulk lane."""
    _warm()

    def work() -> None:
        while expand_next("bulk"):
            pass

    return work


def merge(bodies: str) -> Work:
    """The worker of lane receipts, from the first body at the hook until so many are merged."""
    _warm()

    def work() -> None:
        end = time.monotonic() + LONG
        while _merged() < int(bodies):
            if time.monotonic() > end:
                raise TimeoutError("the hook did not get all bodies")
            if not drain("receipts", LONG):
                time.sleep(NO_BELL)

    return work


def _merged() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM campaigns_receiptinbox WHERE state = 'MERGED'")
        return int(cursor.fetchone()[0])


def imported(path: str) -> Work:
    """The importer on a file."""
    _warm()

    def work() -> dict[str, Any]:
        with Path(path).open("rb") as file:
            order = start_import(actor="bench", file=file, file_name="people.csv", at_once=True)
        done = job.run(order.pk)
        return {"added": done.recipients_added, "rejected": done.rows_rejected, "error": done.error}

    return work


KINDS: dict[str, Callable[..., Work]] = {work.__name__: work for work in (dispatch, expand, merge, imported)}

if __name__ == "__main__":
    when_told(KINDS[sys.argv[1]](*sys.argv[2:]))
