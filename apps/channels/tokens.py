"""Access tokens of providers: one for all processes, fetched by one of them while the others wait for its row.

The lock on the row is held during the fetch. That is the one place where a network call stands inside a transaction:
the transaction touches nothing but this row, and the fetch must end within the wall-clock limit of one call (t_http).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from django.conf import settings
from django.db import OperationalError, connection, transaction

from apps.channels.models import ChannelAccount, SharedToken
from ums_site.clock import database_now
from ums_site.crypto import keyring

SEALED_AT = b"ums_channels_sharedtoken.value"
LONGEST_MARGIN = timedelta(minutes=5)
Fetch = Callable[[], tuple[str, timedelta]]


class TokenBusy(Exception):
    """Somebody else has been fetching this token for longer than a call may take; nothing was sent."""


@dataclass(frozen=True, slots=True)
class HeldToken:
    """A token and the number of the fetch that it came from."""

    value: str = field(repr=False)
    version: int


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
