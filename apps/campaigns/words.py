"""States, reasons and policies in words for people."""

from __future__ import annotations

from decimal import Decimal

from django.utils.functional import Promise
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from apps.partners.classes import CLASSES

__all__ = ["CLASSES"]  # known here by who reads the words of campaigns

Words = str | Promise

CAMPAIGN_STATES: dict[str, Words] = {
    "DRAFT": _("draft"),
    "AWAITING_APPROVAL": _("awaiting approval"),
    "SCHEDULED": _("scheduled"),
    "EXPANDING": _("collecting people"),
    "RUNNING": _("sending"),
    "PAUSED": _("paused"),
    "FINISHED": _("finished"),
    "CANCELLED": _("cancelled"),
    "REJECTED": _("not approved"),
}
APPROVAL_STATES: dict[str, Words] = {
    "PENDING": _("to be decided"),
    "APPROVED": _("approved"),
    "REJECTED": _("not approved"),
    "VOID": _("void"),
    "EXPIRED": _("expired"),
}
SOURCES: dict[str, Words] = {"console": _("the console"), "api": _("the API"), "schedule": _("a schedule")}
APPROVAL_TONES = {"PENDING": "warn", "APPROVED": "good", "REJECTED": "bad"}
APPROVAL_REASONS: dict[str, Words] = {
    "changed": _("it was changed"),
    "withdrawn": _("it was taken back"),
    "campaign_cancelled": _("the campaign was cancelled"),
    "approval_changed": _("something of it was changed after it had been approved"),
    "approval_missing": _("it was about to begin without a valid approval"),
    "approval_expired": _("nobody approved it in time"),
}
MESSAGE_STATES: dict[str, Words] = {
    "PLANNED": _("planned"),
    "ACTIVE": _("under way"),
    "SUCCEEDED": _("reached"),
    "FAILED": _("failed"),
    "UNKNOWN": _("unknown"),
    "EXPIRED": _("expired"),
    "CANCELLED": _("cancelled"),
    "INVALID": _("no address"),
    "BLOCKED": _("blocked"),
}
DELIVERY_STATES: dict[str, Words] = {
    "PENDING": _("waiting to be sent"),
    "SENDING": _("being sent"),
    "HELD": _("held"),
    "ACCEPTED": _("taken by the provider"),
    "DELIVERED": _("delivered"),
    "READ": _("read"),
    "CLICKED": _("clicked"),
    "REJECTED": _("refused"),
    "UNDELIVERED": _("not delivered"),
    "CLOSED": _("no receipt came"),
    "UNKNOWN": _("outcome unknown, being resolved"),
    "UNKNOWN_FINAL": _("outcome unknown for good"),
    "CANCELLED": _("called off"),
}
REASONS: dict[str, Words] = {
    "blacklisted": _("on the blacklist"),
    "address_blacklisted": _("the address is on the blacklist"),
    "not_whitelisted": _("not on the whitelist, and the business line writes to nobody else"),
    "way_blacklisted": _("on the blacklist for this kind of channel or account"),
    "way_not_whitelisted": _("not on the whitelist for this kind of channel or account"),
    "no_consent": _("no consent to marketing is on record"),
    "address_invalid": _("the address is no longer valid"),
    "address_limit": _("the address had as many as its provider takes"),
    "failed": _("the step before failed for certain"),
    "silent": _("no receipt can come any more"),
    "not_delivered_in_time": _("it was not delivered in time"),
    "not_accepted_in_time": _("the provider did not take it in time"),
    "not_read_in_time": _("it was not read in time"),
    "not_clicked_in_time": _("nothing in it was clicked in time"),
    "unknown": _("the outcome of the step before is unknown, and the policy or class goes on all the same"),
    "arrived": _("it arrived, and nothing was left to be tried"),
    "over_ceiling": _("the person would have cost more than the policy allows"),
    "failover": _("another vendor of the channel took over"),
    "offline_saved": _("kept until the person can be reached"),
    "offline_released": _("an address came, or the person returned"),
    "offline_expired": _("its time ran out before the person could be reached"),
    "offline": _("the device was offline and the provider keeps nothing"),
    "merged": _("a newer message took its place"),
    "discarded": _("an operator discarded it"),
    "left_audience": _("no longer belonged to the audience when the campaign began"),
    "approval_rejected": _("it was not approved"),
    "approval_expired": _("nobody approved it in time"),
    "no_usable_address": _("no usable address on any channel of the policy"),
    "unknown_user": _("nobody has this user id"),
    "frequency_cap": _("has had as many messages as a frequency cap allows"),
    "duplicate_content": _("has had the same text already"),
    "sensitive_word": _("the text has a word of a list of sensitive words"),
    "holdout": _("left out as one of a holdout group"),
    "bad_address": _("the address is malformed"),
    "no_address": _("no address of this kind"),
    "other_scope": _("the address is for another business line or account"),
    "condition": _("the policy's condition does not fit the person"),
    "campaign_cancelled": _("the campaign was cancelled"),
    "recalled": _("it was called off"),
    "no_longer_needed": _("another channel had reached the person"),
    "receipt_window_over": _("the receipt window ended without a receipt"),
    "no_receipt": _("no receipt came in time"),
    "every_step_failed": _("every step of the policy failed"),
    "unreachable": _("no channel reached the person"),
    "expired": _("its time ran out"),
    "render": _("a value of the text is missing"),
    "out_of_tries": _("refused too often"),
    "expires_first": _("would have expired before the next try"),
    "throttled": _("the provider asked to slow down"),
    "unavailable": _("the provider could not be reached"),
    "account": _("the account is not set up rightly"),
    "same_key": _("tried again under the same key, so that nothing goes twice"),
    "key_too_old": _("waited so long that a repeat might have been a second message"),
    "repeated": _("repeated, may arrive twice"),
    "sent_alone_next": _("sent alone next, since the provider refused the whole call"),
    "worker_lost": _("the worker died during the call"),
    "poison": _("workers died three times at it"),
    "quiet_hours": _("quiet hours"),
    "quiet_until_expiry": _("quiet hours, and its time runs out before they end"),
    "paused": _("paused"),
    "account_paused": _("the account is paused"),
    "breaker_open": _("the account's breaker is open"),
    "quota": _("a budget or quota is used up"),
    "campaign_ceiling": _("the cost ceiling of the campaign is reached"),
    "rate": _("waits for the account's limit per second"),
}
OUTCOMES: dict[str, Words] = {
    "accepted": _("taken by the provider"),
    "rejected": _("refused by the provider"),
    "misconfigured": _("the account is not set up rightly"),
    "throttled": _("the provider asked to slow down"),
    "unavailable": _("the provider could not be reached"),
    "unknown": _("no readable answer: nobody knows whether it was taken"),
}
RECEIPTS: dict[str, Words] = {
    "accepted": _("the network has taken it"),
    "delivered": _("delivered"),
    "failed": _("not delivered"),
    "undelivered": _("not delivered"),
    "read": _("read"),
    "clicked": _("clicked"),
    "recalled": _("taken back"),
    "recall_refused": _("not taken back"),
}
RECALL_STATES: dict[str, Words] = {
    "WAITING": _("being taken back"),
    "ASKED": _("the provider will say whether it was in time"),
    "RECALLED": _("taken back"),
    "REFUSED": _("not taken back"),
}
RECALL_CODES: dict[str, Words] = {
    "no_recall": _("the channel takes nothing back"),
    "too_late": _("the provider's time for it is over"),
    "no_provider_id": _("the provider gave no id for it"),
    "delivered_already": _("the device has it already"),
    "shared_call": _("it went out in one call with other people, who keep theirs"),
    "asked_already": _("it was asked for before"),
}
STATE_TONES = {
    "DRAFT": "dim", "SCHEDULED": "brand", "EXPANDING": "brand", "RUNNING": "brand", "PAUSED": "warn", "FINISHED": "good",
    "CANCELLED": "dim", "AWAITING_APPROVAL": "warn", "REJECTED": "bad",
    "SUCCEEDED": "good", "FAILED": "bad", "BLOCKED": "warn", "INVALID": "warn", "UNKNOWN": "warn",
}  # fmt: skip


def reason_in_words(reason: str) -> str:
    """A reason as people read it: `throttled: isv.LIMIT` becomes its sentence with the provider's code behind it."""
    if not reason:
        return ""
    key, colon, code = reason.partition(":")
    known = REASONS.get(key.strip())
    if known is None:
        return reason
    return f"{known} ({code.strip()})" if colon and code.strip() else str(known)


def pace_as_set(per_second: Decimal | None) -> tuple[Decimal | None, str]:
    """(amount, "second" or "minute") as forms take a pace: by the minute where it is less than one a second."""
    if per_second is None:
        return None, "second"
    amount, per = (per_second * 60, "minute") if per_second < 1 else (per_second, "second")
    return Decimal(f"{round(amount, 2).normalize():f}"), per


def pace_in_words(per_second: Decimal) -> str:
    """A pace as people read it."""
    amount, per = pace_as_set(per_second)
    words = gettext("%(count)s a minute") if per == "minute" else gettext("%(count)s a second")
    return words % {"count": amount}


def seconds_in_words(seconds: float) -> str:
    """The two largest units of a duration."""
    left, said = int(round(seconds)), []
    for size, one in ((86400, _days), (3600, _hours), (60, _minutes), (1, _seconds)):
        count, left = divmod(left, size)
        if count:
            said.append(one(count))
    return " ".join(said[:2]) or _seconds(0)


def _days(count: int) -> str:
    return ngettext("%(count)s day", "%(count)s days", count) % {"count": count}


def _hours(count: int) -> str:
    return ngettext("%(count)s hour", "%(count)s hours", count) % {"count": count}


def _minutes(count: int) -> str:
    return ngettext("%(count)s minute", "%(count)s minutes", count) % {"count": count}


def _seconds(count: int) -> str:
    return ngettext("%(count)s second", "%(count)s seconds", count) % {"count": count}
