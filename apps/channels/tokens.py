"""Access tokens of providers: one for all processes, fetched by one of them while the others wait for its row.

The lock on the row is held during the fetch. That is the one place where a network call stands inside a transaction:
the transaction touches nothing but this row, and the fetch must end within the wall-clock limit of one call (t_http).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import OperationalError, connection, transaction

from apps.channels.contract import Account, HttpAnswer, Token, TransportFault
from apps.channels.models import ChannelAccount, SharedToken
from apps.channels.outcomes import Outcome, Unavailable
from apps.channels.registry import adapter
from apps.channels.services import opened
from apps.channels.transport.http import fetch as call
from ums_site.clock import database_now
from ums_site.crypto import keyring

SEALED_AT = b"ums_channels_sharedtoken.value"
LONGEST_MARGIN = timedelta(minutes=5)
JUST_NOW = timedelta(seconds=30)  # two tokens refused in this time are no stale ones: the account is at fault
ACCESS = "access"
Fetch = Callable[[], tuple[str, timedelta]]
Ask = Callable[..., HttpAnswer | TransportFault]


class TokenBusy(Exception):
    """Somebody else has been fetching this token for longer than a call may take; nothing was sent."""


class TokenRefused(Exception):
    """The provider gave no token; `outcome` says why, as a call to it would have."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(type(outcome).__name__)
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class HeldToken:
    """A token and the number of the fetch that it came from."""

    value: str = field(repr=False)
    version: int


def signed_in(account: ChannelAccount, before_fetch: Callable[[], None] = lambda: None) -> tuple[Account, int]:
    """The account as its adapter sees it, with the access token in force where its kind uses one, and that one's version.

    `before_fetch` is called before anything that takes its time: a fetch, or the wait for somebody else's.
    Must not be called inside a transaction. Raises TokenRefused or TokenBusy.
    """
    plain = opened(account)
    if not adapter(account.kind).uses_token:
        return plain, 0
    found = _standing(SharedToken.objects.filter(account=account, name=ACCESS).first())
    if found is None:
        before_fetch()
        found = held(account, ACCESS, lambda: _access_token(plain))
    return replace(plain, token=found.value), found.version


def renewed(account: ChannelAccount, ask: Ask = call) -> HeldToken:
    """A token fetched now, whatever stood before; all processes use it from then on. Raises TokenRefused or TokenBusy.

    `ask` makes the call and must be limited to t_http seconds.
    """
    SharedToken.objects.filter(account=account, name=ACCESS).update(expires_at=None)
    return held(account, ACCESS, lambda: _access_token(opened(account), ask))


def _access_token(account: Account, ask: Ask = call) -> tuple[str, timedelta]:
    kind = adapter(account.kind)
    asked = kind.build_token(account, datetime.now(UTC))
    if isinstance(asked, Token):
        return asked.value, asked.valid
    answer = ask(asked, timeout_s=settings.UMS_TIMERS.t_http)
    if isinstance(answer, TransportFault):
        raise TokenRefused(Unavailable(answer.code, answer.words))  # no message was in it
    assert isinstance(answer, HttpAnswer)
    made = kind.read_token(account, answer)
    if not isinstance(made, Token):
        raise TokenRefused(made)
    return made.value, made.valid


def refused(account: ChannelAccount, version: int) -> bool:
    """The provider refused the access token of this version: the next `signed_in` fetches anew.

    False where the one before it was refused only just now, too: then the next would fare no better.
    """
    standing = SharedToken.objects.filter(account=account, name=ACCESS, version=version, expires_at__isnull=False)
    now = database_now()
    if standing.filter(refused_at__gt=now - JUST_NOW).exists():
        return False
    standing.update(expires_at=None, refused_at=now)
    return True


def token(account: ChannelAccount, name: str, fetch: Fetch) -> str:
    """The value of `held`."""
    return held(account, name, fetch).value


def held(account: ChannelAccount, name: str, fetch: Fetch) -> HeldToken:
    """The shared token, fetched where there is none or it is about to end.

    `fetch` returns the token and how long it is valid; it is called by one process at a time and must be limited to
    t_http seconds. What it raises reaches the caller, and the next caller fetches again. Must not be called inside a
    transaction. Raises TokenBusy.
    """
    found = _standing(SharedToken.objects.filter(account=account, name=name).first())
    if found is not None:
        return found
    SharedToken.objects.bulk_create([SharedToken(account=account, name=name)], ignore_conflicts=True)
    with transaction.atomic(durable=True):
        row = _locked(account, name)
        return _standing(row) or _fetched(row, fetch)


def invalidate(account: ChannelAccount, name: str, version: int) -> bool:
    """After the provider's token error: the next `held` fetches anew. False where somebody did so already."""
    standing = SharedToken.objects.filter(account=account, name=name, version=version, expires_at__isnull=False)
    return standing.update(expires_at=None) > 0


def _standing(row: SharedToken | None) -> HeldToken | None:
    if row is None or row.expires_at is None or row.expires_at <= database_now():
        return None
    return HeldToken(keyring().open(row.value, SEALED_AT), row.version)


def _locked(account: ChannelAccount, name: str) -> SharedToken:
    wait_ms = int(2 * settings.UMS_TIMERS.t_http * 1000)
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{wait_ms}ms"])
    try:
        return SharedToken.objects.select_for_update().get(account=account, name=name)
    except OperationalError as late:
        raise TokenBusy from late


def _fetched(row: SharedToken, fetch: Fetch) -> HeldToken:
    value, valid = fetch()
    row.value = keyring().seal(value, SEALED_AT)
    row.expires_at = database_now() + valid - min(LONGEST_MARGIN, valid / 10)
    row.version += 1
    row.save(update_fields=["value", "expires_at", "version"])
    return HeldToken(value, row.version)
