"""Times as providers in China write them."""

from datetime import UTC, datetime, timedelta, timezone

BEIJING = timezone(timedelta(hours=8))
TIME_FORMAT = "%Y-%m-%d %H:%M:%S"


def beijing_time(moment: float, form: str = TIME_FORMAT) -> str:
    """Return the local time of China, without a zone; ``2026-11-23 09:41:00`` unless another form is asked for."""
    return datetime.fromtimestamp(moment, UTC).astimezone(BEIJING).strftime(form)


def beijing_day(moment: float) -> int:
    """Return a number of the day in Beijing that a moment falls on; quotas of a day begin anew with it."""
    return datetime.fromtimestamp(moment, BEIJING).toordinal()
