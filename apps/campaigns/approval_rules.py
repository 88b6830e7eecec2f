"""Which approval rules concern a campaign, and whether enough people agreed. Pure.

A rule concerns what is of its class, line and source (empty: of any) and reaches one of its thresholds; without any
threshold, everything. All rules that concern a campaign must be met, each by as many approvers as it says, of its role.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple


class Size(NamedTuple):
    """How many targets, and what they cost at most."""

    targets: int
    money: Decimal


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule in force; empty texts and None narrow nothing."""

    id: int
    name: str
    message_class: str
    business_line_id: int | None
    source: str
    min_targets: int | None
    min_money: Decimal | None
    approvers: int
    role_id: int | None
    valid_for: timedelta
    over_day: bool = False

    def is_about(self, message_class: str, business_line_id: int, source: str) -> bool:
        """Whether it looks at such campaigns at all. What a schedule starts is asked whichever door the rule is about."""
        return (
            self.message_class in ("", message_class)
            and self.business_line_id in (None, business_line_id)
            and (self.source in ("", source) or source == "schedule")
        )

    @property
    def has_threshold(self) -> bool:
        return self.min_targets is not None or self.min_money is not None

    def is_reached(self, targets: int, money: Decimal, day: Size | None = None) -> bool:
        """Whether so many targets, or so much money at most, are what it is there for; those of the `day` if it adds up."""
        if self.over_day and day is not None:
            targets, money = day
        by_size = self.min_targets is not None and targets >= self.min_targets
        by_money = self.min_money is not None and money >= self.min_money
        return by_size or by_money or not self.has_threshold


@dataclass(frozen=True, slots=True)
class Vote:
    """An agreement; `roles` are those of the approver, none for an API key."""

    voter: str
    roles: frozenset[int]


def concerning(rules: Iterable[Rule], message_class: str, business_line_id: int, source: str) -> list[Rule]:
    """The rules that look at such campaigns, whatever their size."""
    return [rule for rule in rules if rule.is_about(message_class, business_line_id, source)]


def needs_of(rules: Iterable[Rule], targets: int, money: Decimal, day: Size | None = None) -> list[dict[str, Any]]:
    """What the rules that are reached ask for: [{"rule", "role", "approvers"}], empty where nothing is asked.

    `day`: the same together with what was asked for within a day, where that was added up.
    """
    return [
        {"rule": rule.name, "role": rule.role_id, "approvers": rule.approvers}
        for rule in rules
        if rule.is_reached(targets, money, day)
    ]


def missing(needs: Sequence[Mapping[str, Any]], votes: Sequence[Vote]) -> list[tuple[str, int]]:
    """(rule, how many more must agree) of every need that is not met yet."""
    left = []
    for need in needs:
        agreed = len({vote.voter for vote in votes if need["role"] is None or need["role"] in vote.roles})
        if agreed < need["approvers"]:
            left.append((str(need["rule"]), need["approvers"] - agreed))
    return left


def covers(given: Sequence[Mapping[str, Any]], asked: Sequence[Mapping[str, Any]], votes: Sequence[Vote]) -> bool:
    """Whether votes that met `given` also meet what is asked now (a rule may have come since)."""
    return not missing(given, votes) and not missing(asked, votes)


@lru_cache(maxsize=64)
def read_rules(column: str) -> tuple[Rule, ...]:
    """Rules out of the JSON that approvals.RULES_COLUMN selects; kept by its text, so never stale."""
    return tuple(
        Rule(
            id=pk,
            name=name,
            message_class=message_class,
            business_line_id=line,
            source=source,
            min_targets=targets,
            min_money=None if money is None else Decimal(money),
            approvers=approvers,
            role_id=role,
            valid_for=timedelta(seconds=seconds),
            over_day=over_day,
        )
        for pk, name, message_class, line, source, targets, money, approvers, role, seconds, over_day in json.loads(
            column
        )
    )
