"""What the campaign page shows, made ready for its template."""

from __future__ import annotations

from dataclasses import asdict
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.translation import gettext as _

from apps.campaigns.allowances_in_words import rows
from apps.campaigns.models import Campaign
from apps.campaigns.policy_picture import account_names
from apps.campaigns.policy_words import policy_in_words
from apps.campaigns.progress import is_over
from apps.campaigns.recalling import recall_progress
from apps.campaigns.standstill import standstill
from apps.campaigns.states import CampaignState
from apps.campaigns.words import (
    CAMPAIGN_STATES,
    CLASSES,
    SOURCES,
    STATE_TONES,
    pace_in_words,
    reason_in_words,
    seconds_in_words,
)
from apps.channels.models import ChannelAccount
from apps.channels.registry import KINDS, adapter
from apps.partners.allowances import remaining
from apps.reports.drill import MONEY_FIGURES, RECALL_FIGURES, SYMBOLS
from apps.reports.figures import Figures, campaign_figures
from apps.reports.versus import WHY, Row, rows_of, words_of

TILES = [
    "targets", "invalid", "blocked", "valid", "accepted", "refused", "in_progress", "recalled",
    "delivered", "undelivered", "unknown", "in_window", "read", "clicked", "reissued",
]  # fmt: skip
PARTS = [
    ("delivered", "good"), ("in_window", "brand"), ("unknown", "warn"), ("undelivered", "bad"), ("refused", "bad"),
    ("invalid", "dim"), ("blocked", "dim"), ("recalled", "dim"),
]  # fmt: skip
FUNNEL = ["targets", "valid", "accepted", "delivered", "read", "clicked"]


def campaign_context(campaign: Campaign) -> dict[str, Any]:
    """Figures as of now with their drill-down addresses. `settled`: nothing will move any more."""
    figures = campaign_figures(campaign.pk)
    recall = recall_progress(campaign.pk)
    counts = asdict(figures)
    total = figures.targets or 1
    done = figures.targets - figures.in_progress
    return {
        "campaign": campaign,
        "figures": figures,
        "state": CAMPAIGN_STATES.get(campaign.state, campaign.state),
        "tone": STATE_TONES.get(campaign.state, "dim"),
        "shown_class": CLASSES.get(campaign.message_class, campaign.message_class),
        "sentences": policy_in_words(campaign.plan, account_names()),
        "late": _late(campaign),
        "source": SOURCES[campaign.source],
        "pace": pace_in_words(campaign.pace_per_second) if campaign.pace_per_second else "",
        "expanding": campaign.state == CampaignState.EXPANDING,
        "percent": done * 100 // total if figures.targets else 0,
        "done": done,
        "parts": [
            (tone, round(counts[name] * 100 / total, 3), SYMBOLS[name][1]) for name, tone in PARTS if counts[name]
        ],
        "tiles": [(name, *SYMBOLS[name], counts[name], messages_link(campaign, name)) for name in TILES],
        "funnel": [(SYMBOLS[name][1], counts[name], round(counts[name] * 100 / total, 2)) for name in FUNNEL],
        "channel_columns": list(channel_columns().values()),
        "channels": _channels(campaign, figures),
        "routes": _routes(campaign, figures),
        "reasons": _reasons(campaign, figures),
        "versus": _versus(campaign, figures),
        "allowances": _allowances(campaign),
        "without_room": figures.without_room,
        "without_room_link": messages_link(campaign, "without_room"),
        "money": _money(campaign, figures),
        "money_links": {name: messages_link(campaign, name) for name in MONEY_FIGURES},
        "baseline_done": bool(campaign.figures and "baseline" in campaign.figures),
        "fewer": (figures.baseline_reach or 0) - figures.accepted,
        "standstill": standstill(campaign),
        "recall": recall,
        "recall_links": {name: messages_link(campaign, name) for name in RECALL_FIGURES},
        "settled": is_over(campaign) and not figures.window_open and not (recall and (recall.open or recall.waiting)),
    }


def _late(campaign: Campaign) -> str:
    """How long after its time a scheduled campaign began; less than a second is not late."""
    if campaign.scheduled_at is None or campaign.started_at is None:
        return ""
    seconds = (campaign.started_at - campaign.scheduled_at).total_seconds()
    return seconds_in_words(seconds) if seconds >= 1 else ""


def _money(campaign: Campaign, figures: Figures) -> dict[str, str]:
    each = figures.cost_per_delivered
    return {
        "cost": money(figures.cost),
        "failed": money(figures.failed_cost),
        "each": money(None if each is None else each.quantize(Decimal("0.0001"))),
        "ceiling": money(campaign.cost_ceiling),
        "baseline": money(figures.baseline_cost),
        "saved": money(figures.saved),
    }


def _allowances(campaign: Campaign) -> list[dict[str, Any]]:
    """The campaign's own, and those of its line that warn; none of them matters once it is over."""
    if is_over(campaign):
        return []
    found = remaining(campaign.business_line, campaign.pk)
    return rows(one for one in found if one.allowance.campaign_id == campaign.pk or one.warns)


def messages_link(campaign: Campaign, figure: str = "", **also: str) -> str:
    """The list of the messages that a figure counts."""
    asked = {"campaign": str(campaign.pk), **({"figure": figure} if figure else {}), **also}
    return f"{reverse('admin:campaigns_message_changelist')}?{urlencode(asked)}"


def channel_columns() -> dict[str, str]:
    """Figure -> head of its column in the table by account."""
    return {
        "tried": _("Tried"), "accepted": "S " + _("taken"), "delivered": "D " + _("delivered"),
        "undelivered": "DF " + _("not delivered"), "unknown": "U " + _("unknown"), "in_window": _("awaited"),
    }  # fmt: skip


def _channels(campaign: Campaign, figures: Figures) -> list[dict[str, Any]]:
    accounts = {one.code: one for one in ChannelAccount.objects.filter(code__in=figures.by_channel)}
    rows, columns = [], channel_columns()
    for code, held in figures.by_channel.items():
        account = accounts.get(code)
        cells = [
            (words, held[name], messages_link(campaign, f"{name}@{account.pk}") if account else "")  # type: ignore[literal-required]
            for name, words in columns.items()
        ]
        rows.append(
            {
                "account": account or code,
                "kind": adapter(account.kind).label if account else "",
                "cells": cells,
                "rate": _percent(held["delivered"], held["accepted"]) if held["measurable"] else _("not measurable"),
                "pieces": held["pieces"],
                "cost": money(held["cost"]),
                "cost_link": messages_link(campaign, f"billed@{account.pk}") if account and held["billed"] else "",
                "currency": account.currency if account else "",
            }
        )
    return rows


def _routes(campaign: Campaign, figures: Figures) -> list[dict[str, Any]]:
    return [
        {
            "route": " → ".join(_kinds_in_words(step) for step in name.split(" > ")),
            "people": held["people"],
            "delivered": held["delivered"],
            "rate": _percent(held["delivered"], held["people"]),
            "link": messages_link(campaign, f"route:{name}"),
        }
        for name, held in figures.by_route.items()
    ]


def _kinds_in_words(kinds: str) -> str:
    return " + ".join(_(adapter(kind).label) if kind in KINDS else kind for kind in kinds.split(" + "))


def _reasons(campaign: Campaign, figures: Figures) -> list[tuple[str, int, str]]:
    found = [*figures.invalid_reasons.items(), *figures.blocked_reasons.items()]
    return [(reason_in_words(reason), people, messages_link(campaign, reason=reason)) for reason, people in found]


def _versus(campaign: Campaign, figures: Figures) -> list[tuple[str, str, str, str, str]]:
    """(what, forecast, actual, difference, why) of every figure that was forecast."""
    names = account_names()
    return [
        (_versus_words(row.key, names), _foreseen(row), _shown(row.actual), _shown(row.difference, sign=True),
         str(WHY.get(row.why, "")))
        for row in rows_of(campaign, figures)
        if row.forecast is not None
    ]  # fmt: skip


def _foreseen(row: Row) -> str:
    between = "" if row.low is None else f" ({_shown(row.low)} – {_shown(row.high)})"
    return _shown(row.forecast) + between


def _versus_words(key: str, names: dict[str, str]) -> str:
    kind, _dot, name = key.partition(".")
    if kind == "blocked":
        return f"{_('blocked')}: {reason_in_words(name)}"
    if kind == "tried":
        return _("written to over %(account)s") % {"account": names.get(name, name)}
    if kind == "route":
        return " → ".join(_kinds_in_words(step) for step in name.split(" > "))
    return words_of(key)


def _shown(held: Any, sign: bool = False) -> str:
    if held is None:
        return "—"
    plus = "+" if sign and held > 0 else ""
    return f"{plus}{money(held)}" if isinstance(held, Decimal) else f"{plus}{held:,}"


def _percent(part: int, whole: int) -> str:
    return f"{part * 100 / whole:.1f} %" if whole else "—"


def money(amount: Decimal | None) -> str:
    """Two decimals, more only where the cents would hide something: what is shown adds up."""
    if amount is None:
        return "—"
    return f"{amount:,.{max(2, -int(amount.normalize().as_tuple().exponent))}f}"
