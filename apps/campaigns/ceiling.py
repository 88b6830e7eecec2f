"""The cost ceiling of a campaign: what it may cost in all, kept exactly by an allowance of its own.

`Campaign.cost_ceiling` is what was decided (and approved), the allowance is what counts; both are written by `write_ceiling`
and nowhere else. Where the next deliveries find no room they wait, and the campaign pauses itself: with a higher ceiling it
goes on, and nobody was left out because a number was too low.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from apps.campaigns.errors import CampaignError
from apps.campaigns.models import Campaign
from apps.campaigns.policy import load
from apps.channels.models import ChannelAccount
from apps.operators import audit
from apps.partners.allowances import AllowanceError, keep_ceiling

FIELD = "cost_ceiling"


@transaction.atomic
def write_ceiling(*, actor: object, campaign: Campaign, amount: Decimal | None) -> None:
    """Sets, raises, lowers or (None) takes away the ceiling, in the currency that the campaign's accounts bill in.

    Whether somebody may is asked by the callers. Raises CampaignError for an amount that is none, and where the accounts
    bill in several currencies.
    """
    currency = "CNY" if amount is None else currency_of(campaign.plan)
    try:
        keep_ceiling(actor=actor, campaign_id=campaign.pk, name=campaign.name, most=amount, currency=currency)
    except AllowanceError as refused:
        raise CampaignError(" ".join(refused.problems.values()), FIELD) from refused
    Campaign.objects.filter(pk=campaign.pk).update(cost_ceiling=amount)
    said = None if amount is None else f"{amount.normalize():f} {currency}"
    audit.record(actor=actor, verb="set_cost_ceiling", what=campaign, detail={"ceiling": said})
    campaign.cost_ceiling = amount


def currency_of(plan: Mapping[str, Any]) -> str:
    """The one currency of the accounts in a frozen plan. Raises CampaignError where there are several."""
    accounts = ChannelAccount.objects.filter(pk__in=load(plan).account_ids())
    found = sorted(set(accounts.values_list("currency", flat=True)))
    if len(found) != 1:
        words = _("Its accounts bill in several currencies (%(currencies)s): a ceiling needs one.")
        raise CampaignError(words % {"currencies": ", ".join(found)}, FIELD)
    return found[0]
