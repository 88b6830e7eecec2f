"""The frozen plan of a campaign, ready to be asked."""

from __future__ import annotations

from apps.campaigns.models import Campaign
from apps.campaigns.policy import Plan, load


def loaded_plan(campaign: Campaign) -> Plan:
    """The campaign's frozen plan, read once per object."""
    held: Plan | None = campaign.__dict__.get("_loaded_plan")
    if held is None:
        held = campaign.__dict__["_loaded_plan"] = load(campaign.plan)
    return held
