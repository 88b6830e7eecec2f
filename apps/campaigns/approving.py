"""What approvers do, what rules say, and what ends a request: console, API and beat call these."""

from __future__ import annotations

from django.db import connection, transaction
from django.utils.translation import gettext as _

from apps.campaigns.approval_rules import missing
from apps.campaigns.approvals import (
    agreed,
    is_author,
    request_approval,
    rules_now,
    valid_for,
    void_approvals,
    vote_seal,
    voter_of,
)
from apps.campaigns.binding import bound_of, digest_of
from apps.campaigns.errors import CampaignError
from apps.campaigns.models import Approval, ApprovalRule, ApprovalVote, Campaign
from apps.campaigns.services import begin_campaign, call_off
from apps.campaigns.states import ApprovalState, CampaignState
from apps.operators import audit
from apps.operators.models import Operator
from apps.partners.models import ApiKey
from ums_site.clock import database_now
from ums_site.ids import first_row_id

PERMISSION = "campaigns.approve_campaign"
LONGEST_NOTE = 400


class Changed(CampaignError):
    """What was shown is no longer what stands there."""


def check_rule(rule: ApprovalRule) -> None:
    """Raises CampaignError naming the field at fault."""
    if not 1 <= rule.approvers <= 5:
        raise CampaignError(_("Give a number from 1 to 5."), "approvers")
    if rule.valid_for.total_seconds() <= 0:
        raise CampaignError(_("Give a time above zero."), "valid_for")
    if rule.over_day and rule.min_targets is None and rule.min_money is None:
        raise CampaignError(_("Give a number of targets or an amount from which what is added up counts."), "over_day")
    if rule.over_day and rule.source == ApprovalRule.Source.CONSOLE:
        raise CampaignError(
            _("Only calls over the API are added up: choose another door, or leave it out."), "over_day"
        )


def save_rule(*, actor: object, rule: ApprovalRule) -> ApprovalRule:
    """Saves a rule; it counts from the next second on, also for what waits for its time. Raises CampaignError."""
    check_rule(rule)
    verb = "change_approval_rule" if rule.pk else "add_approval_rule"
    with transaction.atomic():
        rule.save()
        detail = {
            "name": rule.name, "active": rule.active, "class": rule.message_class, "line": rule.business_line_id,
            "min_targets": rule.min_targets, "min_money": None if rule.min_money is None else str(rule.min_money),
            "approvers": rule.approvers, "role": rule.role_id, "source": rule.source,
            "over_day": rule.over_day,
        }  # fmt: skip
        audit.record(actor=actor, verb=verb, what=rule, detail=detail)
        transaction.on_commit(lambda: rules_now(fresh=True))
    return rule


def why_not(*, actor: object, approval: Approval, campaign: Campaign) -> str:
    """Why this operator or caller may not decide on it, in a sentence; "" where they may."""
    operator, key = _who(actor)
    if operator is None and key is None:
        return _("Only an operator or an API key decides.")
    if operator is not None and not operator.has_perm(PERMISSION):
        return _("You may not approve: ask for the permission.")
    if key is not None and (
        ApiKey.Scope.APPROVE not in key.scopes or key.business_line_id != campaign.business_line_id
    ):
        return _("This API key may not approve: issue one that may, in the console.")
    if is_author(campaign, approval, operator_id=operator and operator.pk, key_id=key and key.pk):
        return _("Whoever made, changed or submitted it cannot approve it: somebody else must.")
    if approval.votes.filter(operator=operator, api_key=key).exists():
        return _("You have decided on it already.")
    return ""


def decide_approval(*, actor: object, approval: Approval, verdict: str, seen_hash: str, note: str = "") -> Approval:
    """Takes one approver's verdict on exactly what `seen_hash` stands for; the last one needed starts the campaign.

    Raises CampaignError, and Changed where something was changed since it was shown; then nothing is taken.
    """
    if verdict not in ApprovalVote.Verdict.values:
        raise CampaignError(_("Use one of: %(known)s.") % {"known": ", ".join(ApprovalVote.Verdict.values)}, "verdict")
    if verdict == ApprovalVote.Verdict.REJECT and not note.strip():
        raise CampaignError(_("Say why it is refused: whoever made it must know what to change."), "note")
    if len(note.strip()) > LONGEST_NOTE:
        raise CampaignError(_("Give a text of at most %(most)s characters.") % {"most": LONGEST_NOTE}, "note")
    with transaction.atomic():
        campaign = Campaign.objects.select_for_update(of=("self",), no_key=True).get(pk=approval.campaign_id)
        held = Approval.objects.select_for_update(of=("self",)).get(pk=approval.pk)
        _check(actor, held, campaign, seen_hash)
        _vote(actor, held, verdict, note.strip())
        if verdict == ApprovalVote.Verdict.REJECT:
            _end(held, ApprovalState.REJECTED, note.strip()[:200])
            _reject(campaign, "approval_rejected")
        elif not missing(held.needs, agreed(held, campaign)):
            _approve(actor, held, campaign)
    return held


def _who(actor: object) -> tuple[Operator | None, ApiKey | None]:
    key = getattr(actor, "key", None)
    return (actor if isinstance(actor, Operator) else None), (key if isinstance(key, ApiKey) else None)


def _check(actor: object, held: Approval, campaign: Campaign, seen_hash: str) -> None:
    if held.state != ApprovalState.PENDING or campaign.state != CampaignState.AWAITING_APPROVAL:
        raise CampaignError(_("It is no longer waiting for a decision."))
    if held.expires_at <= database_now():
        raise CampaignError(_("It waited too long: it must be submitted anew."))
    refused = why_not(actor=actor, approval=held, campaign=campaign)
    if refused:
        raise CampaignError(refused)
    bound = bound_of(campaign)
    now_hash = digest_of(bound)
    if not held.bound_hash:  # an API call is bound to what stands there when it is first decided on
        held.bound, held.bound_hash = bound, now_hash
        held.save(update_fields=["bound", "bound_hash"])
    if not held.bound_hash == now_hash == seen_hash:
        raise Changed(_("It was changed since this page was shown: look at it again."), "hash")


def _vote(actor: object, held: Approval, verdict: str, note: str) -> None:
    operator, key = _who(actor)
    voter = voter_of(operator.pk if operator else None, key.pk if key else None)
    ApprovalVote.objects.create(
        approval=held, operator=operator, api_key=key, verdict=verdict, note=note, at=database_now(),
        seal=vote_seal(held, voter, verdict),
    )  # fmt: skip
    detail = {"hash": held.bound_hash, "note": note[:200], "campaign": str(held.campaign_id)}
    audit.record(actor=actor, verb=f"{verdict}_campaign", what=held, detail=detail)


def _approve(actor: object, held: Approval, campaign: Campaign) -> None:
    now = database_now()
    held.expires_at = max(now, campaign.scheduled_at or now) + valid_for(campaign)
    _end(held, ApprovalState.APPROVED, "")
    begin_campaign(actor=actor, held=campaign, now=now)


def _end(held: Approval, state: str, reason: str) -> None:
    held.state, held.reason, held.decided_at = state, reason, database_now()
    held.save(update_fields=["state", "reason", "decided_at", "expires_at"])


def _reject(campaign: Campaign, reason: str) -> None:
    """Nothing more of it is sent; what an API call named becomes final with its reason."""
    campaign.state = CampaignState.CANCELLED if campaign.expand_cursor else CampaignState.REJECTED
    campaign.save(update_fields=["state"])
    if campaign.expand_cursor:  # some of it was planned before a rule or a change stopped it
        call_off(campaign)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE campaigns_message SET state = 'CANCELLED', reason = %s, finished_at = now() "
            "WHERE campaign_id = %s AND id >= %s AND state = 'PLANNED'",
            [reason, campaign.pk, first_row_id(campaign.pk)],
        )


@transaction.atomic
def withdraw_approval(*, actor: object, campaign: Campaign) -> Campaign:
    """Takes a request back: the campaign is a draft again. Raises CampaignError where none waits."""
    held = Campaign.objects.select_for_update(of=("self",), no_key=True).get(pk=campaign.pk)
    if held.state != CampaignState.AWAITING_APPROVAL or held.audience["kind"] == "given" or held.expand_cursor:
        raise CampaignError(_("Only what waits for approval and has not begun can be taken back."))
    void_approvals(actor=actor, campaign=held, reason="withdrawn")
    held.state = CampaignState.DRAFT
    held.save(update_fields=["state"])
    return held


LAPSED = """
SELECT a.id FROM campaigns_approval a JOIN campaigns_campaign c ON c.id = a.campaign_id
WHERE a.state = 'PENDING' AND (a.expires_at <= now() OR c.expires_at <= now()) ORDER BY a.id LIMIT 100
"""


def expire_approvals() -> int:
    """Ends requests that nobody decided in time; any number of beats may run it. Returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(LAPSED)
        found = [row[0] for row in cursor.fetchall()]
    return sum(_expire(approval_id) for approval_id in found)


@transaction.atomic
def _expire(approval_id: int) -> bool:
    campaign_id = Approval.objects.values_list("campaign_id", flat=True).get(pk=approval_id)
    campaign = Campaign.objects.select_for_update(of=("self",), no_key=True).get(pk=campaign_id)
    held = Approval.objects.select_for_update().get(pk=approval_id)
    if held.state != ApprovalState.PENDING:
        return False
    void_approvals(actor="ums", campaign=campaign, reason="approval_expired", state=ApprovalState.EXPIRED)
    if campaign.state != CampaignState.AWAITING_APPROVAL:
        return True
    if campaign.audience["kind"] == "given" or campaign.expand_cursor:
        _reject(campaign, "approval_expired")
    else:
        campaign.state = CampaignState.DRAFT
        campaign.save(update_fields=["state"])
    return True


__all__ = [
    "PERMISSION", "Changed", "decide_approval", "expire_approvals", "request_approval", "save_rule", "why_not",
    "withdraw_approval",
]  # fmt: skip
