"""What may be done to offline-saved messages: the presence call, and an operator's release and discard."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext as _

from apps.campaigns.errors import CampaignError
from apps.campaigns.models import SavedMessage
from apps.campaigns.pipeline.columns import numbers
from apps.campaigns.pipeline.offline import end_kept
from apps.operators import audit
from apps.users.addressing import hash_of
from apps.users.models import Binding, Recipient
from ums_site.queues import ring

LONGEST_REASON = 200
RELEASE = """
UPDATE campaigns_savedmessage SET due_at = now(), released_by = %s
WHERE {whose} AND state = 'SAVED' AND expires_at > now() RETURNING lane
"""


def people_at(*, user_id: str = "", kind: str = "", address: str = "") -> list[int]:
    """Ids of the person with this user id, or of whoever has this address. Raises AddressRefused."""
    if user_id:
        return list(Recipient.objects.filter(user_id=user_id).values_list("id", flat=True))
    bound = Binding.objects.filter(address_kind=kind, address_hash=hash_of(kind, address), recipient__isnull=False)
    return list(bound.values_list("recipient_id", flat=True).distinct())


@transaction.atomic
def came_online(*, actor: object, people: Collection[int]) -> int:
    """These people can be reached now: what was kept for them goes, oldest first; how many messages. Again: nothing more.

    No audit event for each: a busy app calls it at every start. What was released says by whom.
    """
    return _make_due(
        "recipient_id = ANY(%s::bigint[]) AND (due_at IS NULL OR due_at > now())", people, f"presence: {actor}"
    )


@transaction.atomic
def release_saved(*, actor: object, messages: Collection[int]) -> int:
    """Tries these kept messages now; how many. Who still has no usable address stays kept."""
    released = _make_due("message_id = ANY(%s::bigint[])", messages, str(actor))
    if released:
        audit.record(actor=actor, verb="release_saved", what="savedmessage", detail={"messages": released})
    return released


def _make_due(whose: str, ids: Collection[int], by: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(RELEASE.format(whose=whose), [by[:200], numbers(sorted(ids))])
        lanes = [row[0] for row in cursor.fetchall()]
    ring(*sorted(set(lanes)))
    return len(lanes)


@transaction.atomic
def discard_saved(*, actor: object, messages: Collection[int], reason: str) -> int:
    """Gives these kept messages up for good; how many were still kept. Raises CampaignError without a reason."""
    words = " ".join(reason.split())
    if not words:
        raise CampaignError(_("Say why the messages are discarded."), "reason")
    if len(words) > LONGEST_REASON:
        raise CampaignError(_("The reason may have at most %(most)s characters.") % {"most": LONGEST_REASON}, "reason")
    if not messages:
        return 0
    ended = end_kept(messages, "DISCARDED", "CANCELLED", "discarded")
    audit.record(actor=actor, verb="discard_saved", what="savedmessage", detail={"messages": ended, "reason": words})
    return ended


def standing() -> dict[str, Any]:
    """How many are kept now, and of how many people."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), count(DISTINCT recipient_id), min(expires_at) FROM campaigns_savedmessage WHERE state = %s",
            [SavedMessage.State.SAVED],
        )
        kept, people, next_end = cursor.fetchone()
    return {"kept": kept, "people": people, "next_end": next_end}
