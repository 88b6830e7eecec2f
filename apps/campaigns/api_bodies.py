"""Bodies of the API read into what the services take. Every refusal names the field and what to write instead.

Written by hand and not as serializers: a batch has thousands of items, and this is the path of every message. The
serializers describe the same bodies for the documentation; a test sends their examples through here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.campaigns.accepting import MOST_AT_ONCE, NewMessage
from apps.campaigns.policy import problems as policy_problems
from apps.campaigns.states import MessageClass
from apps.channels.registry import adapters

LONGEST_USER_ID = 64
LONGEST_ADDRESS = 1000
LONGEST_REFERENCE = 128
MOST_PROBLEMS = 20
COMMON = frozenset({"template", "policy", "steps", "ceiling_per_person", "class", "expires_at"})
ITEM = frozenset({"to", "variables", "client_ref"})
# Lazy: a sentence is looked up in the caller's language where it is needed, not for every good item.
CODE_OF_TEMPLATE = gettext_lazy("Give the code of a published template.")
CODE_OF_POLICY = gettext_lazy("Give the code of a policy.")
LONG_REFERENCE = gettext_lazy("Give a text of at most %(most)s characters.")
LONG_USER_ID = gettext_lazy("Give the person's user id, a text of at most %(most)s characters.")
LONG_ADDRESS = gettext_lazy("Give the address, a text of at most %(most)s characters.")


class BadBody(ValueError):
    """The body cannot be taken. `problems`: field such as `messages[3].to.user_id` -> sentence with the remedy."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = dict(list(problems.items())[:MOST_PROBLEMS])


@dataclass(frozen=True, slots=True)
class Asked:
    """What a body asks for. `policy` is a code, or a plan with `steps`; `references` has one `client_ref` an item."""

    template: str
    policy: str | dict[str, Any]
    message_class: str
    expires_at: datetime | None
    items: list[NewMessage]
    references: list[str] = field(default_factory=list)


def read_single(body: object) -> Asked:
    """One message: the common part and the item in one object. Raises BadBody."""
    held = _object(body)
    found: dict[str, str] = {}
    _unknown(held, COMMON | ITEM, "", found)
    item, reference = _item(held, "", found)
    return _asked(held, [item], [reference], found)


def read_batch(body: object) -> Asked:
    """The common part and `messages`, up to MOST_AT_ONCE items. Raises BadBody."""
    held = _object(body)
    found: dict[str, str] = {}
    _unknown(held, COMMON | {"messages"}, "", found)
    given = held.get("messages")
    if not isinstance(given, list) or not 0 < len(given) <= MOST_AT_ONCE:
        words = _("Give a list of 1 to %(most)s messages; send more in several calls.")
        raise BadBody({**found, "messages": words % {"most": MOST_AT_ONCE}})
    items: list[NewMessage] = []
    references: list[str] = []
    for number, one in enumerate(given):
        place = f"messages[{number}]."
        item, reference = _batch_item(one, place, found)
        items.append(item)
        references.append(reference)
        if len(found) >= MOST_PROBLEMS:
            break
    _same_references(references, found)
    return _asked(held, items, references, found)


def _batch_item(one: object, place: str, found: dict[str, str]) -> tuple[NewMessage, str]:
    if not isinstance(one, dict):
        found[place[:-1]] = _("Give an object with `to` and, where the template needs them, `variables`.")
        return NewMessage(), ""
    if one.keys() - ITEM:
        _unknown(one, ITEM, place, found)
    return _item(one, place, found)


def _object(body: object) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise BadBody({"body": _("Send one JSON object.")})
    return body


def _unknown(held: Mapping[str, Any], known: frozenset[str], place: str, found: dict[str, str]) -> None:
    for name in sorted(held.keys() - known):
        words = _("There is no such field; the fields are %(known)s.")
        found[f"{place}{name[:60]}"] = words % {"known": ", ".join(sorted(known))}


def _same_references(references: list[str], found: dict[str, str]) -> None:
    seen: dict[str, int] = {}
    for number, reference in enumerate(references):
        if reference and seen.setdefault(reference, number) != number:
            words = _("messages[%(first)s] has the same reference: one reference, one message.")
            found[f"messages[{number}].client_ref"] = words % {"first": seen[reference]}


def _asked(held: Mapping[str, Any], items: list[NewMessage], references: list[str], found: dict[str, str]) -> Asked:
    template = _text(held, "template", 50, CODE_OF_TEMPLATE, found)
    policy = _policy(held, found)
    message_class = held.get("class")
    if not isinstance(message_class, str) or message_class not in list(MessageClass):
        found["class"] = _("Use one of: %(known)s.") % {"known": ", ".join(MessageClass)}
    expires_at = _moment(held, found)
    if found:
        raise BadBody(found)
    return Asked(template, policy, str(message_class), expires_at, items, references)


def _policy(held: Mapping[str, Any], found: dict[str, str]) -> str | dict[str, Any]:
    code, steps = held.get("policy"), held.get("steps")
    if (code is None) == (steps is None):
        found["policy"] = _("Give either `policy`, the code of a policy, or `steps`.")
        return ""
    ceiling = held.get("ceiling_per_person")
    if steps is None:
        if ceiling is not None:
            found["ceiling_per_person"] = _("A policy that is named has its own ceiling: give this with `steps` only.")
        return _text(held, "policy", 50, CODE_OF_POLICY, found)
    plan = {"steps": steps} if ceiling is None else {"steps": steps, "ceiling_per_person": ceiling}
    found.update(policy_problems(plan))
    return plan


def _moment(held: Mapping[str, Any], found: dict[str, str]) -> datetime | None:
    given = held.get("expires_at")
    if given is None:
        return None
    try:
        moment = parse_datetime(given) if isinstance(given, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        found["expires_at"] = _("Give a time with its offset, such as 2026-11-23T18:00:00+08:00.")
        return None
    return moment


def _item(held: Mapping[str, Any], place: str, found: dict[str, str]) -> tuple[NewMessage, str]:
    variables = held.get("variables") or {}
    if not isinstance(variables, dict):
        found[f"{place}variables"] = _("Give an object of names and values.")
        variables = {}
    for name, value in variables.items():
        if isinstance(value, dict | list):
            found[f"{place}variables.{name[:60]}"] = _("Give a text, a number, true or false.")
    reference = held.get("client_ref")
    if reference is not None:
        reference = _text(held, "client_ref", LONGEST_REFERENCE, LONG_REFERENCE, found, place)
    user_id, kind, address = _target(held.get("to"), place, found)
    return NewMessage(user_id, kind, address, variables), reference or ""


def _target(to: object, place: str, found: dict[str, str]) -> tuple[str, str, str]:
    if isinstance(to, dict) and len(to) == 1 and "user_id" in to:
        return _text(to, "user_id", LONGEST_USER_ID, LONG_USER_ID, found, f"{place}to."), "", ""
    if not isinstance(to, dict) or to.keys() != {"address_kind", "address"}:
        found[f"{place}to"] = _("Name a person by `user_id`, or an address by `address_kind` and `address`.")
        return "", "", ""
    if to["address_kind"] not in address_kinds():
        words = _("Use one of: %(known)s.")
        found[f"{place}to.address_kind"] = words % {"known": ", ".join(address_kinds())}
        return "", "", ""
    return "", to["address_kind"], _text(to, "address", LONGEST_ADDRESS, LONG_ADDRESS, found, f"{place}to.")


def _text(held: Mapping[str, Any], name: str, most: int, hint: object, found: dict[str, str], place: str = "") -> str:
    """A text of 1 to `most` characters without NUL, which the database cannot hold; else the hint is noted."""
    value = held.get(name)
    if isinstance(value, str) and 0 < len(value) <= most and "\0" not in value:
        return value
    found[f"{place}{name}"] = str(hint) % {"most": most}
    return ""


@cache
def address_kinds() -> tuple[str, ...]:
    """The kinds of address that some channel sends to."""
    return tuple(dict.fromkeys(one.capabilities.address_kind for one in adapters()))
