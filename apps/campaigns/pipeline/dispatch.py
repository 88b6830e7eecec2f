"""Dispatch: the batches of a lane one after another – lease, then window by window intent commit, calls, result commit.

At most two windows are open, whichever batch they are of: the next one's intent commits while the calls of the former
are still in flight, also where it is the first of the next batch, so the wire never waits for the database. Small windows,
such as those of messages that come one by one, may be more, as long as their rows together are less than one full window;
to an account that was out of order it is one call, until that was heard. Each batch keeps its own lease and fence, and is
given back when its last call was heard. Whatever happens in here, a delivery is called once per intent, and a result that
was heard is written.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from functools import partial

from apps.campaigns.models import Batch
from apps.campaigns.pipeline import pulse
from apps.campaigns.pipeline.lease import give_back, lease, lease_of, lease_urgent, look_again, open_breaker
from apps.campaigns.pipeline.order import Order
from apps.campaigns.pipeline.plan import loaded_plan
from apps.campaigns.pipeline.results import Billing, until_written, write_results
from apps.campaigns.pipeline.sending import Flight, Sending
from apps.campaigns.pipeline.transports import Heard, Transports
from apps.channels.models import ChannelAccount
from apps.channels.outcomes import Accepted, Misconfigured
from apps.channels.registry import adapter
from apps.channels.tokens import TokenBusy, TokenRefused, signed_in
from apps.templates.selectors import compiled
from ums_site.clock import boottime
from ums_site.failpoints import failpoint

OPEN_WINDOWS = 2
MOST_WINDOWS = 64  # where they are small
TURN_SECONDS = 1.0  # no batch is leased later than this: follow-ups and expansion want their turn too
WITHOUT_TOKEN = timedelta(seconds=2)
PATIENCE_SECONDS = 0.05  # the longest wait for an answer before the batches are looked at again
URGENT_SECONDS = 0.02  # the same where what comes meanwhile must not wait
URGENT = "otp"
PULSE_SECONDS = 1.0
TOKEN_SECONDS = 0.02  # how often it is looked for tokens where nothing else is under way


def send_next(lane: str, stop_at: float, transports: Transports, meanwhile: Callable[[], object] | None = None) -> bool:
    """Sends the lane's due batches for a turn, and what it has leased to its end or `stop_at` (boot clock).

    `meanwhile` makes more of them due: with it, new ones are looked for all through the turn, also while answers are
    waited for. False where none was due.
    """
    return _Stream(partial(lease, lane), stop_at, transports, meanwhile).run()


def send_next_of(account_id: int, stop_at: float, transports: Transports) -> bool:
    """The same for the due batches of one account, whatever their lanes: what its gateway does.

    A one-time password that becomes due goes between two windows of whatever is being sent.
    """
    return _Stream(partial(lease_of, account_id), stop_at, transports, urgent=partial(lease_urgent, account_id)).run()


def _order(batch: Batch, before_fetch: Callable[[], None]) -> Order:
    row = ChannelAccount.objects.get(pk=batch.account_id)
    account, token_version = signed_in(row, before_fetch)
    slot = loaded_plan(batch.campaign).channel_of(batch.step, row.pk)
    return Order(
        batch=batch,
        campaign=batch.campaign,
        account_row=row,
        account=account,
        adapter=adapter(row.kind),
        body=compiled(batch.campaign.template_version_id, slot.body_key),
        token_version=token_version,
    )


def _not_signed_in(batch: Batch, refused: TokenRefused | TokenBusy) -> None:
    """The provider gave no access token: nothing of the batch was tried, and a misconfigured account is stopped."""
    outcome = getattr(refused, "outcome", None)
    if isinstance(outcome, Misconfigured):
        open_breaker(ChannelAccount.objects.get(pk=batch.account_id), outcome.words)
    wait = getattr(outcome, "retry_after", None) or WITHOUT_TOKEN
    give_back(batch, "READY", wait.total_seconds())


class _Stream:
    """The leased batches in order: only the last may still open windows, those before it wait for their answers."""

    def __init__(
        self,
        lease: Callable[[], Batch | None],
        stop_at: float,
        transports: Transports,
        meanwhile: Callable[[], object] | None = None,
        urgent: Callable[[], Batch | None] | None = None,
    ) -> None:
        self.lease, self.stop_at, self.transports = lease, stop_at, transports
        self.meanwhile, self.urgent = meanwhile, urgent
        self.patience = URGENT_SECONDS if meanwhile else PATIENCE_SECONDS
        self.look_at = 0.0  # when it is next looked whether something urgent is due
        self.lease_by = min(stop_at, boottime() + TURN_SECONDS)
        self.sendings: list[Sending] = []
        self.leased_any = False
        self.heard: deque[Heard] = deque()  # not looked at yet

    def run(self) -> bool:
        try:
            self._fill()
            while self.sendings:
                self._listen()
                self._fill()
        except BaseException:
            self._drain()
            raise
        return self.leased_any

    def _fill(self) -> None:
        """Opens windows up to the limit: of the batch at hand, then of the next that is due."""
        while self._room():
            if not self.sendings or self.sendings[-1].leave_as:
                if not self._lease_next():
                    return
            elif (batch := self._urgent_batch()) is not None:
                self.sendings[-1].leave_as = "READY"
                self._begin(batch)
            else:
                self.sendings[-1].open_window()
                self._close_what_is_over()

    def _room(self) -> bool:
        if self._probing():
            return False
        flights = [flight for one in self.sendings for flight in one.flights]
        if len(flights) < OPEN_WINDOWS:
            return True
        a_window = self.sendings[-1].order.account_row.max_in_flight
        return len(flights) < MOST_WINDOWS and sum([flight.rows for flight in flights]) < a_window

    def _probing(self) -> bool:
        """Whether a call is out that is to show whether the account of the batch at hand works again: one is enough."""
        if not self.sendings or self.sendings[-1].leave_as:
            return False
        account = self.sendings[-1].order.account_row
        return account.faults > 0 and any(
            one.flights for one in self.sendings if one.order.account_row.pk == account.pk
        )

    def _urgent_batch(self) -> Batch | None:
        if self.urgent is None or self.sendings[-1].order.batch.lane == URGENT or boottime() < self.look_at:
            return None
        self.look_at = boottime() + URGENT_SECONDS
        return self.urgent()

    def _lease_next(self) -> bool:
        if self.meanwhile is not None and boottime() < min(self.look_at, self.lease_by):
            return False
        batch = self._due() if boottime() < self.lease_by else None
        if batch is None:
            if self.meanwhile is None or boottime() >= self.lease_by:
                self.lease_by = 0.0  # nothing is due, or the turn is over: what is in flight is heard, then others work
            self.look_at = boottime() + URGENT_SECONDS
            return False
        self._begin(batch)
        return True

    def _due(self) -> Batch | None:
        if self.meanwhile is not None:
            self.meanwhile()
        return self.lease()

    def _begin(self, batch: Batch) -> None:
        self.leased_any = True
        try:
            order = _order(batch, self._hear_out)
        except (TokenRefused, TokenBusy) as refused:
            self._written(partial(_not_signed_in, batch, refused))
            return
        account, transports = order.account_row, self.transports
        # What was read of the account last holds for all of its batches, and what one of them finds out as well.
        for one in self.sendings:
            if one.order.account_row.pk == account.pk:
                one.order.account_row = account
        self.sendings.append(Sending(order, transports.of(account), transports.tally(account), self.stop_at))

    def _listen(self) -> None:
        for sending in self.sendings:
            if sending.ready:
                self._written(sending.begin_ready)
        self._hear(self.patience)
        if not self.heard:
            self._close_what_is_over()  # calls that were never begun end in silence
            return
        failpoint("after_send")
        judged = []
        while self.heard:  # everything is noted before anything is written: a write may fail
            call, answer = self.heard.popleft()
            sending = call.flight.sending
            outcome = sending.note(call, answer)
            if isinstance(outcome, Accepted) and not sending.order.account_row.faults:
                sending.tally.good += 1  # the usual case, which writes nothing
            else:
                judged.append((sending, outcome))
        for sending, outcome in judged:
            self._written(partial(sending.judge, outcome))
            if sending.stopped:
                self._stop(sending.order.account_row)
        self._close_what_is_over()

    def _hear_out(self) -> None:
        """Hears what is in flight to its end: what comes next blocks, and answers must not wait for it."""
        while self.heard or any(one.client.in_flight or one.ready for one in self.sendings):
            self._listen()

    def _hear(self, seconds: float) -> None:
        """Takes what the clients of the leased batches have heard; waits up to `seconds` where there is nothing yet."""
        clients = {one.client for one in self.sendings if one.client.in_flight}
        if not clients and any(one.ready for one in self.sendings):
            time.sleep(min(seconds, TOKEN_SECONDS))
        for client in clients:
            self.heard += client.poll(0.0 if self.heard else seconds / len(clients))

    def _stop(self, account: ChannelAccount) -> None:
        """The account must not be called now: none of its batches opens a further window, and what waits is not begun."""
        for sending in self.sendings:
            if sending.order.account_row.pk == account.pk:
                sending.leave_as = sending.leave_as or "READY"
                sending.stopped = True
                sending.drop_ready()
                sending.client.call_off()

    def _close_what_is_over(self) -> None:
        """Writes the windows that were heard to their end, and gives back the batches that have none left."""
        for sending in list(self.sendings):
            for flight in [one for one in sending.flights if one.over]:
                self._close(flight)
            if sending.leave_as and not sending.flights:
                self.sendings.remove(sending)
                self._beat(sending)
                self._written(partial(give_back, sending.order.batch, sending.leave_as, sending.pause))

    def _close(self, flight: Flight) -> None:
        failpoint("before_result_commit")
        order = flight.sending.order
        filed_under = order.account_row.pk if order.adapter.capabilities.finds_by_provider_id else None
        billing = Billing(flight.window.price, order.account_row.bills_failed)
        self._written(partial(write_results, order.batch.epoch, billing, flight.results, filed_under))
        flight.sending.flights.remove(flight)
        flight.sending.heard += flight.results
        if boottime() >= flight.sending.beat_at:
            self._beat(flight.sending)

    def _beat(self, sending: Sending) -> None:
        """Adds what a batch came to so far to the pulse of its campaign, once a second: counting costs no commit a window."""
        counted, sending.heard, sending.beat_at = sending.heard, [], boottime() + PULSE_SECONDS
        self._written(partial(pulse.count, sending.order.campaign, counted))

    def _drain(self) -> None:
        """After a fault: what is in flight is heard to its end and written, also where the lease is gone by then.

        The batch at hand, and any with a row between intent and result, is not given back: the reaper looks through
        batches whose lease has run out.
        """
        for sending in self.sendings:
            sending.drop_ready()
        self._hear_out()
        for sending in self.sendings:
            for flight in list(sending.flights):
                self._close(flight)
            self._written(partial(look_again, sending.order.batch))

    def _written(self, write: Callable[[], None]) -> None:
        """Writes across database restarts, and listens on meanwhile: calls in flight do not wait for a database."""
        until_written(write, self._listen_on)

    def _listen_on(self, seconds: float) -> None:
        end = boottime() + seconds
        while (left := end - boottime()) > 0:
            if any(one.client.in_flight for one in self.sendings):
                self._hear(left)
            else:
                time.sleep(left)
