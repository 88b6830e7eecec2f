"""What a policy says, as data. Pure. What may stand in one is judged in `policy_checks.py`.

    {"version": 2,
     "steps": [{"channels": [{"account": "push-main", "only_if": {"tags_any": ["vip"]}, "body": "short"},
                             {"account": "mail-main"}],
                "mode": "all", "until": "delivered", "wait_seconds": 20},
               {"channels": [{"vendors": [{"account": "sms-a", "weight": 70}, {"account": "sms-b", "weight": 30}]}],
                "mode": "first", "until": "delivered"}],
     "ceiling_per_person": "0.10", "expires_seconds": 86400, "unknown_starts_next": false,
     "offline_save": {"seconds": 259200, "collapse_key": "balance"}, "own_reports": true}

A step's channels that reach the person: mode "all" sends over every one, "first" over the first, "smart" over the one
that scores best. Of a channel with `vendors` one is chosen by weight among those that are healthy when the step is
planned. Vendors of a channel, and the channels of a smart step, are *alternatives*: where one definitely failed or its
wait is over, the next that was not tried yet follows, and only then the next step. The next step follows when the step
definitely failed, or `wait_seconds` after acceptance without what `until` names; without `wait_seconds` only a definite
failure or the end of the receipt window starts it.

A step may wait until something was read or clicked where one of its channels tells, or where by `own_reports` the business
line's own systems do (reporting.py).

`only_tag` and `only_if` limit a channel to recipients of that kind (an address without a person has no tag). `body`
chooses a variant of the text. A first version had neither vendors, smart, read, clicked, nor what stands beside `steps`.

Frozen into a campaign, each account is a *slot* of its own, numbered over the whole plan, and carries what was true of
it then: `account_id`, `address_kind`, `receipts` (see contract.Receipts). Vendors share their `group`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any, Protocol

from apps.campaigns.policy_checks import MOST_CHANNELS, problems
from apps.templates.bodies import body_key

__all__ = ["BadPolicy", "Plan", "Step", "StepChannel", "freeze", "load", "problems"]

FAILOVER_SECONDS = 10.0
MEASURABLE = ("push", "poll", "both")


class BadPolicy(ValueError):
    """The policy cannot be followed; `problems` maps a place such as `steps[1].mode` to a sentence with the remedy."""

    def __init__(self, problems: dict[str, str]) -> None:
        super().__init__("; ".join(f"{place}: {words}" for place, words in problems.items()))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class StepChannel:
    """One slot: an account that a step may send over.

    `measurable` says that a delivered receipt can come back. `group` is shared by the vendors of one channel (the slot
    of the first) and None where an account stands alone; a vendor of weight 0 is used where no other can.
    """

    slot: int
    kind: str
    account: str
    account_id: int
    address_kind: str
    receipts: str
    only_tag: str = ""
    only_if: Mapping[str, Any] = field(default_factory=dict, hash=False)
    body: str = ""
    group: int | None = None
    weight: int = 1
    failover_seconds: float = FAILOVER_SECONDS

    @property
    def measurable(self) -> bool:
        return self.receipts in MEASURABLE

    @property
    def bit(self) -> int:
        """The slot in a set of slots."""
        return 1 << self.slot

    @property
    def body_key(self) -> str:
        """Under which its text stands in a template version."""
        return body_key(self.kind, self.body)

    @property
    def conditions(self) -> dict[str, Any]:
        """What a recipient must be, in the words of users/audience.py; empty where everybody may."""
        if not self.only_tag:
            return dict(self.only_if)
        return {**self.only_if, "tags_all": [*self.only_if.get("tags_all", []), self.only_tag]}


@dataclass(frozen=True)
class Step:
    """One step; `wait` is None where only a definite failure starts the next. `channels` are its slots."""

    number: int
    channels: tuple[StepChannel, ...]
    mode: str
    until: str
    wait: timedelta | None

    @cached_property
    def places(self) -> tuple[tuple[StepChannel, ...], ...]:
        """Its channels in order: one slot, or the vendors of a group."""
        found: dict[int, list[StepChannel]] = {}
        for one in self.channels:
            found.setdefault(one.slot if one.group is None else one.group, []).append(one)
        return tuple(tuple(place) for place in found.values())

    @cached_property
    def chooses(self) -> bool:
        """Whether there is anything to choose that depends on scores, weights or health."""
        return len(self.channels) > 1 and (self.mode == "smart" or any(len(place) > 1 for place in self.places))

    def alternatives(self, tried: Collection[int]) -> tuple[StepChannel, ...]:
        """The slots that may follow in this step once the slots `tried` were lost."""
        if not self.chooses:
            return ()
        if self.mode == "smart":
            return tuple(one for one in self.channels if one.slot not in tried)
        begun = [place for place in self.places if any(one.slot in tried for one in place)]
        return tuple(one for place in begun for one in place if one.slot not in tried)


@dataclass(frozen=True, slots=True)
class OfflineSave:
    """How long a message is kept for somebody who cannot be reached now; of several with one key only the newest goes."""

    keep: timedelta
    collapse_key: str = ""


@dataclass(frozen=True)
class Plan:
    """A policy with its accounts resolved, as frozen in a campaign.

    `ceiling` is the most that one person may cost. `unknown_starts_next` is None where the class decides; `order` and
    `weights` are for smart steps.
    """

    steps: tuple[Step, ...]
    expires: timedelta | None
    ceiling: Decimal | None = None
    unknown_starts_next: bool | None = None
    order: str = ""
    weights: Mapping[str, float] = field(default_factory=dict)
    offline: OfflineSave | None = None

    def channels(self) -> list[StepChannel]:
        """All channels in slot order."""
        return [channel for step in self.steps for channel in step.channels]

    def account_ids(self) -> list[int]:
        return sorted({channel.account_id for channel in self.channels()})

    def channel_of(self, step: int, account_id: int) -> StepChannel:
        """The slot of an account in a step, where it stands once. KeyError where it does not."""
        for one in self.steps[step].channels:
            if one.account_id == account_id:
                return one
        raise KeyError(f"account {account_id} is not in step {step}")

    @cached_property
    def chooses(self) -> bool:
        return any(step.chooses for step in self.steps)

    @cached_property
    def strict(self) -> bool:
        """Whether a delivered receipt may be less than what a step waits for."""
        return any(step.until in ("read", "clicked") for step in self.steps)


class AccountFacts(Protocol):
    """What freezing needs to know of an account (channels.selectors.AccountFacts has it)."""

    @property
    def id(self) -> int: ...
    @property
    def code(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def address_kind(self) -> str: ...
    @property
    def receipts(self) -> str: ...
    @property
    def reports_read(self) -> bool: ...
    @property
    def reports_clicks(self) -> bool: ...
    @property
    def active(self) -> bool: ...


TELLS: Mapping[str, Callable[[AccountFacts], bool]] = {
    "read": lambda account: account.reports_read,
    "clicked": lambda account: account.reports_clicks,
}


def freeze(policy: Mapping[str, Any], accounts: Iterable[AccountFacts]) -> dict[str, Any]:
    """The policy with accounts resolved, ready to be stored in a campaign. Raises BadPolicy."""
    found = problems(policy)
    if found:
        raise BadPolicy(found)
    by_code = {account.code: account for account in accounts}
    slots = 0
    steps: list[dict[str, Any]] = []
    for number, step in enumerate(policy["steps"]):
        channels = _frozen_channels(f"steps[{number}]", step, slots, by_code, found)
        slots += len(channels)
        until = step.get("until", "delivered")
        told = until not in TELLS or bool(policy.get("own_reports"))
        if not told and channels and not any(TELLS[until](by_code[one["account"]]) for one in channels):
            found[f"steps[{number}].until"] = (
                f"No channel of this step tells when something was {until}: wait for delivered, or say by own_reports that "
                "your own systems report it."
            )
        steps.append(
            {
                "channels": channels,
                "mode": step.get("mode", "first"),
                "until": until,
                "wait_seconds": step.get("wait_seconds"),
            }
        )
    if slots > MOST_CHANNELS:
        found["steps"] = f"{slots} accounts in all; at most {MOST_CHANNELS} are allowed."
    if found:
        raise BadPolicy(found)
    held = {"version": 2, "steps": steps, "expires_seconds": policy.get("expires_seconds")}
    said = ("ceiling_per_person", "unknown_starts_next", "order", "weights", "offline_save", "own_reports")
    return held | {word: policy[word] for word in said if policy.get(word) is not None}


def _frozen_channels(
    place: str, step: Mapping[str, Any], first: int, by_code: Mapping[str, AccountFacts], found: dict[str, str]
) -> list[dict[str, Any]]:
    """The slots of a step, the first being number `first`; what cannot be is added to `found`."""
    channels: list[dict[str, Any]] = []
    for number, channel in enumerate(step["channels"]):
        where = f"{place}.channels[{number}]"
        begin = len(channels)
        for at, vendor in _vendors(where, channel):
            account = by_code.get(vendor["account"])
            if account is None:
                found[f"{at}.account"] = f"No account {vendor['account']!r} may be used here."
                continue
            if any(other["account_id"] == account.id for other in channels):
                found[f"{at}.account"] = f"Account {account.code!r} stands in this step already."
            if vendor.get("kind") not in (None, account.kind):
                found[f"{at}.kind"] = f"Account {account.code!r} is of kind {account.kind}."
            if not account.active and "vendors" not in channel:
                found[f"{at}.account"] = f"Account {account.code!r} is paused: let it go on, or name another."
            group = first + begin if "vendors" in channel else None
            channels.append(_frozen_channel(first + len(channels), channel, vendor, account, group))
        if channels[begin:] and not any(by_code[one["account"]].active for one in channels[begin:]):
            found.setdefault(where, "Every account of this channel is paused: let one go on, or name another.")
        kinds = sorted({one["address_kind"] for one in channels[begin:]})
        if len(kinds) > 1:
            found[f"{where}.vendors"] = (
                f"Vendors of one channel write to one kind of address, not to {', '.join(kinds)}."
            )
    return channels


def _vendors(place: str, channel: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """(place, {account, kind?, weight?}) of each vendor; an account alone is its own."""
    if "vendors" not in channel:
        return [(place, channel)]
    return [(f"{place}.vendors[{number}]", vendor) for number, vendor in enumerate(channel["vendors"])]


def _frozen_channel(
    slot: int, channel: Mapping[str, Any], vendor: Mapping[str, Any], account: AccountFacts, group: int | None
) -> dict[str, Any]:
    held: dict[str, Any] = {
        "slot": slot,
        "kind": account.kind,
        "account": account.code,
        "account_id": account.id,
        "address_kind": account.address_kind,
        "receipts": account.receipts,
        "only_tag": channel.get("only_tag") or "",
    }
    held |= {word: channel[word] for word in ("only_if", "body") if channel.get(word)}
    if group is not None:
        held |= {"group": group, "weight": vendor.get("weight", 1)}
        held["failover_seconds"] = channel.get("failover_seconds") or FAILOVER_SECONDS
    return held


def load(frozen: Mapping[str, Any]) -> Plan:
    """Reads what `freeze` wrote, in this version or the first."""
    steps = []
    for number, step in enumerate(frozen["steps"]):
        wait = step["wait_seconds"]
        steps.append(
            Step(
                number=number,
                channels=tuple(StepChannel(**channel) for channel in step["channels"]),
                mode=step["mode"],
                until=step["until"],
                wait=None if wait is None else timedelta(seconds=wait),
            )
        )
    expires, ceiling = frozen.get("expires_seconds"), frozen.get("ceiling_per_person")
    return Plan(
        steps=tuple(steps),
        expires=None if expires is None else timedelta(seconds=expires),
        ceiling=None if ceiling is None else Decimal(ceiling),
        unknown_starts_next=frozen.get("unknown_starts_next"),
        order=frozen.get("order") or "",
        weights=frozen.get("weights") or {},
        offline=_offline(frozen.get("offline_save")),
    )


def _offline(said: Mapping[str, Any] | None) -> OfflineSave | None:
    return None if said is None else OfflineSave(timedelta(seconds=said["seconds"]), said.get("collapse_key") or "")
