"""Embedded Postgres and Redis for real, each test in a var folder of its own."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from tests.waiting import until
from ums_site import embedded, embedded_paths, embedded_postgres
from ums_site.embedded import Needed

BOTH = Needed(postgres=True, redis=True)
POSTGRES = Needed(postgres=True, redis=False)
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def var(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "var"
    yield folder
    embedded.stop(folder)


def ask(var: Path, sql: str) -> str:
    connection = psycopg2.connect(host=str(embedded_paths.socket_folder(var)), dbname="ums", user="ums")
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return str(cursor.fetchone()[0]) if cursor.description else ""
    finally:
        connection.close()


def gone(var: Path) -> bool:
    return set(embedded.status(var).values()) == {None}


def test_start_twice_is_one_server_and_stop_leaves_none(var: Path) -> None:
    embedded.start(var, BOTH)
    first = embedded.status(var)
    embedded.start(var, BOTH)
    assert embedded.status(var) == first
    assert all(first.values())
    assert ask(var, "SHOW server_encoding") == "UTF8"
    assert ask(var, "SHOW listen_addresses") == ""
    assert ask(var, "SHOW synchronous_commit") == "on"
    embedded.stop(var)
    assert gone(var)


def test_data_survive_kill_9_and_a_foreign_process_with_the_old_number(var: Path) -> None:
    embedded.start(var, POSTGRES)
    ask(var, "CREATE TABLE kept AS SELECT 42 AS answer")
    pid = embedded_postgres.pid(var)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: embedded_postgres.pid(var) is None)
    note = var / "postgres" / "postmaster.pid"
    lines = note.read_text().splitlines()
    note.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")  # the number now belongs to somebody else
    embedded.start(var, POSTGRES)
    assert ask(var, "SELECT answer FROM kept") == "42"


def test_a_long_path_gets_its_sockets_elsewhere(tmp_path: Path) -> None:
    var = tmp_path / ("deep" * 12) / ("deeper" * 12) / "var"
    embedded.start(var, BOTH)
    try:
        sockets = embedded_paths.socket_folder(var)
        assert sockets != var / "run"
        assert sockets.stat().st_mode & 0o077 == 0
        assert ask(var, "SELECT 1") == "1"
    finally:
        embedded.stop(var)
    assert gone(var)


def test_servers_end_after_the_last_user(var: Path) -> None:
    with embedded.running(var, BOTH):
        with embedded.running(var, BOTH):
            inner = embedded.status(var)
        assert embedded.status(var) == inner
        assert ask(var, "SELECT 1") == "1"
    until(lambda: gone(var))


def test_servers_end_after_a_user_that_was_killed(var: Path) -> None:
    program = (
        "import sys, signal; from pathlib import Path; from ums_site.embedded import Needed, running\n"
        "with running(Path(sys.argv[1]), Needed(True, True)):\n"
        "    print('up', flush=True); signal.pause()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(var)], cwd=ROOT, stdout=subprocess.PIPE) as user:
        assert user.stdout is not None and user.stdout.readline() == b"up\n"
        assert all(embedded.status(var).values())
        user.kill()
    until(lambda: gone(var))


def test_started_to_stay_outlives_its_users(var: Path) -> None:
    embedded.start(var, POSTGRES)
    stayed = embedded.status(var)
    with embedded.running(var, POSTGRES):
        assert embedded.status(var) == stayed
    embedded.guard(var)
    assert embedded.status(var) == stayed


def test_ports_in_use_do_not_matter(var: Path) -> None:
    """Nobody listens on TCP: whoever holds 5432 and 6379 keeps them, taken here where they were free."""
    held = []
    for port in (5432, 6379):
        listener = socket.socket()
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen()
        except OSError:
            listener.close()
            continue
        held.append(listener)
    try:
        embedded.start(var, BOTH)
        assert all(embedded.status(var).values())
    finally:
        for listener in held:
            listener.close()


def test_what_has_an_address_is_never_started(var: Path) -> None:
    with embedded.running(var, Needed(postgres=False, redis=False)):
        assert gone(var)
    assert not (var / "postgres").exists()
