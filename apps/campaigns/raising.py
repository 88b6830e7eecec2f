"""Changing the cost ceiling of a campaign, whatever it has come to: before it began it is a change like any other; after
that a higher one must be agreed to as the campaign was."""

from __future__ import annotations

from decimal import Decimal

from django.db import transaction
from django.utils.translation import gettext as _

from apps.campaigns.approvals import asked_of, is_author, rules_now
from apps.campaigns.approving import PERMISSION
from apps.campaigns.ceiling import FIELD, write_ceiling
from apps.campaigns.editing import change_campaign, is_changeable
from apps.campaigns.errors import CampaignError
from apps.campaigns.models import Approval, Campaign
from apps.campaigns.states import CampaignState
from apps.operators import audit
from apps.operators.models import Operator

BEGUN = (CampaignState.RUNNING, CampaignState.PAUSED)


@transaction.atomic
def set_cost_ceiling(*, actor: object, campaign: Campaign, amount: Decimal | None) -> Campaign:
    """Sets the ceiling (None: there is none); what the campaign has cost so far counts.

    Before it began this makes approvals void, as any change does. While it runs, a lower one is taken at once; a higher one
    of a campaign that a rule wanted approved is taken from an approver who has not made, changed or submitted it.
    Raises CampaignError.
    """
    if campaign.cost_ceiling == amount:
        return campaign
    if is_changeable(campaign):
        return change_campaign(actor=actor, campaign=campaign, cost_ceiling=amount)
    held = Campaign.objects.select_for_update(of=("self",), no_key=True).get(pk=campaign.pk)
    if held.state not in BEGUN:
        raise CampaignError(
            _("It is over, or its people are still being collected: set the ceiling before or after."), FIELD
        )
    if _is_higher(held.cost_ceiling, amount):
        _agree(actor, held)
    write_ceiling(actor=actor, campaign=held, amount=amount)
    return held


def _is_higher(before: Decimal | None, after: Decimal | None) -> bool:
    return before is not None and (after is None or after > before)


def _agree(actor: object, held: Campaign) -> None:
    """Raising is agreeing: one approver suffices where one did. Raises CampaignError for anybody else."""
    needs = asked_of(held, rules_now(fresh=True))
    if not needs:
        return
    if max(need["approvers"] for need in needs) > 1:
        raise CampaignError(_("It needs several approvers: cancel it, and plan those who are left anew."), FIELD)
    if not isinstance(actor, Operator) or not actor.has_perm(PERMISSION):
        raise CampaignError(_("What was approved with a ceiling costs more only with an approver: ask one."), FIELD)
    given = Approval.objects.filter(campaign_id=held.pk).order_by("-id").first()
    if is_author(held, given, operator_id=actor.pk):
        raise CampaignError(
            _("Whoever made, changed or submitted it cannot raise its ceiling: somebody else must."), FIELD
        )
    audit.record(actor=actor, verb="approve_ceiling", what=held, detail={"before": f"{held.cost_ceiling:f}"})
