"""The gate: the rules that every delivery passes right before it is sent, whatever was true when it was planned.

A rule is a small object in `RULES`. It is asked three times, and the first rule that stops a row wins:

    concerns(order)              once a lease: whether it has anything to say here; it may read and remember its settings
    look(asked, items)           before the intent: marks items it stops. Reads only.
    take(cursor, asked, items)   in the intent's own transaction, behind the fence: exact counters that live and die with
                                 the intent (caps, budgets). Marks the items that it refuses.

To mark: `stop(item, code, detail)` calls a row off for good, `hold(item, code, until)` lets it wait. Each mark is a line in the
decision ledger, written with the rows themselves. A rule costs nothing where it does not concern, and one statement a
window where it does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from apps.campaigns.pipeline.decisions import Decided, note
from apps.campaigns.pipeline.order import Item, Order
from apps.campaigns.pipeline.rules.address import AddressLimits
from apps.campaigns.pipeline.rules.allowances import Allowances
from apps.campaigns.pipeline.rules.ceiling import Ceiling
from apps.campaigns.pipeline.rules.consent import Consent
from apps.campaigns.pipeline.rules.contact import ContactRule
from apps.campaigns.pipeline.rules.quiet import QuietRuleOfGate
from apps.campaigns.pipeline.rules.rule import Asked, Returning, Rule, hold, stop
from apps.campaigns.pipeline.rules.whitelist import Whitelist
from apps.campaigns.pipeline.rules.words import SensitiveWords
from ums_site.clock import transaction_now

__all__ = ["RULES", "Asked", "Returning", "Rule", "hold", "look", "note_marks", "rules_of", "stop", "take"]

QUIET = QuietRuleOfGate()
RULES: list[Rule] = [
    Whitelist(),
    Consent(),
    QUIET,
    SensitiveWords(),
    Ceiling(),
    AddressLimits(),
    ContactRule(),
    Allowances(),  # the last one, for as short as can be: it locks rows that everybody wants
]


def rules_of(order: Order) -> list[Rule]:
    """The rules that have something to say of this order, asked once a lease."""
    if order.rules is None:
        order.rules = [rule for rule in RULES if rule.concerns(order)]
    return order.rules


def waits_whole(order: Order) -> float | None:
    """For how many seconds the whole batch must wait, as far as that is known without its rows; None: look at them."""
    if QUIET not in rules_of(order):
        return None
    now = transaction_now()
    until = QUIET.whole(order, now)
    return None if until is None else (until - now).total_seconds()


def look(order: Order, items: Sequence[Item]) -> None:
    """Every rule looks at what the rules before it let through."""
    rules = rules_of(order)
    asked = Asked(order, transaction_now()) if rules else None
    for rule in rules:
        assert asked is not None
        left = [item for item in items if item.sendable]
        if not left:
            return
        rule.look(asked, left)


def take(cursor: Any, asked: Asked, items: Sequence[Item]) -> None:
    """Every rule takes what it counts for those that are left, in the intent's transaction.

    What was taken for a row that a later rule marked is given back at once.
    """
    taken: list[tuple[Rule, list[Item]]] = []
    for rule in rules_of(asked.order):
        left = [item for item in items if item.sendable]
        if not left:
            break
        rule.take(cursor, asked, left)
        taken.append((rule, [item for item in left if item.sendable]))
    for rule, took in taken:
        in_vain = [item for item in took if not item.sendable]
        if in_vain and isinstance(rule, Returning):
            rule.give_back(cursor, asked, in_vain)


def note_marks(cursor: Any, order: Order, items: Sequence[Item]) -> None:
    """The ledger's lines for rows that were stopped or must wait; one that waits on for the same reason has its line."""
    told = [item for item in items if item.cancelled or item.refused or item.held and item.held != item.before]
    note(cursor, [_decided(order, item) for item in told])


def _decided(order: Order, item: Item) -> Decided:
    if item.held:
        until = item.held_until.isoformat(timespec="seconds") if item.held_until else ""
        return Decided(item.message_id, item.held, "hold", order.batch.step, f"until={until}")
    code, _colon, detail = (item.cancelled or item.refused).partition(":")
    return Decided(item.message_id, code.strip(), "stop", order.batch.step, detail.strip())
