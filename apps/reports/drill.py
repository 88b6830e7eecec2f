"""From a figure to the messages behind it: the rules of `standing.py` as conditions over a message.

Every condition is a piece of SQL over campaigns_message and its deliveries; a test holds the counts of each against the
figures. A figure is named as in `Figures`; `delivered@7` counts over account 7 alone, `route:…` names a route.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import BooleanField, QuerySet
from django.db.models.expressions import RawSQL
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

MINE = "FROM campaigns_delivery d WHERE d.message_id = campaigns_message.id AND d.campaign_id = campaigns_message.campaign_id"
ROUTE = """
(SELECT string_agg(kinds, ' > ' ORDER BY step) FROM (
    SELECT d.step, string_agg(DISTINCT a.kind, ' + ' ORDER BY a.kind) AS kinds
    FROM campaigns_delivery d JOIN ums_channels_channelaccount a ON a.id = d.account_id
    WHERE d.message_id = campaigns_message.id AND d.campaign_id = campaigns_message.campaign_id
      AND (d.attempts > 0 OR d.state IN ('DELIVERED', 'READ', 'CLICKED'))
    GROUP BY d.step) steps) = %s
"""
SYMBOLS: Mapping[str, tuple[str, str | Promise]] = {
    "targets": ("T", _("targets")),
    "invalid": ("I", _("no usable address")),
    "blocked": ("X", _("blocked by a rule")),
    "valid": ("V", _("valid targets")),
    "accepted": ("S", _("taken by a provider")),
    "refused": ("SF", _("refused everywhere")),
    "in_progress": ("P", _("in progress")),
    "recalled": ("R", _("called off")),
    "delivered": ("D", _("delivered")),
    "undelivered": ("DF", _("not delivered")),
    "unknown": ("U", _("unknown")),
    "in_window": ("", _("receipt awaited")),
    "read": ("O", _("read")),
    "clicked": ("C", _("clicked")),
    "reissued": ("", _("reissued")),
}

MONEY_FIGURES: Mapping[str, str | Promise] = {
    "billed": _("billed"),
    "billed_failed": _("billed, not delivered"),
    "without_room": _("waits for room in a budget or quota"),
}
# Further facts about what was accepted; they are no part of the identities.
RECALL_FIGURES: Mapping[str, str | Promise] = {
    "taken_back": _("taken back"),
    "not_taken_back": _("not taken back"),
    "being_taken_back": _("being taken back"),
}


def conditions(account_id: int | None = None) -> dict[str, str]:
    """Figure -> SQL; over one account where one is named."""
    only = "" if account_id is None else f" AND d.account_id = {int(account_id)}"

    def some(condition: str) -> str:
        return f"EXISTS (SELECT 1 {MINE}{only} AND ({condition}))"

    def recall(*states: str) -> str:
        wanted = ", ".join(repr(state) for state in states)
        return some(f"EXISTS (SELECT 1 FROM campaigns_recall r WHERE r.delivery_id = d.id AND r.state IN ({wanted}))")

    delivered = some("d.state IN ('DELIVERED', 'READ', 'CLICKED')")
    closed = some("d.state IN ('CLOSED', 'UNKNOWN_FINAL')")
    open_still = some("d.state IN ('ACCEPTED', 'UNKNOWN')")
    unsure = some("d.state = 'UNKNOWN'")
    accepted = some("d.state IN ('DELIVERED', 'READ', 'CLICKED', 'UNDELIVERED', 'CLOSED', 'UNKNOWN_FINAL', 'ACCEPTED')")
    nothing = f"NOT {accepted} AND NOT {unsure}"
    return {
        "targets": "true",
        "tried": some("d.attempts > 0"),
        "invalid": f"{_in('INVALID')} AND {nothing}",
        "blocked": f"{_in('BLOCKED')} AND {nothing}",
        "valid": f"NOT ({_in('INVALID', 'BLOCKED')} AND {nothing})",
        "accepted": accepted,
        "refused": f"{_in('FAILED', 'EXPIRED')} AND {nothing}",
        "in_progress": f"NOT {accepted} AND ({unsure} OR {_in('PLANNED', 'ACTIVE')})",
        "recalled": f"{_in('CANCELLED')} AND {nothing}",
        "delivered": delivered,
        "undelivered": f"{accepted} AND NOT ({delivered} OR {open_still} OR {closed})",
        "unknown": f"{closed} AND NOT ({delivered} OR {open_still})",
        "in_window": f"{accepted} AND NOT {delivered} AND {open_still}",
        "read": some("d.state IN ('READ', 'CLICKED')"),
        "clicked": some("d.state = 'CLICKED'"),
        "taken_back": recall("RECALLED"),
        "not_taken_back": recall("REFUSED"),
        "being_taken_back": recall("WAITING", "ASKED"),
        "billed": some("d.cost > 0"),
        "billed_failed": some("d.cost > 0 AND d.state = 'UNDELIVERED'"),
        "without_room": some("d.state = 'HELD' AND d.reason IN ('quota', 'campaign_ceiling')"),
        "reissued": f"(SELECT count(DISTINCT d.step) {MINE}{only} AND d.attempts > 0) > 1",
    }


def _in(*states: str) -> str:
    return f"campaigns_message.state IN ({', '.join(repr(state) for state in states)})"


def behind(figure: str, messages: QuerySet[Any]) -> QuerySet[Any]:
    """The messages that a figure counts. KeyError for a figure that cannot be drilled into."""
    if figure.startswith("route:"):
        counted = RawSQL(ROUTE, [figure.removeprefix("route:")], BooleanField())
    else:
        name, _at, account = figure.partition("@")
        if account and not account.isdecimal():
            raise KeyError(figure)
        counted = RawSQL(conditions(int(account) if account else None)[name], [], BooleanField())
    return messages.annotate(counted=counted).filter(counted=True)
