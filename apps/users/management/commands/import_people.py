"""`manage.py import_people FILE [--dry-run]`: the import of the console, run here and now."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.users import services
from apps.users.importing import job
from apps.users.models import PeopleImport


class Command(BaseCommand):
    """Prints the counts; refused rows are kept in a file whose path is printed too."""

    help = "Import people from an XLSX file, or a CSV file (UTF-8, GB18030 or UTF-16; comma, semicolon or tab)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--dry-run", action="store_true", help="check everything, change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["file"]
        if not path.is_file():
            raise CommandError(f"{path} is not a file.")
        with path.open("rb") as file:
            order = services.start_import(
                actor="manage.py", file=file, file_name=path.name, dry_run=options["dry_run"], at_once=True
            )
        order = job.run(order.pk)
        self._report(order)
        if order.state != PeopleImport.State.DONE:
            raise CommandError(order.error or "Another process runs this import.")

    def _report(self, order: PeopleImport) -> None:
        for name in (
            "rows_read", "rows_rejected", "recipients_added", "recipients_changed", "recipients_unchanged",
            "bindings_added", "tags_added",
        ):  # fmt: skip
            label = str(PeopleImport._meta.get_field(name).verbose_name)
            self.stdout.write(f"{label}: {getattr(order, name)}")
        if order.rejects_path:
            self.stdout.write(f"{order.rejects_path}")
