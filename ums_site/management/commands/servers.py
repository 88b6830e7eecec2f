"""`manage.py servers start|stop|status|exec -- COMMAND`: the embedded Postgres and Redis."""

import os
import signal
import subprocess
from argparse import REMAINDER, ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext_lazy as _

from ums_site import embedded


class Command(BaseCommand):
    """Start, stop and show the embedded servers, or run a command while they run."""

    help = str(_("Start, stop and show the embedded Postgres and Redis, or run a command while they run."))
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The action, and after `exec --` the command."""
        parser.add_argument("action", choices=["start", "stop", "status", "exec"])
        parser.add_argument("command_line", nargs=REMAINDER)

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it; a refusal of a server is one readable error."""
        try:
            getattr(self, options["action"])(options["command_line"])
        except embedded.ServerError as error:
            raise CommandError(str(error)) from error

    def start(self, _words: list[str]) -> None:
        """Start what is embedded and leave it running."""
        embedded.start(settings.UMS_VAR, settings.UMS_EMBEDDED)
        self.status([])

    def stop(self, _words: list[str]) -> None:
        """Stop both."""
        embedded.stop(settings.UMS_VAR)
        self.status([])

    def status(self, _words: list[str]) -> None:
        """One line for each server."""
        for name, pid in embedded.status(settings.UMS_VAR).items():
            if not getattr(settings.UMS_EMBEDDED, name):
                self.stdout.write(_("%(name)s: not ours, its URL is set") % {"name": name})
            elif pid is None:
                self.stdout.write(_("%(name)s: stopped") % {"name": name})
            else:
                self.stdout.write(_("%(name)s: running, process %(pid)s") % {"name": name, "pid": pid})

    def exec(self, words: list[str]) -> None:
        """Run the command with the servers up; its exit code is ours."""
        command = words[1:] if words[:1] == ["--"] else words
        if not command:
            raise CommandError(_("Give a command: manage.py servers exec -- COMMAND"))
        with embedded.running(settings.UMS_VAR, settings.UMS_EMBEDDED):
            signal.signal(signal.SIGINT, lambda *_: None)  # the terminal sends it to the command as well
            code = subprocess.run(command, env=os.environ.copy(), check=False).returncode
        raise SystemExit(code if code >= 0 else 128 - code)
