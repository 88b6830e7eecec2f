"""What is written before anything is sent: policies, the weights of the smart order, and the forecast of a draft."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from apps.campaigns.conditions import with_conditions
from apps.campaigns.errors import CampaignError, PolicyRefused
from apps.campaigns.forecast import forecast_now
from apps.campaigns.models import Campaign, Policy, PolicyVersion, SmartWeights
from apps.campaigns.policy import BadPolicy, problems
from apps.campaigns.scoring import NAMES, weights_problems
from apps.operators import audit
from ums_site.clock import transaction_now


@transaction.atomic
def save_policy(*, actor: object, policy: Policy, note: str = "", based_on: int | None = None) -> Policy:
    """Saves a policy that can be followed, as its next version; what says nothing new makes none.

    Campaigns made before keep the plan they froze. `based_on` is the version that the editor had before its eyes: where
    somebody saved another one meanwhile, nothing is written. Raises PolicyRefused and CampaignError.
    """
    found = problems(policy.plan)
    if not found:
        try:
            policy.plan = with_conditions(policy.plan)
        except BadPolicy as bad:
            found = bad.problems
    if found:
        raise PolicyRefused(found)
    held = Policy.objects.select_for_update().filter(pk=policy.pk).first() if policy.pk else None
    number = held.number if held else 0
    if based_on is not None and based_on != number:
        words = _(
            "Version %(number)s was saved by somebody else meanwhile: open the policy again and repeat your change."
        )
        raise CampaignError(words % {"number": number})
    if held and number and (held.name, held.plan) == (policy.name, policy.plan):
        return held
    policy.number = number + 1
    policy.save()
    PolicyVersion.objects.create(
        policy=policy,
        number=policy.number,
        name=policy.name,
        plan=policy.plan,
        saved_by=str(actor),
        saved_at=transaction_now(),
        note=note,
    )
    detail = {"code": policy.code, "number": policy.number, "plan": policy.plan, "note": note}
    audit.record(actor=actor, verb="change_policy" if held else "add_policy", what=policy, detail=detail)
    return policy


def restore_policy_version(*, actor: object, version: PolicyVersion) -> Policy:
    """Makes an older version the newest once more, as a version of its own. Raises what `save_policy` raises."""
    policy = Policy.objects.get(pk=version.policy_id)
    policy.plan, policy.name = version.plan, version.name
    note = _("Restored from version %(number)s.") % {"number": version.number}
    return save_policy(actor=actor, policy=policy, note=note)


def save_weights(*, actor: object, weights: SmartWeights) -> SmartWeights:
    """Saves the weights of a class. Raises CampaignError naming the field."""
    found = weights_problems({name: getattr(weights, name) for name in NAMES})
    if not found and weights.reach + weights.price + weights.speed <= 0:
        found = {"reach": _("Give reach, price or speed a weight above 0: nothing would be left to order by.")}
    for name, words in found.items():
        raise CampaignError(str(words), name)
    with transaction.atomic():
        weights.save()
        detail = {"class": weights.message_class or "*", **{name: getattr(weights, name) for name in NAMES}}
        audit.record(actor=actor, verb="change_weights", what=weights, detail=detail)
    return weights


@transaction.atomic
def delete_weights(*, actor: object, weights: SmartWeights) -> None:
    """The class falls back to the weights of every class, or to the built-in ones."""
    audit.record(actor=actor, verb="delete_weights", what=weights, detail={"class": weights.message_class or "*"})
    weights.delete()


def store_forecast(*, actor: object, campaign: Campaign) -> dict[str, Any]:
    """Makes the forecast of a draft in this process and keeps it. Raises CampaignError once it is no draft any more."""
    made = forecast_now(actor=actor, campaign=campaign)
    campaign.forecast = made.figures
    return dict(made.figures or {})
