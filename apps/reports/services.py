"""What reports write: the figures of a campaign as they stood when it was finished, with its baseline."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from apps.campaigns.errors import CampaignError
from apps.campaigns.models import Campaign, Policy
from apps.operators import audit
from apps.reports.figures import Figures, campaign_figures
from apps.reports.savings import measure_baseline
from apps.reports.versus import keep_versus
from ums_site.queues import ring


def finish_figures(campaign_id: int) -> Figures:
    """Measures the baseline where that was not done, stores it and the figures in `campaign.figures`, returns them.

    Running it again keeps the baseline and refreshes the rest. Raises Campaign.DoesNotExist.
    """
    campaign = Campaign.objects.select_related("template_version", "business_line").get(pk=campaign_id)
    stored: dict[str, Any] = dict(campaign.figures or {})
    if "baseline" not in stored:
        baseline = measure_baseline(campaign)
        stored["baseline"] = None if baseline is None else _plain(asdict(baseline))
        Campaign.objects.filter(pk=campaign_id).update(figures=stored)
    figures = campaign_figures(campaign_id)
    told = {**_plain(asdict(figures)), "identities_hold": figures.identities_hold, "baseline": stored["baseline"]}
    Campaign.objects.filter(pk=campaign_id).update(figures=told)
    keep_versus(campaign, figures)
    return figures


@transaction.atomic
def choose_baseline(*, actor: object, campaign: Campaign, policy_code: str) -> None:
    """What the campaign is compared with: a policy, or ("") all by short message. It is measured anew in the background.

    Raises CampaignError for a code that there is none of.
    """
    if policy_code and not Policy.objects.filter(code=policy_code).exists():
        raise CampaignError(_("There is no policy with this code: make it, or mend the code."), "policy")
    Campaign.objects.filter(pk=campaign.pk).update(baseline_code=policy_code, figures=None)
    audit.record(actor=actor, verb="choose_baseline", what=campaign, detail={"policy": policy_code or "sms"})
    ring("work")


def finish_due(at_most: int = 20) -> int:
    """Stores the figures of finished campaigns that have none; returns how many. Any number of copies may run it."""
    due = Campaign.objects.filter(state__in=["FINISHED", "CANCELLED"], figures__isnull=True, started_at__isnull=False)
    found = list(due.order_by("id").values_list("pk", flat=True)[:at_most])
    for campaign_id in found:
        finish_figures(campaign_id)
    return len(found)


def _plain(held: Any) -> Any:
    """As JSON has it: money as text, times in ISO 8601."""
    if isinstance(held, dict):
        return {key: _plain(value) for key, value in held.items()}
    if isinstance(held, Decimal):
        return str(held)
    return held.isoformat() if isinstance(held, datetime) else held
