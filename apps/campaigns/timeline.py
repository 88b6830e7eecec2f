"""What happened to one message: every rule, delivery, attempt and receipt in time order, in plain words.

Addresses are shown masked, bodies not at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from apps.campaigns.decisions_in_words import in_words
from apps.campaigns.models import Attempt, BatchWait, Campaign, Decision, Delivery, Message, Recall, Receipt
from apps.campaigns.reasons import OWN_REPORT
from apps.campaigns.recalling import orders_of
from apps.campaigns.words import (
    DELIVERY_STATES,
    MESSAGE_STATES,
    OUTCOMES,
    RECALL_CODES,
    RECALL_STATES,
    RECEIPTS,
    reason_in_words,
)
from apps.channels.models import ChannelAccount
from apps.users.models import Binding
from ums_site.ids import first_row_id, moment_of

Tone = Literal["", "good", "bad", "warn"]
OUTCOME_TONES: dict[str, Tone] = {"accepted": "good", "rejected": "bad", "misconfigured": "bad", "": ""}
ENDS: dict[str, Tone] = {"SUCCEEDED": "good", "FAILED": "bad", "PLANNED": "", "ACTIVE": ""}


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One thing that happened. kind: "rule", "decision", "delivery", "attempt", "receipt", "held", "recall" or "end".

    `detail` is a second line. `behind`: it cannot have happened before this, whatever the clock says that `at` comes from.
    """

    at: datetime
    kind: str
    words: str
    detail: str = ""
    tone: Tone = ""
    behind: datetime | None = None


def message_timeline(message_id: int) -> list[TimelineEntry]:
    """Everything known about one message, oldest first. Raises Message.DoesNotExist."""
    message = Message.objects.get(pk=message_id)
    deliveries = list(Delivery.objects.filter(message_id=message_id, id__gte=first_row_id(message_id)).order_by("id"))
    campaign = Campaign.objects.filter(pk=message.campaign_id).first()
    decisions = list(Decision.objects.filter(message_id=message.pk).order_by("at"))
    stopped = [one.at for one in decisions if one.verdict == "stop"]
    first = min([moment_of(message.pk), *(one.at for one in decisions)])  # ids are made while a transaction runs
    entries = [
        *_beginning(first, message, campaign),
        *_decided(decisions, campaign),
        *_of_deliveries(deliveries, stopped),
        *_recall_orders(message),
        *_end(message),
    ]
    order = {"rule": 0, "decision": 1, "delivery": 2, "attempt": 3, "receipt": 4, "held": 5, "recall": 6, "end": 7}
    return sorted(entries, key=lambda entry: (max(entry.at, entry.behind or entry.at), order[entry.kind]))


def _beginning(at: datetime, message: Message, campaign: Campaign | None) -> Iterator[TimelineEntry]:
    name = campaign.name if campaign else str(message.campaign_id)
    yield TimelineEntry(at, "rule", _("Became a target of “%(campaign)s”.") % {"campaign": name})


VERDICT_TONES: dict[str, Tone] = {"stop": "warn", "hold": "warn"}


def _decided(decisions: Sequence[Decision], campaign: Campaign | None) -> Iterator[TimelineEntry]:
    """What the ledger says."""
    for one in decisions:
        words, codes = in_words(one, campaign)
        yield TimelineEntry(one.at, "decision", words, codes, VERDICT_TONES.get(one.verdict, ""))


def _recall_orders(message: Message) -> Iterator[TimelineEntry]:
    for order in orders_of(message):
        words = (
            _("%(actor)s ordered the message to be taken back.")
            if order.message_id
            else _("%(actor)s ordered the whole campaign to be taken back.")
        )
        yield TimelineEntry(order.ordered_at, "rule", words % {"actor": order.actor}, order.reason, "warn")


def _end(message: Message) -> Iterator[TimelineEntry]:
    if message.finished_at is None:
        return
    words = {
        "SUCCEEDED": _("The policy reached its goal."),
        "FAILED": _("The message failed: surely nothing arrived."),
        "UNKNOWN": _("Nobody will know whether it arrived."),
        "INVALID": _("There was no address to send to."),
        "BLOCKED": _("A rule forbade sending it."),
    }.get(message.state, str(MESSAGE_STATES.get(message.state, message.state)))
    yield TimelineEntry(
        message.finished_at, "end", words, reason_in_words(message.reason), ENDS.get(message.state, "warn")
    )


def _of_deliveries(deliveries: list[Delivery], stopped: Sequence[datetime]) -> Iterator[TimelineEntry]:
    if not deliveries:
        return
    ids = [one.pk for one in deliveries]
    taken = {one.pk: one.accepted_at or one.first_intent_at for one in deliveries}
    accounts = ChannelAccount.objects.in_bulk({one.account_id for one in deliveries})
    bindings = Binding.objects.in_bulk({one.binding_id for one in deliveries})
    places = {}
    for one in deliveries:
        account, binding = accounts.get(one.account_id), bindings.get(one.binding_id)
        places[one.pk] = account.name if account else str(one.account_id)
        yield _planned(one, places[one.pk], binding.address_masked if binding else _("an address deleted since"))
        yield from _standing(one, places[one.pk], account, stopped)
    yield from _waits_of(deliveries)
    for attempt in Attempt.objects.filter(delivery_id__in=ids):
        yield from _attempted(attempt, places[attempt.delivery_id])
    for receipt in Receipt.objects.filter(delivery_id__in=ids):
        yield _received(receipt, places[receipt.delivery_id], taken[receipt.delivery_id])
    for recall in Recall.objects.filter(delivery_id__in=ids):
        yield from _recalled(recall, places[recall.delivery_id])


def _planned(delivery: Delivery, account: str, address: str) -> TimelineEntry:
    words = _("Step %(step)s: planned over %(account)s to %(address)s.")
    said = words % {"step": delivery.step + 1, "account": account, "address": address}
    return TimelineEntry(moment_of(delivery.pk), "delivery", said)


def _waits_of(deliveries: list[Delivery]) -> Iterator[TimelineEntry]:
    """Where a whole batch waited, its rows say nothing of it. It concerns those that had not gone by then."""
    gone_at = {one.batch_id: one.first_intent_at for one in deliveries}
    for wait in BatchWait.objects.filter(batch_id__in=list(gone_at)).order_by("at"):
        gone = gone_at[wait.batch_id]
        if gone is not None and gone <= wait.at:
            continue
        until = date_format(localtime(wait.until), "Y-m-d H:i:s")
        words = _("Waits until %(time)s: %(rule)s.") % {"time": until, "rule": reason_in_words(wait.code)}
        yield TimelineEntry(wait.at, "decision", words, "", "warn")


def _standing(
    delivery: Delivery, place: str, account: ChannelAccount | None, stopped: Sequence[datetime]
) -> Iterator[TimelineEntry]:
    """Where it stands now, for states that no attempt and no receipt explains."""
    if delivery.state not in ("HELD", "CANCELLED", "CLOSED", "UNKNOWN_FINAL"):
        return
    made = moment_of(delivery.pk)
    at = delivery.held_until or delivery.receipt_at or delivery.accepted_at or delivery.first_intent_at
    if delivery.state == "CLOSED" and delivery.accepted_at and account:
        at = delivery.accepted_at + account.receipt_window
    elif delivery.state == "CANCELLED":
        at = at or next((one for one in stopped if one >= made), None)  # the decision that called it off
    words = f"{place}: {DELIVERY_STATES[delivery.state]}"
    yield TimelineEntry(at or made, "held", words, reason_in_words(delivery.reason), "warn")


def _attempted(attempt: Attempt, account: str) -> Iterator[TimelineEntry]:
    count = {"number": attempt.number, "account": account}
    yield TimelineEntry(attempt.intent_at, "attempt", _("Try %(number)s over %(account)s begins.") % count)
    if attempt.finished_at is None:
        return
    outcome = attempt.outcome.lower()
    words = _("Answer to try %(number)s over %(account)s: %(outcome)s.")
    said = words % (count | {"outcome": OUTCOMES.get(outcome, attempt.outcome)})
    detail = " · ".join(part for part in (attempt.code, attempt.words, attempt.provider_id) if part)
    yield TimelineEntry(attempt.finished_at, "attempt", said, detail, OUTCOME_TONES.get(outcome, "warn"))


def _received(receipt: Receipt, account: str, taken_at: datetime | None) -> TimelineEntry:
    """Providers' clocks know whole seconds, and may be slow: a receipt stands behind what it is a receipt of."""
    said_state = receipt.state.lower()
    own = receipt.code == OWN_REPORT
    words = (
        _("The business line reports for %(account)s: %(state)s.") if own else _("Receipt from %(account)s: %(state)s.")
    )
    said = words % {"account": account, "state": RECEIPTS.get(said_state, receipt.state)}
    detail = " · ".join(part for part in ("" if own else receipt.code, receipt.words) if part)
    tone: Tone = "bad" if said_state in ("failed", "undelivered", "recall_refused") else "good"
    return TimelineEntry(receipt.occurred_at, "receipt", said, detail, tone, taken_at)


def _recalled(recall: Recall, account: str) -> Iterator[TimelineEntry]:
    """Where the recall stands; what was taken back has its receipt."""
    if recall.state == "RECALLED":
        return
    words = f"{account}: {RECALL_STATES[recall.state]}"
    tone: Tone = "bad" if recall.state == "REFUSED" else "warn"
    at = recall.done_at or recall.asked_at or recall.ordered_at
    code = str(RECALL_CODES.get(recall.code, recall.code))
    yield TimelineEntry(at, "recall", words, " · ".join(part for part in (code, recall.words) if part), tone)
