"""What is wrong with a policy as somebody wrote it. Pure; `policy.py` says what the words mean.

Only the shape is judged here. Whether accounts, tags and attributes exist is for those who can look (freeze, services).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal

from apps.templates.bodies import VARIANT
from ums_site.keepable import keepable

MODES = ("all", "first", "smart")
GOALS = ("accepted", "delivered", "read", "clicked")
ORDERS = ("smart", "best_reach", "cheapest", "fixed")
CONDITIONS = ("tags_any", "tags_all", "tags_none", "attributes")
MOST_STEPS = 10
MOST_CHANNELS = 30
HEAVIEST = 1000
LONGEST = timedelta(days=30)
LONGEST_FAILOVER = timedelta(hours=1)
MONEY = re.compile(r"[0-9]{1,7}(\.[0-9]{1,5})?")
# What a policy may hold; a word beside these is a slip of the pen that would silently change who gets what.
POLICY_WORDS = frozenset(
    [
        *("version", "steps", "ceiling_per_person", "order", "weights", "expires_seconds", "unknown_starts_next"),
        *("offline_save", "own_reports"),
    ]
)
STEP_WORDS = frozenset({"channels", "mode", "until", "wait_seconds"})
CHANNEL_WORDS = frozenset({"kind", "account", "vendors", "only_tag", "only_if", "body", "failover_seconds"})
OFFLINE_WORDS = frozenset({"seconds", "collapse_key"})
LONGEST_KEY = 60
VENDOR_WORDS = frozenset({"kind", "account", "weight"})
Problems = dict[str, str]


def problems(policy: object) -> Problems:
    """Place such as `steps[1].mode` -> a sentence with the remedy. Empty means that the policy can be frozen."""
    if not isinstance(policy, Mapping) or not isinstance(policy.get("steps"), list) or not policy["steps"]:
        return {"steps": "A policy needs a list `steps` with at least one step."}
    found = _unknown_words("", policy, POLICY_WORDS)
    steps = policy["steps"]
    if len(steps) > MOST_STEPS:
        found["steps"] = f"{len(steps)} steps; at most {MOST_STEPS} are allowed."
    for number, step in enumerate(steps):
        found.update(_step_problems(f"steps[{number}]", step))
    found.update(_seconds_problem("expires_seconds", policy.get("expires_seconds"), LONGEST))
    found.update(_plan_problems(policy))
    if not keepable(policy):
        found["steps"] = "A text holds a character that cannot be kept (NUL, or half of one): leave it out."
    return found


def _plan_problems(policy: Mapping[str, object]) -> Problems:
    found: Problems = {}
    if policy.get("version", 2) not in (1, 2):
        found["version"] = "Use 2, or leave it out."
    ceiling = policy.get("ceiling_per_person")
    if ceiling is not None and not (isinstance(ceiling, str) and MONEY.fullmatch(ceiling) and Decimal(ceiling) > 0):
        found["ceiling_per_person"] = (
            'Give an amount above 0 as text, with a point and up to 5 decimals, such as "0.10".'
        )
    if policy.get("unknown_starts_next") not in (None, True, False):
        found["unknown_starts_next"] = "Use true or false; leave it out for what the class says."
    if policy.get("own_reports") not in (None, True, False):
        found["own_reports"] = "Use true where your own systems report what was read or clicked, else leave it out."
    found.update(_offline_problems(policy.get("offline_save")))
    if policy.get("order") not in (None, *ORDERS):
        found["order"] = f"Use one of: {', '.join(ORDERS)}."
    weights = policy.get("weights")
    if weights is not None and not (isinstance(weights, Mapping) and all(map(_is_weight, weights.values()))):
        found["weights"] = "Give an object of names and numbers from 0 to 1000."
    return found


def _offline_problems(said: object) -> Problems:
    if said is None:
        return {}
    if not isinstance(said, Mapping):
        return {"offline_save": 'Give an object such as {"seconds": 259200}, or leave it out.'}
    found = _unknown_words("offline_save.", said, OFFLINE_WORDS)
    if said.get("seconds") is None:
        found["offline_save.seconds"] = "Say for how many seconds a message is kept."
    found.update(_seconds_problem("offline_save.seconds", said.get("seconds"), LONGEST))
    key = said.get("collapse_key") or ""
    if not isinstance(key, str) or len(key) > LONGEST_KEY:
        found["offline_save.collapse_key"] = f"Give a text of at most {LONGEST_KEY} characters, or leave it out."
    return found


def _is_weight(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= HEAVIEST


def _step_problems(place: str, step: object) -> Problems:
    if not isinstance(step, Mapping) or not isinstance(step.get("channels"), list) or not step["channels"]:
        return {f"{place}.channels": "A step needs a list `channels` with at least one channel."}
    found = _unknown_words(f"{place}.", step, STEP_WORDS)
    for number, channel in enumerate(step["channels"]):
        found.update(_channel_problems(f"{place}.channels[{number}]", channel))
    if step.get("mode", "first") not in MODES:
        found[f"{place}.mode"] = f"Use one of: {', '.join(MODES)}."
    if step.get("until", "delivered") not in GOALS:
        found[f"{place}.until"] = f"Use one of: {', '.join(GOALS)}."
    found.update(_seconds_problem(f"{place}.wait_seconds", step.get("wait_seconds"), LONGEST))
    return found


def _channel_problems(place: str, channel: object) -> Problems:
    if not isinstance(channel, Mapping) or not (channel.get("account") or channel.get("vendors")):
        return {f"{place}.account": "Name the code of the account to send over, or several as `vendors`."}
    found = _unknown_words(f"{place}.", channel, CHANNEL_WORDS)
    if not isinstance(channel.get("account") or "", str):
        found[f"{place}.account"] = "Name the code of the account to send over."
    if channel.get("account") and channel.get("vendors"):
        found[f"{place}.vendors"] = "Name either one account or several vendors, not both."
    elif "vendors" in channel:
        found.update(_vendors_problems(f"{place}.vendors", channel["vendors"]))
    found.update(_condition_problems(f"{place}.only_if", channel.get("only_if")))
    if not isinstance(channel.get("only_tag") or "", str):
        found[f"{place}.only_tag"] = "Name one tag."
    body = channel.get("body") or ""
    if body and not (isinstance(body, str) and VARIANT.fullmatch(body)):
        found[f"{place}.body"] = "Name a variant of the text: small letters, digits and hyphens, at most 30."
    found.update(_seconds_problem(f"{place}.failover_seconds", channel.get("failover_seconds"), LONGEST_FAILOVER))
    return found


def _vendors_problems(place: str, vendors: object) -> Problems:
    if not isinstance(vendors, list) or len(vendors) < 2:
        return {place: "A group needs a list of at least two vendors; for one, name it as `account`."}
    found: Problems = {}
    for number, vendor in enumerate(vendors):
        if not isinstance(vendor, Mapping) or not _is_name(vendor.get("account")):
            found[f"{place}[{number}].account"] = "Name the code of the account to send over."
            continue
        found.update(_unknown_words(f"{place}[{number}].", vendor, VENDOR_WORDS))
        weight = vendor.get("weight", 1)
        if isinstance(weight, bool) or not isinstance(weight, int) or not 0 <= weight <= HEAVIEST:
            found[f"{place}[{number}].weight"] = "Give a whole number from 0 (only where no other can) to 1000."
    if not found and not any(vendor.get("weight", 1) for vendor in vendors):
        found[place] = "At least one vendor needs a weight above 0."
    return found


def _condition_problems(place: str, condition: object) -> Problems:
    if condition is None:
        return {}
    if not isinstance(condition, Mapping) or not condition:
        return {place: f"Give at least one of: {', '.join(CONDITIONS)}; or leave it out."}
    found = _unknown_words(f"{place}.", condition, CONDITIONS)
    for part in CONDITIONS[:3]:
        tags = condition.get(part)
        if part in condition and not (isinstance(tags, list) and tags and all(_is_name(tag) for tag in tags)):
            found[f"{place}.{part}"] = "Give a list of tags."
    attributes = condition.get("attributes")
    if "attributes" in condition and not (isinstance(attributes, Mapping) and attributes):
        found[f"{place}.attributes"] = "Give an object of attribute keys and values."
    return found


def _is_name(text: object) -> bool:
    return isinstance(text, str) and bool(text.strip())


def _unknown_words(place: str, held: Mapping[str, object], known: Iterable[str]) -> Problems:
    words: Sequence[str] = sorted(str(word) for word in held if word not in set(known))
    return {f"{place}{word}": f"Unknown; known are {', '.join(sorted(known))}." for word in words}


def _seconds_problem(place: str, value: object, most: timedelta) -> Problems:
    if value is None:
        return {}
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most.total_seconds():
        return {place: f"Give seconds, more than 0 and at most {int(most.total_seconds())}."}
    return {}
