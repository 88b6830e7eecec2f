"""What providers say later: short message reports and bounced mail, sent, doubled, delayed, lost and repeated.

SmsReport is an HTTP POST of a JSON array; it is repeated after 1, 5 and 10 minutes until the receiver answers
200 with a ``code`` that is a number. Bounces are posted whole, as a mail server pipes them to a program.
"""

import asyncio
import heapq
import itertools
import json
import time
from dataclasses import dataclass
from typing import Any

import aiohttp

from simulator.aliyun import beijing_time, final_receipt
from simulator.bounces import Bounce, write_bounce
from simulator.chance import between, chance
from simulator.outside import Arrival, Outside, spawn

REPORTS_PER_POST = 200
TICK_SECONDS = 0.1
GATHER_SECONDS = 0.5
RETRY_MINUTES = (1, 5, 10)
POST_TIMEOUT = aiohttp.ClientTimeout(total=10)
POSTS_AT_ONCE = 4


@dataclass(slots=True)
class Parcel:
    """Something on its way to a receiver; ``tries`` counts the posts that were not answered as they should."""

    kind: str
    body: bytes
    reports: int
    tries: int = 0


def sms_report(arrival: Arrival, reported_at: float) -> dict[str, Any]:
    """Return one report in the shape of the provider; times are Beijing time without a zone."""
    success, code, words = final_receipt(arrival)
    length = len(arrival.content.sign) + 2 + len(arrival.content.text)
    return {
        "phone_number": arrival.address,
        "send_time": beijing_time(arrival.at),
        "report_time": beijing_time(reported_at),
        "success": success,
        "err_code": code,
        "err_msg": words,
        "sms_size": str(1 if length <= 70 else -(-length // 67)),
        "biz_id": arrival.pid,
        "out_id": arrival.ref,
    }


class ReceiptSender:
    """Keeps what is due, gathers reports into posts, repeats what was not taken."""

    def __init__(self, outside: Outside) -> None:
        self.outside = outside
        self._reports: list[tuple[float, int, dict[str, Any]]] = []
        self._parcels: list[tuple[float, int, Parcel]] = []
        self._number = itertools.count()
        self._slots = asyncio.Semaphore(POSTS_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        self._last_post = 0.0

    @property
    def rule(self) -> dict[str, Any]:
        """The receipt settings in force now."""
        rule: dict[str, Any] = self.outside.settings["receipts"]
        return rule

    @property
    def waiting(self) -> int:
        """How many reports and bounces are not yet taken or given up."""
        return len(self._reports) + sum(parcel.reports for _, _, parcel in self._parcels) + len(self._tasks)

    # --- what is to be told

    def report(self, arrival: Arrival) -> None:
        """Plan the report (or two, or none) of one accepted short message."""
        rule, seed, name = self.rule, self.outside.world.seed, (arrival.address, arrival.pid)
        if not rule["sms_report_url"]:
            return
        if chance(seed, "lost", *name) < rule["lost"]:
            self.outside.receipts["lost"] += 1
            return
        due = arrival.fate.at
        if chance(seed, "late", *name) < rule["late"]:
            due += between(seed, rule["late_s"], "late-by", *name)
        self.add_report(sms_report(arrival, due), due)
        if chance(seed, "dup", *name) < rule["dup"]:
            self.outside.receipts["doubled"] += 1
            self.add_report(sms_report(arrival, due), due + between(seed, rule["delay"], "dup-by", *name))

    def add_report(self, report: dict[str, Any], due: float) -> None:
        """Plan any report for a moment; also used for reports made up by a test."""
        heapq.heappush(self._reports, (due, next(self._number), report))

    def bounce(self, bounce: Bounce, due: float) -> None:
        """Plan the return of an undeliverable mail to its envelope sender."""
        if self.rule["bounce_url"]:
            self._queue(Parcel("bounce", write_bounce(bounce), 1), due)

    def _queue(self, parcel: Parcel, due: float) -> None:
        heapq.heappush(self._parcels, (due, next(self._number), parcel))

    # --- the sender's own loop

    async def run(self) -> None:
        """Send what is due until cancelled."""
        async with aiohttp.ClientSession(timeout=POST_TIMEOUT) as self._session:
            while True:
                if self.rule["auto"]:
                    self.send_due(time.time())
                await asyncio.sleep(TICK_SECONDS)

    def send_due(self, now: float) -> int:
        """Post what is due, reports gathered for a while; return how many posts were started."""
        if now - self._last_post < GATHER_SECONDS and len(self._reports) < REPORTS_PER_POST:
            return self._send_parcels(now)
        self._last_post = now
        return self._send_reports(now) + self._send_parcels(now)

    def send_all(self) -> int:
        """Post everything that waits, due or not; return how many posts were started."""
        return self._send_reports(float("inf")) + self._send_parcels(float("inf"))

    def _send_reports(self, until: float) -> int:
        started = 0
        while batch := self._due_reports(until):
            self._start(Parcel("sms", json.dumps(batch, ensure_ascii=False).encode(), len(batch)))
            started += 1
        return started

    def _send_parcels(self, until: float) -> int:
        started = 0
        while self._parcels and self._parcels[0][0] <= until:
            self._start(heapq.heappop(self._parcels)[2])
            started += 1
        return started

    def _due_reports(self, now: float) -> list[dict[str, Any]]:
        """Take up to one post's worth of due reports, in the order of the script."""
        batch: list[dict[str, Any]] = []
        while self._reports and self._reports[0][0] <= now and len(batch) < REPORTS_PER_POST:
            batch.append(heapq.heappop(self._reports)[2])
        if self.rule["shuffle"]:
            seed = self.outside.world.seed
            batch.sort(key=lambda report: chance(seed, "order", report.get("phone_number"), report.get("biz_id")))
        return batch

    def _start(self, parcel: Parcel) -> None:
        spawn(self._tasks, self._post(parcel))

    async def _post(self, parcel: Parcel) -> None:
        url = self.rule["sms_report_url" if parcel.kind == "sms" else "bounce_url"]
        async with self._slots:
            if parcel.kind == "sms" and parcel.tries == 0:
                await self._forge(url, parcel)
            taken = await self._send(url, parcel)
        self.outside.receipts["posts"] += 1
        if taken:
            self.outside.receipts[f"{parcel.kind}_taken"] += parcel.reports
        elif parcel.tries < len(RETRY_MINUTES):
            wait = RETRY_MINUTES[parcel.tries] * 60 * self.rule["retry_scale"]
            parcel.tries += 1
            self.outside.receipts["retried"] += 1
            self._queue(parcel, time.time() + wait)
        else:
            self.outside.receipts[f"{parcel.kind}_dropped"] += parcel.reports

    async def _forge(self, url: str, parcel: Parcel) -> None:
        """Sometimes let a stranger who does not know the secret path try first, with the result turned round."""
        if chance(self.outside.world.seed, "forged", parcel.body) >= self.rule["bad_sig"]:
            return
        lies = [report | {"success": not report.get("success")} for report in json.loads(parcel.body)]
        forged = Parcel("sms", json.dumps(lies, ensure_ascii=False).encode(), len(lies))
        self.outside.receipts["forged"] += 1
        self.outside.receipts["forged_taken"] += await self._send(url.rstrip("/") + "x", forged)

    async def _send(self, url: str, parcel: Parcel) -> bool:
        """Post once; True if the answer is the one the sender waits for."""
        kind = "application/json;charset=UTF-8" if parcel.kind == "sms" else "message/rfc822"
        if self._session is None:
            return False
        try:
            async with self._session.post(url, data=parcel.body, headers={"Content-Type": kind}) as answer:
                text = await answer.content.read(65536)
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return False
        return _taken(parcel.kind, answer.status, text)


def _taken(kind: str, status: int, text: bytes) -> bool:
    """SMS: HTTP 200 and ``code`` is a number. Bounces: any 2xx, as from a mail filter that went well."""
    if kind != "sms":
        return 200 <= status < 300
    try:
        document = json.loads(text)
    except ValueError:
        return False
    code = document.get("code") if isinstance(document, dict) else None
    return status == 200 and isinstance(code, int | float) and not isinstance(code, bool)
