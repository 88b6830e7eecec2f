"""`manage.py messages [--check | --collect]`: the translations, without the gettext programs."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from ums_site import messages


class Command(BaseCommand):
    """Compile translations; collect new texts; prove that all are translated."""

    help = "Compile translations; --collect gathers new texts, --check fails when one is not translated."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What to do besides compiling."""
        parser.add_argument("--check", action="store_true")
        parser.add_argument("--collect", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        """Compile always; a text without a translation is an error only with --check."""
        locale = settings.LOCALE_PATHS[0]
        if options["collect"]:
            self.stdout.write(f"{messages.collect(settings.BASE_DIR, locale)} texts to translate")
        messages.compile_all(locale)
        if options["check"] and (found := messages.problems(settings.BASE_DIR, locale)):
            raise CommandError("\n".join([*found, f"{len(found)} texts are not ready."]))
