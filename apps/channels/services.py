"""What may be done to an account: save, pause, resume, close its breaker; and how its secrets are opened."""

from __future__ import annotations

import json
import secrets as randomness
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils.translation import gettext as _

from apps.channels.contract import Account
from apps.channels.errors import AccountError
from apps.channels.models import ChannelAccount
from apps.channels.prices import begin_prices, set_price
from apps.channels.registry import KINDS, adapter
from apps.operators import audit
from ums_site.crypto import keyring

SEALED_AT = b"ums_channels_channelaccount.secrets"
RECEIPT_WINDOW = timedelta(days=3)
UNKNOWN_WINDOW = timedelta(hours=1)
PLAIN_COLUMNS = [  # what saving an account that stands already may change: others move the rest meanwhile
    "code", "name", "kind", "business_line", "config", "secrets", "rate_per_second", "burst", "max_in_flight", "currency",
    "receipt_window", "unknown_window", "hook_token", "bills_failed",
]  # fmt: skip

_opened: dict[int, tuple[bytes, dict[str, Any], Account]] = {}


def opened(account: ChannelAccount) -> Account:
    """The account as its adapter sees it, secrets opened. The same object as long as nothing about it was changed.

    Each sealing has a nonce of its own, so the sealed bytes are the version. Raises SealBroken.
    """
    sealed = bytes(account.secrets)
    known = _opened.get(account.pk)
    if known is not None and known[0] == sealed and known[1] == account.config and known[2].code == account.code:
        return known[2]
    made = Account(account.code, account.kind, {**account.config, **open_secrets(account)})
    if account.pk is not None:
        _opened[account.pk] = (sealed, account.config, made)
    return made


def open_secrets(account: ChannelAccount) -> dict[str, Any]:
    """The secret settings in clear; empty for an account without any. Raises SealBroken."""
    sealed = bytes(account.secrets)
    held: dict[str, Any] = json.loads(keyring().open(sealed, SEALED_AT)) if sealed else {}
    return held


def save_account(
    *, actor: object, account: ChannelAccount, settings: Mapping[str, Any], forget: Collection[str] = ()
) -> ChannelAccount:
    """Saves `account` (new or loaded, its plain columns set by the caller) with the settings of its kind.

    `settings` holds the kind's config fields by name, secrets included; a secret that is empty or left out stays as it
    is unless `forget` names it, another field left out keeps its value or takes its default. The account's bucket is
    kept in step; a price that the caller changed is in force from now. State and breaker have services of their own.
    Raises AccountError with a sentence per field; nothing is saved then.
    """
    if account.kind not in KINDS:
        raise AccountError({"kind": _("This kind of channel is not known.")})
    config, held = merged(account, settings, forget)
    problems = dict(adapter(account.kind).check_config({**config, **held}))
    new = account.pk is None
    account.receipt_window = account.receipt_window if account.receipt_window is not None else RECEIPT_WINDOW
    account.unknown_window = account.unknown_window if account.unknown_window is not None else UNKNOWN_WINDOW
    account.hook_token = account.hook_token or randomness.token_urlsafe(32)
    problems |= _column_problems(account)
    if problems:
        raise AccountError(problems)
    secrets_changed = new or held != open_secrets(account)
    account.config = config
    if secrets_changed:
        account.secrets = keyring().seal(json.dumps(held, ensure_ascii=False, sort_keys=True), SEALED_AT)
    with transaction.atomic():
        account.save(update_fields=None if new else PLAIN_COLUMNS)
        _keep_bucket(account)
        if new:
            begin_prices(account)
        elif account.price != account.price_loaded:
            set_price(actor=actor, account=account, price=account.price)
        changed = sorted(name for name in settings if name in config)
        detail = {"code": account.code, "settings": changed, "secrets_changed": secrets_changed}
        if forget:
            detail["secrets_forgotten"] = sorted(forget)
        audit.record(actor=actor, verb="add_account" if new else "change_account", what=account, detail=detail)
    return account


def merged(
    account: ChannelAccount, settings: Mapping[str, Any], forget: Collection[str] = ()
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(settings, secrets) as saving `settings` would leave them: what is given, else what stands, else the default.

    What stands of the secrets named in `forget` is left out. Raises AccountError for a setting that the kind does not have.
    """
    fields = adapter(account.kind).config_fields
    unknown = set(settings) - {field.name for field in fields}
    if unknown:
        raise AccountError({name: _("This kind of channel has no such setting.") for name in sorted(unknown)})
    standing = {name: value for name, value in open_secrets(account).items() if name not in forget}
    config: dict[str, Any] = {}
    held: dict[str, Any] = {}
    for field in fields:
        given = settings.get(field.name)
        if field.secret:
            if value := given or standing.get(field.name):
                held[field.name] = value
        else:
            config[field.name] = given if field.name in settings else account.config.get(field.name, field.default)
    return config, held


def _column_problems(account: ChannelAccount) -> dict[str, str]:
    try:
        account.full_clean(exclude=["config", "secrets", "hook_token"])
    except ValidationError as refused:
        return {name if name != "__all__" else "": " ".join(words) for name, words in refused.message_dict.items()}
    return {}


def bucket_key(account_id: int) -> str:
    """The key of an account's row in RateBucket."""
    return f"account:{account_id}"


def _keep_bucket(account: ChannelAccount) -> None:
    """One row with the account's rate and burst, none where it has no limit. Tokens already there stay there."""
    key = bucket_key(account.pk)
    with connection.cursor() as cursor:
        if account.rate_per_second is None:
            cursor.execute("DELETE FROM ums_channels_ratebucket WHERE key = %s", [key])
            return
        burst = max(1, account.burst)
        cursor.execute(
            "INSERT INTO ums_channels_ratebucket (key, rate, burst, tokens, refilled_at) "
            "VALUES (%s, %s, %s, %s, clock_timestamp()) ON CONFLICT (key) DO UPDATE SET rate = excluded.rate, "
            "burst = excluded.burst, tokens = least(ums_channels_ratebucket.tokens, excluded.burst)",
            [key, float(account.rate_per_second), burst, burst],
        )


def pause_account(*, actor: object, account: ChannelAccount, reason: str) -> None:
    """Nothing leaves over it from now on; what waits keeps waiting. Doing it twice changes nothing, not even the reason.

    The reason stands on the account's page and in the audit log. Raises AccountError where there is none.
    """
    if not reason.strip():
        raise AccountError({"reason": _("Say why the account is paused: others will ask.")})
    _set_state(actor, account, ChannelAccount.State.PAUSED, "pause_account", reason.strip()[:200])


def resume_account(*, actor: object, account: ChannelAccount, reason: str = "") -> None:
    """What waited goes on. Doing it twice changes nothing."""
    _set_state(actor, account, ChannelAccount.State.ACTIVE, "resume_account", reason.strip()[:200])


def _set_state(actor: object, account: ChannelAccount, state: str, verb: str, reason: str) -> None:
    kept = reason if state == ChannelAccount.State.PAUSED else ""
    with transaction.atomic():
        standing = ChannelAccount.objects.filter(pk=account.pk).exclude(state=state)
        if standing.update(state=state, pause_reason=kept):
            audit.record(actor=actor, verb=verb, what=account, detail={"code": account.code, "reason": reason})
            account.state, account.pause_reason = state, kept


def renew_hook(*, actor: object, account: ChannelAccount) -> None:
    """The address for receipts gets a new secret; what comes to the old one is refused from now on."""
    with transaction.atomic():
        account.hook_token = randomness.token_urlsafe(32)
        account.save(update_fields=["hook_token"])
        audit.record(actor=actor, verb="renew_hook", what=account, detail={"code": account.code})


def close_breaker(*, actor: object, account: ChannelAccount) -> None:
    """Lets the account send again at once, whatever opened its breaker. Doing it twice changes nothing."""
    with transaction.atomic():
        held = ChannelAccount.objects.select_for_update().get(pk=account.pk)
        if held.open_until is None and not held.faults:
            return
        detail = {"code": held.code, "reason": held.open_reason}
        held.open_until, held.open_reason, held.faults = None, "", 0
        held.save(update_fields=["open_until", "open_reason", "faults"])
        audit.record(actor=actor, verb="close_breaker", what=held, detail=detail)
