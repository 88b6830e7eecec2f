"""One case on its field: a database of its own, the simulated provider, workers and beat as processes, one campaign."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from apps.campaigns.models import Campaign, PauseRule
from apps.campaigns.services import create_campaign, submit_campaign
from apps.channels.models import ChannelAccount
from apps.channels.registry import adapter
from apps.channels.services import save_account
from apps.templates.models import TemplateVersion
from apps.templates.services import publish_version, save_draft
from demo import every_channel, stage
from tests.chaos.profiles import IN_FLIGHT, KINDS, PROFILES, Profile
from ums_site.detached import has_ended
from ums_site.launcher import Launcher, Process, python
from ums_site.processes import beat, ready_file, simulator

OPEN = "('PENDING', 'HELD', 'SENDING', 'UNKNOWN')"
RECEIPT_WINDOW = timedelta(minutes=20)
SLOW = 0.15  # seconds the provider thinks, so that there is something to interrupt


class Field:
    """Set up by `with`; everything it started is gone afterwards."""

    def __init__(self, profile: Profile, seed: int, n: int, state: Path) -> None:
        self.profile, self.seed, self.n, self.state = profile, seed, n, state
        self.luck = random.Random(seed)
        self.unknown_window = timedelta(seconds=5)
        self.until = "accepted"
        self.in_flight = IN_FLIGHT
        self.rate: int | None = None  # a second
        self.burst = 10
        self.campaign: Campaign = Campaign()
        self.lines: list[str] = []
        self.senders: tuple[str, ...] = ()
        self.crew: Launcher | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        options = ["--world", "perfect", "--seed", str(self.seed)]
        PauseRule.objects.update(active=False)  # the faults are meant
        outside = self.launch(simulator(self.state, options=options))
        outside.wait_ready(30)
        self.places = json.loads(ready_file(self.state).read_text())
        self.http = self.places["http"]
        self.script()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        connection.close()

    # what runs ----------------------------------------------------------------------------------------------------

    def launch(self, *processes: Process) -> Launcher:
        """Runs these until the end of the case."""
        return self._stack.enter_context(Launcher(list(processes), emit=self._emit))

    def _emit(self, name: str, line: str) -> None:
        self.lines.append(f"{name}: {line}")
        with (self.state / "processes.log").open("a", encoding="utf-8") as log:
            log.write(f"{time.time():.2f} {name}: {line}\n")

    def start_crew(self, beats: int = 1, workers: Sequence[str] = ("bulk", "bulk-2")) -> Launcher:
        """Two workers of the lane, one for receipts, the gateways of a session, and beat."""
        self.senders = tuple(workers)
        processes = [worker(name, name.partition("-")[0]) for name in (*workers, "receipts")]
        processes += [self._gateway(name) for name in self._gateways()]
        for number in range(beats):
            one = beat()
            processes.append(Process(f"beat-{number}", one.argv, stage=one.stage, settle_seconds=0.2))
        self.crew = self.launch(*processes)
        return self.crew

    def doomed(self, failpoint: str, seconds: float = 30.0) -> None:
        """One worker that runs into a fail point and is not started again. Raises AssertionError where it does not."""
        process = Process(
            f"doomed-{failpoint}",
            python("manage.py", "work", "bulk", "--direct"),
            env={"UMS_FAILPOINT": failpoint},
            restart=False,
            stop_seconds=5,
        )
        launcher = self.launch(process)
        self.wait(
            lambda: any("ended by SIGKILL" in line for line in self.lines if process.name in line),
            seconds,
            process.name,
        )
        launcher.stop()

    def horses(self) -> list[int]:
        """The processes that send now: gateways, or children that the workers of the lane forked for a job."""
        assert self.crew is not None
        if self.profile.gateways:
            return [pid for name in self._gateways() if (pid := self.crew.pid(name))]
        names = [name for name in self.senders if self.crew.pid(name)]
        return [pid for name in names for pid in self.crew.members(name) if pid != self.crew.pid(name)]

    def _gateways(self) -> list[str]:
        return [f"gateway-{number}" for number in range(self.profile.gateways)]

    def _gateway(self, name: str) -> Process:
        line = python("manage.py", "gateway", self.profile.account)
        return Process(name, line, stage=2, settle_seconds=0.5, stop_seconds=settings.UMS_TIMERS.stop_timeout)

    # what is sent -------------------------------------------------------------------------------------------------

    def prepare(self, name: str = "chaos", scheduled_in: float | None = None) -> Campaign:
        """The account, the template and a submitted campaign to everybody."""
        self._account()
        self.campaign = self._submitted(self.profile, name, self.until, scheduled_in)
        return self.campaign

    def prepare_beside(self) -> Campaign:
        """The same to everybody over another account on the same lane, which nothing is wrong with."""
        return self._submitted(PROFILES["NONE"], "beside", "accepted", None)

    def _submitted(self, profile: Profile, name: str, until: str, scheduled_in: float | None) -> Campaign:
        now = self.one("SELECT clock_timestamp()")
        campaign = create_campaign(
            actor="chaos",
            name=name,
            business_line=stage.business_line(),
            message_class="marketing",
            template_version=self._template(profile, name),
            policy={"steps": [{"channels": [{"account": profile.account}], "mode": "first", "until": until}]},
            audience={"kind": "filter"},
            scheduled_at=None if scheduled_in is None else now + timedelta(seconds=scheduled_in),
        )
        submit_campaign(actor="chaos", campaign=campaign)
        return campaign

    def _account(self) -> None:
        stage.accounts(self.http, "127.0.0.1", 25, RECEIPT_WINDOW, self.unknown_window)
        kind = KINDS[self.profile.provider]
        if self.profile.gateways:
            account, own = self._session_account()
        else:
            if kind not in stage.BODIES:
                stages = every_channel.kinds(self.places, [kind])
                every_channel.accounts(stages, RECEIPT_WINDOW, self.unknown_window)
            account = ChannelAccount.objects.get(code=self.profile.account)
            calls_many = any(one.name == "recipients_per_call" for one in adapter(kind).config_fields)
            own = {"recipients_per_call": self.profile.per_call} if calls_many else {}
        account.max_in_flight, account.price = self.in_flight, Decimal("0.01")
        account.rate_per_second, account.burst = self.rate, self.burst
        save_account(actor="chaos", account=account, settings=own)

    def _session_account(self) -> tuple[ChannelAccount, dict[str, Any]]:
        """An account on the simulated service centre, which writes its ids alike in answers and receipts."""
        held = ChannelAccount.objects.filter(code=self.profile.account).first()
        account = held or ChannelAccount(code=self.profile.account, kind="sms_smpp", name="session")
        account.receipt_window, account.unknown_window = RECEIPT_WINDOW, self.unknown_window
        login = {"system_id": "esme1", "password": "secret08", "source_address": "10690001", "window": self.in_flight}
        return account, {**self.places["smpp"], **login}

    def _template(self, profile: Profile, name: str) -> TemplateVersion:
        draft = save_draft(
            actor="chaos",
            code=name,
            name=name,
            variables=stage.VARIABLES,
            bodies={KINDS[profile.provider]: profile.body},
        )
        return publish_version(actor="chaos", template=draft)

    def account(self) -> ChannelAccount:
        """The account's row as it stands now."""
        return ChannelAccount.objects.get(code=self.profile.account)

    # the provider -------------------------------------------------------------------------------------------------

    def script(self, *faults: dict[str, Any], slow: float = SLOW) -> None:
        """What goes wrong at the provider; otherwise it is honest, but slow. NONE cannot be asked what became of it."""
        provider = self.profile.provider
        scripts = [{"provider": provider, **one} for one in faults]
        scripts.append({"provider": provider, "match": "all", "do": ["accept", f"hang({slow})"]})
        if provider in ("aliyun", "tencent"):
            scripts.append({"provider": provider, "operation": "query", "match": "all", "do": ["reset_before"]})
        quota = {"push": 1_000_000, "report": 1_000_000}
        self.put("/_sim/ctl", {"scripts": scripts, "jpush": {"quota": quota}, "smpp": {"receipt_id": "hex"}})

    def put(self, path: str, document: object) -> None:
        self._simulator("PUT", path, document)

    def act(self, act: str, document: object) -> None:
        """What somebody does at the provider, such as `invalidate`."""
        self._simulator("POST", f"/_sim/{self.profile.provider}/{act}", document)

    def stats(self) -> dict[str, Any]:
        """The provider's own counts."""
        return dict(json.loads(self._simulator("GET", "/_sim/stats", None))[self.profile.provider])

    def fired(self, action: str) -> int:
        """How many calls the scripts that are in force have met with this action."""
        scripts = json.loads(self._simulator("GET", "/_sim/ctl", None))["scripts"]
        return sum(one["fired"] for one in scripts if one["do"]["action"] == action)

    def _simulator(self, method: str, path: str, document: object) -> bytes:
        body = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(self.http + path, data=body, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return bytes(answer.read())

    @property
    def ledger(self) -> Path:
        return self.state / "ledger.jsonl"

    def ledger_lines(self) -> list[dict[str, Any]]:
        text = self.ledger.read_text() if self.ledger.exists() else ""
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    # waiting ------------------------------------------------------------------------------------------------------

    def one(self, sql: str, *values: Any) -> Any:
        """One value, asked again while the database is away."""
        for _try in range(200):
            try:
                with connection.cursor() as cursor:
                    cursor.execute(sql, values)
                    return cursor.fetchone()[0]
            except (OperationalError, InterfaceError):
                connection.close()
                time.sleep(0.1)
        raise AssertionError("the database did not come back")

    def wait(self, condition: Callable[[], Any], seconds: float, what: str) -> None:
        """Raises AssertionError, with the last lines of the processes, where it does not come true in time."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"{what} did not happen within {seconds:g} s; {self.states()}; {self.lines[-8:]}")
            time.sleep(0.05)

    def sent(self) -> int:
        return int(
            self.one(
                "SELECT count(*) FROM campaigns_delivery WHERE campaign_id = %s AND state NOT IN ('PENDING')",
                self.campaign.pk,
            )
        )

    def sending(self) -> int:
        """Rows between intent and result."""
        return int(
            self.one(
                "SELECT count(*) FROM campaigns_delivery WHERE campaign_id = %s AND state = 'SENDING'", self.campaign.pk
            )
        )

    def at_rest(self, campaign: Campaign | None = None) -> bool:
        """Nothing is left to do, and the campaign knows it."""
        number = (campaign or self.campaign).pk
        left = f"SELECT count(*) FROM campaigns_delivery WHERE campaign_id = %s AND state IN {OPEN}"
        state = self.one("SELECT state FROM campaigns_campaign WHERE id = %s", number)
        return state == "FINISHED" and not self.one(left, number)

    def rest(self, seconds: float = 75.0) -> None:
        self.wait(self.at_rest, seconds, "rest")

    def states(self) -> str:
        """Where everything stands, for a message."""
        parts = "SELECT 'd ' || state, count(*) FROM campaigns_delivery WHERE campaign_id = %s GROUP BY 1"
        parts += " UNION ALL SELECT 'm ' || state, count(*) FROM campaigns_message WHERE campaign_id = %s GROUP BY 1"
        parts += " UNION ALL SELECT 'b ' || state, count(*) FROM campaigns_batch WHERE campaign_id = %s GROUP BY 1"
        parts += " UNION ALL SELECT 'c ' || state, 1 FROM campaigns_campaign WHERE id = %s"
        with connection.cursor() as cursor:
            cursor.execute(parts, [self.campaign.pk] * 4)
            return " ".join(f"{name}={count}" for name, count in cursor.fetchall())

    def wait_gone(self, pid: int) -> None:
        """Waits until a process that is no child of ours has ended."""
        self.wait_no_database(lambda: has_ended(pid), 20, f"the end of process {pid}")

    def wait_no_database(self, condition: Callable[[], Any], seconds: float, what: str) -> None:
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"{what} did not happen within {seconds:g} s")
            time.sleep(0.02)


def sha256(address: str) -> str:
    """As the ledger writes an address."""
    return hashlib.sha256(address.encode()).hexdigest()


def worker(name: str, lane: str) -> Process:
    line = python("manage.py", "work", lane)
    stop = settings.UMS_TIMERS.stop_timeout
    return Process(name, line, stage=2, settle_seconds=0.5, stop_seconds=stop)


def send_signal(pids: Sequence[int], number: int = signal.SIGKILL) -> int:
    """How many of these got the signal; some may have ended by themselves."""
    got = 0
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
        got += 1
    return got
