"""Smart order: the SQL that scores a slot for the people being planned. See choice.py for how scores are used."""

from __future__ import annotations

from typing import Any

from apps.campaigns.models import Campaign
from apps.campaigns.policy import StepChannel


def score_of(campaign: Campaign, channel: StepChannel) -> tuple[str, list[Any]]:
    """SQL (and its values) for the score of one slot, a number that is never null; the highest is tried first.

    It stands over alias `p` (the temporary table `planning`: message_id, recipient_id, bindings …) and alias `r`
    (users_recipient, all null for an address without a person). It is asked only for smart steps.
    """
    return f"{-channel.slot}", []
