"""A budget or quota as its line reads it over the API."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from apps.partners.allowances import Remaining, left_of
from apps.partners.counting import note_wall
from apps.partners.models import Allowance
from ums_site.clock import database_now


def described(left: Remaining) -> dict[str, Any]:
    """Amounts as text, since money is exact; `resets_at` null: only an operator gives more room."""
    held = left.allowance
    return {
        "name": held.name,
        "unit": held.unit,
        "currency": held.currency if held.unit == Allowance.Unit.MONEY else None,
        "class": held.message_class or None,
        "channel_kind": held.channel_kind or None,
        "period": held.period,
        "time_zone": held.zone,
        "limit": _plain(held.most),
        "used": _plain(left.used),
        "remaining": _plain(left.left),
        "resets_at": left.resets_at.isoformat() if left.resets_at else None,
    }


def _plain(amount: Any) -> str:
    return f"{amount.normalize():f}"


def refusal(allowance_id: int) -> tuple[dict[str, Any], dict[str, str]]:
    """The body and the headers that refuse a call which found no room; notes the wall."""
    allowance, now = Allowance.objects.get(pk=allowance_id), database_now()
    note_wall(allowance, now)
    (left,) = left_of([allowance], now)
    words = _("The quota “%(name)s” has room for %(left)s more messages: nothing was accepted.")
    body = {"detail": words % {"name": allowance.name, "left": _plain(left.left)}, "quota": described(left)}
    return body, {} if left.resets_at is None else {"Retry-After": str(_seconds(left.resets_at, now))}


def _seconds(until: datetime, now: datetime) -> int:
    return max(1, math.ceil((until - now).total_seconds()))
