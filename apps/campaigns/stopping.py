"""Stop switches: what may be done with them, and what one would stop now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction
from django.utils.translation import gettext as _

from apps.campaigns.errors import CampaignError
from apps.campaigns.models import StopSwitch
from apps.campaigns.states import MessageClass
from apps.channels.models import ChannelAccount
from apps.channels.registry import KINDS, adapter
from apps.operators import audit
from apps.partners.models import BusinessLine
from apps.templates.models import MessageTemplate
from ums_site.clock import database_now
from ums_site.queues import ring

LONGEST_REASON = 200
SENDING_LANES = ("otp", "notice", "bulk")
Scope = StopSwitch.Scope


@dataclass(frozen=True, slots=True)
class Stopped:
    """What a switch holds back now: running campaigns, and of their batches those not done, in deliveries at most."""

    campaigns: int
    deliveries: int


OPEN_WORK = """
SELECT count(DISTINCT c.id), coalesce(sum(b.size), 0)
FROM campaigns_batch b JOIN campaigns_campaign c ON c.id = b.campaign_id AND c.state IN ('EXPANDING', 'RUNNING', 'PAUSED')
JOIN ums_channels_channelaccount a ON a.id = b.account_id JOIN templates_templateversion v ON v.id = c.template_version_id
WHERE b.state <> 'DONE' AND CASE %(scope)s WHEN 'everything' THEN true
  WHEN 'business_line' THEN c.business_line_id::text = %(key)s
  WHEN 'class' THEN c.message_class = %(key)s WHEN 'channel' THEN a.kind = %(key)s WHEN 'account' THEN a.id::text = %(key)s
  WHEN 'template' THEN v.template_id::text = %(key)s END
"""


def would_stop(scope: str, key: str) -> Stopped:
    """What a switch of this scope would hold back if it were set now."""
    with connection.cursor() as cursor:
        cursor.execute(OPEN_WORK, {"scope": scope, "key": key})
        campaigns, deliveries = cursor.fetchone()
    return Stopped(campaigns, int(deliveries))


def label_of(scope: str, key: str) -> str:
    """What the key names, in words. Raises CampaignError where there is no such thing."""
    if scope == Scope.EVERYTHING:
        return ""
    found: object | None = None
    if scope == Scope.CLASS and key in list(MessageClass):
        found = key
    elif scope == Scope.CHANNEL and key in KINDS:
        found = _(adapter(key).label)
    elif key.isdecimal():
        models = {Scope.BUSINESS_LINE: BusinessLine, Scope.ACCOUNT: ChannelAccount, Scope.TEMPLATE: MessageTemplate}
        model = models.get(Scope(scope)) if scope in Scope.values else None
        found = model.objects.filter(pk=int(key)).first() if model else None  # type: ignore[attr-defined]
    if found is None:
        raise CampaignError(_("Choose what is to be stopped."), "key")
    return str(found)


@transaction.atomic
def set_switch(*, actor: object, scope: str, key: str = "", reason: str, until: datetime | None = None) -> StopSwitch:
    """Stops everything that it names within one window. Set again for the same, it is a second switch of its own.

    Raises CampaignError naming the field.
    """
    if scope not in Scope.values:
        raise CampaignError(_("Choose what is to be stopped."), "scope")
    words = _reason(reason)
    now = database_now()
    if until is not None and until <= now:
        raise CampaignError(_("This moment is over: choose a later one, or leave it empty."), "until")
    switch = StopSwitch.objects.create(
        scope=scope, key="" if scope == Scope.EVERYTHING else key, label=label_of(scope, key)[:200], reason=words,
        set_by=str(actor)[:200], set_at=now, until=until,
    )  # fmt: skip
    audit.record(actor=actor, verb="stop", what=switch, detail={"scope": scope, "key": switch.key, "reason": words})
    return switch


@transaction.atomic
def release_switch(*, actor: object, switch: StopSwitch, reason: str) -> StopSwitch:
    """Lets go on what no other switch holds. A switch that was released stays as it is. Raises CampaignError."""
    words = _reason(reason)
    held = StopSwitch.objects.select_for_update().get(pk=switch.pk)
    if held.released_at is None:
        held.released_at, held.released_by = database_now(), str(actor)[:200]
        held.save(update_fields=["released_at", "released_by"])
        audit.record(
            actor=actor, verb="release_stop", what=held, detail={"scope": held.scope, "key": held.key, "reason": words}
        )
        ring(*SENDING_LANES)
    return held


def switches_set() -> list[StopSwitch]:
    """Those that hold something back now, the oldest first."""
    now = database_now()
    return [
        one
        for one in StopSwitch.objects.filter(released_at__isnull=True).order_by("id")
        if not one.until or one.until > now
    ]


def _reason(reason: str) -> str:
    words = " ".join(reason.split())
    if not words:
        raise CampaignError(_("Say why: others will ask."), "reason")
    if len(words) > LONGEST_REASON:
        raise CampaignError(_("The reason may have at most %(most)s characters.") % {"most": LONGEST_REASON}, "reason")
    return words
