"""Dispatch: a leased batch is sent window by window – intent commit, provider calls outside any transaction, result commit.

At most two windows are open: the next one's intent commits while the calls of the former are still in flight, so the
wire never waits for the database. Whatever happens in here, a delivery is called once per intent, and a result that was
heard is written.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection

from apps.campaigns.ambiguity import After, History, after
from apps.campaigns.models import Batch
from apps.campaigns.pipeline.lease import close_breaker, give_back, lease, look_again, open_breaker
from apps.campaigns.pipeline.results import Result, until_written, write_results
from apps.campaigns.pipeline.transports import Transports
from apps.campaigns.pipeline.window import Item, LeaseLost, NotNow, Order, Window, candidates, grouped, intend
from apps.campaigns.states import MessageClass
from apps.channels.contract import Answer, TransportFault
from apps.channels.models import ChannelAccount
from apps.channels.outcomes import Accepted, Misconfigured, Outcome, Rejected, Unavailable, Unknown
from apps.channels.registry import adapter
from apps.channels.services import opened
from apps.channels.transport.http import fetch
from apps.channels.unmapped import count_unmapped
from apps.templates.selectors import compiled
from ums_site.clock import boottime
from ums_site.failpoints import failpoint

OPEN_WINDOWS = 2
LARGEST_WINDOW = 250
WHOLE_BATCH = 500  # calls for many recipients, and retries of them, must see all their rows at once
JUDGED_AFTER = 20
DONE = After("ACCEPTED", "")


@dataclass(slots=True, eq=False)
class Flight:
    """An open window: its calls still out, and what has been heard."""

    window: Window
    out: int
    results: list[Result] = field(default_factory=list)


def send_next(lane: str, stop_at: float, transports: Transports) -> bool:
    """Leases and sends one batch of the lane until it is done or `stop_at` (boot clock); False where none is due."""
    batch = lease(lane)
    if batch is None:
        return False
    _Sending(_order(batch), transports, stop_at).run()
    return True


def _order(batch: Batch) -> Order:
    account = ChannelAccount.objects.get(pk=batch.account_id)
    return Order(
        batch=batch,
        campaign=batch.campaign,
        account_row=account,
        account=opened(account),
        adapter=adapter(account.kind),
        body=compiled(batch.campaign.template_version_id, account.kind),
    )


class _Sending:
    """The streaming loop over one leased batch."""

    def __init__(self, order: Order, transports: Transports, stop_at: float) -> None:
        self.order = order
        self.client = transports.of(order.account_row)
        self.stop_at = stop_at
        self.flights: list[Flight] = []
        self.leave_as = ""  # set once no further window may open: the state that the batch goes to
        self.pause = 0.0
        self.good = self.bad = 0

    def run(self) -> None:
        try:
            while True:
                while not self.leave_as and len(self.flights) < OPEN_WINDOWS:
                    self._open_window()
                if not self.flights:
                    break
                self._listen()
        except LeaseLost:
            self._drain()
            return
        except BaseException:
            self._drain()
            raise
        until_written(lambda: give_back(self.order.batch, self.leave_as or "READY", self.pause))

    def _drain(self) -> None:
        """Hears what is in flight to its end and writes it: also without the lease a result counts."""
        self.leave_as = self.leave_as or "READY"
        if not self.flights:
            return
        while self.flights:
            self._listen()
        until_written(lambda: look_again(self.order.batch))

    def _open_window(self) -> None:
        if boottime() >= self.stop_at:
            self.leave_as = "READY"
            return
        items = candidates(self.order, self._window_size())
        if not items:
            self.leave_as = "READY"
            return
        sendable = [item for item in items if not item.refused and not item.cancelled]
        groups = self._affordable(grouped(self.order, sendable))
        if groups and self.order.adapter.capabilities.reserves_keys and not self._reserve(groups):
            groups = []
        not_sent = [item for item in items if item.refused or item.cancelled]
        if not groups and not not_sent:
            return
        try:
            window = intend(self.order, groups, not_sent)
        except NotNow as stopped:
            self.leave_as = stopped.state
            return
        failpoint("after_intent_commit")
        self._start(window)

    def _window_size(self) -> int:
        if self.order.account_row.faults:
            return 1  # half-open: one call shows whether the account works again
        if self.order.adapter.call_size(self.order.account) > 1:
            return WHOLE_BATCH
        return min(LARGEST_WINDOW, self.order.account_row.max_in_flight)

    def _affordable(self, groups: list[list[Item]]) -> list[list[Item]]:
        """The first groups that the account's and then the campaign's bucket allow; the others keep their turn."""
        wanted = sum(len(group) for group in groups)
        if not wanted:
            return groups
        granted = wanted
        account, campaign = self.order.account_row, self.order.campaign
        if account.rate_per_second:
            granted = take_tokens(f"account:{account.pk}", granted)
        if campaign.pace_per_second and granted:
            granted = take_tokens(f"campaign:{campaign.pk}", granted)
        if granted == wanted:
            return groups
        affordable, used = [], 0
        for group in groups:
            if used + len(group) > granted:
                break
            affordable.append(group)
            used += len(group)
        self.leave_as, self.pause = "READY", self._next_token_in()
        return affordable

    def _next_token_in(self) -> float:
        rates = [self.order.account_row.rate_per_second, self.order.campaign.pace_per_second]
        slowest = min(float(rate) for rate in rates if rate)
        return min(1.0, max(0.1, 1.0 / slowest))

    def _reserve(self, groups: Sequence[list[Item]]) -> bool:
        """Gets keys from the provider for the calls that have none; False where it refused: then nothing is sent now."""
        new = [group for group in groups if not group[0].key]
        if not new:
            return True
        answer = fetch(self.order.adapter.build_reserve(self.order.account, len(new)), settings.UMS_TIMERS.t_http)
        keys: Sequence[str] | Outcome
        if isinstance(answer, TransportFault):
            keys = Unavailable(answer.code, answer.words)
        else:
            keys = self.order.adapter.read_reserve(answer)
        if not isinstance(keys, (list, tuple)) or len(keys) < len(new):
            self.leave_as, self.pause = "READY", 1.0
            if isinstance(keys, Misconfigured):
                open_breaker(self.order.account_row, keys.words)
            return False
        for group, key in zip(new, keys, strict=False):
            for item in group:
                assert item.envelope is not None
                item.key = item.envelope.key = key
        return True

    def _start(self, window: Window) -> None:
        flight = Flight(window, len(window.groups))
        self.flights.append(flight)
        for group in window.groups:
            envelopes = [item.envelope for item in group if item.envelope is not None]
            try:
                request = self.order.adapter.build(self.order.account, envelopes, window.now)
            except ValueError:
                flight.out -= 1
                refused = Rejected("cannot_be_written", "The content or address cannot be written.")
                self._judge(self._note(flight, group, refused))
            else:
                self.client.start((flight, group), request, window.start_by)
        if not flight.out:
            self._close(flight)

    def _listen(self) -> None:
        heard = self.client.poll(0.05)
        if heard:
            failpoint("after_send")
        outcomes = []
        for (flight, group), answer in heard:  # everything is noted before anything is written: a write may fail
            flight.out -= 1
            outcomes.append(self._note(flight, group, self._read(group, answer)))
        for flight in [one for one in self.flights if not one.out]:
            self._close(flight)
        for outcome in outcomes:
            if isinstance(outcome, Accepted) and not self.order.account_row.faults:
                self.good += 1  # the usual case, which writes nothing
            else:
                until_written(lambda outcome=outcome: self._judge(outcome))  # type: ignore[misc]

    def _read(self, group: list[Item], answer: Answer | TransportFault) -> Outcome | Sequence[Outcome]:
        if isinstance(answer, TransportFault):
            kind = Unknown if answer.sent else Unavailable
            return kind(answer.code, answer.words)
        envelopes = [item.envelope for item in group if item.envelope is not None]
        return self.order.adapter.read(self.order.account, envelopes, answer)

    def _note(self, flight: Flight, group: list[Item], outcome: Outcome | Sequence[Outcome]) -> Outcome:
        outcomes = outcome if isinstance(outcome, (list, tuple)) else [outcome] * len(group)
        jitter = random.random()  # one for the call: rows that share a key come back together
        for item, one in zip(group, outcomes, strict=True):
            flight.results.append(self._result(item, one, flight.window, jitter))
        return outcomes[0]

    def _result(self, item: Item, outcome: Outcome, window: Window, jitter: float) -> Result:
        if isinstance(outcome, Accepted):
            return Result(item.delivery_id, item.number, DONE, "accepted", "", "", outcome.provider_id, item.pieces)
        if isinstance(outcome, Unavailable) and outcome.code == "not_started":
            back = After("HELD", "not_started", window.now, burn=False)
            return Result(item.delivery_id, item.number, back, "not_started")
        campaign = self.order.campaign
        history = History(item.burnt + 1, item.first_intent_at or window.now, campaign.expires_at, jitter)
        decided = after(
            outcome,
            history,
            self.order.adapter.capabilities,
            MessageClass(campaign.message_class),
            window.now,
            timedelta(seconds=settings.UMS_TIMERS.t_http),
        )
        word = type(outcome).__name__.lower()
        return Result(item.delivery_id, item.number, decided, word, outcome.code, outcome.words)

    def _judge(self, outcome: Outcome) -> None:
        """Keeps the account's breaker: a misconfigured account at once, a failing one after some calls."""
        account = self.order.account_row
        if isinstance(outcome, Misconfigured):
            open_breaker(account, outcome.words)
            self.leave_as = "READY"
        elif isinstance(outcome, (Unavailable, Unknown)) and outcome.code != "not_started":
            self.bad += 1
            if isinstance(outcome, Unknown) and outcome.unmapped:
                count_unmapped(account.kind, outcome.code)
            if account.faults or (self.bad + self.good >= JUDGED_AFTER and self.bad >= self.good):
                open_breaker(account, outcome.words)
                self.leave_as, self.good, self.bad = "READY", 0, 0
        else:
            self.good += 1
            if account.faults and not self.leave_as:
                close_breaker(account)

    def _close(self, flight: Flight) -> None:
        failpoint("before_result_commit")
        write_results(self.order.batch.epoch, self.order.account_row.price, flight.results)
        self.flights.remove(flight)


def take_tokens(key: str, want: int) -> int:
    """How many of `want` the bucket `key` grants now; all where there is no such bucket. Tokens are never given back."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT take_tokens(%s, %s)", [key, want])
        granted: Any = cursor.fetchone()[0]
    return int(granted)
