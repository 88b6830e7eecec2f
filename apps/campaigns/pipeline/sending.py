"""One leased batch on its way: its windows are opened one by one, and what its calls came to is noted.

The batch is at hand while more windows may open; from then on `leave_as` says the state that it goes to when its last
call is heard. Who opens how many windows when, and who listens, is dispatch.py's.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import Literal, NamedTuple

from django.conf import settings

from apps.campaigns.ambiguity import After, History, after
from apps.campaigns.pipeline import canary, gate, pace
from apps.campaigns.pipeline.calls import grouped, keys_of_their_own
from apps.campaigns.pipeline.intent import intend
from apps.campaigns.pipeline.lease import close_breaker, open_breaker, slow_down
from apps.campaigns.pipeline.order import Item, LeaseLost, NotNow, Order, Window
from apps.campaigns.pipeline.results import Result
from apps.campaigns.pipeline.transports import Client, Tally
from apps.campaigns.pipeline.window import candidates
from apps.campaigns.states import MessageClass
from apps.channels import tokens
from apps.channels.contract import Answer, Envelope, Request, TransportFault
from apps.channels.outcomes import (
    Accepted,
    Misconfigured,
    Outcome,
    Rejected,
    StaleToken,
    Throttled,
    Unavailable,
    Unknown,
)
from apps.channels.transport.http import NOT_STARTED, fetch
from apps.channels.unmapped import count_unmapped
from ums_site.clock import boottime
from ums_site.failpoints import failpoint

LARGEST_WINDOW = 250
JUDGED_AFTER = 20
DONE = After("ACCEPTED", "")


@dataclass(slots=True, eq=False)
class Flight:
    """An open window and what has been heard of its rows; it is over when all of them have a result."""

    sending: Sending
    window: Window
    rows: int
    results: list[Result] = field(default_factory=list)

    @property
    def over(self) -> bool:
        return len(self.results) == self.rows


class Call(NamedTuple):
    """One call of a window: what its client is given to know it by."""

    flight: Flight
    group: list[Item]
    envelopes: list[Envelope]


class Sending:
    """A leased batch. `flights` are its open windows; `stopped` says that its account must not be called for now."""

    def __init__(self, order: Order, client: Client, tally: Tally, stop_at: float) -> None:
        self.order = order
        self.client = client
        self.stop_at = stop_at
        self.flights: list[Flight] = []
        self.ready: deque[tuple[Call, Request]] = deque()  # wait for tokens and a free line (pace.py)
        self.leave_as = ""  # set once no further window may open: the state that the batch goes to
        self.pause = 0.0
        self.stopped = False
        self.stale = False  # the provider refused the access token
        self.heard: list[Result] = []  # not in the campaign's pulse yet
        self.beat_at = 0.0
        if tally.good + tally.bad >= JUDGED_AFTER:  # enough to judge by; few calls make a lease, then they add up
            tally.good = tally.bad = 0
        self.tally = tally

    def open_window(self) -> None:
        """Commits the intent of the next rows and begins their calls; where there is nothing more to do, `leave_as`."""
        wait = gate.waits_whole(self.order)
        if wait is not None:
            self.leave_as, self.pause = "READY", wait
            return
        items = self._next() if boottime() < self.stop_at else []
        if not items:
            self.leave_as = "READY"
            return
        items = self._within_canary(items)
        gate.look(self.order, items)
        groups = self._affordable(grouped(self.order, [item for item in items if item.sendable]))
        if groups and self.order.adapter.capabilities.reserves_keys and not self._reserve(groups):
            groups = []
        not_sent = [item for item in items if not item.sendable]
        if not groups and not not_sent:
            return
        try:
            window = intend(self.order, groups, not_sent)
        except NotNow as not_now:
            self.leave_as = not_now.state
        except LeaseLost:
            self.leave_as = "READY"
        else:
            failpoint("after_intent_commit")
            if window.groups:
                self._start(window)
                if self.order.account_row.faults:
                    self.leave_as = (
                        self.leave_as or "READY"
                    )  # half-open: what this call says is heard first, others may go

    def _next(self) -> list[Item]:
        """The next rows; where one row is to show whether the account works, all those that share its key."""
        items = candidates(self.order, self._window_size())
        if not self.order.account_row.faults or not items or not items[0].key or keys_of_their_own(self.order):
            return items
        self.order.cursor = items[0].delivery_id - 1
        key = items[0].key
        items = [item for item in candidates(self.order, self.order.batch.size) if item.key == key]
        self.order.cursor = items[-1].delivery_id if items else self.order.cursor
        return items

    def _window_size(self) -> int:
        if self.order.account_row.faults:
            return 1  # half-open: one call shows whether the account works again
        if self.order.adapter.call_size(self.order.account) > 1:
            return self.order.batch.size  # calls for many, and retries of them, must see all their rows at once
        return min(LARGEST_WINDOW, self.order.account_row.max_in_flight)

    def _within_canary(self, items: list[Item]) -> list[Item]:
        """Those that the campaign's canary has room for now; the others keep their turn. The intent counts exactly.

        A row that was tried before is in the canary already.
        """
        if self.order.campaign.canary_left is None:
            return items
        left = canary.left_now(self.order.campaign.pk)
        fresh = [item for item in items if item.number == 1 and item.sendable]
        if left is None or left >= len(fresh):
            return items
        self.leave_as = "READY"
        late = {item.delivery_id for item in fresh[left:]}
        return [item for item in items if item.delivery_id not in late]

    def _affordable(self, groups: list[list[Item]]) -> list[list[Item]]:
        """The first groups that the account's and the campaign's bucket have tokens for; the others keep their turn."""
        if not groups or not pace.is_paced(self.order):
            return groups
        granted = pace.affordable(self.order, groups, [len(call.group) for call, _request in self.ready])
        if len(granted) < len(groups):
            self.leave_as, self.pause = "READY", pace.next_token_in(self.order)
        return granted

    def _reserve(self, groups: Sequence[list[Item]]) -> bool:
        """Gets keys from the provider for those that have none; False where it refused: then nothing is sent now."""
        new = [sharing for sharing in self._sharing(groups) if not sharing[0].key]
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
        for sharing, key in zip(new, keys, strict=False):
            for item in sharing:
                assert item.envelope is not None
                item.key = item.envelope.key = key
        return True

    def _sharing(self, groups: Sequence[list[Item]]) -> Sequence[list[Item]]:
        """Those who share a key: a whole call, or each for itself."""
        return [[item] for group in groups for item in group] if keys_of_their_own(self.order) else groups

    def _start(self, window: Window) -> None:
        flight = Flight(self, window, sum(len(group) for group in window.groups))
        self.flights.append(flight)
        account, build, paced = self.order.account, self.order.adapter.build, pace.is_paced(self.order)
        for group in window.groups:
            envelopes = [item.envelope for item in group if item.envelope is not None]
            try:
                request = build(account, envelopes, window.now)
            except ValueError:
                scope: Literal["call", "recipient"] = "call" if len(group) > 1 else "recipient"
                refused = Rejected("cannot_be_written", "The content or address cannot be written.", scope)
                self._keep(flight, group, refused)
                self.judge(refused)
            else:
                call = Call(flight, group, envelopes)
                if paced:
                    self.ready.append((call, request))
                else:
                    self.client.start(call, request, window.start_by)

    def begin_ready(self) -> None:
        """Begins the calls that the buckets and free lines allow now; what waited for too long never begins."""
        now = boottime()
        while self.ready and self.ready[0][0].flight.window.start_by <= now:
            self._not_begun(self.ready.popleft()[0])
        lines = self.order.account_row.max_in_flight - self.client.in_flight
        first = list(islice(self.ready, max(0, lines)))
        if first:
            granted = pace.take(self.order, [len(call.group) for call, _request in first])
            failpoint("after_tokens")
            for call, request in first[:granted]:
                self.ready.popleft()
                self.client.start(call, request, call.flight.window.start_by)

    def drop_ready(self) -> None:
        """What waits for tokens is not begun any more."""
        while self.ready:
            self._not_begun(self.ready.popleft()[0])

    def _not_begun(self, call: Call) -> None:
        self._keep(call.flight, call.group, NOT_STARTED.outcome())

    def note(self, call: Call, answer: Answer | TransportFault) -> Outcome:
        """Keeps what an answer means for each row of its call; returns what it says of the account. Writes nothing."""
        outcome: Outcome | Sequence[Outcome]
        if isinstance(answer, TransportFault):
            outcome = answer.outcome()
        else:
            outcome = self.order.adapter.read(self.order.account, call.envelopes, answer)
        return self._keep(call.flight, call.group, outcome)

    def _keep(self, flight: Flight, group: list[Item], outcome: Outcome | Sequence[Outcome]) -> Outcome:
        outcomes = outcome if isinstance(outcome, (list, tuple)) else [outcome] * len(group)
        jitter = random.random()  # one for the call: rows that share a key come back together
        alone = len(group) == 1
        for item, one in zip(group, outcomes, strict=True):
            result = self._result(item, one, flight.window, jitter, alone)
            if not isinstance(one, (Accepted, Unknown)):
                result.give_back = item.took
            flight.results.append(result)
        return outcomes[0]

    def _result(self, item: Item, outcome: Outcome, window: Window, jitter: float, alone: bool) -> Result:
        if isinstance(outcome, Accepted):
            place = (item.delivery_id, item.number, DONE, "accepted", "", "", outcome.provider_id, item.pieces)
            return Result(*place, delivered=outcome.delivered)
        if isinstance(outcome, Unavailable) and outcome.code == "not_started":
            back = After("HELD", "not_started", window.now, burn=False)
            return Result(item.delivery_id, item.number, back, "not_started")
        campaign = self.order.campaign
        history = History(item.burnt + 1, item.first_intent_at or window.now, campaign.expires_at, jitter, alone)
        decided = after(
            outcome,
            history,
            self.order.adapter.capabilities_of(self.order.account, item.envelope.content if item.envelope else None),
            MessageClass(campaign.message_class),
            window.now,
            timedelta(seconds=settings.UMS_TIMERS.t_http),
        )
        word = type(outcome).__name__.lower()
        gone = isinstance(outcome, Rejected) and outcome.bad_address
        return Result(item.delivery_id, item.number, decided, word, outcome.code, outcome.words, bad_address=gone)

    def judge(self, outcome: Outcome) -> None:
        """Keeps the account's breaker: a misconfigured account at once, a failing one after some calls."""
        account = self.order.account_row
        if isinstance(outcome, Misconfigured):
            open_breaker(account, outcome.words)
            self.stopped = True
        elif isinstance(outcome, StaleToken):
            self._renew(outcome)
        elif isinstance(outcome, Throttled) and outcome.scope == "account":
            if not self.stopped:
                slow_down(account, outcome.words, outcome.retry_after)
                self.stopped = True
        elif isinstance(outcome, Unavailable) and outcome.code == "not_started":
            return  # it says nothing of the account
        elif isinstance(outcome, (Unavailable, Unknown)):
            if isinstance(outcome, Unknown) and outcome.unmapped:
                count_unmapped(account.kind, outcome.code)
            if self.order.adapter.capabilities.host_per_address:
                return
            tally = self.tally
            tally.bad += 1
            if account.faults or (tally.bad + tally.good >= JUDGED_AFTER and tally.bad >= tally.good):
                open_breaker(account, outcome.words)
                self.stopped, tally.good, tally.bad = True, 0, 0
        else:
            self.tally.good += 1
            if account.faults and not self.stopped:
                close_breaker(account)

    def _renew(self, stale: StaleToken) -> None:
        """The batch goes back and is leased again, with a new token; where that was refused already, the breaker opens."""
        if self.stale:
            return  # the other calls of the window say the same
        self.stale, self.leave_as = True, self.leave_as or "READY"
        if not tokens.refused(self.order.account_row, self.order.token_version):
            open_breaker(self.order.account_row, stale.words)
            self.stopped = True
