"""Taking back: what was not sent yet is called off, what was accepted is recalled where its channel can.

Orders are written here and carried out by `pipeline/recall.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection, transaction
from django.db.models import Count, Q
from django.utils.translation import gettext as _

from apps.campaigns.errors import CampaignError
from apps.campaigns.models import Batch, Campaign, Message, Recall, RecallOrder
from apps.campaigns.pipeline import recall_rows
from apps.campaigns.pipeline.settle import give_up
from apps.campaigns.services import cancel_campaign
from apps.campaigns.states import CampaignState, RecallState, may
from apps.channels.models import ChannelAccount
from apps.operators import audit
from ums_site.clock import transaction_now
from ums_site.ids import first_row_id
from ums_site.queues import ring

LONGEST_REASON = 200


@dataclass(frozen=True, slots=True)
class Foreseen:
    """So many deliveries of one account that can be taken back, or cannot for the reason in `code`."""

    account: ChannelAccount
    code: str
    deliveries: int


@dataclass(frozen=True, slots=True)
class RecallProgress:
    """Deliveries of a campaign that were to be taken back. `open`: more may follow, since not all was looked at yet."""

    asked: int
    recalled: int
    refused: int
    open: bool

    @property
    def waiting(self) -> int:
        return self.asked - self.recalled - self.refused


def foreseen(campaign: Campaign, message_id: int = 0) -> list[Foreseen]:
    """What a recall of the campaign, or of this message of it, would come to now, of what was accepted so far."""
    found = recall_rows.foreseen(campaign.pk, message_id)
    accounts = ChannelAccount.objects.in_bulk({account for account, _code, _count in found})
    return [Foreseen(accounts[account], code, count) for account, code, count in found]


def recall_progress(campaign_id: int) -> RecallProgress | None:
    """How far the recall of a campaign, or of messages of it, is; None where nobody ordered one."""
    if not RecallOrder.objects.filter(campaign_id=campaign_id).exists():
        return None
    counts = Recall.objects.filter(campaign_id=campaign_id, delivery_id__gte=first_row_id(campaign_id)).aggregate(
        asked=Count("pk"),
        recalled=Count("pk", filter=Q(state=RecallState.RECALLED)),
        refused=Count("pk", filter=Q(state=RecallState.REFUSED)),
    )
    looked_at = Batch.objects.filter(campaign_id=campaign_id, recall_at__isnull=False)
    return RecallProgress(open=looked_at.exists(), **counts)


@transaction.atomic
def recall_campaign(*, actor: object, campaign: Campaign, reason: str) -> RecallOrder:
    """Cancels what was not sent and has the rest taken back where its channel can, also what is accepted from now on.

    Twice changes nothing more. Raises CampaignError for a draft, and without a reason.
    """
    given = _given(reason)
    held = Campaign.objects.select_for_update(of=("self",), no_key=True).get(pk=campaign.pk)
    if held.state == CampaignState.DRAFT:
        raise CampaignError(_("Nothing of it was sent: there is nothing to take back."))
    order = _ordered(actor, held, 0, given)
    if may("campaign", held.state, CampaignState.CANCELLED):
        cancel_campaign(actor=actor, campaign=held)
    accounts = recall_rows.recalling_accounts(held.pk)
    Batch.objects.filter(campaign=held, account_id__in=accounts).update(recall_at=transaction_now())
    audit.record(actor=actor, verb="recall", what=held, detail={"reason": given})
    ring("receipts")
    return order


@transaction.atomic
def recall_message(*, actor: object, message_id: int, reason: str) -> int:
    """The same for one message; returns how many deliveries were called off before they were sent.

    Other people of a call that went to several keep their message: such a delivery is refused. Raises CampaignError for
    an unknown id and without a reason.
    """
    given = _given(reason)
    message = Message.objects.select_for_update().filter(pk=message_id).first()
    if message is None:
        raise CampaignError(_("There is no message with this id."))
    campaign = Campaign.objects.select_related("template_version").get(pk=message.campaign_id)
    _ordered(actor, campaign, message.pk, given)
    called_off = _called_off(campaign, message)
    batches = recall_rows.batches_of(message.pk)
    for batch in batches:
        recall_rows.mark(batch)
    accounts = recall_rows.recalling_accounts(campaign.pk)
    concerned = [batch.pk for batch in batches if batch.account_id in accounts]
    Batch.objects.filter(pk__in=concerned).update(recall_at=transaction_now())
    audit.record(actor=actor, verb="recall", what=message, detail={"reason": given, "called_off": called_off})
    ring("receipts")
    return called_off


def _given(reason: str) -> str:
    given = reason.strip()
    if not given:
        raise CampaignError(_("Say why: it stands in the audit log and in the story of each message."), "reason")
    if len(given) > LONGEST_REASON:
        raise CampaignError(_("Give at most %(most)s characters.") % {"most": LONGEST_REASON}, "reason")
    return given


def _ordered(actor: object, campaign: Campaign, message_id: int, reason: str) -> RecallOrder:
    """The order, the first one where there are several: only that one counts."""
    made, _new = RecallOrder.objects.get_or_create(
        campaign=campaign,
        message_id=message_id,
        defaults={"reason": reason, "actor": str(actor)[:200], "ordered_at": transaction_now()},
    )
    return made


def _called_off(campaign: Campaign, message: Message) -> int:
    if message.state == "PLANNED":
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE campaigns_message SET state = 'CANCELLED', reason = 'recalled', finished_at = now() "
                "WHERE id = %s AND state = 'PLANNED'",
                [message.pk],
            )
        return 0
    if message.state != "ACTIVE":
        return 0
    return give_up(campaign, message.pk, "recalled", transaction_now())


def orders_of(message: Message) -> Sequence[RecallOrder]:
    """The orders that concern a message: for itself, and for its campaign."""
    return list(
        RecallOrder.objects.filter(campaign_id=message.campaign_id, message_id__in=[0, message.pk]).order_by(
            "ordered_at"
        )
    )
