"""The current access token of an account, handed to the enterprise's own systems: who else fetches one ends ours."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from apps.channels import tokens
from apps.channels.models import SharedToken
from apps.channels.registry import adapter
from apps.channels.selectors import usable_accounts
from apps.operators import audit
from apps.partners.models import ApiKey

TRIES = 3


class NoSuchAccount(LookupError):
    """There is none of that code, it is paused, or it is another business line's: they look the same from outside."""


class NoToken(LookupError):
    """Calls of this kind of channel carry no access token."""


@dataclass(frozen=True, slots=True)
class HandedOut:
    """A token and until when UMS itself uses it: some minutes before the provider stops taking it."""

    token: str = field(repr=False)
    expires_at: datetime


def hand_out(*, key: ApiKey, code: str) -> HandedOut:
    """The token now in force, fetched where there is none; the audit log says that this key got it, not what it is.

    The caller has checked that the key may take tokens. Must not be called inside a transaction.
    Raises NoSuchAccount, NoToken, tokens.TokenRefused and tokens.TokenBusy.
    """
    account = usable_accounts(key.business_line).filter(code=code).first()
    if account is None:
        raise NoSuchAccount(code)
    if not adapter(account.kind).uses_token:
        raise NoToken(account.kind)
    for _try in range(TRIES):
        plain, version = tokens.signed_in(account)
        held = SharedToken.objects.filter(account=account, name=tokens.ACCESS, version=version)
        expires_at = held.values_list("expires_at", flat=True).first()
        if expires_at is not None:  # else it was given up since we read it
            detail = {"code": account.code, "key": key.prefix, "expires_at": expires_at.isoformat()}
            audit.record(actor=f"API {key.business_line.code}", verb="hand_out_token", what=account, detail=detail)
            return HandedOut(plain.token, expires_at)
    raise tokens.TokenBusy
