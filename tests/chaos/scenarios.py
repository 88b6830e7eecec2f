"""What is done to a sending installation, one function a fault (reliability, section 3).

Each prepares and runs one campaign on a field until it rests, and returns what is expected of it: how many deliveries
may stay unknown. Everything else – nothing lost, nothing doubled – is expected of all of them alike.
"""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.request
from collections.abc import Callable

from django.db import connection
from redis import Redis

from apps.campaigns.services import cancel_campaign
from apps.channels.models import ChannelAccount
from tests.chaos import forgery, orders
from tests.chaos import provider_faults as faults
from tests.chaos.calendar_days import days_that_clocks_jump
from tests.chaos.expected import Expected, Scenario
from tests.chaos.field import OPEN, Field, send_signal, sha256
from tests.chaos.ground import LEASE_AND_GRACE, phone_of, start_servers, var
from tests.chaos.quotas import quotas_are_wanted_by_all
from tests.ports import some_port
from ums_site import embedded_postgres
from ums_site.ids import to_base36
from ums_site.launcher import Process, python
from ums_site.processes import web

OPEN_WINDOWS = 2


def _bound(ground: Field, deaths: int) -> int:
    """Two open windows for each sender that died; a provider that knows our keys resolves them all."""
    return 0 if ground.profile.keyed else deaths * OPEN_WINDOWS * ground.profile.window


def kill_dispatchers(ground: Field) -> Expected:
    """F1: kill -9 of work-horses (or gateways) in the middle of a window, again and again."""
    ground.prepare()
    ground.start_crew()
    wanted, killed = max(3, ground.n // 200), 0
    ground.wait(ground.sent, 20, "the first send")
    while killed < wanted and not ground.at_rest():
        time.sleep(ground.luck.uniform(0.1, 0.4))
        horses = ground.horses()
        if horses and ground.sending():
            killed += send_signal([ground.luck.choice(horses)])
    ground.rest()
    return Expected(_bound(ground, killed), note=f"{killed} kills")


POINTS = (
    "before_lease_commit",
    "after_lease",
    "after_intent_commit",
    "after_send",
    "before_result_commit",
    "mid_result",
)


def die_at(point: str) -> Callable[[Field], Expected]:
    """F3: a dispatcher dies at exactly this point; only what lies between intent and result may become unknown."""

    def run(ground: Field) -> Expected:
        ground.prepare()
        ground.doomed(f"{point}:kill9@1")
        caught = ground.sending()
        problems = []
        before = point in ("before_lease_commit", "after_lease")
        most = 0 if before else OPEN_WINDOWS * ground.profile.window
        if caught > most or (not before and not caught):
            problems.append(f"{caught} rows were caught between intent and result, at most {most} can be")
        ground.start_crew()
        ground.rest()
        exact = 0 if ground.profile.keyed else caught
        return Expected(exact, exact, f"{caught} caught", problems)

    run.__doc__ = f"F3 {point}"
    return run


def freeze_dispatcher(ground: Field) -> Expected:
    """F4: a work-horse is frozen until its lease and the grace are over, and wakes while its calls count as unknown."""
    ground.unknown_window = ground.unknown_window * 3
    ground.prepare()
    ground.start_crew()
    ground.wait(lambda: ground.sending() and ground.horses(), 20, "a window in flight")
    frozen = ground.horses()[:1]
    send_signal(frozen, signal.SIGSTOP)
    time.sleep(LEASE_AND_GRACE + 2)
    send_signal(frozen, signal.SIGCONT)
    ground.rest()
    return Expected(_bound(ground, 1), note="1 frozen")


def freeze_before_send(ground: Field) -> Expected:
    """F4 b: frozen between intent and send until all the rest is done; then nothing goes out under the old intent.

    The sleeper itself knows that it has sent nothing and says so when it wakes: its rows are sent after all.
    """
    ground.unknown_window = ground.unknown_window * 8
    ground.prepare()
    line, freeze = python("manage.py", "work", "bulk", "--direct"), "after_intent_commit:stop@1"
    launcher = ground.launch(Process("sleeper", line, env={"UMS_FAILPOINT": freeze}, restart=False, stop_seconds=15))
    ground.wait(lambda: _stopped(launcher.pid("sleeper")), 30, "the freeze")
    caught = {row[0] for row in _rows("SELECT id FROM campaigns_delivery WHERE state = 'SENDING'")}
    ground.start_crew()
    left = "SELECT count(*) FROM campaigns_delivery WHERE state IN ('PENDING', 'HELD', 'SENDING') AND NOT id = ANY(%s)"
    ground.wait(lambda: not ground.one(left, list(caught)), 40, "the end of all the rest")
    ground.wait(lambda: ground.one("SELECT bool_and(state <> 'LEASED') FROM campaigns_batch"), 20, "no lease")
    time.sleep(LEASE_AND_GRACE)
    launcher.kill("sleeper", signal.SIGCONT)
    ground.rest()
    late = 0 if ground.profile.keyed else _under_old_intent(ground, caught)
    return Expected(0, 0, f"{len(caught)} caught", [f"{late} sent late"] if late else [])


def _under_old_intent(ground: Field, caught: set[int]) -> int:
    """Acceptances of rows that have no attempt but the one that was frozen."""
    once = {row[0] for row in _rows("SELECT delivery_id FROM campaigns_attempt GROUP BY 1 HAVING count(*) = 1")}
    frozen = {to_base36(one) for one in caught & once}
    return sum(1 for one in ground.ledger_lines() if one["delivery_ref"] in frozen)


def _stopped(pid: int | None) -> bool:
    if pid is None:
        return False
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        return file.read().rpartition(")")[2].split()[0] == "T"


def _rows(sql: str, *values: object) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall())


def kill_beat(ground: Field) -> Expected:
    """F6: beat dies before a campaign is due; then three beats run at once. It is launched and expanded once."""
    ground.prepare(scheduled_in=3)
    crew = ground.start_crew(beats=3)
    ground.wait(lambda: crew.pid("beat-0"), 10, "beat")
    crew.kill("beat-0")
    ground.wait(ground.sent, 30, "the launch")
    for name in ("beat-1", "beat-2"):
        if crew.pid(name):
            crew.kill(name)
    ground.rest()
    return Expected(0, 0, "3 beats, each killed once")


def kill_expander(ground: Field) -> Expected:
    """F7: the expander dies before and after each of its commits; every person becomes one message."""
    ground.prepare()
    steps = []
    for point in ("expand_before_commit", "expand_after_commit", "expand_before_commit", "expand_after_commit"):
        ground.doomed(f"{point}:kill9@1")
        steps.append(
            int(ground.one("SELECT count(*) FROM campaigns_message WHERE campaign_id = %s", ground.campaign.pk))
        )
    problems = [] if steps == [0, ground.n, ground.n, ground.n] else [f"messages after each death: {steps}"]
    ground.start_crew()
    ground.rest()
    return Expected(0, 0, "4 deaths while expanding", problems)


def flush_redis(ground: Field) -> Expected:
    """F8: Redis is emptied every second; sending goes on without a gap to speak of."""
    ground.prepare()
    ground.start_crew()
    flushes = 0
    with Redis.from_url(os.environ["REDIS_URL"]) as redis:
        while not ground.at_rest():
            redis.flushdb()
            flushes += 1
            if flushes > 80:
                break
            time.sleep(1)
    ground.rest(5)
    times = sorted(one["t"] for one in ground.ledger_lines())
    gap = max((later - sooner for sooner, later in zip(times, times[1:], strict=False)), default=0.0)
    return Expected(0, 0, f"{flushes} flushes, longest gap {gap:.1f} s", [f"a gap of {gap:.1f} s"] if gap > 6 else [])


def restart_postgres(ground: Field) -> Expected:
    """F12: Postgres stops at once (`immediate`) three times; results wait in memory until it is back."""
    ground.prepare()
    ground.start_crew()
    for number in range(3):
        done = ground.sent()
        ground.wait(
            lambda seen=done: ground.sending() and ground.sent() > seen or ground.at_rest(),
            30,
            f"sends before restart {number}",
        )
        pid = embedded_postgres.pid(var())
        assert pid is not None
        connection.close()
        os.kill(pid, signal.SIGQUIT)
        ground.wait_gone(pid)
        start_servers()
    ground.rest(90)
    # Where the connection breaks during the commit of an intent nobody knows whether it stands; it is never sent then.
    return Expected(0 if ground.profile.keyed else 3 * 2 * ground.profile.window, note="3 restarts")


AMBIGUOUS = ("500_after_accept", "garbage", "reset_after")


def answers_get_lost(ground: Field) -> Expected:
    """F17: the provider accepts, but its answer is an error, garbage, or none; one call in eight."""
    seldom = {"times": 3} if ground.profile.gateways else {}  # a session takes all that is in flight with it
    ground.script(*[{"match": f"every:24@{number * 8}", "do": ["accept", action.removesuffix("_after_accept")], **seldom}
                    for number, action in enumerate(AMBIGUOUS)])  # fmt: skip
    ground.prepare()
    ground.start_crew()
    ground.rest(90)
    lines = ground.ledger_lines()
    spoilt = int(ground.one("SELECT count(*) FROM campaigns_attempt WHERE outcome = 'unknown'"))
    swallowed = sum(1 for one in lines if one["ev"] == "dedup")
    problems = []
    if not spoilt:
        problems.append("no answer was lost")
    if ground.profile.keyed and not swallowed:
        problems.append("the provider's own de-duplication was never needed")
    exact = 0 if ground.profile.keyed else spoilt
    return Expected(exact, exact, f"{spoilt} answers lost, {swallowed} repeats swallowed", problems)


def cancelled_in_doubt(ground: Field) -> Expected:
    """F17 b: answers get lost and the campaign is called off in the middle: what may have arrived is not denied."""
    ground.script(
        {"match": "every:6", "do": ["accept", "garbage"]}
    )  # bad answers come first: more would open the breaker
    ground.prepare()
    ground.start_crew()
    ground.wait(lambda: ground.sent() > ground.n // 4, 40, "the first quarter")
    ground.wait(lambda: ground.one("SELECT count(*) FROM campaigns_attempt WHERE outcome = 'unknown'"), 20, "doubt")
    cancel_campaign(actor="chaos", campaign=ground.campaign)
    still_open = f"SELECT count(*) FROM campaigns_delivery WHERE campaign_id = %s AND state IN {OPEN}"
    ground.wait(lambda: not ground.one(still_open, ground.campaign.pk), 60, "the end of all that was begun")
    spoilt = int(ground.one("SELECT count(DISTINCT delivery_id) FROM campaigns_attempt WHERE outcome = 'unknown'"))
    return Expected(spoilt, note=f"{spoilt} in doubt")


def receipts_go_wild(ground: Field) -> Expected:
    """F25: receipts come five times, shuffled, before our own result, and for sends that nobody made."""
    ground.until = "delivered"
    ground.prepare()
    port = some_port()
    ground.launch(web("127.0.0.1", port)).wait_ready(40)
    account = ChannelAccount.objects.get(code=ground.profile.account)
    hook = f"http://127.0.0.1:{port}/hooks/{account.code}/{account.hook_token}"
    ground.start_crew()
    told = _tell(ground, hook)
    ground.rest(60)
    strangers = int(ground.one("SELECT count(*) FROM campaigns_receiptinbox WHERE state = 'UNMATCHED'"))
    wrong = _wrong(ground, told)
    problems = [f"{wrong} deliveries are not at the highest rank reported"] if wrong else []
    problems += [] if strangers else ["the receipts for unknown sends are not listed"]
    return Expected(0, 0, f"{5 * ground.n} receipts, {strangers} bodies with strangers", problems)


def _tell(ground: Field, hook: str) -> dict[str, bool]:
    """Reports every acceptance as soon as the ledger shows it; returns reference -> whether it was ever a success."""
    phones = {sha256(phone_of(number)): phone_of(number) for number in range(ground.n)}
    told: dict[str, bool] = {}
    waiting: list[dict[str, object]] = []
    seen = 0
    end = time.monotonic() + 90
    while len(told) < ground.n or waiting:
        if time.monotonic() > end:
            raise AssertionError(f"only {len(told)} of {ground.n} were accepted; {ground.states()}")
        lines = ground.ledger_lines()
        for one in lines[seen:]:
            success = ground.luck.random() < 0.8
            told[one["delivery_ref"]] = success
            outcomes = [success, *[ground.luck.random() < 0.5 and success for _more in range(4)]]
            waiting += [_report(one, phones[one["addr_hash"]], outcome) for outcome in outcomes]
        seen = len(lines)
        if not waiting:
            time.sleep(0.02)
            continue
        ground.luck.shuffle(waiting)
        some, waiting = waiting[:150], waiting[150:]
        _post(hook, some)
    stranger = {"delivery_ref": "1zzzzzzzzzz", "pid": "123^0", "t": time.time()}
    _post(hook, [_report(stranger, phone_of(0), True)])
    return told


def _report(line: dict[str, object], phone: str, success: bool) -> dict[str, object]:
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(float(str(line["t"])) + 8 * 3600))
    return {
        "phone_number": phone, "send_time": at, "report_time": at, "success": success,
        "err_code": "DELIVERED" if success else "UNKNOWN", "err_msg": "", "sms_size": "1",
        "biz_id": line["pid"], "out_id": line["delivery_ref"],
    }  # fmt: skip


def _post(hook: str, reports: list[dict[str, object]]) -> None:
    body = json.dumps(reports).encode()
    request = urllib.request.Request(hook, data=body, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def _wrong(ground: Field, told: dict[str, bool]) -> int:
    states = _rows("SELECT id, state FROM campaigns_delivery WHERE campaign_id = %s", ground.campaign.pk)
    expected = {True: "DELIVERED", False: "UNDELIVERED"}
    return sum(1 for one, state in states if state != expected[told[to_base36(one)]])


KINDS_OF_EACH = ("TENCENT", "FEISHU", "WECOM", "SESSION")
SCENARIOS: dict[str, Scenario] = {
    "F1": Scenario(kill_dispatchers, ("NONE", "KEYED", "GROUPED", "SESSION")),
    **{f"F3.{point}": Scenario(die_at(point), share=0.5) for point in POINTS},
    "F4": Scenario(freeze_dispatcher),
    "F4.before_send": Scenario(freeze_before_send),
    "F6": Scenario(kill_beat, share=0.5),
    "F7": Scenario(kill_expander),
    "F8": Scenario(flush_redis),
    "F12": Scenario(restart_postgres, ("NONE", "KEYED", "SESSION"), alone=True),
    "F16": Scenario(faults.provider_down, KINDS_OF_EACH, share=0.2),
    "F17": Scenario(answers_get_lost, ("NONE", "KEYED", "GROUPED", "TENCENT", "FEISHU", "WECOM", "SESSION"), share=0.5),
    "F17.cancelled": Scenario(cancelled_in_doubt, ("NONE", "KEYED"), refusals=True, share=0.5),
    "F18": Scenario(faults.provider_hangs, KINDS_OF_EACH, share=0.15),
    "F19": Scenario(faults.provider_throttles, KINDS_OF_EACH, share=0.15),
    "F19.all": Scenario(faults.throttled_without_end, KINDS_OF_EACH, share=0.5),
    "F20": Scenario(faults.provider_slow, KINDS_OF_EACH, share=0.15),
    "F21": Scenario(faults.provider_talks_nonsense, KINDS_OF_EACH, share=0.5),
    "F22": Scenario(faults.account_refused, KINDS_OF_EACH, share=0.2),
    "F23": Scenario(faults.token_ends_early, ("FEISHU", "WECOM"), share=0.5),
    "F25": Scenario(receipts_go_wild, ("NONE",), refusals=True),
    "F33": Scenario(days_that_clocks_jump, ("NONE",), share=0.05),
    "F34": Scenario(orders.blacklisted_meanwhile, ("NONE", "KEYED"), refusals=True),
    "F35": Scenario(orders.ordered_about, ("NONE", "KEYED", "SESSION")),
    "F35.cancelled": Scenario(orders.cancelled_while_paused, ("NONE", "KEYED"), refusals=True, share=0.5),
    "F40": Scenario(quotas_are_wanted_by_all, ("NONE",), refusals=True, share=0.25),
    "F26": Scenario(forgery.callbacks_are_forged, ("TENCENT", "FEISHU", "WECOM", "SESSION"), refusals=True, share=0.1),
}
