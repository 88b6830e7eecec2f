"""The words of the process that runs Apprise; Apprise itself says no more than that it worked or did not."""

from __future__ import annotations

from apps.channels.outcomes import Outcome, Rejected, Throttled, Unavailable, Unknown

_OUTCOMES: tuple[Rejected | Throttled | Unavailable | Unknown, ...] = (
    Rejected("unreadable", "No service of this installation takes the address."),
    Unavailable("not_begun", "The service could not be reached, nothing was sent."),
    Throttled("refused", "The service took nothing: every answer was a refusal.", scope="recipient"),
    Unknown("failed", "Apprise reports a failure after a request was made."),
)
CODES: dict[str, Outcome] = {one.code: one for one in _OUTCOMES}
STATES: dict[str, str] = {}  # nothing comes back
