"""`manage.py up`: the whole of UMS on this machine, until Ctrl-C."""

import fcntl
import signal
import sys
import threading
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connections
from django.db.migrations.executor import MigrationExecutor
from django.utils.translation import gettext as _

from ums_site import embedded, messages, processes
from ums_site.embedded_paths import make_folders, run_folder
from ums_site.launcher import Launcher, LaunchError, Process, prefixed


class Command(BaseCommand):
    """Servers, migrations, static files, then web, workers and beat (and the simulated outside world)."""

    help = "Run the whole of UMS on this machine until Ctrl-C."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Where to listen, how many workers, with or without the simulated outside world."""
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000, help="the next free one is taken where it is in use")
        parser.add_argument("--workers", type=counts, default={}, metavar="LANE=N,...", help="default: one per lane")
        parser.add_argument("--demo", action="store_true", help="with the simulated providers")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until a signal comes; a refusal is one readable error."""
        try:
            with only_one(), embedded.running(settings.UMS_VAR, settings.UMS_EMBEDDED):
                self.prepare()
                self.run(options)
        except (embedded.ServerError, LaunchError, ValueError, OSError) as error:
            raise CommandError(str(error)) from error

    def prepare(self) -> None:
        """Bring the database to the newest migration and gather static files."""
        self.migrate()
        messages.compile_all(settings.LOCALE_PATHS[0])
        call_command("collectstatic", interactive=False, verbosity=0)
        connections.close_all()

    def migrate(self) -> None:
        """Apply what is missing, with a line that moves."""
        executor = MigrationExecutor(connections["default"])
        total = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
        if total:
            call_command("migrate", interactive=False, verbosity=1, stdout=_MigrationLine(self.stdout, total))
            self.stdout.write("")

    def run(self, options: dict[str, Any]) -> None:
        """Start the processes and wait for the end."""
        port = processes.free_port(options["port"], options["host"])
        launcher = Launcher(
            self.processes(options, port),
            emit=prefixed(sys.stdout, colours=sys.stdout.isatty()),
            cwd=settings.BASE_DIR,
        )
        finished = stop_on_signals(launcher)
        with launcher:
            try:
                launcher.wait_ready()
            except LaunchError:
                if not finished.is_set():  # else somebody changed their mind
                    raise
                return
            address = "127.0.0.1" if options["host"] == "0.0.0.0" else options["host"]
            self.stdout.write(
                _("UMS is at http://%(host)s:%(port)d/  (Ctrl-C ends it)") % {"host": address, "port": port}
            )
            finished.wait()
            self.stdout.write(_("Stopping; messages in flight are finished. Ctrl-C again does not wait."))

    def processes(self, options: dict[str, Any], port: int) -> list[Process]:
        """What runs."""
        senders = [*processes.workers(options["workers"]), processes.gateways()]
        found = [processes.web(options["host"], port), *senders, processes.beat()]
        if options["demo"]:
            http, smtp = processes.free_port(8100), processes.free_port(8125)
            found.insert(0, processes.simulator(settings.UMS_VAR / "simulator", http, smtp))
        return found


class _MigrationLine:
    """Turns the lines of `migrate` into one that moves."""

    def __init__(self, out: Any, total: int) -> None:
        self._out, self._total, self._done = out, total, 0

    def write(self, text: str, *_style: Any, **_ending: Any) -> None:
        """Called for every piece of output."""
        if "Applying " in text:
            self._done += 1
            self._out.write(
                "\r" + _("Database: migration %(done)d of %(total)d") % {"done": self._done, "total": self._total},
                ending="",
            )
            self._out.flush()

    def flush(self) -> None:
        """Nothing is held back."""


def counts(text: str) -> dict[str, int]:
    """`bulk=2,otp=1` as numbers by lane."""
    found = {}
    for part in text.split(","):
        lane, _sign, number = part.partition("=")
        if not number.isdecimal() or int(number) > 64:
            raise ArgumentTypeError(f"{part!r} is not LANE=N")
        found[lane.strip()] = int(number)
    return found


@contextmanager
def only_one() -> Iterator[None]:
    """Two launchers on one var folder would be two sets of everything. Raises CommandError."""
    make_folders(settings.UMS_VAR)
    with (run_folder(settings.UMS_VAR) / "up.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CommandError(_("UMS already runs from %(var)s.") % {"var": settings.UMS_VAR}) from error
        yield


def stop_on_signals(launcher: Launcher) -> threading.Event:
    """The first SIGINT or SIGTERM sets the event, the second does not wait for anybody."""
    finished = threading.Event()

    def on_signal(_number: int, _frame: Any) -> None:
        if finished.is_set():
            launcher.hasten()
        finished.set()
        launcher.ask_to_stop()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    return finished
