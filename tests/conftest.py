"""Every test session has a database and a Redis number of its own, on servers that start and stop with it.

Sessions may run side by side: each holds a numbered slot (a file lock) and uses database test_ums_<slot> and Redis
database <slot>. Processes that a test starts find both through DATABASE_URL and REDIS_URL.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import ip_network
from pathlib import Path
from typing import IO
from urllib.parse import quote

import pytest

ROOT = Path(__file__).resolve().parent.parent
os.environ.setdefault("UMS_VAR", str(ROOT / "var" / "test"))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ums_site.settings")

from django.conf import settings  # noqa: E402  (the environment above decides what it reads)

from ums_site import embedded, embedded_paths  # noqa: E402
from ums_site.embedded_redis import DATABASES  # noqa: E402

PURE = ("tests/unit/", "tests/shape/")
LONGEST = ("tests/story/", "tests/channels/sdk/", "tests/users/test_import_survives.py", "tests/db/test_gateway.py")


def _take_slot() -> tuple[int, IO[str]]:
    """The first number that no other session holds; the lock ends with this process."""
    embedded_paths.make_folders(settings.UMS_VAR)
    for number in range(1, DATABASES):
        file = (embedded_paths.run_folder(settings.UMS_VAR) / f"slot-{number}.lock").open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            continue
        return number, file
    raise RuntimeError("Too many test sessions at once.")


def pytest_configure(config: pytest.Config) -> None:
    """Point settings at this session's slot before Django starts, and serve static files without collecting them."""
    slot, config.stash[SLOT_FILE] = _take_slot()
    settings.DATABASES["default"].setdefault("TEST", {})["NAME"] = f"test_ums_{slot}"
    if settings.UMS_EMBEDDED.redis:
        settings.REDIS_URL = settings.REDIS_URL.replace("?db=0", f"?db={slot}")
        for queue in settings.RQ_QUEUES.values():
            queue["URL"] = settings.REDIS_URL
    os.environ["REDIS_URL"] = settings.REDIS_URL
    os.environ["UMS_EGRESS_ALLOW"] = "127.0.0.0/8"  # the simulated subscribers live there
    settings.UMS_EGRESS_ALLOW = [ip_network(os.environ["UMS_EGRESS_ALLOW"])]
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)
    settings.STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


SLOT_FILE = pytest.StashKey[IO[str]]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Pure tests stay pure: a database mark or fixture under tests/unit or tests/shape is an error.

    The files that take longest come first: whoever runs files side by side ends with the short ones.
    """
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))
    for item in items:
        if not item.nodeid.startswith(PURE):
            continue
        fixtures = set(getattr(item, "fixturenames", ()))
        if item.get_closest_marker("django_db") or fixtures & {"db", "transactional_db", "servers"}:
            raise pytest.UsageError(f"{item.nodeid} is a pure test and may not use the database.")


@pytest.fixture(scope="session")
def servers() -> Iterator[None]:
    """Postgres and Redis run while the session does. Redis starts empty."""
    with ExitStack() as stack:
        stack.enter_context(embedded.running(settings.UMS_VAR, settings.UMS_EMBEDDED))
        from redis import Redis

        with Redis.from_url(settings.REDIS_URL) as redis:
            redis.flushdb()
        yield


@pytest.fixture(scope="session")
def django_db_modify_db_settings(servers: None) -> None:
    """The servers must run before the test database is made."""


@pytest.fixture(scope="session", autouse=False)
def django_db_setup(django_db_setup: None, django_db_blocker: pytest.FixtureRequest) -> Iterator[None]:
    """As pytest-django's; afterwards DATABASE_URL leads child processes to the test database.

    In the end the sessions of processes that a test killed are ended too: their servers notice only when they speak next, and
    a database with a session in it is not dropped.
    """
    held = settings.DATABASES["default"]
    host = quote(held["HOST"], safe="/")
    user = f"{quote(held['USER'])}:{quote(held['PASSWORD'])}@" if held["PASSWORD"] else f"{quote(held['USER'])}@"
    port = f"&port={held['PORT']}" if held["PORT"] else ""
    os.environ["DATABASE_URL"] = f"postgres://{user}/{held['NAME']}?host={host}{port}"
    yield
    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        _end_other_sessions()


OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


def _end_other_sessions() -> None:
    from django.db import connection

    from tests.waiting import until

    with connection.cursor() as cursor:

        def gone() -> bool:
            cursor.execute(f"SELECT count(pg_terminate_backend(pid)) {OTHERS}")
            return cursor.fetchone()[0] == 0

        until(gone, 10, "the end of the other sessions")
    connection.close()


@pytest.fixture(autouse=True)
def hot_tables_left_empty(request: pytest.FixtureRequest) -> Iterator[None]:
    """Django's flush empties the tables that it manages; the hot ones are left to us after a test that commits."""
    yield
    mark = request.node.get_closest_marker("django_db")
    commits = {"transactional_db", "live_server"} & set(request.fixturenames) or mark and mark.kwargs.get("transaction")
    if commits:
        from django.db import connection

        from ums_site.partitions import HOT_TABLES

        with request.getfixturevalue("django_db_blocker").unblock(), connection.cursor() as cursor:
            for table in HOT_TABLES:
                cursor.execute(f"DELETE FROM {table}")
