"""Times as providers in China write them."""

from datetime import UTC, datetime, timedelta, timezone

BEIJING = timezone(timedelta(hours=8))
TIME_FORMAT = "%Y-%m-%d %H:%M:%S"


def beijing_time(moment: float, form: str = TIME_FORMAT) -> str:
    """Return the local time of China, without a zone; ``2026-11-23 09:41:00`` unless another form is asked for."""
    return datetime.fromtimestamp(moment, UTC).astimezone(BEIJING).strftime(form)
