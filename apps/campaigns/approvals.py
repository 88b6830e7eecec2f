"""Whether a campaign may start: what the approval rules ask of it, and whether that was given for exactly what stands there.

`held_back` is asked where a campaign is handed over and again, in the same transaction, by whoever turns it into messages,
so that neither another door nor an edit of rows gets past it. Votes and the figures that decide are sealed with a keyed
hash: a row written past the services counts for nothing.
"""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection

from apps.campaigns.approval_rules import Rule, Size, Vote, concerning, covers, needs_of, read_rules
from apps.campaigns.binding import bound_of, definition_hash, digest_of, still_bound
from apps.campaigns.freezing import is_whole
from apps.campaigns.models import Approval, ApprovalVote, Campaign, Forecast
from apps.campaigns.states import ApprovalState, CampaignState
from apps.campaigns.worst_price import worst_of_rows
from apps.operators import audit
from apps.partners.models import ApiKey
from ums_site.clock import database_now
from ums_site.crypto import keyring

RULES_SECONDS = 1.0
OPEN = (ApprovalState.PENDING, ApprovalState.APPROVED)
# A column that rides along with another look: all rules in force, as `read_rules` reads them.
RULES_COLUMN = """
(SELECT json_agg(json_build_array(r.id, r.name, r.message_class, r.business_line_id, r.source, r.min_targets,
   r.min_money::text, r.approvers, r.role_id, extract(epoch FROM r.valid_for), r.over_day) ORDER BY r.id)::text
 FROM campaigns_approvalrule r WHERE r.active)
"""
_kept: list[tuple[float, tuple[Rule, ...]]] = []


@dataclass(frozen=True, slots=True)
class Facts:
    """What thresholds are compared with. `money` is the most that it can cost; `day` together with a day's other calls."""

    targets: int
    money: Decimal
    day: Size | None = None


def rules_now(*, fresh: bool = False) -> tuple[Rule, ...]:
    """The rules in force, at most a second old: every campaign that starts asks, also one of a single password."""
    if not fresh and _kept and time.monotonic() < _kept[0][0]:
        return _kept[0][1]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {RULES_COLUMN}")
        rules = read_rules(cursor.fetchone()[0] or "[]")
    _kept[:] = [(time.monotonic() + RULES_SECONDS, rules)]
    return rules


def rules_about(campaign: Campaign, rules: Sequence[Rule]) -> list[Rule]:
    """The rules that look at campaigns like this one."""
    return concerning(rules, campaign.message_class, campaign.business_line_id, campaign.source)


def current_forecast(campaign: Campaign) -> Forecast | None:
    """The newest finished forecast of the campaign as it stands; None where it was changed since, or never forecast."""
    found = Forecast.objects.filter(campaign_id=campaign.pk, state=Forecast.State.DONE).order_by("-id").first()
    return found if found is not None and found.definition == definition_hash(campaign) and is_sealed(found) else None


def seal_of(forecast: Forecast) -> bytes:
    """The keyed hash over what decides on approval."""
    said = forecast.figures or {}
    held = [forecast.campaign_id, forecast.definition, forecast.targets, forecast.digest, said.get("worst_price")]
    return keyring().keyed_hash("forecast", digest_of(held))


def is_sealed(forecast: Forecast) -> bool:
    """Whether its figures are those that we wrote."""
    return hmac.compare_digest(bytes(forecast.seal), seal_of(forecast))


def given_seal(campaign_id: int, targets: int, worst_price: str, day: Sequence[Any] | None = None) -> str:
    """The keyed hash (hex) over the figures of what an API call named; `day` as JSON has it."""
    held = [campaign_id, targets, worst_price] + ([list(day)] if day else [])
    return keyring().keyed_hash("given", digest_of(held)).hex()


def facts_of(campaign: Campaign) -> Facts | None:
    """Size and money of the campaign as it stands; None where nobody knows them for certain."""
    if campaign.audience["kind"] == "given":
        return _given_facts(campaign)
    forecast = campaign.frozen if campaign.frozen_id else None
    if forecast is None or forecast.definition != definition_hash(campaign) or not is_sealed(forecast):
        return None
    return Facts(forecast.targets, Decimal((forecast.figures or {})["worst_price"]))


def _given_facts(campaign: Campaign) -> Facts | None:
    if campaign.forecast is None:  # no rule looked at its size when it was accepted; one does now
        return Facts(*worst_of_rows(campaign))
    said = campaign.forecast
    day = said.get("day")
    seal = given_seal(campaign.pk, said.get("targets", 0), said.get("worst_price", ""), day)
    if not hmac.compare_digest(str(said.get("seal", "")), seal):
        return None
    return Facts(said["targets"], Decimal(said["worst_price"]), Size(day[0], Decimal(day[1])) if day else None)


def asked_of(campaign: Campaign, rules: Sequence[Rule]) -> list[dict[str, Any]]:
    """What these rules ask for this campaign; where a threshold cannot be compared for certain, it counts as reached."""
    about = rules_about(campaign, rules)
    if not any(rule.has_threshold for rule in about):
        return needs_of(about, 0, Decimal(0))
    facts = facts_of(campaign)
    if facts is None:
        return [{"rule": rule.name, "role": rule.role_id, "approvers": rule.approvers} for rule in about]
    return needs_of(about, facts.targets, facts.money, facts.day)


def needed_for(campaign: Campaign) -> list[dict[str, Any]]:
    """What would be asked if it were submitted now, by its newest forecast; for pages."""
    held = Campaign.objects.get(pk=campaign.pk)
    held.frozen = held.frozen or current_forecast(held)
    return asked_of(held, rules_now(fresh=True))


def held_back(campaign: Campaign, *, fresh: bool = False) -> str:
    """Why the campaign may not start (a reason code), or "" where it may. Give it as read under its row's lock."""
    rules = rules_now(fresh=fresh)
    if not rules_about(campaign, rules):
        return ""
    needs = asked_of(campaign, rules)
    if not needs:
        return ""
    given = Approval.objects.filter(campaign_id=campaign.pk, state=ApprovalState.APPROVED).first()
    if given is None:
        return "approval_missing"
    if campaign.expand_cursor == 0 and given.expires_at <= database_now():
        return "approval_expired"
    if not still_bound(campaign, given.bound, given.bound_hash):
        return "approval_changed"
    if campaign.expand_cursor == 0 and campaign.frozen is not None and not is_whole(campaign.frozen):
        return "approval_changed"
    return "" if covers(given.needs, needs, agreed(given, campaign)) else "approval_missing"


def agreed(approval: Approval, campaign: Campaign) -> list[Vote]:
    """The agreements that count: sealed by us for this hash, and by nobody who made, changed or submitted it."""
    found = []
    for vote in approval.votes.filter(verdict=ApprovalVote.Verdict.APPROVE).select_related("operator"):
        voter = voter_of(vote.operator_id, vote.api_key_id)
        if is_author(campaign, approval, operator_id=vote.operator_id, key_id=vote.api_key_id):
            continue
        if hmac.compare_digest(bytes(vote.seal), vote_seal(approval, voter, vote.verdict)):
            roles = frozenset(vote.operator.groups.values_list("pk", flat=True)) if vote.operator else frozenset()
            found.append(Vote(voter, roles))
    return found


def voter_of(operator_id: int | None, api_key_id: int | None) -> str:
    """Who votes, as one text."""
    return f"operator:{operator_id}" if operator_id else f"key:{api_key_id}"


def is_author(
    campaign: Campaign, approval: Approval | None, *, operator_id: int | None = None, key_id: int | None = None
) -> bool:
    """Whether this operator or key may not agree: it is the author, the last editor or whoever submitted it.

    Whoever issued a key has seen its text, so operator and key stand for one another. A key agrees to nothing of which it
    is not on record who asked.
    """
    people = {campaign.created_by_id, campaign.edited_by_id, approval and approval.requested_by_id} - {None}
    asking = approval.requested_key_id if approval is not None else None
    if key_id is not None and not (people or asking):
        return True
    if campaign.source == "schedule":  # takes the latest text by itself: nobody else has looked at it
        people |= {campaign.template_version.published_by_id} - {None}
    if key_id is not None:
        return key_id == asking or _issuer(key_id) in people
    return operator_id in people or (asking is not None and _issuer(asking) == operator_id)


def _issuer(key_id: int) -> int | None:
    return ApiKey.objects.values_list("issued_by_id", flat=True).filter(pk=key_id).first()


def vote_seal(approval: Approval, voter: str, verdict: str) -> bytes:
    """The keyed hash that makes a vote count, for this request and this hash only."""
    return keyring().keyed_hash("approval-vote", f"{approval.pk}|{voter}|{verdict}|{approval.bound_hash}")


def request_approval(
    *, actor: object, campaign: Campaign, needs: Sequence[Mapping[str, Any]], reason: str = ""
) -> Approval:
    """Makes the campaign wait for agreement to exactly what stands there. Call under its row's lock."""
    now = database_now()
    bound = bound_of(campaign)
    key = getattr(actor, "key", None)
    made = Approval.objects.create(
        campaign=campaign,
        bound_hash=digest_of(bound),
        bound=bound,
        needs=list(needs),
        requested_by_id=getattr(actor, "pk", None),
        requested_key=key,
        requested_at=now,
        expires_at=now + valid_for(campaign),
        reason=reason,
    )
    campaign.state = CampaignState.AWAITING_APPROVAL
    campaign.save(update_fields=["state"])
    detail = {"hash": made.bound_hash, "needs": [need["rule"] for need in needs], "reason": reason}
    audit.record(actor=actor, verb="request_approval", what=campaign, detail=detail)
    return made


def valid_for(campaign: Campaign) -> timedelta:
    """How long an approval of such a campaign holds: the shortest that its rules say."""
    return min((rule.valid_for for rule in rules_about(campaign, rules_now())), default=timedelta(days=7))


def void_approvals(*, actor: object, campaign: Campaign, reason: str, state: str = ApprovalState.VOID) -> int:
    """Ends what was asked or given for the campaign; returns how many. Call under its row's lock."""
    open_ones = Approval.objects.filter(campaign_id=campaign.pk, state__in=OPEN)
    ended = list(open_ones.values_list("pk", flat=True))
    if ended:
        open_ones.update(state=state, reason=reason, decided_at=database_now())
        detail = {"reason": reason, "approvals": ended}
        audit.record(actor=actor, verb="void_approval", what=campaign, detail=detail)
    return len(ended)


def stop_unapproved(campaign: Campaign) -> bool:
    """Sends a campaign that was about to start without a valid approval back to wait for one; False where it may start.

    Call in the transaction that would start it, its row locked.
    """
    reason = held_back(campaign)
    if not reason:
        return False
    by_time = reason == "approval_expired"
    state = ApprovalState.EXPIRED if by_time else ApprovalState.VOID
    before = Approval.objects.filter(campaign_id=campaign.pk).order_by("-id").first()
    void_approvals(actor="ums", campaign=campaign, reason=reason, state=state)
    needs = asked_of(campaign, rules_now())
    made = request_approval(actor="ums", campaign=campaign, needs=needs, reason=reason)
    if before is not None:  # whoever submitted it is still nobody to agree to it
        made.requested_by_id, made.requested_key_id = before.requested_by_id, before.requested_key_id
        made.save(update_fields=["requested_by", "requested_key"])
    return True


def read_given(column: str | None) -> tuple[Rule, ...]:
    """The rules out of RULES_COLUMN."""
    return read_rules(column or "[]")


def needs_text(needs: Sequence[Mapping[str, Any]]) -> str:
    """The needs as JSON text, for an INSERT."""
    return json.dumps(list(needs), ensure_ascii=False)


def expiry(now: datetime, rules: Sequence[Rule]) -> datetime:
    """When a request made now lapses."""
    return now + min((rule.valid_for for rule in rules), default=timedelta(days=7))
