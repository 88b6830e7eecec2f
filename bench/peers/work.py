"""`python -m bench.peers.work WHAT ...` in the peers' own environment: what a user would pick instead."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "bench.peers.settings"  # the harness has the one of UMS in its environment
django.setup()

from django.core.management import call_command  # noqa: E402  (Django first)
from django.db import connection  # noqa: E402

from bench.child import when_told  # noqa: E402
from bench.peers.models import Message, Person  # noqa: E402
from bench.people import HTML, SUBJECT, TEXT, person  # noqa: E402

Work = Callable[[], dict[str, Any] | None]


def tables() -> Work:
    """The peers' schema."""
    return lambda: call_command("migrate", verbosity=0, run_syncdb=True)


def people(count: str) -> Work:
    """People, and a message to each."""

    def work() -> None:
        made = Person.objects.bulk_create(
            [Person(**{name: getattr(one, name) for name in one.__slots__}) for one in map(person, range(int(count)))],
            batch_size=1000,
        )
        Message.objects.bulk_create([Message(person=one) for one in made], batch_size=1000)

    return work


def enqueue() -> Work:
    """A task for every message. Not measured: the peer's rate counts from its first message sent to its last."""
    from bench.peers.celery_app import app, send

    def work() -> None:
        app.control.purge()
        with app.producer_pool.acquire(block=True) as producer:
            for pk in Message.objects.order_by("pk").values_list("pk", flat=True):
                send.apply_async((pk,), producer=producer)

    return work


def mails(count: str) -> Work:
    """Queued mails of post-office, text and HTML made already."""
    from post_office.models import PRIORITY, STATUS, Email

    def queued(number: int) -> Email:
        one = person(number)
        return Email(
            from_email="bank@example.com",
            to=[one.email],
            subject=one.filled(SUBJECT),
            message=one.filled(TEXT),
            html_message=one.filled(HTML),
            status=STATUS.queued,
            priority=PRIORITY.medium,
        )

    return lambda: {"made": len(Email.objects.bulk_create(map(queued, range(int(count))), batch_size=1000))}


def send_mails() -> Work:
    """post-office's own command with two processes, until its queue is empty."""
    connection.ensure_connection()
    connection.close()  # its processes are forks
    lock = str(Path(os.environ["UMS_VAR"]) / "post_office")
    return lambda: call_command("send_queued_mail", processes=2, log_level=0, lockfile=lock, verbosity=0)


def imported(path: str) -> Work:
    """django-import-export with its bulk options on a file."""
    from import_export.resources import ModelResource
    from tablib import Dataset

    class People(ModelResource):
        class Meta:
            model = Person
            import_id_fields = ("user_id",)
            fields = ("user_id", "phone", "email", "jpush", "name", "city", "balance")
            use_bulk = True
            batch_size = 1000
            skip_diff = True

    connection.ensure_connection()

    def work() -> dict[str, Any]:
        data = Dataset().load(Path(path).read_text(encoding="utf-8"), format="csv")
        done = People().import_data(data, raise_errors=True)
        return {"added": done.totals["new"]}

    return work


KINDS: dict[str, Callable[..., Work]] = {
    work.__name__: work for work in (tables, people, enqueue, mails, send_mails, imported)
}

if __name__ == "__main__":
    when_told(KINDS[sys.argv[1]](*sys.argv[2:]))
