"""What a unit costs, from when: prices follow each other without a gap, and one that has been in force never changes.

A class of messages may have prices of its own; where it has none at a moment, the price for all classes holds. Whoever
sends reads the price of the moment with the intent (`PRICE_AT`). `ChannelAccount.price`, for all classes and in force
now, is for whoever estimates; `bring_into_force` keeps it in step with prices that were set for a later time.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from apps.channels.errors import AccountError
from apps.channels.models import AccountPrice, ChannelAccount
from apps.operators import audit
from apps.partners.classes import CLASSES
from ums_site.clock import database_now

BRING_INTO_FORCE = """
UPDATE ums_channels_channelaccount a SET price = p.price FROM ums_channels_accountprice p
WHERE p.account_id = a.id AND p.message_class = '' AND p.valid_from <= now()
  AND (p.valid_to IS NULL OR p.valid_to > now()) AND a.price <> p.price
"""
# SQL, a column: the price of an account for a class at a moment, each given as SQL; null before its first.
PRICE_AT = """(
    SELECT p.price FROM ums_channels_accountprice p
    WHERE p.account_id = {account} AND p.message_class IN ('', {message_class})
      AND p.valid_from <= {at} AND (p.valid_to IS NULL OR p.valid_to > {at}) ORDER BY p.message_class DESC LIMIT 1)"""


def begin_prices(account: ChannelAccount) -> None:
    """The first price of an account just made: the one it was saved with."""
    AccountPrice.objects.create(account=account, price=account.price, valid_from=database_now())
    account.price_loaded = account.price


def set_price(
    *,
    actor: object,
    account: ChannelAccount,
    price: Decimal,
    valid_from: datetime | None = None,
    note: str = "",
    message_class: str = "",
) -> AccountPrice:
    """The account costs `price` a unit from `valid_from` (aware; None: from now) until the next price that is set already.

    With a `message_class` for that class alone. A price set for the very same later time is replaced. Raises AccountError
    for a time that has passed.
    """
    with transaction.atomic():
        held = ChannelAccount.objects.select_for_update().get(pk=account.pk)
        now = database_now()
        begins = valid_from or now
        if begins < now:
            raise AccountError({"valid_from": _("Past prices are never changed: choose a later time, or now.")})
        made = AccountPrice(
            account=held, message_class=message_class, price=price, valid_from=begins, note=note.strip()[:200]
        )
        _check(made)
        AccountPrice.objects.filter(account=held, message_class=message_class, valid_from=begins).delete()
        _put_in_line(made)
        if begins <= now and not message_class and held.price != made.price:
            ChannelAccount.objects.filter(pk=held.pk).update(price=made.price)
        detail = {"code": held.code, "price": f"{made.price:f}", "currency": held.currency, "from": begins.isoformat()}
        detail |= {"class": message_class} if message_class else {}
        audit.record(actor=actor, verb="set_price", what=held, detail=detail)
    if begins <= now and not message_class:
        account.price = account.price_loaded = made.price
    return made


def _check(made: AccountPrice) -> None:
    if made.message_class and made.message_class not in CLASSES:
        raise AccountError({"message_class": _("Use one of: %(known)s.") % {"known": ", ".join(CLASSES)}})
    try:
        made.clean_fields(exclude=["account", "valid_to"])
    except ValidationError as refused:
        raise AccountError({name: " ".join(words) for name, words in refused.message_dict.items()}) from refused


def _put_in_line(made: AccountPrice) -> None:
    """Ends the price before it where it begins, and itself where the next one does."""
    others = AccountPrice.objects.filter(account=made.account, message_class=made.message_class)
    later = others.filter(valid_from__gt=made.valid_from).order_by("valid_from").first()
    before = others.filter(valid_from__lt=made.valid_from).order_by("-valid_from").first()
    if before is not None and (before.valid_to is None or before.valid_to > made.valid_from):
        AccountPrice.objects.filter(pk=before.pk).update(valid_to=made.valid_from)
    made.valid_to = later.valid_from if later else None
    made.save()


def withdraw_price(*, actor: object, price: AccountPrice) -> None:
    """Takes back a price that is not in force yet; the one before it goes on. Raises AccountError for any other."""
    with transaction.atomic():
        held = ChannelAccount.objects.select_for_update().get(pk=price.account_id)
        later = AccountPrice.objects.filter(pk=price.pk, valid_from__gt=database_now()).first()
        if later is None:
            raise AccountError({"": _("This price has been in force already, and past prices are never changed.")})
        later.delete()
        before = AccountPrice.objects.filter(account=held, message_class=later.message_class, valid_to=later.valid_from)
        before.update(valid_to=later.valid_to)
        detail = {"code": held.code, "price": f"{later.price:f}", "from": later.valid_from.isoformat()}
        audit.record(actor=actor, verb="withdraw_price", what=held, detail=detail)


def end_class_price(*, actor: object, price: AccountPrice) -> None:
    """The price of a class that is in force ends now: the one for all classes holds again. Prices to come stay.

    Raises AccountError for the price of all classes, which always follow each other, and for one that is not in force.
    """
    with transaction.atomic():
        held = ChannelAccount.objects.select_for_update().get(pk=price.account_id)
        now = database_now()
        found = AccountPrice.objects.filter(pk=price.pk, valid_from__lt=now).exclude(message_class="")
        found = found.filter(Q(valid_to__isnull=True) | Q(valid_to__gt=now))
        if not found.update(valid_to=now):
            raise AccountError({"": _("Only the price of one class that is in force can be ended.")})
        detail = {"code": held.code, "price": f"{price.price:f}", "class": price.message_class}
        audit.record(actor=actor, verb="end_price", what=held, detail=detail)


def history(account: ChannelAccount) -> list[AccountPrice]:
    """All prices of the account, the latest first, those to come included."""
    return list(AccountPrice.objects.filter(account=account).order_by("-valid_from", "message_class"))


def prices_of_class(account_ids: Iterable[int], message_class: str, at: datetime | None = None) -> dict[int, Decimal]:
    """Account id -> what a unit costs a message of this class at a moment (None: now). One statement."""
    price = PRICE_AT.format(account="a.id", message_class="%s", at="v.at")
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT a.id, coalesce({price}, a.price) FROM ums_channels_channelaccount a, "
            "(SELECT coalesce(%s::timestamptz, now()) AS at) v WHERE a.id = ANY(%s)",
            [message_class, at, list(account_ids)],
        )
        return dict(cursor.fetchall())


def bring_into_force() -> int:
    """Gives every account the price that is in force now; how many changed. Any number of processes may call it."""
    with connection.cursor() as cursor:
        cursor.execute(BRING_INTO_FORCE)
        return int(cursor.rowcount)
