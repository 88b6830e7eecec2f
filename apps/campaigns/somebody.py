"""Somebody of a campaign's audience, whose own values a preview shows: the first one, so that everybody sees the same."""

from __future__ import annotations

import json
from typing import Any

from apps.campaigns.models import Campaign, Message, MessagePayload, TargetListRow
from apps.campaigns.pipeline.window import PAYLOAD_PLACE
from apps.users.audience import condition
from apps.users.models import Recipient
from ums_site.crypto import keyring
from ums_site.ids import first_row_id


def values_of_somebody(campaign: Campaign) -> dict[str, Any]:
    """The values of the first person: open attributes, and what the list or the API call gave. Empty for nobody."""
    kind = campaign.audience["kind"]
    if kind == "given":
        return _of_message(campaign)
    return _of_list(campaign) if kind == "list" else _of_person(one_person(campaign))


def one_person(campaign: Campaign) -> Recipient | None:
    """The first person of an audience that is a condition."""
    sql, values = condition(campaign.audience)
    found = Recipient.objects.raw(f"SELECT r.* FROM users_recipient r WHERE {sql} ORDER BY r.id LIMIT 1", values)
    return next(iter(found), None)


def _of_person(person: Recipient | None) -> dict[str, Any]:
    return {} if person is None else {**person.attributes, "user_id": person.user_id}


def _of_list(campaign: Campaign) -> dict[str, Any]:
    row = TargetListRow.objects.filter(target_list_id=campaign.audience["list"]).order_by("number").first()
    if row is None:
        return {}
    person = Recipient.objects.filter(user_id=row.user_id).first() if row.user_id else None
    return {**_of_person(person), **_opened(row.sealed)}


def _of_message(campaign: Campaign) -> dict[str, Any]:
    messages = Message.objects.filter(campaign_id=campaign.pk, id__gte=first_row_id(campaign.pk))
    message = messages.exclude(state="INVALID").order_by("id").first()
    if message is None:
        return {}
    payload = MessagePayload.objects.filter(pk=message.pk).first()
    person = Recipient.objects.filter(pk=message.recipient_id).first()
    return {**_of_person(person), **_opened(payload.sealed if payload else None)}


def _opened(sealed: Any) -> dict[str, Any]:
    return dict(json.loads(keyring().open(sealed, PAYLOAD_PLACE))) if sealed else {}
