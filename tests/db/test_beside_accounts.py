"""What an account's page is told by the apps above: today's deliveries, whose addresses it may use, filled texts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.core.cache import cache
from django.utils import timezone

from apps.campaigns.models import Delivery
from apps.channels.above import Figures, above, figures_of
from apps.channels.errors import AccountError
from apps.channels.models import ChannelAccount
from apps.operators.models import AuditEvent, Operator
from apps.partners.models import BusinessLine
from apps.users import services as people
from apps.users.attributes import ensure_default_attributes
from apps.users.models import Binding, Recipient
from tests import installation
from ums_site.ids import first_id_at

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def counted_anew() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def account() -> ChannelAccount:
    return installation.account("sms_aliyun", "sms", "0.045")


@pytest.fixture
def person() -> Recipient:
    made = people.ensure_recipient(actor="test", user_id="U1")
    people.add_binding(actor="test", recipient=made, kind="phone", address="13800138000")
    people.add_binding(actor="test", recipient=made, kind="email", address="u1@example.com")
    return made


class Deliveries:
    """Rows as the pipeline leaves them."""

    def __init__(self, account: ChannelAccount) -> None:
        self.account, self.number = account, 0

    def add(self, made: datetime, tried: datetime | None, state: str, **columns: object) -> None:
        self.number += 1
        Delivery.objects.create(
            id=first_id_at(made) + self.number, message_id=1, campaign_id=1, batch_id=1, account_id=self.account.pk,
            binding_id=1, step=0, state=state, first_intent_at=tried, **columns,
        )  # fmt: skip


def test_figures_are_of_what_was_first_tried_today(account: ChannelAccount) -> None:
    now = timezone.now()
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    early = midnight + (now - midnight) / 2
    rows = Deliveries(account)
    rows.add(now, now, "DELIVERED", accepted_at=now, pieces=2, cost=Decimal("0.09"))
    rows.add(now, now, "ACCEPTED", accepted_at=now, pieces=1, cost=Decimal("0.045"))
    rows.add(now, now, "REJECTED")
    rows.add(now, now, "UNKNOWN")
    rows.add(now, None, "PENDING")
    rows.add(midnight - timedelta(hours=1), early, "ACCEPTED", accepted_at=early, pieces=1, cost=Decimal("0.045"))
    rows.add(midnight - timedelta(hours=2), midnight - timedelta(hours=1), "REJECTED")
    found = figures_of(account.pk)
    assert found is not None
    assert (found.tried, found.taken, found.delivered, found.refused, found.unknown) == (5, 3, 1, 1, 1)
    assert (found.waiting, found.pieces, found.cost) == (1, 4, Decimal("0.18"))
    assert found.hour_tried >= 4 and found.hour_failed >= 2
    assert figures_of(account.pk + 1) == Figures()


def test_bindings_are_of_the_accounts_kind_and_meant_for_it(person: Recipient) -> None:
    shop, bank = (BusinessLine.objects.create(code=code, name=code) for code in ("shop", "bank"))
    account = installation.account("sms_aliyun", "sms")
    ChannelAccount.objects.filter(pk=account.pk).update(business_line=shop)
    account.refresh_from_db()
    for number, (scope, scope_id) in enumerate(
        [("business_line", shop.pk), ("business_line", bank.pk), ("account", account.pk), ("account", account.pk + 1)]
    ):
        people.add_binding(
            actor="test",
            recipient=person,
            kind="phone",
            address=f"1380013800{number + 1}",
            scope=scope,
            scope_id=scope_id,
        )
    known = above()
    assert known is not None
    assert [one.masked[-1] for one in known.bindings("U1", account) or ()] == ["0", "1", "3"]
    assert known.bindings("nobody", account) is None


def test_an_address_is_opened_only_where_it_may_be_written_to(account: ChannelAccount, person: Recipient) -> None:
    known = above()
    assert known is not None
    (bound,) = known.bindings("U1", account) or ()
    assert known.opened(bound.id, "U1", account) == "13800138000"
    mail = Binding.objects.get(address_kind="email")
    for binding_id, user_id in ((mail.pk, "U1"), (bound.id, "U2")):
        with pytest.raises(AccountError):
            known.opened(binding_id, user_id, account)
    Binding.objects.filter(pk=bound.id).update(state=Binding.State.INVALID)
    with pytest.raises(AccountError):
        known.opened(bound.id, "U1", account)
    Binding.objects.filter(pk=bound.id).update(state=Binding.State.ACTIVE)
    assert known.refusal("13800138000", account) == ""
    people.add_blacklist(actor="test", kind="phone", address="13800138000", reason="asked", source="test")
    assert known.refusal("+86 138 0013 8000", account)
    with pytest.raises(AccountError):
        known.opened(bound.id, "U1", account)


def test_blanks_are_filled_for_the_person_as_far_as_the_operator_may_see(person: Recipient) -> None:
    ensure_default_attributes()
    people.set_attributes(actor="test", recipient=person, values={"name": "杜萍", "balance": "12"})
    version = installation.template()
    boss = Operator.objects.create_superuser("boss", password="x")
    plain = Operator.objects.create_user("plain", password="x")
    known = above()
    assert known is not None
    assert known.texts("sms_aliyun") == [(version.pk, "balance v1 (balance)")]
    assert known.texts("email_smtp") == []

    def filled(actor: Operator, user_id: str) -> list[str]:
        return [one.value for one in known.blanks(actor, version.pk, "sms_aliyun", user_id)]

    assert filled(boss, "U1") == ["杜萍", "12"]
    assert AuditEvent.objects.get(verb="preview_with_person").detail == {"user_id": "U1"}
    assert filled(plain, "U1") == filled(boss, "") == ["张三", "1024.50"], "examples"
    content = known.content(version.pk, "sms_aliyun", {"name": "甲", "balance": "3"})
    assert content["text"] == "甲您好，您的余额为3元。"
    with pytest.raises(AccountError) as refused:
        known.content(version.pk, "sms_aliyun", {"name": "甲", "balance": ""})
    assert set(refused.value.problems) == {"value_balance"}
