"""When a quota of the day is back: at midnight in Beijing, by the clock of the provider that says it is used up."""

from __future__ import annotations

from datetime import timedelta, timezone
from email.utils import parsedate_to_datetime

from apps.channels.contract import HttpAnswer

BEIJING = timezone(timedelta(hours=8))
UNDATED = timedelta(hours=1)


def until_midnight(answer: HttpAnswer) -> timedelta:
    """How long that is from the answer's `Date`; an hour where it has none that can be read."""
    try:
        now = parsedate_to_datetime(answer.headers["date"]).astimezone(BEIJING)
    except (KeyError, ValueError):
        return UNDATED
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return midnight - now
