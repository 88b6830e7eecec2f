"""Smart order: the SQL that scores a slot for the people being planned. See choice.py for how scores are used.

What a text costs over an account is its price times the pieces of the text: the average that the campaign's forecast measured
on its own audience, or, where none was made (the API), the pieces of the template's example values.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from django.db import connection

from apps.campaigns.models import Campaign
from apps.campaigns.pipeline.loaded import loaded_plan
from apps.campaigns.pipeline.score_sql import Priced, class_experience, score_sql, weights_for
from apps.campaigns.policy import StepChannel
from apps.campaigns.scoring import NONE, Weights
from apps.channels.prices import PRICE_AT
from apps.channels.registry import adapter
from apps.templates.errors import NoBody
from apps.templates.models import TemplateVersion
from apps.templates.render import RenderError
from apps.templates.selectors import compiled, example_values


def score_of(campaign: Campaign, channel: StepChannel) -> tuple[str, list[Any]]:
    """SQL (and its values) for the score of one slot, a number that is never null; the highest is tried first.

    It stands over alias `p` (the temporary table `planning`: message_id, recipient_id, bindings …) and alias `r`
    (users_recipient, all null for an address without a person). It is asked only for smart steps. Of equal scores the one
    named first in the policy is the higher by a hair; vendors of one channel stay equal, so that their weights decide.
    """
    weights, priced = _known(campaign)
    step = next(step for step in loaded_plan(campaign).steps if channel in step.channels)
    compared = [priced[one.slot] for one in step.channels]
    sql, values = score_sql(priced[channel.slot], compared, weights, "p.bindings", "r.id")
    return f"{sql} - {channel.slot if channel.group is None else channel.group}e-9", values


def _known(campaign: Campaign) -> tuple[Weights, dict[int, Priced]]:
    """The weights and the priced slots of a campaign, read once per object."""
    held: tuple[Weights, dict[int, Priced]] | None = campaign.__dict__.get("_smart")
    if held is None:
        plan = loaded_plan(campaign)
        weights = weights_for(campaign.message_class, plan.weights, plan.order)
        held = campaign.__dict__["_smart"] = weights, _priced(campaign)
    return held


def _priced(campaign: Campaign) -> dict[int, Priced]:
    channels = loaded_plan(campaign).channels()
    accounts = sorted({one.account_id for one in channels})
    prices = prices_now(accounts, campaign.message_class)
    known = class_experience(campaign.message_class, accounts)
    return {
        one.slot: Priced(
            one.slot,
            one.account_id,
            float(prices[one.account_id]) * pieces_of(campaign, one),
            known.get(one.account_id, NONE),
        )
        for one in channels
    }


def prices_now(account_ids: Sequence[int], message_class: str) -> dict[int, Decimal]:
    """What a unit costs over each account for a class at this moment."""
    return prices_at(account_ids, message_class, None)


def prices_at(account_ids: Sequence[int], message_class: str, at: datetime | None) -> dict[int, Decimal]:
    """The same at a moment (None: now); an account that had no price yet costs what it costs now."""
    price = PRICE_AT.format(account="a.id", message_class="v.class", at="v.at")
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT a.id, coalesce({price}, a.price) FROM ums_channels_channelaccount a, "
            "(SELECT %s::text AS class, coalesce(%s::timestamptz, now()) AS at) v WHERE a.id = ANY(%s)",
            [message_class, at, list(account_ids)],
        )
        return dict(cursor.fetchall())


def pieces_of(campaign: Campaign, channel: StepChannel) -> float:
    """Billed pieces of the campaign's text over a channel, on average; 1 where the text cannot be known before."""
    said = campaign.forecast or {}
    reached = said.get("reachable", {}).get(channel.account, 0)
    if reached and said.get("pieces", {}).get(channel.account):
        return float(said["pieces"][channel.account]) / float(reached)
    return float(example_pieces(campaign.template_version_id, channel.kind, channel.body_key))


@lru_cache(maxsize=1024)
def example_pieces(version_id: int, kind: str, body_key: str) -> int:
    """Pieces of a published version's text with its example values; 1 where one is missing."""
    values = example_values(TemplateVersion.objects.get(pk=version_id))
    try:
        return adapter(kind).pieces(compiled(version_id, body_key).render(values))
    except (NoBody, RenderError):
        return 1
