"""The values of a real person for a template preview, as far as this operator may see them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apps.users.attributes import open_attributes
from apps.users.models import Recipient

MAY_SEE_SENSITIVE = "users.reveal_address"


def lookup(actor: Any, user_id: str) -> Mapping[str, object] | None:
    """The person's attributes, sensitive ones only for operators who may reveal; None where there is no such person."""
    recipient = Recipient.objects.filter(user_id=user_id).first()
    if recipient is None:
        return None
    values: dict[str, object] = dict(recipient.attributes)
    if actor.has_perm(MAY_SEE_SENSITIVE):
        values |= open_attributes(recipient)
    return values
