"""Frequency caps, duplicate guards and holdout groups: what may be done to them, and what others ask of them."""

from __future__ import annotations

from typing import Any

from apps.campaigns.models import Campaign
from apps.campaigns.pipeline import contacts
from apps.campaigns.pipeline.plan import loaded_plan
from ums_site.clock import transaction_now


def capped_now(campaign: Campaign) -> tuple[str, list[Any]] | None:
    """SQL over alias r (users_recipient): somebody whom a cap would stop if the campaign were sent now; None: no cap.

    For forecasts. What counts is decided at each send, where it is exact.
    """
    kinds = sorted({channel.kind for channel in loaded_plan(campaign).channels()})
    return contacts.full_now(campaign.message_class, campaign.business_line_id, kinds, transaction_now())
