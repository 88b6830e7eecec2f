"""What a subscriber's HTTP status means; the status is the whole answer. Marks of confidence stand in README.md."""

from __future__ import annotations

from apps.channels.outcomes import Outcome, Rejected, Throttled, Unknown

_MOVED = "The address answers with a redirect, which is not followed."
_NOT_NOW = "The subscriber does not take it now."
_REFUSED = "The subscriber did not take the request."
_FAILED = "The subscriber failed and may have done its work before."

_OUTCOMES: tuple[Rejected | Throttled | Unknown, ...] = (
    *(Rejected(str(status), _MOVED) for status in (300, 301, 302, 303, 307, 308)),
    *(Throttled(str(status), _REFUSED, scope="recipient") for status in (400, 401, 403, 404, 405, 406, 408, 409)),
    Rejected("410", "The subscriber has closed this address for good.", bad_address=True),
    Throttled("413", _REFUSED, scope="recipient"),
    Throttled("415", _REFUSED, scope="recipient"),
    Throttled("422", _REFUSED, scope="recipient"),
    Throttled("425", _NOT_NOW, scope="recipient"),
    *(Throttled(str(status), _NOT_NOW, scope="recipient") for status in (429, 502, 503, 504)),
    *(Unknown(str(status), _FAILED) for status in (500, 501, 505, 507, 508)),
)
CODES: dict[str, Outcome] = {one.code: one for one in _OUTCOMES}
STATES: dict[str, str] = {}  # nothing comes later: the answer is the receipt
