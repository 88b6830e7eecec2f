"""What is written before anything is sent: policies, and the forecast of a draft."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from apps.campaigns.conditions import with_conditions
from apps.campaigns.errors import CampaignError
from apps.campaigns.forecast import forecast
from apps.campaigns.models import Campaign, Policy
from apps.campaigns.policy import BadPolicy, problems
from apps.campaigns.states import CampaignState
from apps.operators import audit


def save_policy(*, actor: object, policy: Policy) -> Policy:
    """Saves a policy that can be followed. Campaigns made before keep the plan they froze. Raises CampaignError."""
    found = problems(policy.plan)
    if not found:
        try:
            policy.plan = with_conditions(policy.plan)
        except BadPolicy as bad:
            found = bad.problems
    if found:
        raise CampaignError("; ".join(f"{place}: {words}" for place, words in found.items()), "plan")
    verb = "change_policy" if policy.pk else "add_policy"
    with transaction.atomic():
        policy.save()
        audit.record(actor=actor, verb=verb, what=policy, detail={"code": policy.code, "plan": policy.plan})
    return policy


def store_forecast(*, actor: object, campaign: Campaign) -> dict[str, Any]:
    """Makes the forecast of a draft and keeps it with it. Raises CampaignError once it is no draft any more."""
    if campaign.state != CampaignState.DRAFT:
        raise CampaignError(_("Only a draft has a forecast to make: this one was submitted."))
    found = forecast(campaign)
    with transaction.atomic():
        if not Campaign.objects.filter(pk=campaign.pk, state=CampaignState.DRAFT).update(forecast=found):
            raise CampaignError(_("Only a draft has a forecast to make: this one was submitted."))
        detail = {"targets": found["targets"], "price": found["price"], "currency": found["currency"]}
        audit.record(actor=actor, verb="forecast", what=campaign, detail=detail)
    campaign.forecast = found
    return found
