"""Faults on demand: which call goes wrong, and how."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from simulator.chance import address_bucket, chance
from simulator.traits import Traits

ACTIONS = frozenset(
    (
        "accept",
        "refuse",
        "token_error",
        "429",
        "500",
        "hang",
        "drip",
        "reset_before",
        "reset_after",
        "garbage",
        "bigbody",
        "wrong_charset",
    )
)
AFTER_ACCEPT = "_after_accept"
ACCEPTING = frozenset(("accept", "reset_after"))
LAST_STAGE = "dot"


class ScriptError(ValueError):
    """A fault script cannot be understood."""


class Plan(NamedTuple):
    """What to do with one call: accept it or not, and how to spoil the answer (None: not at all)."""

    accepts: bool
    action: str | None
    argument: str | None = None

    @property
    def returned(self) -> bool:
        """Tell whether the caller gets an answer it can trust."""
        return self.action is None


HONEST = Plan(True, None)


def parse_actions(steps: Sequence[Any]) -> Plan:
    """Turn ``["accept", "hang(3)"]`` or ``[{"refuse": "isv.OUT_OF_SERVICE"}]`` into a plan."""
    if isinstance(steps, str):
        steps = [steps]
    plan = Plan(False, None)
    for step in steps:
        name, argument = _step(step)
        if name.endswith(AFTER_ACCEPT):
            name, plan = name.removesuffix(AFTER_ACCEPT), plan._replace(accepts=True)
        if name not in ACTIONS:
            raise ScriptError(f"unknown action {name}")
        plan = plan._replace(accepts=plan.accepts or name in ACCEPTING)
        if name != "accept":
            plan = plan._replace(action=name, argument=argument)
    if not plan.accepts and plan.action is None:
        raise ScriptError("a script must do something")
    return plan


def _step(step: Any) -> tuple[str, str | None]:
    if isinstance(step, dict) and len(step) == 1:
        ((name, argument),) = step.items()
        return str(name), None if argument is None else str(argument)
    found = re.fullmatch(r"\s*(\w+)\s*(?:\((.*)\))?\s*", str(step), re.DOTALL)
    if not found:
        raise ScriptError(f"cannot read action {step!r}")
    return found[1], found[2] or None


@dataclass(slots=True)
class Script:
    """One rule; it counts the calls it has seen since it was installed."""

    provider: str
    match: str
    plan: Plan
    operation: str = "send"
    at: str = "dot"
    times: int | None = None
    seen: int = 0
    fired: int = 0
    _pattern: tuple[str, Any, Any] = field(default=("all", None, None))

    def __post_init__(self) -> None:
        self._pattern = parse_match(self.match)

    def wants(self, seed: int, addresses: Sequence[str]) -> bool:
        """Tell whether the rule applies to the call counted last, and remember that it fired."""
        if self.times is not None and self.fired >= self.times:
            return False
        if not self._matches(seed, addresses):
            return False
        self.fired += 1
        return True

    def _matches(self, seed: int, addresses: Sequence[str]) -> bool:
        kind, first, second = self._pattern
        if kind == "every":
            return bool(self.seen % first == second % first)
        if kind == "to":
            return first in addresses
        if kind == "bucket":
            return any(address_bucket(address, first) == second for address in addresses)
        if kind == "rate":
            return bool(chance(seed, "script", self.provider, self.match, self.seen) < first)
        return True


def parse_match(match: str) -> tuple[str, Any, Any]:
    """Read ``all``, ``every:N``, ``every:N@K``, ``to:<address>``, ``address%N==K`` or ``rate:0.05``."""
    if match == "all":
        return "all", None, None
    if found := re.fullmatch(r"every:([1-9]\d*)(?:@(\d+))?", match):
        return "every", int(found[1]), int(found[2] or 0)
    if match.startswith("to:") and len(match) > 3:
        return "to", match[3:], None
    if found := re.fullmatch(r"address%([1-9]\d*)==(\d+)", match):
        return "bucket", int(found[1]), int(found[2])
    if found := re.fullmatch(r"rate:([01](?:\.\d+)?)", match):
        return "rate", float(found[1]), None
    raise ScriptError(f"cannot read match {match!r}")


def parse_script(document: dict[str, Any], kinds: Mapping[str, type[Traits]]) -> Script:
    """Build a script from its JSON form; ScriptError says what is wrong with it."""
    unknown = set(document) - {"provider", "match", "do", "times", "operation", "at"}
    if unknown:
        raise ScriptError(f"unknown field {sorted(unknown)[0]}")
    kind, times, at = kinds.get(document.get("provider", "")), document.get("times"), document.get("at", LAST_STAGE)
    operation = document.get("operation", "send")
    if kind is None:
        raise ScriptError(f"unknown provider {document.get('provider')!r}")
    if at not in (LAST_STAGE, *kind.stages):
        raise ScriptError(f"unknown stage {at!r}")
    if operation not in kind.operations:
        raise ScriptError(f"{kind.name} has no operation {operation!r}")
    if times is not None and (not isinstance(times, int) or times < 1):
        raise ScriptError("times must be a positive whole number or null")
    plan = parse_actions(document.get("do", ()))
    if plan.action == "token_error" and not kind.token_error:
        raise ScriptError(f"{kind.name} has no tokens")
    return Script(kind.name, document.get("match", "all"), plan, operation, at, times)


class ScriptBook:
    """The installed scripts, asked in their order; the first that applies wins."""

    def __init__(self, seed: int, kinds: Mapping[str, type[Traits]]) -> None:
        self.seed, self.kinds = seed, kinds
        self.scripts: list[Script] = []

    def install(self, documents: Sequence[dict[str, Any]]) -> None:
        """Replace all scripts; nothing changes if one of them is wrong."""
        self.scripts = [parse_script(document, self.kinds) for document in documents]

    def choose(self, provider: str, operation: str, addresses: Sequence[str], at: str = "dot") -> Plan | None:
        """Return the plan of the first script that applies to this call, or None."""
        chosen = None
        for script in self.scripts:
            if (script.provider, script.operation, script.at) != (provider, operation, at):
                continue
            script.seen += 1
            if chosen is None and script.wants(self.seed, addresses):
                chosen = script.plan
        return chosen
