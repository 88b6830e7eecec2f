"""What one call to a provider came to: seven outcomes, one of them per recipient.

    Accepted        the provider gave its own positive sign           -> ACCEPTED
    Rejected        a documented, permanent refusal                   -> REJECTED, next step of the policy
    Misconfigured   the account is at fault (key, balance, signature) -> HELD, breaker opens, no attempt burnt
    StaleToken      the access token is no longer taken               -> HELD, at once due again with a new one
    Throttled       documented as "not processed, come back later"    -> HELD until then
    Unavailable     surely not accepted: no request byte left         -> HELD with backoff
    Unknown         bytes left and no readable answer came back;      -> UNKNOWN, resolved by rule, never
                    also every code that is in no table                  repeated blindly

The dispatcher knows these words and no provider. A `code` is the provider's own word, `words` is a sentence for
the operator; neither ever carries an address or a secret.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider took it over. `provider_id` is its own id, the same for all recipients of one call.

    `delivered`: its answer is the receipt too, because the recipient itself gave it; nothing else comes later.
    """

    provider_id: str
    delivered: bool = False


@dataclass(frozen=True, slots=True)
class Rejected:
    """Definitely not sent and never will be.

    scope: "recipient" – this address; "content" – this text; "call" – one of several recipients or texts of the
    call is at fault and the provider does not say which: the dispatcher sends each of them alone. `bad_address`: the
    provider says that this address is gone for good; nobody tries it again.
    """

    code: str
    words: str
    scope: Literal["recipient", "content", "call"] = "recipient"
    bad_address: bool = False


@dataclass(frozen=True, slots=True)
class Misconfigured:
    """Definitely not sent because of the account; whoever is next on it would fare the same."""

    code: str
    words: str


@dataclass(frozen=True, slots=True)
class StaleToken:
    """Definitely not sent: the provider no longer takes the access token. It is fetched anew and the call made again;

    where a token that was fetched just now is refused too, the account counts as misconfigured.
    """

    code: str
    words: str


@dataclass(frozen=True, slots=True)
class Throttled:
    """Definitely not sent. scope "recipient" holds this person only, "account" slows the whole account.

    retry_after: the provider's own time to wait, None where it gave none.
    """

    code: str
    words: str
    retry_after: timedelta | None = None
    scope: Literal["account", "recipient"] = "account"


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Surely not accepted: nothing of the request reached the provider, or it documents so."""

    code: str
    words: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody here knows whether it was accepted. `unmapped` marks a readable code that no table knows."""

    code: str
    words: str
    unmapped: bool = False


Refusal = Rejected | Misconfigured | StaleToken | Throttled | Unavailable | Unknown
Outcome = Accepted | Refusal


def table(*refusals: Refusal) -> dict[str, Refusal]:
    """What a provider's codes mean, by code."""
    return {one.code: one for one in refusals}
