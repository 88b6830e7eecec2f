"""Conditions of a policy's channels on people: what `policy.py` cannot judge, since tags and attributes are rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apps.campaigns.policy import BadPolicy
from apps.users.audience import BadAudience, validate


def with_conditions(plan: Mapping[str, Any]) -> dict[str, Any]:
    """The plan, which has the right shape, with the `only_if` of each channel in its one spelling.

    Raises BadPolicy that names the place where an attribute is not declared, is sensitive or is not of the given type.
    """
    found: dict[str, str] = {}
    steps = []
    for number, step in enumerate(plan["steps"]):
        channels = []
        for place, channel in enumerate(step["channels"]):
            if channel.get("only_if"):
                try:
                    channel = channel | {"only_if": _meant(channel["only_if"])}
                except BadAudience as bad:
                    found[f"steps[{number}].channels[{place}].only_if"] = str(bad)
            channels.append(channel)
        steps.append(step | {"channels": channels})
    if found:
        raise BadPolicy(found)
    return dict(plan) | {"steps": steps}


def _meant(condition: Mapping[str, Any]) -> dict[str, Any]:
    held = validate(condition)
    del held["kind"]
    return held


def conditioned(plan: Mapping[str, Any]) -> bool:
    """Whether any channel of the plan has conditions to look up."""
    return any(channel.get("only_if") for step in plan["steps"] for channel in step["channels"])
