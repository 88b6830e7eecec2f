"""A policy in words for people: as sentences, one a step, and as one summary. Reads what was written and what was frozen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.campaigns.words import Words, seconds_in_words

Json = Mapping[str, Any]
Names = Mapping[str, str]  # code of an account -> what people call it

GOALS: dict[str, Words] = {
    "accepted": _("taken by the provider"),
    "delivered": _("delivered"),
    "read": _("read"),
    "clicked": _("clicked"),
}
ORDERS: dict[str, Words] = {
    "smart": _("by reach, price and speed, as the weights say"),
    "best_reach": _("by reach alone"),
    "cheapest": _("by price alone"),
    "fixed": _("as they are named"),
}
WEIGHTS: dict[str, Words] = {
    "reach": _("weight of reach"),
    "price": _("weight of price"),
    "speed": _("weight of speed"),
    "strength": _("strength of the class's rate"),
    "class_strength": _("strength of the assumed rate"),
    "prior_rate": _("assumed delivered rate"),
    "half_seconds": _("seconds that count half"),
}


def policy_in_words(plan: Json, names: Names | None = None) -> list[str]:
    """A sentence for each step of a policy or of a frozen plan, and one for each of its limits."""
    steps = plan.get("steps", [])
    said = [_step_in_words(step, names or {}, last=number == len(steps) - 1) for number, step in enumerate(steps)]
    return [*said, *_order_in_words(plan), *(_capital(limit) + gettext(".") for limit in _limits(plan))]


def summary(plan: Json, names: Names | None = None, currency: str = "CNY") -> str:
    """The policy in one sentence: "App push; if not delivered within 10 minutes, SMS; at most 0.10 CNY a person"."""
    parts: list[str] = []
    before: Json | None = None
    for step in plan.get("steps", []):
        channels = _channels_in_words(step, names or {})
        parts.append(channels if before is None else _follows(before, channels))
        before = step
    return _capital(gettext("; ").join([*parts, *_limits(plan, currency)])) + gettext(".")


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def condition_in_words(step: Json) -> str:
    """When the step after this one follows, without naming it."""
    wait, until = step.get("wait_seconds"), step.get("until", "delivered")
    if not wait:
        return gettext("if it definitely failed")
    phrases = {
        "accepted": gettext("if the provider has not taken it within %(time)s"),
        "delivered": gettext("if not delivered within %(time)s"),
        "read": gettext("if not read within %(time)s"),
        "clicked": gettext("if not clicked within %(time)s"),
    }
    return phrases[until if until in phrases else "delivered"] % {"time": seconds_in_words(wait)}


def _follows(before: Json, channels: str) -> str:
    return gettext("%(condition)s, %(channels)s") % {"condition": condition_in_words(before), "channels": channels}


def _limits(plan: Json, currency: str = "CNY") -> list[str]:
    said = []
    if plan.get("ceiling_per_person"):
        amount = f"{Decimal(plan['ceiling_per_person']):f}"
        said.append(gettext("at most %(amount)s a person") % {"amount": money(amount, currency)})
    if plan.get("unknown_starts_next") is True:
        said.append(gettext("an unknown outcome starts the next step too, so that some may get it twice"))
    if plan.get("unknown_starts_next") is False:
        said.append(gettext("an unknown outcome never starts the next step"))
    if plan.get("own_reports"):
        said.append(gettext("your own systems report what was read or clicked"))
    if kept := (plan.get("offline_save") or {}).get("seconds"):
        said.append(gettext("kept for %(time)s for whoever cannot be reached now") % {"time": seconds_in_words(kept)})
    if plan.get("expires_seconds"):
        said.append(gettext("gives up after %(time)s") % {"time": seconds_in_words(plan["expires_seconds"])})
    return said


def money(amount: object, currency: str = "CNY") -> str:
    """An amount with its currency as people write it."""
    return f"¥{amount}" if currency == "CNY" else f"{amount} {currency}"


def _order_in_words(plan: Json) -> list[str]:
    if not any(step.get("mode") == "smart" for step in plan.get("steps", [])):
        return []
    order = ORDERS.get(plan.get("order") or "smart", "")
    said = [gettext("The best channel is chosen %(how)s.") % {"how": order}]
    weights = plan.get("weights") or {}
    if weights:
        held = [f"{WEIGHTS.get(name, name)} {value:g}" for name, value in weights.items()]
        said.append(gettext("Weights of its own: %(weights)s.") % {"weights": gettext(", ").join(held)})
    return said


def _step_in_words(step: Json, names: Names, *, last: bool) -> str:
    places = channels_of(step)
    held = [channel_in_words(one, names) for one in places]
    if len(held) == 1:
        how = gettext("Send over %(channel)s.") % {"channel": held[0]}
    elif step.get("mode", "first") == "all":
        how = gettext("Send over all of these at once: %(channels)s.") % {"channels": gettext(", ").join(held)}
    elif step.get("mode") == "smart":
        how = gettext("Send over the one of these that scores best for the person, and over the next best where it fails: "
                      "%(channels)s.") % {"channels": gettext(", ").join(held)}  # fmt: skip
    else:
        how = gettext("Send over the first of these that reaches the person: %(channels)s.") % {
            "channels": gettext(", ").join(held)
        }
    return how if last else f"{how} {_until_in_words(step)}"


def _until_in_words(step: Json) -> str:
    wait, until = step.get("wait_seconds"), step.get("until", "delivered")
    if not wait:
        return gettext("The next step follows only when this one definitely failed.")
    sentences = {
        "accepted": gettext("If the provider has not taken it within %(time)s, the next step follows."),
        "delivered": gettext("If it is not delivered within %(time)s, the next step follows."),
        "read": gettext("If it is not read within %(time)s, the next step follows."),
        "clicked": gettext("If it is not clicked within %(time)s, the next step follows."),
    }
    return sentences[until if until in sentences else "delivered"] % {"time": seconds_in_words(wait)}


def _channels_in_words(step: Json, names: Names) -> str:
    held = [channel_in_words(one, names) for one in channels_of(step)]
    if len(held) == 1:
        return held[0]
    joined = gettext(", ").join(held)
    if step.get("mode", "first") == "all":
        return gettext("%(channels)s at once") % {"channels": joined}
    if step.get("mode") == "smart":
        return gettext("the best of %(channels)s for the person") % {"channels": joined}
    return gettext("the first of %(channels)s that reaches the person") % {"channels": joined}


def channels_of(step: Json) -> list[Json]:
    """The channels as they were written: those of a frozen plan that share a group are vendors of one again."""
    found: list[dict[str, Any]] = []
    groups: dict[int, dict[str, Any]] = {}
    for one in step.get("channels", []):
        group = one.get("group")
        if group is None:
            found.append(dict(one))
        elif group in groups:
            groups[group]["vendors"].append(one)
        else:
            groups[group] = {**one, "vendors": [one]}
            found.append(groups[group])
    return found


def channel_in_words(channel: Json, names: Names) -> str:
    """A channel's name, with its vendors' shares, whom it is for and which text it takes."""
    vendors = channel.get("vendors")
    name = _vendors_in_words(vendors, names) if vendors else _name(channel, names)
    asides = whom_in_words(channel)
    if channel.get("body"):
        asides.append(gettext("text “%(variant)s”") % {"variant": channel["body"]})
    return gettext("%(name)s (%(asides)s)") % {"name": name, "asides": gettext(", ").join(asides)} if asides else name


def _name(channel: Json, names: Names) -> str:
    code = str(channel.get("account", "?"))
    return str(names.get(code, code))


def shares(vendors: Sequence[Json]) -> list[int]:
    """The per cent of each vendor, rounded."""
    weights = [one.get("weight", 1) for one in vendors]
    return [round(100 * one / (sum(weights) or 1)) for one in weights]


def _vendors_in_words(vendors: Sequence[Json], names: Names) -> str:
    said = [
        gettext("%(vendor)s %(percent)s %%") % {"vendor": _name(one, names), "percent": percent}
        for one, percent in zip(vendors, shares(vendors), strict=True)
    ]
    return " / ".join(said)


def whom_in_words(channel: Json) -> list[str]:
    """A phrase for each condition on people that a channel has."""
    said = []
    if channel.get("only_tag"):
        said.append(gettext("only people tagged %(tag)s") % {"tag": channel["only_tag"]})
    condition = channel.get("only_if") or {}
    phrases = {
        "tags_any": gettext("only people with any of the tags %(tags)s"),
        "tags_all": gettext("only people with all of the tags %(tags)s"),
        "tags_none": gettext("nobody with any of the tags %(tags)s"),
    }
    said += [
        words % {"tags": gettext(", ").join(condition[part])} for part, words in phrases.items() if condition.get(part)
    ]
    for key, wanted in (condition.get("attributes") or {}).items():
        said.append(gettext("only where %(attribute)s is %(value)s") % {"attribute": key, "value": _value(wanted)})
    return said


def _value(wanted: object) -> str:
    if isinstance(wanted, Mapping):
        ends = {"min": gettext("at least %(value)s"), "max": gettext("at most %(value)s")}
        return gettext(" and ").join(ends[end] % {"value": wanted[end]} for end in ends if end in wanted)
    if isinstance(wanted, list):
        return gettext(" or ").join(_value(one) for one in wanted)
    if isinstance(wanted, bool):
        return gettext("yes") if wanted else gettext("no")
    return str(wanted)
