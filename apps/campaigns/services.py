"""What may be done to campaigns. API, console and commands call these and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext as _

from apps.campaigns.errors import CampaignError
from apps.campaigns.models import Campaign, Policy
from apps.campaigns.pipeline.window import PAYLOAD_PLACE
from apps.campaigns.policy import BadPolicy, freeze
from apps.campaigns.states import LANE_OF, CampaignState, MessageClass, may
from apps.channels.selectors import account_facts
from apps.operators import audit
from apps.partners.models import BusinessLine
from apps.templates.models import TemplateVersion
from apps.users.audience import BadAudience, validate
from apps.users.models import Recipient
from apps.users.services import bind_raw_addresses
from ums_site.clock import database_now
from ums_site.crypto import keyring
from ums_site.ids import first_row_id
from ums_site.queues import ring

PRIORITY = {MessageClass.OTP: 100, MessageClass.TRANSACTIONAL: 50, MessageClass.MARKETING: 0}
MOST_AT_ONCE = 5000


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
    expires_at: datetime | None = None,
) -> Campaign:
    """Makes a DRAFT with policy and audience frozen. Raises CampaignError naming the field at fault."""
    if not name.strip():
        raise CampaignError(_("Give the campaign a name."), "name")
    try:
        chosen = validate(audience)
    except BadAudience as bad:
        raise CampaignError(str(bad), "audience") from bad
    now, (campaign_id,) = _now_and_ids(1)
    campaign = _campaign(
        name=name.strip(),
        business_line=business_line,
        message_class=message_class,
        template_version=template_version,
        policy=policy,
        audience=chosen,
        expires_at=expires_at,
        now=now,
        campaign_id=campaign_id,
    )
    campaign.scheduled_at, campaign.pace_per_second = scheduled_at, pace_per_second
    campaign.created_by_id = getattr(actor, "pk", None)
    campaign.save(force_insert=True)
    audit.record(actor=actor, verb="create", what=campaign, detail={"name": campaign.name})
    return campaign


def _campaign(
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
) -> Campaign:
    if message_class not in list(MessageClass):
        raise CampaignError(_("Use one of: %(known)s.") % {"known": ", ".join(MessageClass)}, "class")
    plan = policy.plan if isinstance(policy, Policy) else policy
    try:
        frozen = freeze(plan, account_facts(business_line))
    except BadPolicy as bad:
        raise CampaignError(str(bad), "policy") from bad
    _need_bodies(frozen, template_version)
    if expires_at is None and frozen["expires_seconds"]:
        expires_at = now + timedelta(seconds=frozen["expires_seconds"])
    if expires_at is not None and expires_at <= now:
        raise CampaignError(_("It would expire before it could be sent: choose a later time."), "expires_at")
    chosen_class = MessageClass(message_class)
    return Campaign(
        id=campaign_id,
        name=name,
        business_line=business_line,
        message_class=message_class,
        template_version=template_version,
        policy_code=policy.code if isinstance(policy, Policy) else "",
        plan=frozen,
        audience=audience,
        lane=LANE_OF[chosen_class],
        priority=PRIORITY[chosen_class],
        expires_at=expires_at,
        created_at=now,
    )


def _need_bodies(frozen: Mapping[str, Any], version: TemplateVersion) -> None:
    kinds = {channel["kind"] for step in frozen["steps"] for channel in step["channels"]}
    missing = sorted(kinds - set(version.bodies))
    if missing:
        words = _("The template has no body for %(kinds)s: write one, or choose a policy without it.")
        raise CampaignError(words % {"kinds": ", ".join(missing)}, "template")


def _now_and_ids(count: int) -> tuple[datetime, list[int]]:
    """The database's clock and `count` rising ids, in one round trip."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp(), ums_id() FROM generate_series(1, %s)", [count])
        rows = cursor.fetchall()
    return rows[0][0], sorted(row[1] for row in rows)


@transaction.atomic
def submit_campaign(*, actor: object, campaign: Campaign) -> Campaign:
    """Hands a draft over for sending: now, or at its scheduled time. Twice is an error, not a second send."""
    held = _locked(campaign)
    if held.state != CampaignState.DRAFT:
        raise CampaignError(_("The campaign was submitted already."))
    now = database_now()
    if held.pace_per_second:
        _make_bucket(held)
    if held.scheduled_at is not None and held.scheduled_at > now:
        held.state = CampaignState.SCHEDULED
    else:
        held.state, held.started_at = CampaignState.EXPANDING, now
        held.expand_end = Recipient.objects.order_by("-id").values_list("id", flat=True).first() or 0
    held.save(update_fields=["state", "started_at", "expand_end"])
    audit.record(actor=actor, verb="submit", what=held, detail={"state": str(held.state)})
    ring(held.lane)
    return held


def _make_bucket(campaign: Campaign) -> None:
    rate = float(campaign.pace_per_second or 0)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO ums_channels_ratebucket (key, rate, burst, tokens, refilled_at) "
            "VALUES (%s, %s, %s, 1, clock_timestamp()) ON CONFLICT DO NOTHING",
            [f"campaign:{campaign.pk}", rate, max(1.0, rate * 0.1)],
        )


def _locked(campaign: Campaign) -> Campaign:
    return Campaign.objects.select_for_update(of=("self",)).get(pk=campaign.pk)


def _move(actor: object, campaign: Campaign, state: CampaignState, verb: str) -> Campaign:
    held = _locked(campaign)
    if not may("campaign", held.state, state):
        words = _("A campaign that is %(state)s cannot do that.")
        raise CampaignError(words % {"state": held.state})
    held.state = state
    held.save(update_fields=["state"])
    audit.record(actor=actor, verb=verb, what=held)
    return held


@transaction.atomic
def pause_campaign(*, actor: object, campaign: Campaign) -> Campaign:
    """Stops new windows; what is in flight ends. Its batches wait until it is resumed."""
    held = _move(actor, campaign, CampaignState.PAUSED, "pause")
    held.batch_set.filter(state="READY").update(state="WAITING")
    return held


@transaction.atomic
def resume_campaign(*, actor: object, campaign: Campaign) -> Campaign:
    held = _move(actor, campaign, CampaignState.RUNNING, "resume")
    held.batch_set.filter(state="WAITING").update(state="READY")
    ring(held.lane)
    return held


@transaction.atomic
def cancel_campaign(*, actor: object, campaign: Campaign) -> Campaign:
    """Calls off whatever was not sent; what was sent keeps its receipts. Messages become final in the lane's worker."""
    held = _move(actor, campaign, CampaignState.CANCELLED, "cancel")
    held.batch_set.filter(state="WAITING").update(state="READY")
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE campaigns_batch SET not_before = now() WHERE campaign_id = %s AND state = 'READY'", [held.pk]
        )
        cursor.execute(
            "UPDATE campaigns_message SET state = 'CANCELLED', reason = 'campaign_cancelled', finished_at = now() "
            "WHERE campaign_id = %s AND id >= %s AND state = 'PLANNED'",
            [held.pk, first_row_id(held.pk)],
        )
    ring(held.lane)
    return held


@dataclass(frozen=True, slots=True)
class NewMessage:
    """One target of an API call: a person by `user_id`, or an address; `variables` override the person's attributes."""

    user_id: str = ""
    address_kind: str = ""
    address: str = field(default="", repr=False)
    variables: Mapping[str, Any] = field(default_factory=dict, repr=False)


INSERT_GIVEN = """
INSERT INTO campaigns_message (id, campaign_id, recipient_id, binding_id, state, reason, step, finished_at)
SELECT id, %s, recipient_id, binding_id, state, reason, 0, CASE WHEN state = 'PLANNED' THEN NULL ELSE now() END
FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::text[], %s::text[])
     AS v(id, recipient_id, binding_id, state, reason)
"""


@transaction.atomic(savepoint=False)
def accept_messages(
    *,
    actor: object,
    business_line: BusinessLine,
    template_version: TemplateVersion,
    policy: Policy | Mapping[str, Any],
    message_class: str,
    items: Sequence[NewMessage],
    expires_at: datetime | None = None,
    name: str = "",
) -> tuple[Campaign, list[int]]:
    """Writes a campaign of exactly these messages and returns it with their ids, in order of `items`.

    Once the caller's transaction commits, every message is durable and will end in one final state. An unknown person
    or an address that is none becomes a message that is INVALID with its reason. Raises CampaignError.
    """
    if not 0 < len(items) <= MOST_AT_ONCE:
        raise CampaignError(_("Give between 1 and %(most)s messages.") % {"most": MOST_AT_ONCE}, "messages")
    now, (campaign_id, *ids) = _now_and_ids(len(items) + 1)
    campaign = _campaign(
        name=name or template_version.template.code,
        business_line=business_line,
        message_class=message_class,
        template_version=template_version,
        policy=policy,
        audience={"kind": "given"},
        expires_at=expires_at,
        now=now,
        campaign_id=campaign_id,
    )
    people = _people(items)
    addresses, refused = _addresses(items)
    rows = [_given_row(one, people, addresses, refused) for one in items]
    campaign.source, campaign.state, campaign.started_at = "api", CampaignState.EXPANDING, campaign.created_at
    campaign.planned_count, campaign.expand_end = len(items), max(ids)
    campaign.save(force_insert=True)
    with connection.cursor() as cursor:
        cursor.execute(INSERT_GIVEN, [campaign.pk, ids, *[list(column) for column in zip(*rows, strict=True)]])
        payloads = [(one, item.variables) for one, item in zip(ids, items, strict=True) if item.variables]
        if payloads:
            sealed = [
                keyring().seal(json.dumps(dict(values), ensure_ascii=False), PAYLOAD_PLACE) for _id, values in payloads
            ]
            cursor.execute(
                "INSERT INTO campaigns_messagepayload (message_id, sealed) SELECT * FROM unnest(%s::bigint[], %s::bytea[])",
                [[one for one, _values in payloads], sealed],
            )
    ring(campaign.lane)
    return campaign, ids


def _people(items: Sequence[NewMessage]) -> dict[str, int]:
    wanted = {item.user_id for item in items if item.user_id}
    if not wanted:
        return {}
    return dict(Recipient.objects.filter(user_id__in=wanted).values_list("user_id", "id"))


def _addresses(items: Sequence[NewMessage]) -> tuple[dict[tuple[str, str], int], dict[tuple[str, str], str]]:
    by_kind: dict[str, list[str]] = {}
    for item in items:
        if not item.user_id:
            by_kind.setdefault(item.address_kind, []).append(item.address)
    bound: dict[tuple[str, str], int] = {}
    refused: dict[tuple[str, str], str] = {}
    for kind, texts in by_kind.items():
        made = bind_raw_addresses(kind=kind, addresses=texts)
        bound |= {(kind, text): binding for text, binding in made.bound.items()}
        refused |= {(kind, text): f"bad_address: {bad.code}" for text, bad in made.refused.items()}
    return bound, refused


def _given_row(
    item: NewMessage,
    people: Mapping[str, int],
    addresses: Mapping[tuple[str, str], int],
    refused: Mapping[tuple[str, str], str],
) -> tuple[int | None, int | None, str, str]:
    if item.user_id:
        person = people.get(item.user_id)
        return (person, None, "PLANNED", "") if person else (None, None, "INVALID", "unknown_user")
    place = (item.address_kind, item.address)
    if place in addresses:
        return None, addresses[place], "PLANNED", ""
    return None, None, "INVALID", refused[place]
