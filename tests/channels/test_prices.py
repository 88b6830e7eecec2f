"""Prices follow each other without a gap, take effect by themselves, and what was in force is never changed."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.db import IntegrityError, connection, transaction

from apps.channels import services
from apps.channels.errors import AccountError
from apps.channels.models import AccountPrice, ChannelAccount
from apps.channels.prices import (
    bring_into_force,
    end_class_price,
    history,
    prices_of_class,
    set_price,
    withdraw_price,
)
from apps.operators.models import AuditEvent
from tests import installation
from ums_site.clock import database_now

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parents[2]
HOUR = timedelta(hours=1)


@pytest.fixture
def account() -> ChannelAccount:
    return installation.account("sms_aliyun", "sms", "0.045")


def at(account: ChannelAccount, moment: datetime) -> Decimal:
    """The price that the history names for a moment."""
    (one,) = [
        one for one in history(account) if one.valid_from <= moment and (one.valid_to is None or one.valid_to > moment)
    ]
    return one.price


def age(account: ChannelAccount, by: timedelta) -> None:
    """Makes the whole history older: what was set for later is in force by then."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # a table with checks pending is not altered
        cursor.execute("ALTER TABLE ums_channels_accountprice DISABLE TRIGGER past_prices_stay")
        cursor.execute(
            "UPDATE ums_channels_accountprice SET valid_from = valid_from - %s, valid_to = valid_to - %s", [by, by]
        )
        cursor.execute("ALTER TABLE ums_channels_accountprice ENABLE TRIGGER past_prices_stay")


def test_an_account_begins_with_the_price_it_was_made_with(account: ChannelAccount) -> None:
    (first,) = history(account)
    assert (first.price, first.valid_to) == (Decimal("0.045"), None)
    services.save_account(actor="test", account=ChannelAccount.objects.get(), settings={})
    assert len(history(account)) == 1


def test_a_price_from_now_ends_the_one_before(account: ChannelAccount) -> None:
    set_price(actor="boss", account=account, price=Decimal("0.05"), note="new contract")
    new, old = history(account)
    assert (old.valid_to, new.valid_to, new.note) == (new.valid_from, None, "new contract")
    assert ChannelAccount.objects.get().price == account.price == Decimal("0.05")
    event = AuditEvent.objects.get(verb="set_price")
    assert (event.actor, event.detail["price"]) == ("boss", "0.05")


def test_a_price_saved_with_the_account_is_in_force_from_then(account: ChannelAccount) -> None:
    held = ChannelAccount.objects.get()
    held.price = Decimal("0.07")
    services.save_account(actor="test", account=held, settings={})
    assert [one.price for one in history(held)] == [Decimal("0.07"), Decimal("0.045")]
    assert ChannelAccount.objects.get().price == Decimal("0.07")


def test_saving_an_account_read_before_does_not_bring_its_old_price_back(account: ChannelAccount) -> None:
    stale = ChannelAccount.objects.get()
    set_price(actor="boss", account=ChannelAccount.objects.get(), price=Decimal("0.09"))
    stale.name = "Renamed"
    services.save_account(actor="test", account=stale, settings={})
    held = ChannelAccount.objects.get()
    assert (held.name, held.price, len(history(held))) == ("Renamed", Decimal("0.09"), 2)


def test_a_later_price_takes_effect_by_itself(account: ChannelAccount) -> None:
    now = database_now()
    set_price(actor="boss", account=account, price=Decimal("0.06"), valid_from=now + 2 * HOUR)
    set_price(actor="boss", account=account, price=Decimal("0.05"), valid_from=now + HOUR)
    assert bring_into_force() == 0
    assert ChannelAccount.objects.get().price == Decimal("0.045")
    assert [at(account, now + count * HOUR) for count in (0, 1, 2)] == [Decimal(p) for p in ("0.045", "0.05", "0.06")]
    age(account, HOUR + timedelta(minutes=1))
    assert (bring_into_force(), bring_into_force()) == (1, 0)
    assert ChannelAccount.objects.get().price == Decimal("0.05")


@pytest.mark.django_db(transaction=True)
def test_beat_brings_a_price_into_force(account: ChannelAccount) -> None:
    set_price(actor="boss", account=account, price=Decimal("0.05"), valid_from=database_now() + HOUR)
    age(account, 2 * HOUR)
    subprocess.run([sys.executable, "manage.py", "beat", "--once"], cwd=ROOT, check=True, timeout=60)
    assert ChannelAccount.objects.get().price == Decimal("0.05")


def test_a_later_price_is_replaced_or_withdrawn_and_leaves_no_gap(account: ChannelAccount) -> None:
    later = database_now() + HOUR
    for price in ("0.06", "0.08"):
        set_price(actor="boss", account=account, price=Decimal(price), valid_from=later)
    assert [one.price for one in history(account)] == [Decimal("0.08"), Decimal("0.045")]
    withdraw_price(actor="boss", price=history(account)[0])
    (only,) = history(account)
    assert (only.price, only.valid_to) == (Decimal("0.045"), None)
    assert list(AuditEvent.objects.filter(verb="withdraw_price").values_list("detail__price", flat=True)) == ["0.08000"]


def test_the_past_is_refused_by_the_service_and_by_the_database(account: ChannelAccount) -> None:
    with pytest.raises(AccountError) as refused:
        set_price(actor="boss", account=account, price=Decimal(1), valid_from=database_now() - HOUR)
    assert set(refused.value.problems) == {"valid_from"}
    with pytest.raises(AccountError):
        withdraw_price(actor="boss", price=history(account)[0])
    with pytest.raises(AccountError) as refused:
        set_price(actor="boss", account=account, price=Decimal(-1))
    assert set(refused.value.problems) == {"price"}
    age(account, HOUR)
    for change in (lambda rows: rows.update(price=9), lambda rows: rows.delete()):
        with pytest.raises(IntegrityError), transaction.atomic():
            change(AccountPrice.objects.all())
    assert [one.price for one in history(account)] == [Decimal("0.045")]


def test_a_class_may_have_a_price_of_its_own_from_a_day_to_another(account: ChannelAccount) -> None:
    now = database_now()
    set_price(actor="boss", account=account, price=Decimal("0.03"), message_class="marketing")
    set_price(actor="boss", account=account, price=Decimal("0.02"), message_class="marketing", valid_from=now + HOUR)
    set_price(actor="boss", account=account, price=Decimal("0.06"), valid_from=now + 2 * HOUR)
    with pytest.raises(AccountError) as refused:
        set_price(actor="boss", account=account, price=Decimal(1), message_class="newsletters")
    assert set(refused.value.problems) == {"message_class"}

    def price(message_class: str, hours: int) -> Decimal:
        (held,) = prices_of_class([account.pk], message_class, database_now() + hours * HOUR).values()
        return held

    assert [price("marketing", hours) for hours in (0, 1, 3)] == [Decimal("0.03"), Decimal("0.02"), Decimal("0.02")]
    assert [price("otp", hours) for hours in (0, 1, 3)] == [Decimal("0.045"), Decimal("0.045"), Decimal("0.06")]
    held = ChannelAccount.objects.get()
    assert held.price == Decimal("0.045") and bring_into_force() == 0
    age(account, 3 * HOUR)
    assert bring_into_force() == 1 and ChannelAccount.objects.get().price == Decimal("0.06")
    current, general = history(account)[1], history(account)[0]
    assert (current.message_class, general.message_class) == ("marketing", "")
    with pytest.raises(AccountError):
        end_class_price(actor="boss", price=general)
    end_class_price(actor="boss", price=current)
    assert price("marketing", 0) == Decimal("0.06"), "what has ended gives way to the price for all"
    set_price(actor="boss", account=account, price=Decimal("0.01"), message_class="marketing")
    assert price("marketing", 0) == Decimal("0.01")
