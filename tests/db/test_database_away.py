"""beat and a worker without Redis live on when the database vanishes in the middle of a statement."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from django.db import connection, transaction
from django.utils import timezone

from apps.campaigns.models import Campaign
from tests.db.conftest import World
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
BLOCKED = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = %s::regclass"


class Line:
    """The way to the database, which can be cut: a socket that passes on to the server's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._door = socket.socket(socket.AF_UNIX)
        self._ends: list[socket.socket] = [self._door]
        self._threads: list[threading.Thread] = []
        self._door.bind(str(folder / ".s.PGSQL.5432"))
        self._door.listen()
        self._start(self._accept)

    def _start(self, work: Callable[..., None], *given: socket.socket) -> None:
        self._threads.append(threading.Thread(target=work, args=given, daemon=True))
        self._threads[-1].start()

    @property
    def url(self) -> str:
        held = connection.settings_dict
        user = quote(held["USER"]) + (f":{quote(held['PASSWORD'])}" if held["PASSWORD"] else "")
        return f"postgres://{user}@/{held['NAME']}?host={self.folder}&port=5432"

    def cut(self) -> None:
        """Everybody who is connected loses the connection, whatever it was doing."""
        for one in self._ends[1:]:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)
        self.cut()
        for thread in self._threads:
            thread.join(10)
        for one in self._ends:
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _from = self._door.accept()
                far = _server()
                self._ends += [near, far]
                for source, target in ((near, far), (far, near)):
                    self._start(_pass_on, source, target)


def _server() -> socket.socket:
    host, port = connection.settings_dict["HOST"], connection.settings_dict["PORT"] or 5432
    if not host.startswith("/"):
        return socket.create_connection((host, int(port)))
    made = socket.socket(socket.AF_UNIX)
    made.connect(f"{host}/.s.PGSQL.{port}")
    return made


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while some := source.recv(65536):
            target.sendall(some)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    with closing(Line(tmp_path_factory.mktemp("line"))) as made:
        yield made


def _blocked(table: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(BLOCKED, [table])
        return bool(cursor.fetchone()[0])


@pytest.mark.parametrize(
    ("words", "table", "first", "then"),
    [
        (("beat", "--every", "0.05"), "campaigns_campaign", "SCHEDULED", "EXPANDING"),
        (("work", "bulk", "--direct"), "campaigns_batch", "EXPANDING", "RUNNING"),
    ],
)
def test_it_lives_on(
    world: World,
    line: Line,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    words: tuple[str, ...],
    table: str,
    first: str,
    then: str,
) -> None:
    campaign = world.campaign(audience={"kind": "filter", "tags_any": ["nobody"]})
    environment = {**os.environ, "DATABASE_URL": line.url, "UMS_LOG_LEVEL": "INFO"}
    with (tmp_path / "said").open("w+", encoding="utf-8") as said:
        command = [sys.executable, "manage.py", *words]
        with transaction.atomic(), connection.cursor() as cursor:
            Campaign.objects.filter(pk=campaign.pk).update(
                state=first, scheduled_at=timezone.now() - timedelta(minutes=1)
            )
            cursor.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=said, stderr=said)
            request.addfinalizer(process.wait)
            request.addfinalizer(process.kill)
            until(lambda: _blocked(table), what="a statement that waits for the table")
            line.cut()
        until(lambda: process.poll() is not None or Campaign.objects.get(pk=campaign.pk).state == then)
        assert process.poll() is None, "it ended"
        process.terminate()
        assert process.wait(20) == 0
        said.seek(0)
        assert "waits_for_database" in said.read()
