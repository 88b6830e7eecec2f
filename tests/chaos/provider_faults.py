"""What a provider does to us while we send: dead, hanging, throttling, slow, talking nonsense, refusing the account.

Every kind meets each of them: the unknown ones are exactly those whose answer was lost, and none where the provider
knows our keys.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.db import connection

from apps.channels.models import UnmappedCode
from tests.chaos.checker import check
from tests.chaos.expected import Expected
from tests.chaos.field import Field
from tests.chaos.ground import TIMERS

T_HTTP, START_BY = float(TIMERS["UMS_T_HTTP"]), float(TIMERS["UMS_START_BY"])
WORKERS = ("bulk", "bulk-2")
OPENS_AFTER = 20  # calls that a dispatcher hears until its breaker opens
PROBES = 1  # calls of a dispatcher whenever the breaker lets somebody try
SLACK = 2.0  # seconds for two cores that several cases share
LARGEST_SENDER_MB = 250
NOBODY_KNOWS = {"tencent": "FailedOperation.NobodyKnows", "feishu": "299999", "wecom": "999999", "smpp": "0x4FF"}
ACCOUNT_AT_FAULT = {
    "tencent": "FailedOperation.InsufficientBalanceInSmsPackage",
    "feishu": "99991401",
    "wecom": "301007",
    "smpp": "0x0A",
}


def provider_down(ground: Field) -> Expected:
    """F16: every call fails until the breaker has opened and a probe has failed too; then the provider is back."""
    ground.in_flight = OPENS_AFTER // 2
    ground.script({"match": "all", "do": ["500"]})
    ground.prepare()
    ground.start_crew(workers=WORKERS)
    ground.wait(lambda: ground.account().faults, 30, "the opening of the breaker")
    time.sleep(T_HTTP)
    opened = ground.fired("500")
    ground.wait(lambda: ground.fired("500") > opened, 40, "a probe")
    time.sleep(T_HTTP)
    probes = ground.fired("500") - opened
    ground.script()
    ground.rest(75)
    expected = _exactly_lost(ground)
    expected.note = f"opened after {opened} calls of {_senders(ground)} senders, {probes} probes"
    flying = 0 if ground.profile.per_call == 1 else ground.in_flight  # a window of a whole batch: what had begun
    expected.hold(opened <= (OPENS_AFTER + flying) * _senders(ground), f"{opened} calls until the breaker was open")
    expected.hold(probes <= PROBES * _senders(ground), f"{probes} probes")
    expected.hold(not ground.account().faults, "the breaker is not closed at rest")
    return expected


def provider_hangs(ground: Field) -> Expected:
    """F18: calls that are never answered, or a byte a second; another account on the same workers goes on."""
    often = {"times": 20}
    ground.script(
        {"match": "every:6@0", "do": ["hang"], **often}, {"match": "every:6@3", "do": ["accept", "drip(2)"], **often}
    )
    ground.prepare()
    beside = ground.prepare_beside()
    ground.start_crew(workers=WORKERS)
    ground.rest(75)
    ground.wait(lambda: ground.at_rest(beside), 30, "rest of the other account")
    expected = _exactly_lost(ground)
    longest = _seconds(ground, ground.campaign.pk, 1.0)
    p99 = _seconds(ground, beside.pk, 0.99)
    times = sorted(one["t"] for one in ground.ledger_lines() if one["provider"] == "aliyun")
    gap = max((later - sooner for sooner, later in zip(times, times[1:], strict=False)), default=0.0)
    other = check(beside.pk, ground.ledger, ground.n, provider="aliyun")
    expected.note += f"; longest call {longest:.1f} s; beside: p99 {p99:.2f} s, longest gap {gap:.1f} s"
    expected.hold(longest <= START_BY + T_HTTP + SLACK, f"a call took {longest:.1f} s")
    expected.hold(p99 <= T_HTTP, f"the calls of the other account took {p99:.1f} s")
    expected.hold(gap <= T_HTTP + SLACK, f"the other account stood still for {gap:.1f} s")
    expected.hold(not other.unknown, f"{other.unknown} of the other account unknown")
    expected.problems += [f"the other account: {words}" for words in other.problems]
    return expected


def provider_throttles(ground: Field) -> Expected:
    """F19: too fast, says the provider: wait a second, a minute, a time that is none, or nothing said of it."""
    said = ("429(1)", "429(60)", "429(soon)", "429")
    ground.script(*[{"match": f"every:4@{number}", "do": [one], "times": 3} for number, one in enumerate(said)])
    ground.prepare()
    ground.start_crew(workers=WORKERS)
    ground.wait(lambda: ground.fired("429") == 12, 40, "twelve refusals")
    ground.wait(lambda: not _count(ground, "d.state IN ('PENDING', 'SENDING')"), 60, "the first turn of all")
    waits = [float(one) for (one,) in _rows(ground, ASKED_TO_WAIT)]
    ground.wait(lambda: _hasten(ground) or ground.at_rest(), 60, "rest")
    expected = _exactly_lost(ground)
    most = int(ground.one("SELECT max(attempts) FROM campaigns_delivery WHERE campaign_id = %s", ground.campaign.pk))
    early = int(ground.one(EARLY, ground.campaign.pk))
    expected.note += f"; {len(waits)} waited up to {max(waits, default=0.0):.0f} s"
    expected.hold(most <= 3, f"{most} attempts for one delivery")
    expected.hold(not early, f"{early} tried again within a second")
    expected.hold(all(wait <= 61 for wait in waits), f"somebody waits {max(waits, default=0.0):.0f} s")
    expected.hold(
        ground.profile.provider not in ("feishu", "wecom") or max(waits, default=0) > 30, "nobody waits a minute"
    )
    return expected


ASKED_TO_WAIT = """
SELECT extract(epoch FROM d.held_until - max(a.finished_at)) FROM campaigns_delivery d
JOIN campaigns_attempt a ON a.delivery_id = d.id
WHERE d.campaign_id = %s AND d.state = 'HELD' AND d.reason LIKE 'throttled%%' GROUP BY d.id
"""
EARLY = """
SELECT count(*) FROM campaigns_attempt a JOIN campaigns_attempt b
ON b.delivery_id = a.delivery_id AND b.number = a.number + 1
JOIN campaigns_delivery d ON d.id = a.delivery_id AND d.campaign_id = %s
WHERE a.outcome = 'throttled' AND a.code IN ('RequestLimitExceeded', '0x58', '45009')
AND b.intent_at < a.intent_at + interval '0.95 s'
"""


def throttled_without_end(ground: Field) -> Expected:
    """F19 b: for some seconds every call is refused as too fast; the account waits, it does not try everybody."""
    ground.script({"match": "all", "do": ["429(1)"]})
    ground.prepare()
    ground.start_crew(workers=WORKERS)
    ground.wait(lambda: ground.fired("429"), 30, "a refusal")
    time.sleep(4)
    calls = ground.fired("429")
    ground.script()
    ground.wait(lambda: _hasten(ground) or ground.at_rest(), 75, "rest")
    expected = _exactly_lost(ground)
    # a second of pause after each turn, in which a sender may have two windows in flight
    most = 5 * _senders(ground) * 2 * ground.in_flight
    expected.note += f"; {calls} calls refused in four seconds"
    expected.hold(calls <= most, f"{calls} calls in four seconds, at most {most} may be")
    return expected


def provider_slow(ground: Field) -> Expected:
    """F20: every answer takes two thirds of the cap: no lease is lost, and the account's rate is never exceeded."""
    ground.rate, ground.burst = 40, 20
    ground.script(slow=T_HTTP * 2 / 3)
    ground.prepare()
    ground.start_crew(workers=WORKERS)
    suspects = "SELECT count(*) FROM campaigns_batch WHERE suspect_at IS NOT NULL AND campaign_id = %s"
    lost = 0
    end = time.monotonic() + 75
    while not ground.at_rest() and time.monotonic() < end:
        lost += int(ground.one(suspects, ground.campaign.pk))
        time.sleep(0.1)
    ground.rest(5)
    expected = Expected(0, 0)
    second, ten = _most_in(ground, 1.0), _most_in(ground, 10.0)
    expected.note = f"at most {second} in a second, {ten} in ten"
    expected.hold(not lost, "a lease was lost")
    # a call starts up to start_by after its tokens were taken
    expected.hold(second <= ground.rate * (1 + START_BY) + ground.burst, f"{second} in a second")
    expected.hold(ten <= ground.rate * (10 + START_BY) + ground.burst, f"{ten} in ten seconds")
    return expected


def provider_talks_nonsense(ground: Field) -> Expected:
    """F21: cut HTML, two megabytes, another charset, a code that no table knows: unknown, counted, and read no further."""
    session = ground.profile.provider == "smpp"
    times = {"times": 1} if session else {}  # nonsense ends a session, and with it all that is in flight
    spoilt = ("garbage", "bigbody", "wrong_charset")
    code = NOBODY_KNOWS[ground.profile.provider]
    ground.script(
        *[{"match": f"every:20@{4 * n}", "do": ["accept", one], **times} for n, one in enumerate(spoilt)],
        {"match": "every:20@16", "do": [f"refuse({code})"], "times": 5},
    )
    ground.prepare()
    ground.start_crew(workers=WORKERS)
    largest = 0.0
    end = time.monotonic() + 75
    while not ground.at_rest() and time.monotonic() < end:
        largest = max(largest, _largest_sender(ground))
        time.sleep(0.2)
    ground.rest(5)
    expected = _exactly_lost(ground)
    seen = sum(UnmappedCode.objects.filter(code=code).values_list("seen", flat=True))
    refused = ground.fired("refuse")
    cut = _attempts(ground, "a.code = 'truncated'")
    expected.note += f"; {seen} unmapped, {cut} cut, largest sender {largest:.0f} MB"
    heard = refused if not session else min(seen, refused)  # an answer may die with its session
    expected.hold(seen > 0 and seen == heard, f"{seen} unmapped codes counted, {refused} were sent")
    expected.hold(session or cut > 0, "no answer was cut at the cap")
    expected.hold(0 < largest <= LARGEST_SENDER_MB, f"a sender took {largest:.0f} MB")
    return expected


def account_refused(ground: Field) -> Expected:
    """F22: the account is refused in the middle: it stops at once and says why, and no try is burnt."""
    ground.in_flight = 10
    ground.prepare()
    ground.start_crew(workers=WORKERS)
    ground.wait(lambda: ground.sent() > ground.n // 4, 30, "the first quarter")
    ground.script({"match": "all", "do": [f"refuse({ACCOUNT_AT_FAULT[ground.profile.provider]})"]})
    ground.wait(lambda: ground.account().open_reason, 10, "the alarm")
    time.sleep(T_HTTP)
    refused, faults = ground.fired("refuse"), ground.account().faults
    ground.script()
    ground.wait(lambda: _hasten(ground) or ground.at_rest(), 60, "rest")
    expected = Expected(0, 0, f"{refused} calls refused, {faults} faults counted")
    attempts, burnt = _rows(ground, "SELECT max(attempts), max(burnt) FROM campaigns_delivery WHERE campaign_id = %s")[
        0
    ]
    # each sender may have two windows in flight when the account is stopped
    window = 2 * ground.in_flight if ground.profile.per_call == 1 else ground.in_flight
    expected.hold(0 < refused <= window * _senders(ground), f"{refused} calls were refused")
    expected.hold(attempts <= 2, f"{attempts} attempts for one delivery")
    expected.hold(burnt <= 1, f"{burnt} tries burnt for one delivery")
    expected.hold(faults <= _senders(ground), f"one failure counted as {faults} in a row")
    return expected


CALLED_AND_BURNT = """
SELECT max((SELECT count(*) FROM campaigns_attempt a WHERE a.delivery_id = d.id AND a.outcome <> 'not_started')), max(burnt)
FROM campaigns_delivery d WHERE campaign_id = %s
"""


def token_ends_early(ground: Field) -> Expected:
    """F23: four senders without a token, then with one that ends before its time: one of them fetches, the others wait."""
    slowly = {"operation": "token", "match": "all", "do": ["accept", "hang(0.7)"]}
    ground.script(slowly)
    ground.prepare()
    ground.start_crew(workers=(*WORKERS, "bulk-3", "bulk-4"))
    ground.wait(lambda: ground.sent() > ground.n // 3, 30, "the first third")
    ground.act("invalidate", {"account": ground.profile.tokens})
    ground.rest(60)
    tokens = ground.stats()["tokens"]
    asked, issued = tokens["asked"][ground.profile.tokens], tokens["issued"][ground.profile.tokens]
    stale = _attempts(ground, "a.outcome = 'staletoken'")
    expected = Expected(0, 0, f"{asked} tokens asked for, {issued} issued, {stale} rows met the dead one")
    most = int(ground.one("SELECT max(burnt) FROM campaigns_delivery WHERE campaign_id = %s", ground.campaign.pk))
    expected.hold(asked == issued == 2, f"{asked} tokens asked for where two were needed")
    expected.hold(stale > 0, "nobody met the dead token")
    expected.hold(most <= 1, f"{most} tries burnt for one delivery")
    return expected


# what was counted -------------------------------------------------------------------------------------------------


def _senders(ground: Field) -> int:
    return ground.profile.gateways or len(WORKERS)


def _exactly_lost(ground: Field) -> Expected:
    """Unknown is what had no readable answer; nothing, where the provider knows our keys."""
    lost = int(
        ground.one(
            "SELECT count(DISTINCT a.delivery_id) FROM campaigns_attempt a JOIN campaigns_delivery d "
            "ON d.id = a.delivery_id WHERE d.campaign_id = %s AND a.outcome = 'unknown'",
            ground.campaign.pk,
        )
    )
    if ground.profile.keyed:
        return Expected(0, 0, f"{lost} without an answer")
    # who was alone in a call may be sent it again where equal content counts once
    return Expected(lost, lost if ground.profile.our_keys else None, f"{lost} without an answer")


def _attempts(ground: Field, which: str) -> int:
    sql = f"SELECT count(*) FROM campaigns_attempt a JOIN campaigns_delivery d ON d.id = a.delivery_id AND {which}"
    return int(ground.one(f"{sql} WHERE d.campaign_id = %s", ground.campaign.pk))


def _count(ground: Field, which: str) -> int:
    return int(
        ground.one(f"SELECT count(*) FROM campaigns_delivery d WHERE campaign_id = %s AND {which}", ground.campaign.pk)
    )


def _rows(ground: Field, sql: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, [ground.campaign.pk])
        return list(cursor.fetchall())


def _seconds(ground: Field, campaign: int, share: float) -> float:
    """From intent to result, in seconds, of the slowest call of this share of them."""
    sql = "SELECT percentile_disc(%s) WITHIN GROUP (ORDER BY extract(epoch FROM a.finished_at - a.intent_at)) FROM "
    sql += "campaigns_attempt a JOIN campaigns_delivery d ON d.id = a.delivery_id WHERE d.campaign_id = %s"
    return float(ground.one(sql, share, campaign) or 0.0)


def _hasten(ground: Field) -> bool:
    """Lets the waits of half a minute and more end now, once they were seen; always False."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE campaigns_delivery SET held_until = now() WHERE campaign_id = %s AND state = 'HELD' "
            "AND held_until > now() + interval '3 s'",
            [ground.campaign.pk],
        )
        cursor.execute(
            "UPDATE campaigns_batch SET not_before = now() WHERE campaign_id = %s AND state = 'READY' "
            "AND not_before > now() + interval '3 s'",
            [ground.campaign.pk],
        )
    return False


def _most_in(ground: Field, seconds: float) -> int:
    """The most acceptances that the provider saw within so many seconds."""
    times = sorted(one["t"] for one in ground.ledger_lines())
    most = first = 0
    for number, moment in enumerate(times):
        while times[first] < moment - seconds:
            first += 1
        most = max(most, number - first + 1)
    return most


def _largest_sender(ground: Field) -> float:
    """Peak memory in MB of the largest process that sends now."""
    return max((_peak_mb(pid) for pid in ground.horses()), default=0.0)


def _peak_mb(pid: int) -> float:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0
