"""Changing what was planned: a draft, or what waits for approval or for its time. Every change makes an approval void."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from apps.campaigns.approvals import void_approvals
from apps.campaigns.ceiling import write_ceiling
from apps.campaigns.errors import CampaignError
from apps.campaigns.models import Campaign
from apps.campaigns.services import PRIORITY, checked_audience, checked_class, need_bodies, new_campaign
from apps.campaigns.states import LANE_OF, CampaignState
from apps.channels.selectors import account_facts
from apps.operators import audit
from apps.operators.models import Operator
from ums_site.clock import database_now

CHANGEABLE = (
    CampaignState.DRAFT,
    CampaignState.AWAITING_APPROVAL,
    CampaignState.SCHEDULED,
    CampaignState.REJECTED,
)
REMAKING = ("business_line", "message_class", "policy")  # what the frozen plan, the lane and the priority hang on
PLAIN = ["name", "template_version", "scheduled_at", "pace_per_second", "expires_at", "cost_ceiling", "canary_size"]


def is_changeable(campaign: Campaign) -> bool:
    """Whether it may still be changed: nothing of it was begun, and no API call named its messages."""
    return campaign.state in CHANGEABLE and campaign.audience["kind"] != "given" and campaign.expand_cursor == 0


@transaction.atomic
def change_campaign(*, actor: object, campaign: Campaign, **changes: Any) -> Campaign:
    """Changes what is given (as `create_campaign` names it) and makes it a draft again; approvals of it are void.

    What is given as it stands changes nothing and voids nothing. Raises CampaignError naming the field at fault.
    """
    held = (
        Campaign.objects.select_for_update(of=("self",), no_key=True)
        .select_related("template_version")
        .get(pk=campaign.pk)
    )
    if not is_changeable(held):
        raise CampaignError(_("It has begun, or is over: it cannot be changed any more."))
    unknown = sorted(set(changes) - {*REMAKING, *PLAIN, "audience"})
    if unknown:
        raise CampaignError(_("There is no such field to change: %(names)s.") % {"names": ", ".join(unknown)})
    before, with_policy = _facts(held), _expires_with_policy(held)
    if "audience" in changes:
        held.audience = checked_audience(changes["audience"])
    for name in PLAIN:
        if name in changes:
            setattr(held, name, changes[name])
    if not held.name.strip():
        raise CampaignError(_("Give the campaign a name."), "name")
    _remake(held, changes)
    _check_expiry(held, anew=with_policy and "expires_at" not in changes)
    need_bodies(held.plan, held.template_version)
    changed = sorted(name for name, value in _facts(held).items() if value != before[name])
    if changed:
        _keep(actor, held, changed)
    return held


def _expires_with_policy(held: Campaign) -> bool:
    """Whether it expires when its policy says, counted from when it starts, and nobody named another time."""
    seconds = held.plan["expires_seconds"]
    return held.expires_at == (_begins(held) + timedelta(seconds=seconds) if seconds else None)


def _begins(held: Campaign) -> datetime:
    return max(held.created_at, held.scheduled_at or held.created_at)


def _check_expiry(held: Campaign, anew: bool) -> None:
    """Raises CampaignError for a time before it starts; `anew`: counted from policy and start as they are now."""
    if anew:
        seconds = held.plan["expires_seconds"]
        held.expires_at = _begins(held) + timedelta(seconds=seconds) if seconds else None
    if held.expires_at is not None and held.expires_at <= max(database_now(), _begins(held)):
        raise CampaignError(_("It would expire before it could be sent: choose a later time."), "expires_at")


def _facts(held: Campaign) -> dict[str, Any]:
    return {
        field.attname: getattr(held, field.attname)
        for field in Campaign._meta.concrete_fields
        if field.name not in ("state", "forecast", "frozen")
    }


def _remake(held: Campaign, changes: dict[str, Any]) -> None:
    """Plan, class, line, lane and priority anew, where any of them is given."""
    line = changes.get("business_line", held.business_line)
    policy = changes.get("policy")
    if policy is not None:
        made = new_campaign(
            name=held.name,
            business_line=line,
            message_class=changes.get("message_class", held.message_class),
            template_version=held.template_version,
            policy=policy,
            audience=held.audience,
            expires_at=None,
            now=database_now(),
            campaign_id=held.pk,
            accounts=account_facts(line),
        )
        held.plan, held.policy_code, held.policy_number = made.plan, made.policy_code, made.policy_number
    elif line.pk != held.business_line_id:
        raise CampaignError(_("Choose the policy anew for another business line."), "policy")
    held.business_line = line
    if "message_class" in changes:
        held.message_class = checked_class(changes["message_class"])
        held.lane, held.priority = LANE_OF[held.message_class], PRIORITY[held.message_class]


def _keep(actor: object, held: Campaign, changed: list[str]) -> None:
    void_approvals(actor=actor, campaign=held, reason="changed")
    before, held.state = held.state, CampaignState.DRAFT
    held.frozen, held.forecast = None, None
    if isinstance(actor, Operator):
        held.edited_by = actor
    if "canary_size" in changed:
        held.canary_left = held.canary_size
    held.save()
    if held.cost_ceiling is not None or "cost_ceiling" in changed:
        write_ceiling(actor=actor, campaign=held, amount=held.cost_ceiling)
    audit.record(actor=actor, verb="change", what=held, detail={"changed": changed, "state_before": str(before)})
