"""What a policy says, as data. Pure.

    {"steps": [{"channels": [{"kind": "push_jpush", "account": "push-main"},
                             {"kind": "email_smtp", "account": "mail-main", "only_tag": "vip"}],
                "mode": "all", "until": "delivered", "wait_seconds": 20},
               {"channels": [{"kind": "sms_aliyun", "account": "sms-main"}], "mode": "first", "until": "delivered"}],
     "expires_seconds": 86400}

mode "all" sends over every channel of the step that reaches the person, "first" over the first one that does. The next
step follows when the step definitely failed, or `wait_seconds` after acceptance without what `until` names; without
`wait_seconds` only a definite failure starts it. `only_tag` limits a channel to recipients with that tag.

Frozen into a campaign, each channel also carries what was true of its account then: `account_id`, `address_kind`,
`receipts` (see contract.Receipts) and `slot`, its number in the whole plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

MODES = ("all", "first")
GOALS = ("accepted", "delivered")
MOST_STEPS = 10
MOST_CHANNELS = 30
LONGEST = timedelta(days=30)


class BadPolicy(ValueError):
    """The policy cannot be followed; `problems` maps a place such as `steps[1].mode` to a sentence with the remedy."""

    def __init__(self, problems: dict[str, str]) -> None:
        super().__init__("; ".join(f"{place}: {words}" for place, words in problems.items()))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class StepChannel:
    """One channel of a step. `measurable` says that a delivered receipt can come back."""

    slot: int
    kind: str
    account: str
    account_id: int
    address_kind: str
    receipts: str
    only_tag: str = ""

    @property
    def measurable(self) -> bool:
        return self.receipts in ("push", "poll", "both")


@dataclass(frozen=True, slots=True)
class Step:
    """One step; `wait` is None where only a definite failure starts the next."""

    number: int
    channels: tuple[StepChannel, ...]
    mode: str
    until: str
    wait: timedelta | None


@dataclass(frozen=True, slots=True)
class Plan:
    """A policy with its accounts resolved, as frozen in a campaign."""

    steps: tuple[Step, ...]
    expires: timedelta | None

    def channels(self) -> list[StepChannel]:
        """All channels in slot order."""
        return [channel for step in self.steps for channel in step.channels]

    def account_ids(self) -> list[int]:
        return sorted({channel.account_id for channel in self.channels()})


def problems(policy: object) -> dict[str, str]:
    """What is wrong with a policy as somebody wrote it: place -> sentence. Empty means that it can be frozen."""
    if not isinstance(policy, Mapping) or not isinstance(policy.get("steps"), list) or not policy["steps"]:
        return {"steps": "A policy needs a list `steps` with at least one step."}
    found: dict[str, str] = {}
    steps = policy["steps"]
    if len(steps) > MOST_STEPS:
        found["steps"] = f"{len(steps)} steps; at most {MOST_STEPS} are allowed."
    for number, step in enumerate(steps):
        found.update(_step_problems(f"steps[{number}]", step))
    found.update(_seconds_problem("expires_seconds", policy.get("expires_seconds")))
    return found


def _step_problems(place: str, step: object) -> dict[str, str]:
    if not isinstance(step, Mapping) or not isinstance(step.get("channels"), list) or not step["channels"]:
        return {f"{place}.channels": "A step needs a list `channels` with at least one channel."}
    found: dict[str, str] = {}
    for number, channel in enumerate(step["channels"]):
        if not isinstance(channel, Mapping) or not channel.get("account"):
            found[f"{place}.channels[{number}].account"] = "Name the code of the account to send over."
    if step.get("mode", "first") not in MODES:
        found[f"{place}.mode"] = f"Use one of: {', '.join(MODES)}."
    if step.get("until", "delivered") not in GOALS:
        found[f"{place}.until"] = f"Use one of: {', '.join(GOALS)}."
    found.update(_seconds_problem(f"{place}.wait_seconds", step.get("wait_seconds")))
    return found


def _seconds_problem(place: str, value: object) -> dict[str, str]:
    if value is None:
        return {}
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= LONGEST.total_seconds():
        return {place: f"Give seconds, more than 0 and at most {int(LONGEST.total_seconds())}."}
    return {}


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


def freeze(policy: Mapping[str, Any], accounts: Iterable[AccountFacts]) -> dict[str, Any]:
    """The policy with accounts resolved, ready to be stored in a campaign. Raises BadPolicy."""
    found = problems(policy)
    if found:
        raise BadPolicy(found)
    by_code = {account.code: account for account in accounts}
    slot = 0
    steps: list[dict[str, Any]] = []
    for number, step in enumerate(policy["steps"]):
        channels: list[dict[str, Any]] = []
        for place, channel in enumerate(step["channels"]):
            account = by_code.get(channel["account"])
            where = f"steps[{number}].channels[{place}]"
            if account is None:
                found[f"{where}.account"] = f"No account {channel['account']!r} may be used here."
                continue
            if any(other["account_id"] == account.id for other in channels):
                found[f"{where}.account"] = f"Account {account.code!r} stands in this step already."
            if channel.get("kind") not in (None, account.kind):
                found[f"{where}.kind"] = f"Account {account.code!r} is of kind {account.kind}."
            channels.append(_frozen_channel(slot, channel, account))
            slot += 1
        steps.append(
            {
                "channels": channels,
                "mode": step.get("mode", "first"),
                "until": step.get("until", "delivered"),
                "wait_seconds": step.get("wait_seconds"),
            }
        )
    if slot > MOST_CHANNELS:
        found["steps"] = f"{slot} channels in all; at most {MOST_CHANNELS} are allowed."
    if found:
        raise BadPolicy(found)
    return {"steps": steps, "expires_seconds": policy.get("expires_seconds")}


def _frozen_channel(slot: int, channel: Mapping[str, Any], account: AccountFacts) -> dict[str, Any]:
    return {
        "slot": slot,
        "kind": account.kind,
        "account": account.code,
        "account_id": account.id,
        "address_kind": account.address_kind,
        "receipts": account.receipts,
        "only_tag": channel.get("only_tag") or "",
    }


def load(frozen: Mapping[str, Any]) -> Plan:
    """Reads what `freeze` wrote."""
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
    expires = frozen.get("expires_seconds")
    return Plan(tuple(steps), None if expires is None else timedelta(seconds=expires))
