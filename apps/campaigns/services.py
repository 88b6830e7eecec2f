"""What may be done to campaigns. API, console and commands call these and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext as _

from apps.campaigns.approvals import (
    asked_of,
    current_forecast,
    request_approval,
    rules_about,
    rules_now,
    void_approvals,
)
from apps.campaigns.ceiling import write_ceiling
from apps.campaigns.conditions import conditioned, with_conditions
from apps.campaigns.errors import CampaignError
from apps.campaigns.forecast import forecast_now
from apps.campaigns.models import Campaign, Policy, Pulse, TargetList
from apps.campaigns.pipeline.pace import campaign_burst, campaign_key
from apps.campaigns.policy import BadPolicy, freeze, load
from apps.campaigns.states import LANE_OF, CampaignState, MessageClass, may
from apps.channels.selectors import AccountFacts, account_facts
from apps.operators import audit
from apps.operators.models import Operator
from apps.partners.models import BusinessLine
from apps.templates.models import TemplateVersion
from apps.users.audience import BadAudience, validate
from apps.users.models import Recipient
from ums_site.clock import database_now
from ums_site.ids import first_row_id
from ums_site.queues import ring

PRIORITY = {MessageClass.OTP: 100, MessageClass.TRANSACTIONAL: 50, MessageClass.MARKETING: 0}


@transaction.atomic
def create_campaign(
    *,
    actor: object,
    name: str,
    business_line: BusinessLine,
    message_class: str,
    template_version: TemplateVersion,
    policy: Policy | Mapping[str, Any],
    audience: Mapping[str, Any],
    scheduled_at: datetime | None = None,
    pace_per_second: Decimal | None = None,
    canary_size: int | None = None,
    expires_at: datetime | None = None,
    cost_ceiling: Decimal | None = None,
) -> Campaign:
    """Makes a DRAFT with policy and audience frozen. Raises CampaignError naming the field at fault."""
    if not name.strip():
        raise CampaignError(_("Give the campaign a name."), "name")
    chosen = checked_audience(audience)
    now, campaign_id = _now_and_id()
    campaign = new_campaign(
        name=name.strip(),
        business_line=business_line,
        message_class=message_class,
        template_version=template_version,
        policy=policy,
        audience=chosen,
        expires_at=expires_at,
        now=now,
        campaign_id=campaign_id,
        accounts=account_facts(business_line),
    )
    campaign.scheduled_at, campaign.pace_per_second = scheduled_at, pace_per_second
    campaign.canary_size = campaign.canary_left = canary_size or None
    _count_expiry_from_start(campaign, expires_at)
    campaign.created_by_id = getattr(actor, "pk", None)
    campaign.save(force_insert=True)
    if cost_ceiling is not None:
        write_ceiling(actor=actor, campaign=campaign, amount=cost_ceiling)
    audit.record(actor=actor, verb="create", what=campaign, detail={"name": campaign.name})
    return campaign


def _count_expiry_from_start(campaign: Campaign, wanted: datetime | None) -> None:
    """What the policy allows counts from the scheduled time; a time that was named must lie behind it."""
    start = campaign.scheduled_at
    if start is None or start <= campaign.created_at:
        return
    if wanted is None and campaign.plan["expires_seconds"]:
        campaign.expires_at = start + timedelta(seconds=campaign.plan["expires_seconds"])
    if campaign.expires_at is not None and campaign.expires_at <= start:
        raise CampaignError(_("It would expire before it could be sent: choose a later time."), "expires_at")


def checked_class(message_class: str) -> MessageClass:
    """Raises CampaignError for a class that there is not."""
    if message_class not in list(MessageClass):
        raise CampaignError(_("Use one of: %(known)s.") % {"known": ", ".join(MessageClass)}, "class")
    return MessageClass(message_class)


def checked_audience(audience: Mapping[str, Any]) -> dict[str, Any]:
    """The definition in its one spelling: people by a condition, or an imported list that is complete.

    Raises CampaignError.
    """
    if audience.get("kind") == "list":
        number = audience.get("list")
        done = TargetList.objects.filter(state=TargetList.State.DONE, dry_run=False)
        if not isinstance(number, int) or isinstance(number, bool) or not done.filter(pk=number).exists():
            raise CampaignError(_("Choose an imported list that is complete."), "audience")
        return {"kind": "list", "list": number}
    try:
        return validate(audience)
    except BadAudience as bad:
        raise CampaignError(str(bad), "audience") from bad


def new_campaign(
    *,
    name: str,
    business_line: BusinessLine,
    message_class: str,
    template_version: TemplateVersion,
    policy: Policy | Mapping[str, Any],
    audience: dict[str, Any],
    expires_at: datetime | None,
    now: datetime,
    campaign_id: int,
    accounts: Iterable[AccountFacts],
) -> Campaign:
    """A campaign with its policy frozen to these accounts, not saved. Raises CampaignError naming the field at fault."""
    chosen_class = checked_class(message_class)
    plan = policy.plan if isinstance(policy, Policy) else policy
    try:
        frozen = freeze(plan, accounts)
        if conditioned(frozen):
            frozen = with_conditions(frozen)
    except BadPolicy as bad:
        raise CampaignError(str(bad), "policy") from bad
    if frozen.get("ceiling_per_person"):
        accounts = list(accounts)
        _need_one_currency(frozen, accounts)
    need_bodies(frozen, template_version)
    if expires_at is None and frozen["expires_seconds"]:
        expires_at = now + timedelta(seconds=frozen["expires_seconds"])
    if expires_at is not None and expires_at <= now:
        raise CampaignError(_("It would expire before it could be sent: choose a later time."), "expires_at")
    return Campaign(
        id=campaign_id,
        name=name,
        business_line=business_line,
        message_class=message_class,
        template_version=template_version,
        policy_code=policy.code if isinstance(policy, Policy) else "",
        policy_number=policy.number if isinstance(policy, Policy) else 0,
        plan=frozen,
        audience=audience,
        lane=LANE_OF[chosen_class],
        priority=PRIORITY[chosen_class],
        expires_at=expires_at,
        created_at=now,
    )


def _need_one_currency(frozen: Mapping[str, Any], accounts: Iterable[AccountFacts]) -> None:
    """A ceiling is an amount of one currency."""
    used = {channel.account_id for channel in load(frozen).channels()}
    currencies = sorted({one.currency for one in accounts if one.id in used})
    if len(currencies) > 1:
        words = _("The policy has a ceiling, and its accounts bill in %(currencies)s: choose accounts of one currency.")
        raise CampaignError(words % {"currencies": ", ".join(currencies)}, "policy")


def need_bodies(frozen: Mapping[str, Any], version: TemplateVersion) -> None:
    """Raises CampaignError where the template lacks a body that the plan needs."""
    wanted = {channel.body_key for channel in load(frozen).channels()}
    missing = sorted(wanted - set(version.bodies))
    if missing:
        words = _("The template has no body for %(kinds)s: write one, or choose a policy without it.")
        raise CampaignError(words % {"kinds": ", ".join(missing)}, "template")


def _now_and_id() -> tuple[datetime, int]:
    """The database's clock and an id, in one round trip."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp(), ums_id()")
        now, made = cursor.fetchone()
    return now, made


def submit_campaign(*, actor: object, campaign: Campaign) -> Campaign:
    """Hands a draft over for sending: now, at its scheduled time, or once somebody else has approved it.

    Its audience is that of its forecast, if it was forecast as it stands; it is forecast now where a rule of approval
    has to know its size or price. Twice is an error, not a second send.
    """
    about = rules_about(campaign, rules_now(fresh=True))
    if any(rule.has_threshold for rule in about) and campaign.state == CampaignState.DRAFT:
        current_forecast(_fresh(campaign)) or forecast_now(actor=actor, campaign=campaign)
    with transaction.atomic():
        return _submit(actor, campaign)


def _fresh(campaign: Campaign) -> Campaign:
    return Campaign.objects.get(pk=campaign.pk)


def _submit(actor: object, campaign: Campaign) -> Campaign:
    held = _locked(campaign)
    if held.state != CampaignState.DRAFT:
        raise CampaignError(_("The campaign was submitted already."))
    held.frozen = current_forecast(held)
    held.save(update_fields=["frozen"])
    needs = asked_of(held, rules_now(fresh=True))
    if needs:
        request_approval(actor=actor, campaign=held, needs=needs)
        return held
    return begin_campaign(actor=actor, held=held, now=database_now())


def begin_campaign(*, actor: object, held: Campaign, now: datetime) -> Campaign:
    """Starts a campaign that may go, or lets it wait for its time. Call under its row's lock; it asks for no approval:
    who turns it into messages does (pipeline/expand.py)."""
    if held.pace_per_second:
        _make_bucket(held)
    if held.scheduled_at is not None and held.scheduled_at > now:
        held.state = CampaignState.SCHEDULED
    else:
        held.state, held.started_at = CampaignState.EXPANDING, now
        if held.audience["kind"] == "filter":
            held.expand_end = Recipient.objects.order_by("-id").values_list("id", flat=True).first() or 0
    held.save(update_fields=["state", "started_at", "expand_end"])
    audit.record(actor=actor, verb="submit", what=held, detail={"state": str(held.state)})
    ring(held.lane)
    return held


def _make_bucket(campaign: Campaign) -> None:
    rate = campaign.pace_per_second or Decimal(0)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO ums_channels_ratebucket (key, rate, burst, tokens, refilled_at) "
            "VALUES (%s, %s, %s, 1, clock_timestamp()) "
            "ON CONFLICT (key) DO UPDATE SET rate = excluded.rate, burst = excluded.burst, "
            "tokens = least(ums_channels_ratebucket.tokens, excluded.burst)",
            [campaign_key(campaign.pk), float(rate), campaign_burst(rate)],
        )


def _locked(campaign: Campaign) -> Campaign:
    """Under a lock that who plans a step does not wait for: it holds a batch, which a pause wants, and names the campaign."""
    return Campaign.objects.select_for_update(of=("self",), no_key=True).get(pk=campaign.pk)


def _move(
    actor: object, campaign: Campaign, state: CampaignState, verb: str, detail: dict[str, Any] | None = None
) -> Campaign:
    held = _locked(campaign)
    if not may("campaign", held.state, state):
        words = _("A campaign that is %(state)s cannot do that.")
        raise CampaignError(words % {"state": held.state})
    held.resume_to = held.state if state == CampaignState.PAUSED else held.resume_to
    held.state = state
    held.save(update_fields=["state"])
    audit.record(actor=actor, verb=verb, what=held, detail=detail)
    return held


@transaction.atomic
def pause_campaign(*, actor: object, campaign: Campaign, reason: str = "") -> Campaign:
    """Stops new windows, and the collecting of people; what is in flight ends. It waits until it is resumed.

    Batches that wait are set aside. One that is leased now, or planned meanwhile, is READY and stays, since nobody leases the
    batches of a paused campaign: so no batch can miss the resume.
    """
    held = _move(actor, campaign, CampaignState.PAUSED, "pause", {"reason": reason[:200]})
    held.pause_reason, held.paused_by = reason[:200], str(actor)[:200]
    held.save(update_fields=["pause_reason", "paused_by", "resume_to"])
    held.batch_set.filter(state="READY").update(state="WAITING")
    return held


def pause_campaigns(*, actor: object, campaigns: Iterable[Campaign], reason: str) -> int:
    """Pauses each of these that can be, one after the other; how many. What ended or was paused meanwhile is passed over."""
    count = 0
    for campaign in campaigns:
        try:
            pause_campaign(actor=actor, campaign=campaign, reason=reason)
        except CampaignError:
            continue
        count += 1
    return count


@transaction.atomic
def resume_campaign(*, actor: object, campaign: Campaign) -> Campaign:
    """Goes on where it was paused. What failed before is no reason to pause it again; a canary that was judged is passed."""
    held = _locked(campaign)
    if held.state != CampaignState.PAUSED:  # a second click: from EXPANDING it must not pass for expanded
        raise CampaignError(_("A campaign that is %(state)s cannot do that.") % {"state": held.state})
    before = CampaignState(held.resume_to or CampaignState.RUNNING)
    held = _move(actor, campaign, before, "resume")
    held.pause_reason, held.paused_by, held.resume_to, held.resumed_at = "", "", "", database_now()
    if held.canary_left == 0 and held.canary_judge_at is not None and held.canary_judge_at <= held.resumed_at:
        held.canary_left = None
    held.save(update_fields=["pause_reason", "paused_by", "resume_to", "resumed_at", "canary_left"])
    held.batch_set.filter(state="WAITING").update(state="READY")
    Pulse.objects.filter(campaign_id=held.pk).delete()
    ring(held.lane)
    return held


def per_minute(pace: Decimal) -> Decimal:
    """A pace a minute as one a second, never faster."""
    return (pace / 60).quantize(Decimal("0.000001"), ROUND_DOWN)


@transaction.atomic
def change_pace(*, actor: object, campaign: Campaign, pace_per_second: Decimal | None) -> Campaign:
    """The pace from the next window on; None: as fast as the accounts allow. Raises CampaignError for one that is over."""
    if pace_per_second is not None and not 0 < pace_per_second < 10_000_000:
        raise CampaignError(_("Give a pace above 0, or leave it empty."), "pace_per_second")
    held = _locked(campaign)
    if held.state in (CampaignState.FINISHED, CampaignState.CANCELLED):
        words = _("A campaign that is %(state)s cannot do that.")
        raise CampaignError(words % {"state": held.state})
    before, held.pace_per_second = held.pace_per_second, pace_per_second
    if held.expand_cursor == 0 and before != pace_per_second:
        _change_unbegun(actor, held)
    held.save(update_fields=["pace_per_second", "state", "edited_by"])
    if pace_per_second:
        _make_bucket(held)
    detail = {"before": str(before or ""), "pace_per_second": str(pace_per_second or "")}
    audit.record(actor=actor, verb="change_pace", what=held, detail=detail)
    return held


def _change_unbegun(actor: object, held: Campaign) -> None:
    """Before it began another pace is a change like any other: approvals of it are void, and whoever made it is an author.

    Of one that is paused the approval falls when it would start.
    """
    waits = held.state in (CampaignState.AWAITING_APPROVAL, CampaignState.SCHEDULED)
    if waits and held.audience["kind"] == "given":
        raise CampaignError(_("What was asked for over the API is approved as it was asked for, or refused."))
    if isinstance(actor, Operator):
        held.edited_by = actor
    if waits and void_approvals(actor=actor, campaign=held, reason="changed"):
        held.state = CampaignState.DRAFT


@transaction.atomic
def pass_canary(*, actor: object, campaign: Campaign, verdict: str = "") -> Campaign:
    """Lets go on what waited for the canary. Twice, or without a canary, it changes nothing."""
    held = _locked(campaign)
    if held.canary_left is not None:
        held.canary_left = None
        held.save(update_fields=["canary_left"])
        audit.record(actor=actor, verb="pass_canary", what=held, detail={"verdict": verdict[:200]})
        ring(held.lane)
    return held


@transaction.atomic
def cancel_campaign(*, actor: object, campaign: Campaign) -> Campaign:
    """Calls off whatever was not sent; what was sent keeps its receipts. Messages become final in the lane's worker."""
    held = _move(actor, campaign, CampaignState.CANCELLED, "cancel")
    void_approvals(actor=actor, campaign=held, reason="campaign_cancelled")
    call_off(held)
    return held


def call_off(held: Campaign) -> None:
    """What is planned of a campaign that was just cancelled is never sent; its lane's worker makes it final."""
    held.batch_set.filter(state="WAITING").update(state="READY")
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE campaigns_batch SET not_before = now() WHERE campaign_id = %s AND state = 'READY'", [held.pk]
        )
        cursor.execute(
            "UPDATE campaigns_savedmessage SET due_at = now() WHERE campaign_id = %s AND state = 'SAVED'", [held.pk]
        )
        cursor.execute(
            "UPDATE campaigns_message SET state = 'CANCELLED', reason = 'campaign_cancelled', finished_at = now() "
            "WHERE campaign_id = %s AND id >= %s AND state = 'PLANNED'",
            [held.pk, first_row_id(held.pk)],
        )
    ring(held.lane)
