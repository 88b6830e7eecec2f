"""The picture of a policy's route, ready for a template: one card a step, with what leads to the next between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _

from apps.campaigns.policy_words import (
    channels_of,
    condition_in_words,
    money,
    policy_in_words,
    shares,
    summary,
    whom_in_words,
)
from apps.channels.models import ChannelAccount
from apps.channels.registry import adapter

Json = Mapping[str, Any]


def account_names() -> dict[str, str]:
    """Code -> name of every account."""
    return dict(ChannelAccount.objects.values_list("code", "name"))


def route(plan: Json) -> dict[str, Any]:
    """`steps` with their `channels` as cards, `summary` in one sentence, `sentences` one a step."""
    accounts = {one.code: one for one in ChannelAccount.objects.all()}
    names = {code: one.name for code, one in accounts.items()}
    currency = next((one.currency for one in accounts.values()), "CNY")
    steps = plan.get("steps", [])
    return {
        "steps": [_step(step, accounts, number, last=number == len(steps) - 1) for number, step in enumerate(steps)],
        "summary": summary(plan, names, currency),
        "sentences": policy_in_words(plan, names),
    }


def _step(step: Json, accounts: Mapping[str, ChannelAccount], number: int, *, last: bool) -> dict[str, Any]:
    cards = [_card(one, accounts) for one in channels_of(step)]
    modes = {"all": _("all at once"), "smart": _("the best for the person")}
    how = modes.get(step.get("mode", "first"), _("the first that reaches the person")) if len(cards) > 1 else ""
    return {
        "number": number + 1,
        "how": how,
        "ordered": step.get("mode", "first") == "first",
        "cards": cards,
        "then": "" if last else condition_in_words(step),
    }


def _card(channel: Json, accounts: Mapping[str, ChannelAccount]) -> dict[str, Any]:
    vendors = channel.get("vendors") or [channel]
    return {
        "vendors": [
            {**_vendor(one, accounts), "percent": percent if len(vendors) > 1 else None}
            for one, percent in zip(vendors, shares(vendors), strict=True)
        ],
        "whom": whom_in_words(channel),
        "body": channel.get("body") or "",
    }


def _vendor(said: Json, accounts: Mapping[str, ChannelAccount]) -> dict[str, Any]:
    code = str(said.get("account") or "?")
    account = accounts.get(code)
    if account is None:
        return {"name": code, "code": "", "kind": "", "icon": "", "price": "", "missing": True}
    price = money(f"{account.price.normalize():f}", account.currency) if account.price else _("free")
    kind = adapter(account.kind)
    return {
        "name": account.name,
        "code": code,
        "kind": _(kind.label),
        "icon": reverse("admin:account_icon", args=[account.kind]),
        "price": price,
        "paused": account.state != ChannelAccount.State.ACTIVE,
    }
