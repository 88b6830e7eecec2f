"""`manage.py demo`: the whole system with simulated providers, 5,000 people and a campaign; `make demo` calls it."""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.db import connections

from apps.operators.models import Operator
from demo import run as play
from demo import show
from ums_site import processes
from ums_site.clock import database_now
from ums_site.launcher import Launcher, LaunchError, prefixed
from ums_site.management.commands.up import Command as Up
from ums_site.management.commands.up import stop_on_signals
from ums_site.partitions import ensure


class Command(Up):
    """As `up --demo`, then the demo campaign; with ONESHOT=1 it ends after the account."""

    help = "Show UMS: import, forecast, send over three channels, account for everybody. ONESHOT=1 ends then."

    def run(self, options: dict[str, Any]) -> None:
        """Start everything, play the campaign, and stay unless ONESHOT=1."""
        began = time.monotonic()
        port = processes.free_port(options["port"], options["host"])
        options["demo"] = True
        options["workers"] = options["workers"] or {"bulk": 2}
        ensure(database_now().date())
        connections.close_all()
        launcher = Launcher(
            self.processes(options, port),
            emit=_quiet if _oneshot() else prefixed(sys.stdout, colours=sys.stdout.isatty()),
            cwd=settings.BASE_DIR,
        )
        finished = stop_on_signals(launcher)
        with launcher:
            try:
                launcher.wait_ready()
                holds = self.play(f"http://127.0.0.1:{port}", began)
            except (LaunchError, RuntimeError) as error:
                if finished.is_set():
                    return
                raise CommandError(str(error)) from error
            if _oneshot():
                if not holds:
                    raise CommandError("The account does not add up; see above and var/demo.json.")
                return
            self.say_where(port)
            finished.wait()

    def play(self, web: str, began: float) -> bool:
        """The demo itself; False where an identity is broken, something is unexplained or went twice."""
        state = settings.UMS_VAR / "simulator"
        outside = play.Outside.read(processes.ready_file(state))
        self.say("Accounts on three simulated providers, their receipts pointed at this installation")
        play.prepare(outside, web)
        self.say("Importing people")
        play.import_people(self.say)
        play.blacklist_some()
        campaign = play.make_campaign()
        self.say(f"Forecast  {json.dumps(campaign.forecast, default=str, ensure_ascii=False)}")
        self.say("Sending: App push, by SMS whom it does not reach in time; an e-mail at once for the tag vip")
        seconds = play.send(campaign, self.say)
        _figures, document = play.account(campaign, seconds, state / "ledger.jsonl")
        document["whole_seconds"] = round(time.monotonic() - began, 1)
        for line in show.lines(document):
            self.say(line)
        place = settings.UMS_VAR / "demo.json"
        place.write_text(json.dumps(document, indent=2, default=str, ensure_ascii=False) + "\n")
        self.say(f"Written to {os.path.relpath(place)}")
        return bool(document["identities_hold"]) and not document["unexplained"] and not document["ledger_duplicates"]

    def say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()

    def say_where(self, port: int) -> None:
        """Address and login; the password is made anew at every start."""
        password = secrets.token_urlsafe(9)
        operator, _made = Operator.objects.get_or_create(
            username="demo", defaults={"is_staff": True, "is_superuser": True, "first_name": "Demo"}
        )
        operator.set_password(password)
        operator.save()
        phones = play.Outside.read(processes.ready_file(settings.UMS_VAR / "simulator")).http
        self.say("")
        self.say(f"  Console   http://127.0.0.1:{port}/console/   demo / {password}")
        self.say(f"  Phones    {phones}/_sim/phones")
        self.say("  Ctrl-C ends it.")


def _oneshot() -> bool:
    return os.environ.get("ONESHOT", "") == "1"


def _quiet(name: str, line: str) -> None:
    """Without a reader the processes' lines would bury the account; what went wrong is still shown."""
    if any(word in line for word in ("error", "Error", "Traceback", "warning")):
        sys.stdout.write(f"{name:>10} │ {line}\n")
        sys.stdout.flush()
