"""The ground the fault tests stand on: servers of their own, and one migrated database with people to copy from."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import psycopg2

from ums_site import embedded, embedded_paths

ROOT = Path(__file__).resolve().parents[2]
# Everything that takes a minute in an installation takes seconds here; ums_site/timers.py checks the relations.
TIMERS = {
    "UMS_T_HTTP": "1.5",
    "UMS_START_BY": "0.5",
    "UMS_COMMIT": "0.5",
    "UMS_LEASE_MARGIN": "2.5",
    "UMS_LEASE": "4",
    "UMS_GRACE": "1.5",
    "UMS_SLICE": "4",
    "UMS_JOB_TIMEOUT": "12",
    "UMS_STOP_TIMEOUT": "14",
}
LEASE_AND_GRACE = float(TIMERS["UMS_LEASE"]) + float(TIMERS["UMS_GRACE"])


def var() -> Path:
    return Path(os.environ["UMS_VAR"])


def database_url(name: str) -> str:
    host = quote(str(embedded_paths.socket_folder(var())), safe="/")
    return f"postgres://{embedded_paths.USER}@/{name}?host={host}"


def redis_url(slot: int) -> str:
    return embedded_paths.redis_url(var()).replace("?db=0", f"?db={slot}")


def _maintain(*statements: str) -> None:
    host = str(embedded_paths.socket_folder(var()))
    connection = psycopg2.connect(dbname="postgres", user=embedded_paths.USER, host=host)
    connection.autocommit = True
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    connection.close()


def drop_database(name: str) -> None:
    _maintain(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def copy_database(source: str, name: str) -> None:
    _maintain(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", f"CREATE DATABASE {name} TEMPLATE {source}")


def start_servers() -> None:
    embedded.start(var(), embedded.Needed(postgres=True, redis=True))


def stop_servers() -> None:
    embedded.stop(var())


def make_template(name: str, people: int) -> None:
    """A migrated database in which so many people are, brought in by the import service in another process."""
    _maintain(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", f"CREATE DATABASE {name}")
    place = {**os.environ, "DATABASE_URL": database_url(name)}
    for words in (["manage.py", "migrate", "-v0"], ["manage.py", "beat", "--once"]):
        subprocess.run([sys.executable, *words], cwd=ROOT, env=place, check=True)
    command = [sys.executable, "-m", "tests.chaos.ground", str(people)]
    subprocess.run(command, cwd=ROOT, env=place, check=True)


def phone_of(number: int) -> str:
    return f"139{number:08d}"


def member_of(number: int) -> str:
    return f"staff{number:06d}"


def people_csv(count: int) -> bytes:
    """Synthetic people with an address of every kind that a profile needs, and a balance each."""
    out = io.StringIO()
    rows = csv.writer(out)
    rows.writerow(["user_id", "name", "phone", "email", "jpush", "wecom", "feishu", "balance"])
    for number in range(count):
        inside = [f"{number:019x}", member_of(number), f"ou_{number:032x}"]
        rows.writerow(
            [f"C{number:07d}", f"客户{number}", phone_of(number), f"c{number}@mail.example.net", *inside, "12.50"]
        )
    return out.getvalue().encode()


def bring_in(count: int) -> None:
    """Imports the people here and now. Raises RuntimeError where not every row was taken."""
    from apps.users.attributes import ensure_default_attributes
    from apps.users.importing import job
    from apps.users.importing.orders import start_import

    ensure_default_attributes()
    order = start_import(actor="chaos", file=io.BytesIO(people_csv(count)), file_name="people.csv", at_once=True)
    done = job.run(order.pk)
    if done.recipients_added != count:
        raise RuntimeError(f"{done.recipients_added} of {count} people came in ({done.state} {done.error})")


if __name__ == "__main__":
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ums_site.settings")
    django.setup()
    bring_in(int(sys.argv[1]))
