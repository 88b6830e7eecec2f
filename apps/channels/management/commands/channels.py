"""``manage.py channels``: every kind of channel and what it can do."""

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from apps.channels.matrix import as_text, matrix


class Command(BaseCommand):
    help = "Print what every kind of channel can do and what it was verified with."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="a list of objects instead of a table")

    def handle(self, *args: Any, **options: Any) -> None:
        rows = matrix()
        self.stdout.write(json.dumps([asdict(row) for row in rows], indent=1) if options["json"] else as_text(rows))
